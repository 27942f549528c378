package main

import (
	"strings"
	"testing"

	"thatch/cmd/internal/cli"
	"thatch/console"
)

// TestPagesNameCommandsThatThereAre: each page of the console says which command does the same.
func TestPagesNameCommandsThatThereAre(t *testing.T) {
	lines := 0
	for _, area := range console.Areas() {
		for _, p := range area.Pages {
			if p.Help.Text != "" && len(p.Help.Command) == 0 && p.Raw == nil {
				t.Errorf("%s names no command", p.Path)
			}
			for _, line := range p.Help.Command {
				lines++
				words := strings.Fields(strings.NewReplacer("'", "", `"`, "").Replace(line))
				if words[0] == "thatch-agent" {
					continue
				}
				root := rootCommand(cli.New("test"))
				cmd, rest, err := root.Find(words[1:])
				if err != nil || words[0] != "thatch" || cmd == root && words[1] != "help" && words[1] != "COMMAND" {
					t.Errorf("%s: there is no command %q: %v", p.Path, line, err)
					continue
				}
				for _, word := range rest {
					name, long := strings.CutPrefix(word, "--")
					name, _, _ = strings.Cut(name, "=")
					if long && name != "help" && cmd.Flags().Lookup(name) == nil && cmd.InheritedFlags().Lookup(name) == nil {
						t.Errorf("%s: %q: there is no flag %s", p.Path, line, word)
					}
				}
			}
		}
	}
	if lines < 50 {
		t.Errorf("only %d lines were looked at", lines)
	}
}
