package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"time"
)

// imported is one round: the whole durable import through the command line, the same again, and xmllint's parsing of
// the same files on one thread.
type imported struct {
	wall, again, peer time.Duration
	peerCPU           time.Duration
	use               usage
	bytes             int64
}

// benchImport imports the folder into a fresh node, through the command line as a person would, beside
// xmllint --noout --stream over the same files.
func benchImport(ctx context.Context, s settings) ([]row, error) {
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
	var rounds []imported
	for range s.rounds {
		round, err := importRound(ctx, binary, s.data, files)
		if err != nil {
			return nil, err
		}
		rounds = append(rounds, round)
	}
	return importRows(rounds, len(files)), nil
}

func importRound(ctx context.Context, binary, data string, files []string) (imported, error) {
	var round imported
	node, err := startNode(ctx, binary)
	if err != nil {
		return round, err
	}
	defer node.stop()
	before, err := usageOf(node.cmd.Process.Pid)
	if err != nil {
		return round, err
	}
	var result struct {
		Bytes int64 `json:"bytes"`
	}
	if round.wall, err = timedImport(ctx, node, data, &result); err != nil {
		return round, err
	}
	round.bytes = result.Bytes
	after, err := usageOf(node.cmd.Process.Pid)
	if err != nil {
		return round, err
	}
	round.use = usage{cpu: after.cpu - before.cpu, peak: after.peak}
	if round.again, err = timedImport(ctx, node, data, &result); err != nil {
		return round, err
	}
	started := time.Now()
	lint := exec.CommandContext(ctx, "xmllint", append([]string{"--noout", "--stream"}, files...)...)
	if out, err := lint.CombinedOutput(); err != nil {
		return round, fmt.Errorf("xmllint: %w: %.200s", err, out)
	}
	round.peer = time.Since(started)
	round.peerCPU = lint.ProcessState.UserTime() + lint.ProcessState.SystemTime()
	return round, nil
}

func timedImport(ctx context.Context, node *nodeProcess, data string, result any) (time.Duration, error) {
	started := time.Now()
	out, err := node.thatch(ctx, "catalog", "import", "--source", "msrc", "--from", data, "--json")
	if err != nil {
		return 0, err
	}
	wall := time.Since(started)
	if err := json.Unmarshal(out, result); err != nil {
		return 0, fmt.Errorf("catalog import --json printed no object: %w", err)
	}
	return wall, nil
}

func importRows(rounds []imported, files int) []row {
	var wall, again, peer, cpu, peerCPU []time.Duration
	var peak int64
	for _, r := range rounds {
		wall, again, peer = append(wall, r.wall), append(again, r.again), append(peer, r.peer)
		cpu, peerCPU = append(cpu, r.use.cpu), append(peerCPU, r.peerCPU)
		peak = max(peak, r.use.peak)
	}
	note := fmt.Sprintf("%d files, median of %d rounds", files, len(rounds))
	return []row{
		{"import, durable, whole command", seconds(median(wall)), "xmllint " + seconds(median(peer)), note},
		{"import, processor time of the node", seconds(median(cpu)), "xmllint " + seconds(median(peerCPU)), "of all processors"},
		{"import, peak memory of the node", fmt.Sprintf("%d MB", peak>>20), "aim: under 200 MB", "largest of the rounds"},
		{"import again, nothing changed", seconds(median(again)), "aim: 2 % of the first, or 0.100 s", ""},
	}
}
