// Package demo is a whole tree of sites in a temporary folder: a made-up vendor, four nodes, each a process of its own, and
// a dozen simulated computers with real agents. Whatever an administrator would do, it does through the program's own
// command line, so that every step it shows can be typed by hand.
package demo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"
)

// ErrNotCompliant says that a computer still lacks an update when the demo ends.
var ErrNotCompliant = errors.New("not every computer is compliant")

// Config is what a demo needs from the program around it.
type Config struct {
	Out  io.Writer
	Now  func() time.Time
	Once bool // end when every computer is compliant, instead of living on
	// Node is a command that runs a node as a process of its own, with these flags, until its standard input is closed.
	Node func(flags ...string) *exec.Cmd
	// Thatch runs one command of the program.
	Thatch func(ctx context.Context, out io.Writer, args ...string) error
}

// demo is one running demo.
type demo struct {
	Config
	dir    string
	vendor *vendor
	sites  []*site // the top one first
	agents []*computer
}

// Run tells the story, and with Once returns nil when every computer is compliant.
func Run(ctx context.Context, cfg Config) (err error) {
	dir, err := os.MkdirTemp("", "thatch-demo-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	d := &demo{Config: cfg, dir: dir}
	if d.vendor, err = openVendor(filepath.Join(dir, "vendor"), cfg.Now()); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, ignoreClosed(d.vendor.close())) }()
	defer func() { err = errors.Join(err, d.stopSites()) }()
	defer d.closeAgents()
	return d.tell(ctx)
}

// top is the site at the top of the tree.
func (d *demo) top() *site { return d.sites[0] }

// tell is the story, chapter by chapter.
func (d *demo) tell(ctx context.Context) error {
	d.say("Four sites in %s", d.dir)
	for _, chapter := range []func(context.Context) error{
		d.startSites, d.join, d.importCatalogs, d.enrol, d.firstScan, d.stage, d.addByHand, d.order, d.patch, d.speak, d.alter,
		d.compliance, d.prove,
	} {
		if err := chapter(ctx); err != nil {
			return err
		}
	}
	if err := d.compliant(ctx, ""); err != nil {
		return err
	}
	d.say("\nEvery computer is compliant.")
	if d.Once {
		return nil
	}
	if err := d.consoles(ctx); err != nil {
		return err
	}
	return d.liveOn(ctx)
}

func (d *demo) importCatalogs(ctx context.Context) error {
	d.chapter("The vendors' catalogs go in, once, at the top")
	if err := d.vendor.release(ctx, products()); err != nil {
		return err
	}
	d.note("Programs are only accepted with a signature that the site trusts; whom it trusts, every site says for itself. The sample\n" +
		"vendor's certificate goes on each list.")
	for _, s := range d.sites {
		for _, set := range [][]string{
			{"settings", "set", "staging.trusted", d.vendor.publisher.fingerprint()},
			{"settings", "set", "health.every", "2"}, // usually a minute: nobody who looks at a demo has that long
			{"settings", "set", "agents.check_in", "30"},
		} {
			d.prompt(s, set...)
			if err := d.Thatch(ctx, io.Discard, append(set, "--data", s.dir)...); err != nil {
				return err
			}
		}
	}
	err := d.commands(ctx,
		[]string{"catalog", "import", "--source", "sdp", "--from", filepath.Join(d.vendor.dir, "sdp")},
		[]string{"catalog", "import", "--source", "msrc", "--from", filepath.Join(d.vendor.dir, "cvrf")},
		[]string{"bulletins", "list"})
	if err != nil {
		return err
	}
	return d.flowed(ctx)
}

func (d *demo) firstScan(ctx context.Context) error {
	d.chapter("Agents scan and report, each to its own site")
	if err := d.rounds(ctx, 1); err != nil {
		return err
	}
	return d.showAt(ctx, d.at("Paris"), "compliance", "computers")
}

func (d *demo) stage(ctx context.Context) error {
	d.chapter("Staging at the top: every package is downloaded once and its signature checked")
	names := []string{"ES-2026-51", "ES-2026-52", "ES-2026-021", "ES-2026-094", "ES-2026-011"}
	d.note("One set-up program carries no signature, so it is refused:")
	if err := d.show(ctx, append([]string{"bulletins", "stage"}, names...)...); err == nil {
		return errors.New("the unsigned set-up program was staged; it should have been refused")
	}
	d.note("The vendor publishes it again, signed:")
	if err := d.vendor.release(ctx, republished()); err != nil {
		return err
	}
	return d.commands(ctx,
		[]string{"catalog", "import", "--source", "sdp", "--from", filepath.Join(d.vendor.dir, "sdp")},
		append([]string{"bulletins", "stage"}, names...))
}

