package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"time"
)

// result is one line that a Go benchmark printed: what it measured, by unit ("ns/op", "rows/s").
type result struct {
	name    string // without "Benchmark" and the number of processors: "Write/writers=16"
	figures map[string]float64
}

// each is the time that one operation took, by a unit that counts nanoseconds.
func (r result) each(unit string) time.Duration { return time.Duration(r.figures[unit]) }

// goBench runs the benchmarks of a package that stand beside what they measure.
func goBench(ctx context.Context, pkg, pattern string, enough string) ([]result, error) {
	test := exec.CommandContext(ctx, "go", "test", "-run", "^$", "-bench", pattern, "-benchtime", enough, "-timeout", "20m", pkg)
	test.Env = append(os.Environ(), "CGO_ENABLED=0")
	out, err := test.CombinedOutput()
	if err != nil {
		return nil, fmt.Errorf("go test -bench %s %s: %w: %s", pattern, pkg, err, lastLines(out, 5))
	}
	results, err := parseBench(out)
	if err != nil {
		return nil, fmt.Errorf("go test -bench %s %s: %w", pattern, pkg, err)
	}
	if len(results) == 0 {
		return nil, fmt.Errorf("go test -bench %s %s measured nothing: %s", pattern, pkg, lastLines(out, 5))
	}
	return results, nil
}

// parseBench reads the lines "BenchmarkName-2  100  1234 ns/op  5 rows/s".
func parseBench(out []byte) ([]result, error) {
	var results []result
	for line := range strings.Lines(string(out)) {
		fields := strings.Fields(line)
		if len(fields) < 4 || !strings.HasPrefix(fields[0], "Benchmark") {
			continue
		}
		r := result{name: plainName(fields[0]), figures: map[string]float64{}}
		for i := 2; i+1 < len(fields); i += 2 {
			value, err := strconv.ParseFloat(fields[i], 64)
			if err != nil {
				return nil, fmt.Errorf("%q is no figure in %q", fields[i], strings.TrimSpace(line))
			}
			r.figures[fields[i+1]] = value
		}
		results = append(results, r)
	}
	return results, nil
}

func plainName(name string) string {
	name = strings.TrimPrefix(name, "Benchmark")
	if at := strings.LastIndexByte(name, '-'); at >= 0 {
		if _, err := strconv.Atoi(name[at+1:]); err == nil {
			name = name[:at]
		}
	}
	return name
}

func lastLines(out []byte, count int) string {
	lines := slices.Collect(bytes.Lines(bytes.TrimSpace(out)))
	return string(bytes.Join(lines[max(0, len(lines)-count):], nil))
}
