package bulletins

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"thatch/agent/facts/recorded"
	"thatch/catalog/evaluate"
	"thatch/catalog/rule/memory"
	"thatch/cmd/internal/cli"
	"thatch/console/api/evaluation"
)

// maxRecording is the largest recording of a host that is read, in bytes.
const maxRecording = 4 << 20

func evaluateCommand(a *cli.App) *cobra.Command {
	var host, hotfixes string
	var in evaluation.Evaluation
	cmd := &cobra.Command{
		Use: "evaluate --host FILE [--hotfixes FILE]", Short: "Tell what a computer misses from what somebody wrote down of it", Args: cobra.NoArgs,
		Long: "FILE is the output of systeminfo in any language, encoding and format, or facts as JSON; --hotfixes a list such as\n" +
			"wmic qfe or Get-HotFix print. An empty list, or one that says N/A, means that none is installed.\n\n" +
			"With --json it prints host (recognised, product, build, language), missing (each with kb, update, product, bulletin,\n" +
			"severity, exploited, superseded, reason), and unknown: what cannot be told, by product and reason.",
		Example: "  thatch evaluate --host systeminfo.txt\n  thatch evaluate --host systeminfo.txt --hotfixes qfe.txt --as-of 2019-03-06 --json",
		RunE: func(cmd *cobra.Command, _ []string) error {
			if host == "" {
				return cli.Usagef("name the recording of a computer with --host")
			}
			if err := readHost(host, hotfixes, &in); err != nil {
				return err
			}
			c, err := a.Client()
			if err != nil {
				return err
			}
			var result evaluate.Result
			if err := c.Post(cmd.Context(), "/evaluate", in, &result); err != nil {
				return err
			}
			return a.Print(result, func(w io.Writer) error { return printEvaluation(w, result) })
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&host, "host", "", "output of systeminfo, or facts as JSON")
	flags.StringVar(&hotfixes, "hotfixes", "", "list of installed hotfixes")
	flags.StringVar(&in.AsOf, "as-of", "", "know only what was published by this day (yyyy-mm-dd)")
	flags.BoolVar(&in.All, "all", false, "superseded updates too")
	return cmd
}

// readHost reads a recording into what the node takes.
func readHost(host, hotfixes string, in *evaluation.Evaluation) error {
	text, err := readRecording(host)
	if err != nil {
		return err
	}
	var list []byte
	if hotfixes != "" {
		if list, err = readRecording(hotfixes); err != nil {
			return err
		}
	}
	found, err := recorded.Read(text, list)
	if err != nil {
		return fmt.Errorf("%s: %w", host, err)
	}
	facts := &memory.Host{}
	if decoded, err := recorded.Decode(text); err == nil && strings.HasPrefix(strings.TrimSpace(decoded), "{") {
		// Facts as JSON may hold more than recordings do: registry, files, products.
		if facts, err = memory.Decode([]byte(decoded)); err != nil {
			return fmt.Errorf("%s: %w", host, err)
		}
	}
	facts.Name, facts.System, facts.Hotfixes = found.Name, found.Facts.System, found.Facts.Hotfixes
	if in.Host, err = json.Marshal(facts); err != nil {
		return fmt.Errorf("%s: %w", host, err)
	}
	in.Locale, in.Notes = found.Locale, found.Notes
	return nil
}

func readRecording(path string) ([]byte, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, cli.Usagef("the recording of a computer: %w", err)
	}
	defer file.Close()
	if info, err := file.Stat(); err == nil && info.IsDir() {
		return nil, cli.Usagef("the recording of a computer: %s is a folder; name a file", path)
	}
	text, err := io.ReadAll(io.LimitReader(file, maxRecording+1))
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", path, err)
	}
	if len(text) > maxRecording {
		return nil, cli.Usagef("%s has more than %d bytes: this is no recording of a computer", path, maxRecording)
	}
	return text, nil
}

func printEvaluation(w io.Writer, r evaluate.Result) error {
	fmt.Fprintf(w, "%s: %s, build %s, %s\n", cmpName(r.Host.Name), r.Host.Product, r.Host.Build, r.Host.Language)
	for _, note := range r.Notes {
		fmt.Fprintf(w, "note: %s\n", note)
	}
	fmt.Fprintf(w, "%d missing, %d installed, %d cannot be told\n", len(r.Missing), r.Installed, countUnknown(r.Unknown))
	if len(r.Missing) > 0 {
		rows := make([][]string, len(r.Missing))
		for i, m := range r.Missing {
			rows[i] = []string{m.KB, string(m.Severity), cli.Text(m.Exploited), cli.Text(m.Superseded), m.Product, m.Title}
		}
		if err := cli.Table(w, []string{"MISSING", "SEVERITY", "EXPLOITED", "SUPERSEDED", "PRODUCT", "TITLE"}, rows); err != nil {
			return err
		}
	}
	return printUnknown(w, r.Unknown)
}

// printUnknown gathers by reason: people want to know why, tools get every update with --json.
func printUnknown(w io.Writer, list []evaluate.Unknown) error {
	if len(list) == 0 {
		return nil
	}
	var reasons []string
	updates, products := map[string]int{}, map[string][]string{}
	for _, u := range list {
		if updates[u.Reason] == 0 {
			reasons = append(reasons, u.Reason)
		}
		updates[u.Reason] += len(u.Updates)
		products[u.Reason] = append(products[u.Reason], u.Product)
	}
	rows := make([][]string, len(reasons))
	for i, reason := range reasons {
		name := products[reason][0]
		if more := len(products[reason]) - 1; more > 0 {
			name = fmt.Sprintf("%s, and %d more", name, more)
		}
		rows[i] = []string{fmt.Sprint(updates[reason]), reason, name}
	}
	return cli.Table(w, []string{"CANNOT BE TOLD", "WHY", "PRODUCTS"}, rows)
}

func cmpName(name string) string {
	if name == "" {
		return "computer without a name"
	}
	return name
}

func countUnknown(list []evaluate.Unknown) int {
	updates := 0
	for _, u := range list {
		updates += len(u.Updates)
	}
	return updates
}