func (d *demo) addByHand(ctx context.Context) error {
	d.chapter("Microsoft's documents name no payloads: an administrator adds packages by hand")
	packages, err := d.vendor.windowsPackages(ctx)
	if err != nil {
		return err
	}
	for _, p := range packages {
		err := d.show(ctx, "packages", "add", p.update, "--url", p.item.URL, "--sha256", p.item.Hash, "--type", "exe",
			"--arguments", "/quiet /norestart")
		if err != nil {
			return err
		}
	}
	return d.show(ctx, "bulletins", "stage", "KB9200011", "KB9200012", "KB9200013")
}

func (d *demo) order(ctx context.Context) error {
	d.chapter("One policy for all of it, made at the top")
	err := d.commands(ctx,
		[]string{
			"policies", "create", "--name", "October", "--bulletin", "ES-2026-52,ES-2026-021,ES-2026-094,ES-2026-011",
			"--bulletin", "KB9200011,KB9200012,KB9200013",
		},
		[]string{"policies", "list"})
	if err != nil {
		return err
	}
	d.note("\nIt goes down by itself, with what it pins; each site pulls the payloads that its languages need from the site above:")
	for _, s := range d.sites[1:] {
		err := within(ctx, tellTime, "the policy arrives at "+s.name, func() error {
			var list struct{ Total int }
			err := d.ask(ctx, s, &list, "policies", "list")
			if err == nil && list.Total == 0 {
				err = errors.New("it has none")
			}
			return err
		})
		if err != nil {
			return err
		}
		if err := d.showAt(ctx, s, "policies", "list"); err != nil {
			return err
		}
	}
	return nil
}

// stranger is the computer that runs a language which its site does not manage.
const stranger = "PARIS-04"

func (d *demo) patch(ctx context.Context) error {
	d.chapter("Agents everywhere download, verify and install")
	return d.patchUntil(ctx, stranger)
}

// patchUntil has agents make rounds until every computer is compliant but one, which may be "".
func (d *demo) patchUntil(ctx context.Context, except string) error {
	round := 1
	return within(ctx, patchTime, "every computer is compliant", func() error {
		round++
		if err := d.rounds(ctx, round); err != nil {
			return &lastWord{err}
		}
		return d.compliant(ctx, except)
	})
}

// compliance shows what the top knows of the whole tree.
func (d *demo) compliance(ctx context.Context) error {
	d.chapter("Compliance of the whole tree, seen from the top")
	if err := d.show(ctx, "compliance", "bulletins"); err != nil {
		return err
	}
	for _, s := range d.sites {
		if err := d.showAt(ctx, s, "compliance", "computers"); err != nil {
			return err
		}
	}
	if err := d.toldAtTop(ctx); err != nil {
		return err
	}
	if err := d.show(ctx, "compliance", "tree", "sites"); err != nil {
		return err
	}
	if err := d.oneByOne(ctx); err != nil {
		return err
	}
	return d.show(ctx, "hierarchy")
}

// oneByOne has a site tell of its computers one by one, which each site decides for itself.
func (d *demo) oneByOne(ctx context.Context) error {
	d.note("A site below tells sums. Berlin decides that the sites above may know its computers one by one:")
	if err := d.showAt(ctx, d.at("Berlin"), "settings", "set", "health.computers", "true"); err != nil {
		return err
	}
	err := within(ctx, tellTime, "Berlin's computers are known at the top", func() error {
		var here, there struct{ Total int }
		if err := d.ask(ctx, d.at("Berlin"), &here, "computers", "list"); err != nil {
			return err
		}
		err := d.ask(ctx, d.top(), &there, "compliance", "tree", "computers", "--of", "Berlin", "--own")
		if err == nil && here.Total != there.Total {
			err = fmt.Errorf("it has %d, %d are known", here.Total, there.Total)
		}
		return err
	})
	if err != nil {
		return err
	}
	return d.show(ctx, "compliance", "tree", "computers")
}

