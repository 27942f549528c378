// Command bench measures what the design promises and prints one table:
//
//	go run ./bench [-only import,stream,write,compliance,console,scan,federation,federation-large,children,year] [-data FOLDER] [-rounds N] [-time 1s]
//
// Where THATCH_BENCH names a folder, the large sites that compliance and console are measured on are made there once and kept;
// delete it where what makes them changed.
//
// Figures drift with the machine, so whatever has a peer is measured beside it, in turn, in the same run.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
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
	data   string        // folder of CVRF files
	rounds int           // of each paired measurement
	enough time.Duration // for which each benchmark without a peer is repeated
}

// measure runs one benchmark. A benchmark that cannot run here says why in its only row.
type measure struct {
	name string
	run  func(ctx context.Context, s settings) ([]row, error)
}

var measures = []measure{
	{"import", benchImport},
	{"stream", benchStream},
	{"write", benchWrite},
	{"compliance", benchCompliance},
	{"console", benchConsole},
	{"scan", benchScan},
	{"federation", benchFederation},
	{"site", benchSite},
}

// large are measures that run only when they are named.
var large = []measure{
	{"federation-large", benchFederationLarge},
	{"children", benchChildren},
	{"agents", benchAgents},
	{"year", benchYear},
}

func main() {
	only := flag.String("only", "", "comma-separated benchmarks; empty: all but the largest")
	data := flag.String("data", defaultData(), "folder of CVRF files to import")
	rounds := flag.Int("rounds", 3, "rounds of each paired measurement; the median counts")
	enough := flag.Duration("time", time.Second, "for how long each other benchmark is repeated")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, os.Stdout, *only, settings{data: *data, rounds: max(1, *rounds), enough: *enough}); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, out io.Writer, only string, s settings) error {
	wanted, err := choose(only)
	if err != nil {
		return err
	}
	table := tabwriter.NewWriter(out, 0, 4, 2, ' ', 0)
	fmt.Fprintln(table, "WHAT\tMEASURED\tPEER OR AIM\tNOTE")
	failed := false
	for _, m := range wanted {
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

// choose finds benchmarks by their comma-separated names.
func choose(only string) ([]measure, error) {
	if only == "" {
		return measures, nil
	}
	var wanted []measure
	for name := range strings.SplitSeq(only, ",") {
		known := slices.Concat(measures, large)
		at := slices.IndexFunc(known, func(m measure) bool { return m.name == name })
		if at < 0 {
			return nil, fmt.Errorf("there is no benchmark %q", name)
		}
		wanted = append(wanted, known[at])
	}
	return wanted, nil
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
