// Package backups holds the commands that make backups of a site and bring a site back.
package backups

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"thatch/cmd/internal/cli"
	routes "thatch/console/api/backups"
	"thatch/console/api/client"
	"thatch/node/backup"
	"thatch/node/identity"
	"thatch/node/identity/sealed"
)

// Commands are thatch backup and thatch restore.
func Commands(a *cli.App) []*cobra.Command { return []*cobra.Command{command(a), restore(a)} }

func command(a *cli.App) *cobra.Command {
	var folder string
	var detach bool
	cmd := &cobra.Command{
		Use: "backup", Short: "Make a backup of the site while it runs", Args: cobra.NoArgs,
		Long: "Write a file with the site's database, its private keys (sealed to the recovery key) and the list of its payloads, on the\n" +
			"machine of the node that is asked. The bytes of payloads are not in it: a restored site fetches them again. Make a recovery\n" +
			"key first (thatch backup recovery-key): without one nobody can restore the backup.",
		Example: "  thatch backup\n  thatch backup --folder /mnt/backups --data ./site",
		RunE: func(cmd *cobra.Command, _ []string) error {
			path, err := absolute(folder)
			if err != nil {
				return err
			}
			return a.Start(cmd.Context(), "/backups", routes.Wanted{Folder: path}, detach, showMade)
		},
	}
	cmd.Flags().StringVar(&folder, "folder", "", `folder on the node's machine (default "backups" in its data folder)`)
	cmd.Flags().BoolVar(&detach, "detach", false, "do not wait for its end")
	cmd.AddCommand(list(a), verify(a), recoveryKey(a), plan(a), status(a))
	return cmd
}

func absolute(folder string) (string, error) {
	if folder == "" {
		return "", nil
	}
	return filepath.Abs(folder)
}

func showMade(w io.Writer, result json.RawMessage) error {
	var b backup.Backup
	if err := json.Unmarshal(result, &b); err != nil {
		return fmt.Errorf("the answer: %w", err)
	}
	fmt.Fprintf(w, "%s\n%d bytes, index %d, %d payloads are listed\n", filepath.Join(b.Folder, b.Name), b.Size, b.Index, b.Payloads)
	for _, name := range b.Removed {
		fmt.Fprintf(w, "removed: %s\n", name)
	}
	text := "it is opened by recovery key " + b.Recovery
	if b.Recovery == "" {
		text = "WARNING: the site has no recovery key, so nobody can restore it. Make one with thatch backup recovery-key, then another backup."
	}
	_, err := fmt.Fprintln(w, text)
	return err
}

func list(a *cli.App) *cobra.Command {
	known := a.List(cli.Listing{
		Use: "list [DIR]", Short: "List the backups of the site, or those in a folder",
		Long: "Without DIR, list those that the site has on record. With DIR, look at the files there: that takes no node.\n" +
			"Columns to filter and sort by: name, node, folder, made, size, recovery_key.",
		Example: "  thatch backup list\n  thatch backup list /mnt/backups",
		Path:    "/backups", Heads: []string{"NAME", "MADE", "BYTES", "INDEX", "RECOVERY KEY", "STATE", "FOLDER"},
		Keys: []string{"name", "made", "size", "index", "recovery_key", "state", "folder"},
	})
	onRecord := known.RunE
	known.Args = cobra.MaximumNArgs(1)
	known.RunE = func(cmd *cobra.Command, args []string) error {
		if len(args) == 0 {
			return onRecord(cmd, args)
		}
		return inFolder(a, args[0])
	}
	return known
}

func inFolder(a *cli.App, dir string) error {
	found, bad, err := backup.In(dir)
	if err != nil {
		return err
	}
	err = a.Print(found, func(w io.Writer) error {
		for _, f := range found {
			m := &f.Manifest
			fmt.Fprintf(w, "%s\n  %s, %s, index %d, %d bytes, recovery key %s\n", filepath.Base(f.Path), m.Site, m.Age(time.Now()), m.Index, f.Size, orNone(m.Recovery))
		}
		if len(found) == 0 {
			fmt.Fprintf(w, "%s holds no backup\n", dir)
		}
		return nil
	})
	for name, why := range bad {
		err = errors.Join(err, fmt.Errorf("%s is not counted: %w", name, why))
	}
	return err
}

