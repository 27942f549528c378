package cli

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// variables are the flags that may also come from the environment or the configuration file. THATCH_DIR names the data
// folder, because THATCH_DATA names the data of the tests.
var variables = map[string]string{
	"data": "THATCH_DIR", "server": "THATCH_SERVER", "token": "THATCH_TOKEN", "fingerprint": "THATCH_FINGERPRINT",
	"authority": "THATCH_AUTHORITY", "listen": "THATCH_LISTEN", "site": "THATCH_SITE", "languages": "THATCH_LANGUAGES",
	"names": "THATCH_NAMES", "log": "THATCH_LOG", "parent": "THATCH_PARENT", "parent-token": "THATCH_PARENT_TOKEN",
	"node-name": "THATCH_NODE_NAME", "site-node": "THATCH_SITE_NODE",
}

// complete sets the flags that were not given: from the environment, else from the configuration file. Where a command has
// a flag of its own that bears the name of one of every command, the latter is meant.
func (a *App) complete(cmd *cobra.Command) error {
	if a.Config == "" {
		a.Config = os.Getenv("THATCH_CONFIG")
	}
	file := map[string]string{}
	if a.Config != "" {
		text, err := os.ReadFile(a.Config)
		if err != nil {
			return Usage(fmt.Errorf("read the configuration file: %w", err))
		}
		if file, err = parseConfig(text); err != nil {
			return Usage(fmt.Errorf("%s: %w", a.Config, err))
		}
	}
	var failed error
	every := cmd.Root().PersistentFlags()
	complete := func(f *pflag.Flag, of *pflag.FlagSet) {
		variable, known := variables[f.Name]
		if !known || f.Changed || failed != nil {
			return
		}
		value, where := os.Getenv(variable), variable
		if value == "" {
			value, where = file[f.Name], a.Config
		}
		if value == "" {
			return
		}
		if err := of.Set(f.Name, value); err != nil {
			failed = Usagef("%s: %s: %w", where, f.Name, err)
		}
	}
	every.VisitAll(func(f *pflag.Flag) { complete(f, every) })
	cmd.Flags().VisitAll(func(f *pflag.Flag) {
		if every.Lookup(f.Name) == nil {
			complete(f, cmd.Flags())
		}
	})
	return failed
}

// parseConfig reads either form of the configuration file: a JSON object, whose lists are joined by commas, or lines
// NAME=VALUE with # before comments. Names that no flag has are errors, so that a misspelt one is not ignored.
func parseConfig(text []byte) (map[string]string, error) {
	values := map[string]string{}
	if trimmed := bytes.TrimSpace(text); len(trimmed) > 0 && trimmed[0] == '{' {
		return values, parseJSON(trimmed, values)
	}
	lines := bufio.NewScanner(bytes.NewReader(text))
	for number := 1; lines.Scan(); number++ {
		line := strings.TrimSpace(strings.TrimPrefix(lines.Text(), "\ufeff"))
		if line == "" || line[0] == '#' {
			continue
		}
		name, value, ok := strings.Cut(line, "=")
		name = strings.TrimSpace(name)
		if _, known := variables[name]; !ok || !known {
			return nil, fmt.Errorf("line %d: %.60q is no NAME=VALUE with one of the names %s", number, line, names())
		}
		values[name] = strings.Trim(strings.TrimSpace(value), `"`)
	}
	return values, lines.Err()
}

func parseJSON(text []byte, values map[string]string) error {
	var raw map[string]any
	if err := json.Unmarshal(text, &raw); err != nil {
		return err
	}
	for name, value := range raw {
		if _, known := variables[name]; !known {
			return fmt.Errorf("there is no %q; there are %s", name, names())
		}
		list, isList := value.([]any)
		if !isList {
			list = []any{value}
		}
		parts := make([]string, len(list))
		for i, part := range list {
			text, ok := part.(string)
			if !ok {
				return fmt.Errorf("%s: want text or a list of texts, found %v", name, part)
			}
			parts[i] = text
		}
		values[name] = strings.Join(parts, ",")
	}
	return nil
}

func names() string {
	return strings.Join(slices.Sorted(maps.Keys(variables)), ", ")
}

// Secret reads a token that is given as it is, as @FILE, or as - for the standard input.
func (a *App) Secret(text string) (string, error) {
	if path, ok := strings.CutPrefix(text, "@"); ok {
		raw, err := os.ReadFile(path)
		return strings.TrimSpace(string(raw)), err
	}
	if text == "-" {
		raw, err := io.ReadAll(io.LimitReader(a.In, maxSecret))
		return strings.TrimSpace(string(raw)), err
	}
	return text, nil
}

const maxSecret = 1000 // bytes
