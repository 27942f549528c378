package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// benchWrite has the quorum of one voter order rows, each write durable before it is acknowledged, beside what the
// disk itself can do.
func benchWrite(ctx context.Context, s settings) ([]row, error) {
	disk, err := flushes(ctx, s.enough)
	if err != nil {
		return nil, err
	}
	results, err := goBench(ctx, "./node/quorum", "^BenchmarkWrite(500Rows)?$", s.enough.String())
	if err != nil {
		return nil, err
	}
	return writeRows(results, disk), nil
}

func writeRows(results []result, disk float64) []row {
	var rows []row
	for _, r := range results {
		kind, writers, _ := strings.Cut(r.name, "/writers=")
		what, peer := "single writes", fmt.Sprintf("%.0f flushes/s of the disk alone", disk)
		if kind != "Write" {
			what, peer = "rows in batches of "+strings.TrimSuffix(strings.TrimPrefix(kind, "Write"), "Rows"), ""
		}
		rows = append(rows, row{
			"write, durable, " + what + ", writers: " + writers, fmt.Sprintf("%.0f/s", r.figures["rows/s"]), peer,
			fmt.Sprintf("one voter; %s each", r.each("ns/op").Round(time.Microsecond)),
		})
	}
	return rows
}

// flushes is how often in a second the disk makes 4 KiB durable that are appended to a file.
func flushes(ctx context.Context, enough time.Duration) (float64, error) {
	folder, err := os.MkdirTemp("", "thatch-bench-disk-")
	if err != nil {
		return 0, err
	}
	defer os.RemoveAll(folder)
	file, err := os.Create(filepath.Join(folder, "file"))
	if err != nil {
		return 0, err
	}
	count := 0
	page := make([]byte, 4096)
	started := time.Now()
	for time.Since(started) < enough && ctx.Err() == nil && err == nil {
		if _, err = file.Write(page); err == nil {
			err = file.Sync()
		}
		count++
	}
	spent := time.Since(started)
	if err := errors.Join(err, file.Close(), ctx.Err()); err != nil {
		return 0, err
	}
	return float64(count) / spent.Seconds(), nil
}

// benchCompliance reads pages of compliance of a large site.
func benchCompliance(ctx context.Context, s settings) ([]row, error) {
	results, err := goBench(ctx, "./node/computers/compliance", "^BenchmarkPages$/^(bulletins|updates|cves|months|computers)$", "10x") // beside what is measured, much is made ready each time
	if err != nil {
		return nil, err
	}
	return complianceRows(results), nil
}

// variants say under which circumstances a page is read.
var variants = map[string]string{
	"": "", "first": "nothing counted before", "after-a-report": "one computer reported since the last one",
}

func complianceRows(results []result) []row {
	var rows []row
	for _, r := range results {
		page, variant, _ := strings.Cut(strings.TrimPrefix(r.name, "Pages/"), "/")
		note := variants[variant]
		if note == "" {
			note = "50,000 computers, 20,000 updates, 100 rows"
		}
		rows = append(rows, row{"compliance, page of " + page, millis(r.each("ns/op")), "aim: under 20 ms", note})
	}
	return rows
}

// benchScan has an agent judge 5,000 updates, with all that it reads for that.
func benchScan(ctx context.Context, s settings) ([]row, error) {
	results, err := goBench(ctx, "./agent", "^BenchmarkLook$", s.enough.String())
	if err != nil {
		return nil, err
	}
	return scanRows(results), nil
}

func scanRows(results []result) []row {
	var rows []row
	for _, r := range results {
		name, note := "scan of 5,000 updates, later rounds", "half as HP writes them, half Microsoft's"
		if strings.HasSuffix(r.name, "/first") {
			name, note = "scan of 5,000 updates, first round", "reads the rules' log"
		}
		rows = append(rows, row{name, millis(r.each("cpu-ns/op")) + " CPU", "aim: 500 ms CPU", note})
	}
	return rows
}

func millis(d time.Duration) string {
	return fmt.Sprintf("%.2f ms", float64(d)/float64(time.Millisecond))
}
