package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
)

// benchYear lets a year pass at a site of a thousand computers, and tells what its files and tables have then (see TestYear).
func benchYear(ctx context.Context, _ settings) ([]row, error) {
	test := exec.CommandContext(ctx, "go", "test", "-run", "^TestYear$", "-v", "-count", "1", "-timeout", "3h", "./bench")
	test.Env = append(os.Environ(), "CGO_ENABLED=0", "THATCH_YEAR=1")
	out, err := test.CombinedOutput()
	rows := yearRows(string(out))
	if err != nil {
		return rows, fmt.Errorf("go test -run TestYear ./bench: %w: %s", err, lastLines(out, 5))
	}
	return rows, nil
}

// yearRows are the lines that TestYear printed: "year: WHAT: FIGURES" and "year: table NAME ROWS rows BYTES MB".
func yearRows(out string) (rows []row) {
	for line := range strings.Lines(out) {
		_, text, found := strings.Cut(strings.TrimSpace(line), "year: ")
		if !found {
			continue
		}
		r := row{Name: text}
		if name, figure, found := strings.Cut(text, ": "); found {
			r = row{Name: "year, " + name, Figure: figure}
		} else if fields := strings.Fields(text); len(fields) > 2 {
			r = row{Name: "year, " + strings.Join(fields[:2], " "), Figure: strings.Join(fields[2:], " ")}
		}
		if r.Name == "year, all files" {
			r.Peer = "at most 1.2 times"
		}
		rows = append(rows, r)
	}
	return rows
}
