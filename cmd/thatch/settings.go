package main

import (
	"encoding/json"
	"net/http"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"thatch/cmd/internal/cli"
	"thatch/console/api/client"
)

func settingsCommand(a *cli.App) *cobra.Command {
	cmd := &cobra.Command{
		Use: "settings", Short: "Settings of the site", Args: cobra.NoArgs,
		Example: "  thatch settings list",
		RunE:    func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(&cobra.Command{
		Use: "list", Short: "List the settings", Args: cobra.NoArgs,
		Example: "  thatch settings list",
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.Items(cmd.Context(), cli.Listing{
				Path: "/settings", Heads: []string{"NAME", "VALUE", "SET", "WHAT"}, Keys: []string{"name", "value", "set", "text"},
			})
		},
	}, &cobra.Command{
		Use: "get NAME", Short: "Show one setting", Args: cli.Args("NAME"),
		Example: "  thatch settings get agents.check_in",
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.Show(cmd.Context(), client.Path("settings", args[0]))
		},
	}, settingsSet(a))
	return cmd
}

func settingsSet(a *cli.App) *cobra.Command {
	var standard bool
	cmd := &cobra.Command{
		Use: "set NAME [VALUE...]", Short: "Set a setting",
		Long: "A number, yes or no (true, false), a text, or for lists one argument for each element. @FILE stands for the\n" +
			"text of a file. --default has the setting at its default again.",
		Example: "  thatch settings set agents.check_in 600\n  thatch settings set downloads.authorities @proxy-ca.pem\n" +
			"  thatch settings set catalog.excluded_families Mariner \"Azure Linux\"\n  thatch settings set agents.attempts --default",
		Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if standard != (len(args) == 1) {
				return cli.Usagef("thatch settings set takes a name and values, or a name and --default")
			}
			c, err := a.Client()
			if err != nil {
				return err
			}
			path := client.Path("settings", args[0])
			var now struct {
				Type string `json:"type"`
			}
			if err := c.Get(cmd.Context(), path, nil, &now); err != nil {
				return err
			}
			value, err := settingValue(now.Type, args[1:])
			if err != nil {
				return err
			}
			return a.Ask(cmd.Context(), client.Request{Method: http.MethodPut, Path: path, In: map[string]any{"value": value}})
		},
	}
	cmd.Flags().BoolVar(&standard, "default", false, "have it at its default again")
	return cmd
}

// settingValue makes JSON of what was typed, by the type of the setting.
func settingValue(kind string, args []string) (any, error) {
	values := make([]string, len(args))
	for i, arg := range args {
		values[i] = arg
		if path, ok := strings.CutPrefix(arg, "@"); ok {
			text, err := os.ReadFile(path)
			if err != nil {
				return nil, cli.Usagef("the value: %w", err)
			}
			values[i] = string(text)
		}
	}
	switch {
	case len(values) == 0:
		return nil, nil
	case kind == "list of texts":
		if len(values) == 1 && values[0] == "" {
			return []string{}, nil
		}
		return values, nil
	case len(values) > 1:
		return nil, cli.Usagef("the setting takes one value; got %d", len(values))
	case kind == "text", kind == "secret":
		return values[0], nil
	}
	switch values[0] {
	case "yes":
		return true, nil
	case "no":
		return false, nil
	}
	if !json.Valid([]byte(values[0])) {
		return nil, cli.Usagef("the setting takes a %s, not %q", kind, values[0])
	}
	return json.RawMessage(values[0]), nil
}
