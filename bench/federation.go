package main

import (
	"context"
	"crypto/ed25519"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// benchFederation measures what passes between a parent and its children, at sizes that any machine has time for.
func benchFederation(ctx context.Context, s settings) ([]row, error) {
	return federation(ctx, s, false)
}

// benchFederationLarge measures the same at 20,000 packages and a million documents.
func benchFederationLarge(ctx context.Context, s settings) ([]row, error) {
	return federation(ctx, s, true)
}

func federation(ctx context.Context, s settings, large bool) ([]row, error) {
	os.Setenv("THATCH_BENCH_DATA", s.data) //nolint:errcheck // a name without "="
	packages, documents := "2000", "100000"
	if large {
		packages, documents = "20000", "1000000"
	}
	os.Setenv("THATCH_BENCH_PACKAGES", packages)
	os.Setenv("THATCH_BENCH_DOCUMENTS", documents)
	months, err := goBench(ctx, "./bench", "^BenchmarkMonth$", "1x")
	if err != nil {
		return nil, err
	}
	rows := monthRows(months)
	differential, err := goBench(ctx, "./node/replicas", "^BenchmarkDifferential$", "30x")
	if err != nil {
		return rows, err
	}
	rows = append(rows, differentialRows(differential)...)
	verification, err := goBench(ctx, "./node/replicas", "^BenchmarkVerification$", "3x")
	if err != nil {
		return rows, err
	}
	rows = append(rows, verificationRows(verification)...)
	return rows, nil
}

func monthRows(results []result) []row {
	var rows []row
	for _, r := range results {
		what := "real documents of MSRC, which carry no languages"
		if _, packages, found := strings.Cut(r.name, "sdp-"); found {
			what = fmt.Sprintf("generated, as %s SDP packages in 8 languages, 1 in 100 changed", packages)
		}
		f := r.figures
		signatures := f["documents"] * ed25519.SignatureSize
		peer := fmt.Sprintf("zstd of the bodies %.1f kB (%.2f times; with %.1f kB of signatures %.2f times)",
			f["zstd-B"]/1e3, f["wire-B"]/f["zstd-B"], signatures/1e3, f["wire-B"]/(f["zstd-B"]+signatures))
		if sent := f["rsync-B"]; sent > 0 {
			peer += fmt.Sprintf("; rsync -z of the file %.0f kB (%.0f times as much)", sent/1e3, sent/f["wire-B"])
		} else {
			peer += "; there is no rsync here"
		}
		rows = append(rows,
			row{"one more month, bytes per child", fmt.Sprintf("%.1f kB", f["wire-B"]/1e3), peer, what},
			row{
				"one more month, until 3 children are equal", fmt.Sprintf("%.2f s", f["equal-s"]), "aim: under 2 s",
				fmt.Sprintf("%.0f documents each, after an import of %.2f s; %s", f["documents"], f["change-s"], what),
			})
	}
	return rows
}

func differentialRows(results []result) []row {
	var rows []row
	for _, r := range results {
		_, documents, _ := strings.Cut(r.name, "/")
		first := results[0].figures["cpu-ns/op"]
		rows = append(rows, row{
			"100 changed documents among " + documents, millis(r.each("ns/op")), "aim: flat, 1.2 times at most",
			fmt.Sprintf("%s of processor time, %.2f times the first row", millis(r.each("cpu-ns/op")), r.figures["cpu-ns/op"]/first),
		})
	}
	return rows
}

func verificationRows(results []result) []row {
	var rows []row
	for _, r := range results {
		_, size, _ := strings.Cut(r.name, "/")
		rows = append(rows, row{
			"verification at 100 %, " + size + " bytes", fmt.Sprintf("%.0f ms", r.figures["ms-here"]),
			fmt.Sprintf("sha256sum %.0f ms (%.1f times)", r.figures["ms-sha256sum"], r.figures["times-sha256sum"]), "aim: 2 times at most; documents x bytes",
		})
	}
	return rows
}

// manyChildren is how many children come to a parent at once.
const manyChildren = 30

// benchChildren starts a parent as a process of its own with one CVRF file, and has 30 children join at once.
func benchChildren(ctx context.Context, s settings) ([]row, error) {
	files, err := filepath.Glob(filepath.Join(s.data, "*.xml*"))
	if err != nil || len(files) == 0 {
		return nil, fmt.Errorf("no CVRF files (*.xml, *.xml.gz) in %s", s.data)
	}
	folder, err := os.MkdirTemp("", "thatch-bench-bin-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(folder)
	binary, err := buildThatch(ctx, folder)
	if err != nil {
		return nil, err
	}
	parent, err := startNode(ctx, binary)
	if err != nil {
		return nil, err
	}
	defer parent.stop()
	if _, err := parent.thatch(ctx, "catalog", "import", "--source", "msrc", "--from", files[len(files)-1], "--json"); err != nil {
		return nil, err
	}
	bulletins, err := parent.prepare(ctx)
	if err != nil {
		return nil, err
	}
	var results []result
	held, err := peakHeld(parent.cmd.Process.Pid, func() (err error) {
		results, err = goBench(ctx, "./bench", "^BenchmarkChildren$", "1x")
		return err
	})
	if err != nil {
		return nil, err
	}
	return []row{{
		fmt.Sprintf("%d children at once, %d bulletins and their updates", manyChildren, bulletins), fmt.Sprintf("%.1f s", results[0].figures["all-s"]), "",
		fmt.Sprintf("all in one process beside the parent's; peak memory of the parent %d MB", held>>20),
	}}, nil
}

// prepare makes the tokens of children, tells the benchmark of the parent, and counts its bulletins.
func (n *nodeProcess) prepare(ctx context.Context) (bulletins int, err error) {
	var tokens []string
	for i := range manyChildren {
		out, err := n.thatch(ctx, "children", "tokens", "create", "--name", fmt.Sprint("Child ", i+1), "--json")
		if err != nil {
			return 0, err
		}
		var made struct {
			Token string `json:"token"`
		}
		if err := json.Unmarshal(out, &made); err != nil || made.Token == "" {
			return 0, fmt.Errorf("children tokens create printed no token: %w", err)
		}
		tokens = append(tokens, made.Token)
	}
	out, err := n.thatch(ctx, "bulletins", "list", "--json", "--limit", "1")
	if err != nil {
		return 0, err
	}
	var list struct {
		Total int `json:"total"`
	}
	if err := json.Unmarshal(out, &list); err != nil {
		return 0, fmt.Errorf("bulletins list --json: %w", err)
	}
	out, err = n.thatch(ctx, "site", "show", "--json")
	if err != nil {
		return 0, err
	}
	var site struct {
		Address string `json:"address"`
	}
	if err := json.Unmarshal(out, &site); err != nil {
		return 0, fmt.Errorf("site show --json: %w", err)
	}
	for name, value := range map[string]string{
		"THATCH_BENCH_TOKENS": strings.Join(tokens, " "), "THATCH_BENCH_PARENT": "https://" + site.Address, "THATCH_BENCH_COUNT": fmt.Sprint(list.Total),
	} {
		if err := os.Setenv(name, value); err != nil {
			return 0, err
		}
	}
	return list.Total, nil
}
