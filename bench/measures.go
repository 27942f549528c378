package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
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
func benchCompliance(ctx context.Context, _ settings) ([]row, error) {
	results, err := goBench(ctx, "./bench", "^BenchmarkPages$", "1x") // it repeats its pages itself
	if err != nil {
		return nil, err
	}
	return complianceRows(results), nil
}

// variants say under which circumstances a page is read.
var variants = map[string]string{
	"": "nothing new", "first": "all five asked for when the node begins to answer", "after-a-report": "a computer reported five changes since the last one",
	"after-1000-of-the-newest": "1,000 computers reported five changes each, of the newest month",
	"after-1000-of-any":        "1,000 computers reported five changes each, of any month",
}

// steps are what a start consists of.
var steps = map[string]string{
	"start": "start of the node, until its rooms are open", "catalog": "first read of the catalog", "prepare": "counting everything",
}

func complianceRows(results []result) []row {
	var rows []row
	for _, r := range results {
		page, variant, _ := strings.Cut(strings.TrimPrefix(r.name, "Pages/"), "/")
		figure := fmt.Sprintf("p50 %s, max %s", millis(r.each("p50-ns")), millis(r.each("max-ns")))
		if step := steps[page]; step != "" {
			note := "50,000 computers, 20,000 updates"
			if kept, ok := r.figures["counts-B"]; ok {
				note = fmt.Sprintf("%.0f MB of heap, of which the counts keep %.0f MB; %s of processor time", r.figures["heap-B"]/1e6, kept/1e6, millis(r.each("cpu-ns")))
			}
			rows = append(rows, row{"compliance, " + step, figure, "", note})
			continue
		}
		if page == "tell" {
			note := fmt.Sprintf("%s; %.1f documents; once in health.every, by default a minute", variants[variant], r.figures["documents"])
			rows = append(rows, row{"compliance, told to the sites above", figure, "", note})
			continue
		}
		note := fmt.Sprintf("%s; 100 rows, through the API, %.0f pages", variants[variant], r.figures["pages"])
		rows = append(rows, row{"compliance, page of " + page, figure, "aim: under 20 ms", note})
	}
	return rows
}

// benchConsole opens every page of the console of a large site.
func benchConsole(ctx context.Context, _ settings) ([]row, error) {
	results, err := goBench(ctx, "./bench", "^BenchmarkConsole$", "1x") // it repeats its pages itself
	if err != nil {
		return nil, err
	}
	return consoleRows(results), nil
}

func consoleRows(results []result) []row {
	var rows []row
	for _, r := range results {
		page := strings.ReplaceAll(strings.TrimPrefix(r.name, "Console/"), "|", "/")
		switch status := r.figures["status"]; {
		case status == 0:
			rows = append(rows, row{"console, " + page, "not opened", "", "nothing of a site like this one is linked there"})
			continue
		case status != http.StatusOK:
			rows = append(rows, row{"console, " + page, "not opened", "", fmt.Sprintf("it answers %.0f", status)})
			continue
		}
		figure := fmt.Sprintf("p50 %s, max %s, CPU %s, %.0f kB",
			millis(r.each("p50-ns")), millis(r.each("max-ns")), millis(r.each("cpu-ns")), r.figures["size-B"]/1000)
		note := ""
		if r.each("p50-ns") > 50*time.Millisecond || r.figures["size-B"] > 100_000 {
			note = "beyond the aim"
		}
		rows = append(rows, row{"console, " + page, figure, "aim: under 50 ms, 100 kB", note})
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