func orNone(name string) string {
	if name == "" {
		return "none"
	}
	return name
}

func verify(a *cli.App) *cobra.Command {
	return &cobra.Command{
		Use: "verify FILE", Short: "Read a backup whole and hold it against its digests", Args: cli.Args("FILE"),
		Long: "FILE lies on this machine; it takes no node, and no key. The database in it is unpacked for a while into the system's folder\n" +
			"for temporary files (TMPDIR), and checked. A backup that is not whole is an error.",
		Example: "  thatch backup verify /mnt/backups/thatch-berlin-0f3a9c12-20260301T024100Z-18231.tar.zst",
		RunE: func(cmd *cobra.Command, args []string) error {
			f, err := backup.Verify(cmd.Context(), args[0], "", drawn(a))
			if err != nil {
				return err
			}
			return a.Print(f, func(w io.Writer) error { return show(w, &f) })
		},
	}
}

// drawn draws progress over itself at a terminal; nil elsewhere.
func drawn(a *cli.App) backup.Progress {
	if !a.Terminal() || a.JSON {
		return nil
	}
	last := int64(-1)
	return func(done, total int64) {
		percent := done * 100 / max(total, 1)
		if percent == last {
			return
		}
		last = percent
		fmt.Fprintf(a.Err, "\r%3d %%", percent)
		if done >= total {
			fmt.Fprint(a.Err, "\r      \r")
		}
	}
}

func show(w io.Writer, f *backup.File) error {
	m := &f.Manifest
	_, err := fmt.Fprintf(w, "%s is whole\n  site          %s (%s)\n  made          %s, by version %s\n  epoch         %s\n  index         %d, schema %d\n"+
		"  database      %d bytes\n  payloads      %d, %d bytes, not in it\n  nodes         %d\n  recovery key  %s\n  sha-256       %s\n",
		filepath.Base(f.Path), m.Site, m.SiteID, m.Age(time.Now()), m.Version, m.Epoch, m.Index, m.Schema, m.Database.Size,
		m.Payloads.Count, m.Payloads.Bytes, len(m.Nodes), orNone(m.Recovery), f.SHA256)
	if m.Recovery == "" && err == nil {
		_, err = fmt.Fprintln(w, "WARNING: it was made while the site had no recovery key, so nobody can restore it.")
	}
	return err
}

func recoveryKey(a *cli.App) *cobra.Command {
	return &cobra.Command{
		Use: "recovery-key", Short: "Make a recovery key, print it once, and have the site's keys sealed to it", Args: cobra.NoArgs,
		Long: "The recovery key opens backups made from then on. It is made here, the site gets its public half alone, and nobody can print\n" +
			"it again: write it down and keep it off the site. Backups made before are opened by the key before.",
		Example: "  thatch backup recovery-key",
		RunE: func(cmd *cobra.Command, _ []string) error {
			text, key, err := sealed.NewRecovery()
			if err != nil {
				return err
			}
			c, err := a.Client()
			if err != nil {
				return err
			}
			var told identity.RecoveryKey
			if err := c.Put(cmd.Context(), "/backups/recovery-key", routes.PublicKey{Public: key.Public()}, &told); err != nil {
				return err
			}
			return a.Print(map[string]any{"name": told.Name, "key": text, "made": told.Made}, func(w io.Writer) error {
				_, err := fmt.Fprintf(w, "%s\n\nThis is recovery key %s, shown once. Write it down and keep it off the site: whoever has it and a backup has the\n"+
					"site, and without it no backup can be restored. Now make a backup: thatch backup\n", text, told.Name)
				return err
			})
		},
	}
}

