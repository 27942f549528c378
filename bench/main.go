// Command bench measures what the design promises and prints one table:
//
//	go run ./bench [-only import,write,compliance,scan] [-data FOLDER] [-rounds N]
//
// Figures drift with the machine, so whatever has a peer is measured beside it, in turn, in the same run.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
)

// row is one measured figure.
type row struct {
	Name   string
	Figure string
	Peer   string // the same work by the peer, or the aim
	Note   string
}

type settings struct {
	data   string // folder of CVRF files
	rounds int
}

// measure runs one benchmark. A benchmark that cannot run here says why in its only row.
type measure struct {
	name string
	run  func(ctx context.Context, s settings) ([]row, error)
}

var measures = []measure{
	{"import", benchImport},
}

func main() {
	only := flag.String("only", "", "comma-separated benchmarks; empty: all")
	data := flag.String("data", defaultData(), "folder of CVRF files to import")
	rounds := flag.Int("rounds", 3, "rounds of each paired measurement; the median counts")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, *only, settings{data: *data, rounds: max(1, *rounds)}); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, only string, s settings) error {
	table := tabwriter.NewWriter(os.Stdout, 0, 4, 2, ' ', 0)
	fmt.Fprintln(table, "WHAT\tMEASURED\tPEER OR AIM\tNOTE")
	failed := false
	for _, m := range measures {
		if only != "" && !slices.Contains(strings.Split(only, ","), m.name) {
			continue
		}
		rows, err := m.run(ctx, s)
		for _, r := range rows {
			fmt.Fprintf(table, "%s\t%s\t%s\t%s\n", r.Name, r.Figure, r.Peer, r.Note)
		}
		if err != nil {
			failed = true
			fmt.Fprintf(table, "%s\tnot measured\t\t%v\n", m.name, err)
		}
	}
	if err := table.Flush(); err != nil {
		return err
	}
	if failed {
		return fmt.Errorf("not everything could be measured")
	}
	return nil
}

func defaultData() string {
	if dir := os.Getenv("THATCH_DATA"); dir != "" {
		return dir + "/msrc"
	}
	return "../shared/data/msrc"
}

func median(values []time.Duration) time.Duration {
	sorted := slices.Sorted(slices.Values(values))
	return sorted[len(sorted)/2]
}

func seconds(d time.Duration) string { return fmt.Sprintf("%.3f s", d.Seconds()) }
