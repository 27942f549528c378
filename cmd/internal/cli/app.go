// Package cli is what the commands of thatch share: how they find their node, how they print, and what their exit code
// says.
package cli

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"thatch/console/api/client"
)

// App is one invocation of the program.
type App struct {
	Version string
	In      io.Reader
	Out     io.Writer // what was asked for
	Err     io.Writer // progress, and what went wrong
	JSON    bool      // --json
	Node    client.Config
	Config  string // --config
}

// New makes an App on the process's own streams.
func New(version string) *App {
	return &App{Version: version, In: os.Stdin, Out: os.Stdout, Err: os.Stderr}
}

// DefaultDir is the data folder where none is named: of the machine for its administrator, else the user's own.
func DefaultDir() string {
	if runtime.GOOS == "windows" {
		if dir := os.Getenv("ProgramData"); dir != "" {
			return filepath.Join(dir, "Thatch")
		}
		return `C:\ProgramData\Thatch`
	}
	if os.Geteuid() == 0 {
		return "/var/lib/thatch"
	}
	if dir := os.Getenv("XDG_STATE_HOME"); filepath.IsAbs(dir) {
		return filepath.Join(dir, "thatch")
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return "thatch-data"
	}
	return filepath.Join(home, ".local", "state", "thatch")
}

// Bind adds the flags that every command has, and makes them come from the environment and the configuration file
// where they are not given.
func (a *App) Bind(root *cobra.Command) {
	flags := root.PersistentFlags()
	flags.StringVar(&a.Node.Dir, "data", DefaultDir(), "data folder of the node on this machine (THATCH_DIR)")
	flags.StringVar(&a.Node.Server, "server", "", "https://HOST:PORT of a node elsewhere, with --token (THATCH_SERVER)")
	flags.StringVar(&a.Node.Token, "token", "", "API token for --server (THATCH_TOKEN)")
	flags.StringVar(&a.Node.Fingerprint, "fingerprint", "", "SHA-256 of the site's authority, as thatch site show prints it (THATCH_FINGERPRINT)")
	flags.StringVar(&a.Node.Authority, "authority", "", "file with the site's authority in PEM, instead of --fingerprint (THATCH_AUTHORITY)")
	flags.BoolVar(&a.JSON, "json", false, "print JSON")
	flags.StringVar(&a.Config, "config", "", "file with NAME=VALUE lines or JSON: the flags by their names (THATCH_CONFIG)")
	root.PersistentPreRunE = func(cmd *cobra.Command, _ []string) error { return a.complete(cmd) }
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return Usage(err) })
	root.SetIn(a.In)
	root.SetOut(a.Out)
	root.SetErr(a.Err)
	root.SilenceErrors, root.SilenceUsage = true, true
}

// Client is the way to the node that the flags name.
func (a *App) Client() (*client.Client, error) { return client.New(a.Node) }

// Terminal says whether progress can be drawn over itself.
func (a *App) Terminal() bool {
	f, ok := a.Err.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// Print writes value as JSON when --json was given, else has text write it for people.
func (a *App) Print(value any, text func(w io.Writer) error) error {
	if !a.JSON {
		return text(a.Out)
	}
	enc := json.NewEncoder(a.Out)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	if err := enc.Encode(value); err != nil {
		return fmt.Errorf("print: %w", err)
	}
	return nil
}

// Done says that something was done to a subject: as a line for people, as {did: subject} with --json.
func (a *App) Done(did, subject, line string) error {
	return a.Print(map[string]string{did: subject}, func(w io.Writer) error {
		_, err := fmt.Fprintln(w, line)
		return err
	})
}
