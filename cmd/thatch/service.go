package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"thatch/cmd/internal/cli"
	"thatch/cmd/internal/service"
)

// nodeService is the node as a service of the operating system.
func nodeService(arguments []string, run func(ctx context.Context) error) service.Program {
	return service.Program{
		Name: "thatch", Title: "Thatch", Text: "Keeps the computers of a site patched: a node of the site",
		Arguments: arguments, Run: run,
	}
}

func serviceCommand(a *cli.App) *cobra.Command {
	cmd := &cobra.Command{
		Use: "service", Short: "Run the node as a service of the operating system", Args: cobra.NoArgs,
		Example: "  thatch service install --data /var/lib/thatch --site Berlin --languages en,de",
		RunE:    func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	var f nodeFlags
	install := serviceVerb(a, service.Install, "Install the service: the node starts with the machine", &f)
	install.Example = "  thatch service install --data /var/lib/thatch --site Berlin --languages en,de"
	f.bind(install)
	cmd.AddCommand(install,
		serviceVerb(a, service.Uninstall, "Take the service away; the data folder stays", nil),
		serviceVerb(a, service.Start, "Start the service", nil),
		serviceVerb(a, service.Stop, "Stop the service", nil),
		serviceVerb(a, service.State, "Say whether the service is installed and runs", nil))
	return cmd
}

func serviceVerb(a *cli.App, verb, short string, f *nodeFlags) *cobra.Command {
	return &cobra.Command{
		Use: verb, Short: short, Args: cobra.NoArgs, Example: "  thatch service " + verb,
		RunE: func(*cobra.Command, []string) error {
			var arguments []string
			if f != nil {
				var err error
				if arguments, err = f.arguments(a); err != nil {
					return err
				}
			}
			state, err := service.Control(nodeService(arguments, nil), verb)
			if err != nil {
				return err
			}
			err = a.Print(map[string]string{"service": "thatch", "state": state}, func(w io.Writer) error {
				_, err := fmt.Fprintln(w, state)
				return err
			})
			if err != nil || verb != service.State {
				return err
			}
			if err = service.Judge("thatch", state); errors.Is(err, service.ErrNotInstalled) {
				return cli.Coded(cli.ExitNotFound, err)
			}
			return err
		},
	}
}

// arguments are those with which the service manager starts the node.
func (f *nodeFlags) arguments(a *cli.App) ([]string, error) {
	dir, err := filepath.Abs(a.Node.Dir)
	if err != nil {
		return nil, fmt.Errorf("the data folder: %w", err)
	}
	arguments := []string{"node", "run", "--service", "--data", dir, "--listen", f.listen, "--log", f.log}
	for _, more := range []struct{ flag, value string }{
		{"--site", f.site},
		{"--languages", strings.Join(f.languages, ",")},
		{"--names", strings.Join(f.names, ",")},
		{"--node-name", f.name},
	} {
		if more.value != "" {
			arguments = append(arguments, more.flag, more.value)
		}
	}
	return arguments, nil
}
