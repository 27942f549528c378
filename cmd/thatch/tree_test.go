package main

import (
	"bytes"
	"errors"
	"io/fs"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"thatch/cmd/internal/cli"
)

// TestEveryCommandHelps walks the tree: every command says what it does, gives an example that names it, and takes
// --json.
func TestEveryCommandHelps(t *testing.T) {
	root := rootCommand(cli.New("test"))
	var walk func(cmd *cobra.Command)
	walk = func(cmd *cobra.Command) {
		if cmd.Name() == "help" || cmd.Parent() != nil && cmd.Parent().Name() == "completion" || cmd.Name() == "completion" {
			return
		}
		path := cmd.CommandPath()
		if cmd.Short == "" || strings.HasSuffix(cmd.Short, ".") {
			t.Errorf("%s: its short text is %q", path, cmd.Short)
		}
		if !strings.Contains(cmd.Example, path) {
			t.Errorf("%s: no example shows it: %q", path, cmd.Example)
		}
		for _, line := range strings.Split(cmd.Example, "\n") {
			if line != "" && !strings.HasPrefix(line, "  ") {
				t.Errorf("%s: the example %q is not indented", path, line)
			}
		}
		if cmd.Flag("json") == nil {
			t.Errorf("%s: --json is missing", path)
		}
		if cmd.RunE == nil {
			t.Errorf("%s: does nothing", path)
		}
		for _, inner := range cmd.Commands() {
			walk(inner)
		}
	}
	walk(root)
}

// TestEveryExampleParses takes each line of each example as a command line, up to running it.
func TestEveryExampleParses(t *testing.T) {
	var examples []string
	var collect func(cmd *cobra.Command)
	collect = func(cmd *cobra.Command) {
		examples = append(examples, strings.Split(cmd.Example, "\n")...)
		for _, inner := range cmd.Commands() {
			collect(inner)
		}
	}
	collect(rootCommand(cli.New("test")))
	for _, line := range examples {
		words := split(t, line)
		if len(words) == 0 || words[0] != "thatch" {
			continue
		}
		cmd, rest, err := rootCommand(cli.New("test")).Find(words[1:])
		if err != nil {
			t.Errorf("%s: %v", line, err)
			continue
		}
		if err := cmd.ParseFlags(rest); err != nil {
			t.Errorf("%s: %v", line, err)
			continue
		}
		if err := cmd.ValidateArgs(cmd.Flags().Args()); err != nil {
			t.Errorf("%s: %v", line, err)
		}
		if err := cmd.ValidateRequiredFlags(); err != nil {
			t.Errorf("%s: %v", line, err)
		}
	}
}

// split takes a shell line apart: words and quotes, nothing else.
func split(t *testing.T, line string) []string {
	t.Helper()
	var words []string
	var word strings.Builder
	quote, inWord := rune(0), false
	for _, r := range line {
		switch {
		case quote != 0 && r == quote:
			quote = 0
		case quote == 0 && (r == '"' || r == '\''):
			quote, inWord = r, true
		case quote == 0 && r == ' ':
			if inWord {
				words = append(words, word.String())
			}
			word.Reset()
			inWord = false
		default:
			word.WriteRune(r)
			inWord = true
		}
	}
	if quote != 0 {
		t.Errorf("%s: a quote is not closed", line)
	}
	if inWord {
		words = append(words, word.String())
	}
	return words
}

// TestEveryCommandSaysThatNoNodeAnswers runs each example where there is no node: the exit code says so, or that the
// example names files that are not there; none claims success, hangs, or starts something.
func TestEveryCommandSaysThatNoNodeAnswers(t *testing.T) {
	for _, variable := range []string{"THATCH_DIR", "THATCH_SERVER", "THATCH_CONFIG"} {
		t.Setenv(variable, "")
	}
	dir, tried := t.TempDir(), 0
	var walk func(cmd *cobra.Command)
	walk = func(cmd *cobra.Command) {
		for _, inner := range cmd.Commands() {
			walk(inner)
		}
		own := strings.Fields(cmd.CommandPath())
		if cmd.HasSubCommands() || len(own) > 1 && slices.Contains([]string{"node", "demo", "service", "version", "completion", "help"}, own[1]) {
			return
		}
		for _, line := range strings.Split(cmd.Example, "\n") {
			words := split(t, line)
			if len(words) == 0 || words[0] != "thatch" {
				continue
			}
			var out, errs bytes.Buffer
			app := cli.New("test")
			app.Out, app.Err, app.In = &out, &errs, strings.NewReader("")
			root := rootCommand(app)
			words = slices.DeleteFunc(words[1:], func(w string) bool { return strings.HasPrefix(w, "https://") || w == "--server" })
			root.SetArgs(append(words, "--data", dir))
			err := root.ExecuteContext(t.Context())
			tried++
			if code := cli.ExitCode(err); code != cli.ExitUnavailable && code != cli.ExitUsage && !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("%s: exit code %d, %v, printed %q", line, code, err, out.String())
			}
		}
	}
	walk(rootCommand(cli.New("test")))
	if tried < 30 {
		t.Errorf("only %d examples were run", tried)
	}
}

// Every list says by which columns it is filtered and sorted.
func TestListsNameTheirColumns(t *testing.T) {
	lists := 0
	var walk func(cmd *cobra.Command)
	walk = func(cmd *cobra.Command) {
		if cmd.Flags().Lookup("filter") != nil && cmd.Flags().Lookup("sort") != nil {
			lists++
			if !strings.Contains(cmd.Long, "Columns to filter and sort by: ") {
				t.Errorf("%s --help does not name the columns", cmd.CommandPath())
			}
		}
		for _, sub := range cmd.Commands() {
			walk(sub)
		}
	}
	walk(rootCommand(cli.New("test")))
	if lists < 20 {
		t.Errorf("only %d lists were found", lists)
	}
}
