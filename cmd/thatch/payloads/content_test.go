package payloads_test

import (
	"testing"

	"github.com/spf13/cobra"

	"thatch/cmd/internal/cli"
	"thatch/cmd/thatch/payloads"
	"thatch/console/api/apitest"
)

// A name that is empty is not the folder in which somebody happens to be.
func TestAnEmptyNameIsNoFolder(t *testing.T) {
	n, _ := apitest.Start(t)
	for _, verb := range []string{"import", "export"} {
		app := cli.New("test")
		root := &cobra.Command{Use: "thatch", SilenceErrors: true, SilenceUsage: true}
		app.Bind(root)
		root.AddCommand(payloads.Command(app))
		root.SetArgs([]string{"content", verb, "", "--data", n.Dir()})
		if code := cli.ExitCode(root.ExecuteContext(t.Context())); code != cli.ExitUsage {
			t.Errorf("content %s \"\": exit code %d, want %d", verb, code, cli.ExitUsage)
		}
	}
}