func plan(a *cli.App) *cobra.Command {
	var in routes.Schedule
	var off bool
	cmd := &cobra.Command{
		Use: "schedule [LINE]", Short: "Have backups made by themselves, and say how many are kept", Args: cobra.MaximumNArgs(1),
		Long: "LINE is a crontab line in the time zone of the node, or @daily (default \"41 2 * * *\"). The node that leads makes the backup,\n" +
			"on its own machine: with several nodes, name a folder that is a share. --off has them made by hand alone.",
		Example: "  thatch backup schedule --folder /mnt/backups --keep 14\n  thatch backup schedule '0 3 * * 0'\n  thatch backup schedule --off",
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := a.Client()
			if err != nil {
				return err
			}
			var now backup.Standing
			if err := c.Get(cmd.Context(), "/backups/standing", nil, &now); err != nil {
				return err
			}
			in.Enabled = !off
			in.Schedule = now.Schedule
			if in.Schedule == "" {
				in.Schedule = backup.Daily
			}
			if len(args) == 1 {
				in.Schedule = args[0]
			}
			if !cmd.Flags().Changed("folder") {
				in.Folder = now.Folder
			}
			if !cmd.Flags().Changed("keep") {
				in.Keep = now.Keep
			}
			return a.AskAs(cmd.Context(), client.Request{Method: http.MethodPut, Path: "/backups/schedule", In: in}, showStanding)
		},
	}
	cmd.Flags().StringVar(&in.Folder, "folder", "", `absolute, on the machine of the node that leads (default "backups" in its data folder)`)
	cmd.Flags().IntVar(&in.Keep, "keep", backup.Keep, "how many are left in that folder; 0: all")
	cmd.Flags().BoolVar(&off, "off", false, "make them by hand alone")
	return cmd
}

func status(a *cli.App) *cobra.Command {
	return &cobra.Command{
		Use: "status", Short: "Show how the site would come back if it were lost now, and what to do", Args: cobra.NoArgs,
		Example: "  thatch backup status",
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.ShowAs(cmd.Context(), "/backups/standing", showStanding)
		},
	}
}

func showStanding(w io.Writer, raw json.RawMessage) error {
	var s backup.Standing
	if err := json.Unmarshal(raw, &s); err != nil {
		return fmt.Errorf("the answer: %w", err)
	}
	key, last, when := "none", "none", "by hand alone"
	if s.RecoveryKey != nil {
		key = s.RecoveryKey.Name + ", made " + s.RecoveryKey.Made.Format(time.DateOnly)
	}
	if s.Last != nil {
		last = fmt.Sprintf("%s, %s (%s)", s.Last.Name, backup.Ago(time.Since(s.Last.Made)), s.Last.State)
	}
	if s.Schedule != "" {
		folder := s.Folder
		if folder == "" {
			folder = `"backups" in the data folder of the node that leads`
		}
		when = fmt.Sprintf("%s, to %s, the newest %d are kept", s.Schedule, folder, s.Keep)
	}
	_, err := fmt.Fprintf(w, "recovery key   %s\nnewest backup  %s\nschedule       %s\n", key, last, when)
	if s.Trouble != nil {
		_, err = fmt.Fprintf(w, "! %s: %s.\n", s.Trouble.Text, s.Trouble.Advice)
	}
	for _, line := range s.Advice {
		_, err = fmt.Fprintln(w, "!", line)
	}
	return err
}

// askKey reads a recovery key: as it was given, from @FILE, or as somebody types it. Required says that it cannot do without.
func askKey(a *cli.App, given string, required bool) (*sealed.Key, error) {
	if path, ok := strings.CutPrefix(given, "@"); ok {
		text, err := os.ReadFile(path)
		if err != nil {
			return nil, cli.Usagef("the recovery key: %w", err)
		}
		given = string(text)
	}
	if given == "" && required {
		fmt.Fprint(a.Err, "recovery key: ")
		line, err := bufio.NewReader(a.In).ReadString('\n')
		if err != nil && strings.TrimSpace(line) == "" {
			return nil, cli.Usagef("no recovery key is given: --recovery-key TEXT, --recovery-key @FILE, or typed")
		}
		given = line
	}
	if strings.TrimSpace(given) == "" {
		return nil, nil
	}
	key, err := sealed.ParseRecovery(given)
	if err != nil {
		return nil, cli.Usage(err)
	}
	return key, nil
}
