package main

import (
	"context"
	"errors"
	"os"
	"slices"
	"strings"
	"testing"
	"time"
)

const printed = `goos: linux
cpu: Some-4 Processor
BenchmarkWrite/writers=1-2         	    1173	    852514 ns/op	      1173 rows/s
BenchmarkWrite500Rows/writers=4    	      12	  24000000 ns/op	     41213.5 rows/s
BenchmarkPages/cves/after-a-report-16 	 1	 3 ns/op	1500000 p50-ns	2500000 max-ns	30.00 pages
BenchmarkLook/first-2  1  9 ns/op  250000000 cpu-ns/op
BenchmarkConsole/|reports|updates|{id}-2 1 5 ns/op 61000000 max-ns 51000000 p50-ns 30000000 cpu-ns 40000 size-B 200.0 status
BenchmarkConsole/|policies|{id} 1 5 ns/op 0 size-B 0 status
PASS
ok  	thatch/node/quorum	5.1s
`

func TestBenchmarksAreRead(t *testing.T) {
	results, err := parseBench([]byte(printed))
	if err != nil || len(results) != 6 {
		t.Fatalf("%d results, %v", len(results), err)
	}
	rows := append(writeRows(results[:2], 1000), complianceRows(results[2:3])...)
	rows = append(rows, scanRows(results[3:4])...)
	rows = append(rows, consoleRows(results[4:])...)
	want := []row{
		{"write, durable, single writes, writers: 1", "1173/s", "1000 flushes/s of the disk alone", "one voter; 853µs each"},
		{"write, durable, rows in batches of 500, writers: 4", "41214/s", "", "one voter; 24ms each"},
		{
			"compliance, page of cves", "p50 1.50 ms, max 2.50 ms", "aim: under 20 ms",
			"a computer reported five changes since the last one; 100 rows, through the API, 30 pages",
		},
		{"scan of 5,000 updates, first round", "250.00 ms CPU", "aim: 500 ms CPU", "reads the rules' log"},
		{"console, /reports/updates/{id}", "p50 51.00 ms, max 61.00 ms, CPU 30.00 ms, 40 kB", "aim: under 50 ms, 100 kB", "beyond the aim"},
		{"console, /policies/{id}", "not opened", "", "nothing of a site like this one is linked there"},
	}
	for i := range want {
		if rows[i] != want[i] {
			t.Errorf("row %d is %q, want %q", i, rows[i], want[i])
		}
	}
}

func TestDamagedFigureIsAnError(t *testing.T) {
	_, err := parseBench([]byte("BenchmarkX-2 1 many ns/op\n"))
	if err == nil || !strings.Contains(err.Error(), `"many"`) {
		t.Errorf("a figure that is none: %v", err)
	}
	if results, err := parseBench([]byte("Benchmark\nBenchmarkX-2 FAIL\n")); err != nil || len(results) != 0 {
		t.Errorf("lines without figures: %v, %v", results, err)
	}
}

func TestNamesLoseTheProcessorsAlone(t *testing.T) {
	for given, want := range map[string]string{
		"BenchmarkA-2": "A", "BenchmarkA": "A", "BenchmarkA/b-c": "A/b-c", "BenchmarkA/b-c-16": "A/b-c", "BenchmarkA/n=1-1-8": "A/n=1-1",
	} {
		if got := plainName(given); got != want {
			t.Errorf("%s is %s, want %s", given, got, want)
		}
	}
}

func TestMedian(t *testing.T) {
	given := []time.Duration{5, 1, 3}
	if got := median(given); got != 3 || given[0] != 5 {
		t.Errorf("median %d of %v", got, given)
	}
	if got := median([]time.Duration{7}); got != 7 {
		t.Errorf("median of one is %d", got)
	}
}

func TestImportRowsTellTheLargestPeak(t *testing.T) {
	rows := importRows([]imported{
		{wall: 2 * time.Second, peer: time.Second, peerCPU: 900 * time.Millisecond, use: usage{cpu: time.Second, peak: 90 << 20}},
		{wall: time.Second, peer: time.Second, peerCPU: 800 * time.Millisecond, use: usage{cpu: time.Second, peak: 120 << 20}},
		{wall: 3 * time.Second, peer: 2 * time.Second, peerCPU: 700 * time.Millisecond, use: usage{cpu: time.Second, peak: 80 << 20}},
	}, 15)
	if rows[0].Figure != "2.000 s" || rows[0].Peer != "xmllint 1.000 s" || rows[1].Peer != "xmllint 0.800 s" || rows[2].Figure != "120 MB" {
		t.Errorf("rows %q", rows)
	}
}

