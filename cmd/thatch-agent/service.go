package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"runtime"
	"slices"

	"github.com/spf13/cobra"

	"thatch/cmd/internal/service"
)

const serviceName = "thatch-agent"

func (p *program) serviceCommand() *cobra.Command {
	verbs := []string{service.Install, service.Uninstall, service.Start, service.Stop, service.State}
	return &cobra.Command{
		Use: "service install|uninstall|start|stop|status", Short: "Run the agent as a service of the operating system",
		Example: "  thatch-agent service install --data /var/lib/thatch-agent\n  thatch-agent service start",
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) != 1 || !slices.Contains(verbs, args[0]) {
				return usage(cmd, fmt.Errorf("want one of %q", verbs))
			}
			return nil
		},
		ValidArgs: verbs,
		RunE: func(_ *cobra.Command, args []string) error {
			program, err := p.service()
			if err != nil {
				return err
			}
			state, err := service.Control(program, args[0])
			if err != nil {
				return err
			}
			err = p.print(map[string]string{"service": serviceName, "state": state}, func(w io.Writer) error {
				_, err := fmt.Fprintf(w, "service %s: %s\n", serviceName, state)
				return err
			})
			if err != nil || args[0] != service.State {
				return err
			}
			return service.Judge(serviceName, state)
		},
	}
}

// service describes the agent to the service manager, which starts it with this folder.
func (p *program) service() (service.Program, error) {
	dir, err := filepath.Abs(p.dir)
	if err != nil {
		return service.Program{}, fmt.Errorf("folder of the agent: %w", err)
	}
	arguments := []string{"run", "--service", "--data", dir}
	if p.simulated != "" {
		file, err := filepath.Abs(p.simulated)
		if err != nil {
			return service.Program{}, fmt.Errorf("file of the simulated computer: %w", err)
		}
		arguments = append(arguments, "--simulated", file)
	}
	return service.Program{
		Name: serviceName, Title: "Thatch Agent", Text: "Keeps this computer patched as its site orders.",
		Arguments: arguments, Run: p.logged,
	}, nil
}

// runAsService runs the agent as its service manager says.
func (p *program) runAsService(ctx context.Context) error {
	program, err := p.service()
	if err != nil {
		return err
	}
	return service.Run(ctx, program)
}

// logged runs the agent with its log in its folder: a service of Windows has nowhere else to write. Elsewhere the
// error output goes to the system's journal. A missing folder is made by the enrolment, which came first.
func (p *program) logged(ctx context.Context) error {
	if runtime.GOOS != "windows" {
		return p.run(ctx, p.err)
	}
	log, err := service.LogFile(filepath.Join(p.dir, "agent.log"))
	if err != nil {
		return err
	}
	err = p.run(ctx, log)
	if err != nil {
		p.logger(log).Error("the agent ends", "error", err)
	}
	return errors.Join(err, log.Close())
}