// toldAtTop waits until the top has heard from all sites that their computers are compliant.
func (d *demo) toldAtTop(ctx context.Context) error {
	return within(ctx, tellTime, "the roll-ups of all sites are at the top", func() error {
		var list struct {
			Items []struct {
				Site               string
				Computers, Missing int
				Installed, Unknown int
			}
		}
		if err := d.ask(ctx, d.top(), &list, "compliance", "tree", "sites"); err != nil {
			return err
		}
		for _, s := range list.Items { // each with those below it
			if s.Missing+s.Unknown > 0 || s.Installed == 0 || s.Site == d.top().name && s.Computers != len(dozen) {
				return fmt.Errorf("%s tells of %d computers, %d updates installed, %d missing, %d cannot be told",
					s.Site, s.Computers, s.Installed, s.Missing, s.Unknown)
			}
		}
		return nil
	})
}

// compliant asks the sites, not the agents. One computer may be left out.
func (d *demo) compliant(ctx context.Context, except string) error {
	count := 0
	for _, s := range d.sites {
		var list struct {
			Items []struct {
				Computer                             string
				Missing, Installed, Unknown, Pending int
			}
		}
		if err := d.ask(ctx, s, &list, "compliance", "computers"); err != nil {
			return err
		}
		count += len(list.Items)
		for _, item := range list.Items {
			if item.Missing+item.Unknown+item.Pending > 0 && item.Computer != except {
				return fmt.Errorf("%w: %s lacks %d updates, %d are pending, %d cannot be told",
					ErrNotCompliant, item.Computer, item.Missing, item.Pending, item.Unknown)
			}
		}
	}
	if count != len(dozen) {
		return fmt.Errorf("the sites count %d computers, want %d", count, len(dozen))
	}
	return nil
}

// consoles prints an address for each site that opens its console signed in.
func (d *demo) consoles(ctx context.Context) error {
	d.chapter("The consoles")
	d.note("Each site has one. An operator is made at each, and a link that signs in, once, within ten minutes:")
	for _, args := range [][]string{{"operators", "create", "demo", "--scope", "administrator"}, {"operators", "enter", "demo"}} {
		d.prompt(d.top(), args...)
	}
	d.note("\nThe consoles, signed in (a browser asks about each site's own authority, which it cannot know):")
	for _, s := range d.sites {
		if err := d.ask(ctx, s, new(any), "operators", "create", "demo", "--scope", "administrator"); err != nil {
			return err
		}
		var link struct{ URL string }
		if err := d.ask(ctx, s, &link, "operators", "enter", "demo"); err != nil {
			return err
		}
		d.say("  %-8s %s", s.name, link.URL)
	}
	return nil
}

// liveOn keeps the agents at work until somebody interrupts.
func (d *demo) liveOn(ctx context.Context) error {
	d.say("The sites live on until you press Ctrl+C. Try, in another terminal:\n"+
		"  thatch hierarchy --data %s\n  thatch bulletins list --data %s\n  thatch computers scan --all --data %[2]s", d.top().dir, d.at("Paris").dir)
	group, ctx := errgroup.WithContext(ctx)
	for _, c := range d.agents {
		group.Go(func() error { return c.agent.Run(ctx) })
	}
	return group.Wait()
}

func (d *demo) commands(ctx context.Context, commands ...[]string) error {
	for _, args := range commands {
		if err := d.show(ctx, args...); err != nil {
			return err
		}
	}
	return nil
}

// show runs one command at the top, as a person would type it.
func (d *demo) show(ctx context.Context, args ...string) error {
	return d.showAt(ctx, d.top(), args...)
}

// shortened quotes what a shell would split, and shortens the temporary folder.
func shortened(args []string, dir string) []string {
	var shown []string
	for _, arg := range args {
		arg = strings.ReplaceAll(arg, dir, "...")
		if len(arg) >= 64 && !strings.ContainsAny(arg, "/,: ") { // a digest or a token
			arg = arg[:12] + "..."
		}
		if strings.ContainsAny(arg, ` "`) {
			arg = "'" + arg + "'"
		}
		shown = append(shown, arg)
	}
	return shown
}

func (d *demo) chapter(title string) { fmt.Fprintf(d.Out, "\n=== %s\n", title) }

func (d *demo) note(text string) { fmt.Fprintln(d.Out, text) }

func (d *demo) say(format string, args ...any) { fmt.Fprintf(d.Out, format+"\n", args...) }