// What cannot be measured says why, the rest is measured, and the command fails.
func TestWhatCannotBeMeasuredSaysWhy(t *testing.T) {
	kept := measures
	defer func() { measures = kept }()
	broken := errors.New("the disk is out")
	ran := 0
	measures = []measure{
		{"one", func(context.Context, settings) ([]row, error) { return nil, broken }},
		{"two", func(context.Context, settings) ([]row, error) {
			ran++
			return []row{{Name: "second", Figure: "7 s"}}, nil
		}},
	}
	var out strings.Builder
	if err := run(t.Context(), &out, "", settings{}); err == nil {
		t.Error("a failed measurement is no error")
	}
	if text := out.String(); !strings.Contains(text, "the disk is out") || !strings.Contains(text, "7 s") {
		t.Errorf("printed:\n%s", text)
	}
	if err := run(t.Context(), &out, "two", settings{}); err != nil || ran != 2 {
		t.Errorf("one alone: %v, ran %d times", err, ran)
	}
	if err := run(t.Context(), &out, "two,three", settings{}); err == nil || !strings.Contains(err.Error(), "three") {
		t.Errorf("a benchmark that is none: %v", err)
	}
}

func TestImportWithoutFilesSaysSo(t *testing.T) {
	dir := t.TempDir()
	if _, err := benchImport(t.Context(), settings{data: dir, rounds: 1}); err == nil || !strings.Contains(err.Error(), dir) {
		t.Errorf("an empty folder: %v", err)
	}
}

func TestUsageOfThisProcess(t *testing.T) {
	if _, err := os.Stat("/proc/self/status"); err != nil {
		t.Skip("skipped: no /proc")
	}
	use, err := usageOf(os.Getpid())
	if err != nil || use.peak < 1<<20 || use.cpu < 0 {
		t.Errorf("%+v, %v", use, err)
	}
	if _, err := usageOf(-1); err == nil {
		t.Error("a process that is none has a usage")
	}
}

func TestFlushes(t *testing.T) {
	if rate, err := flushes(t.Context(), time.Millisecond); err != nil || rate <= 0 {
		t.Errorf("%f flushes/s, %v", rate, err)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := flushes(ended, time.Hour); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}

func TestFederationRows(t *testing.T) {
	results, err := parseBench([]byte("BenchmarkMonth/msrc-2  1  3 ns/op  1000 wire-B  800 zstd-B  50000 rsync-B  10 documents  0.25 equal-s  0.5 change-s\n" +
		"BenchmarkMonth/sdp-2000-2  1  3 ns/op  1000 wire-B  500 zstd-B\n" +
		"BenchmarkDifferential/10000-2  30  2000000 ns/op  1000000 cpu-ns/op\nBenchmarkDifferential/100000-2  30  2200000 ns/op  1100000 cpu-ns/op\n"))
	if err != nil || len(results) != 4 {
		t.Fatalf("%d results, %v", len(results), err)
	}
	months, differential := monthRows(results[:2]), differentialRows(results[2:])
	if len(months) != 4 || months[0].Peer != "zstd of the bodies 0.8 kB (1.25 times; with 0.6 kB of signatures 0.69 times); rsync -z of the file 50 kB (50 times as much)" ||
		!strings.Contains(months[0].Note, "real") || !strings.Contains(months[2].Note, "generated, as 2000 SDP packages") || !strings.Contains(months[2].Peer, "no rsync") {
		t.Errorf("%+v", months)
	}
	if differential[1].Note != "1.10 ms of processor time, 1.10 times the first row" {
		t.Errorf("%+v", differential)
	}
}

func TestYearRows(t *testing.T) {
	rows := yearRows("=== RUN\n    year_test.go:9: year: table audit      12 rows      0.070 MB\n x: year: all files: 6.52 MB, 1.100 times their content\nok\n")
	want := []row{{Name: "year, table audit", Figure: "12 rows 0.070 MB"}, {Name: "year, all files", Figure: "6.52 MB, 1.100 times their content", Peer: "at most 1.2 times"}}
	if !slices.Equal(rows, want) {
		t.Errorf("%q", rows)
	}
}
