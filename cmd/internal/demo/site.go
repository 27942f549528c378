package demo

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// site is one of the demo's sites: a node that is a process of its own.
type site struct {
	name, parent string // "" above: the top
	languages    string
	dir          string
	address      string

	cmd   *exec.Cmd
	alive io.Closer // the process ends when this is closed
	ended chan error
}

// Waits for nodes.
const (
	startTime = 3 * time.Minute
	stopTime  = time.Minute
	tellTime  = 2 * time.Minute // for what one site does to be seen at another
	patchTime = 3 * time.Minute
	askPause  = 100 * time.Millisecond
)

// four are the sites: a parent, a German and a French child, and a grandchild.
func four(dir string) []*site {
	sites := []*site{
		{name: "London", languages: "en,de,fr"},
		{name: "Berlin", languages: "de", parent: "London"},
		{name: "Paris", languages: "fr", parent: "London"},
		{name: "Potsdam", languages: "de", parent: "Berlin"},
	}
	for _, s := range sites {
		s.dir, s.address = filepath.Join(dir, strings.ToLower(s.name)), "127.0.0.1:0"
	}
	return sites
}

// at finds a site by its name.
func (d *demo) at(name string) *site {
	for _, s := range d.sites {
		if s.name == name {
			return s
		}
	}
	panic("no site is called " + name)
}

// start starts a site's node and waits until it answers. Started again, it has the address that it had.
func (d *demo) start(ctx context.Context, s *site) error {
	log, err := os.OpenFile(s.dir+".log", os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer log.Close()
	s.cmd = d.Node("--data", s.dir, "--listen", s.address, "--site", s.name, "--languages", s.languages, "--log", "warn")
	s.cmd.Stdout, s.cmd.Stderr = log, log
	if s.alive, err = s.cmd.StdinPipe(); err != nil {
		return err
	}
	if err := s.cmd.Start(); err != nil {
		return fmt.Errorf("start the node of %s: %w", s.name, err)
	}
	s.ended = make(chan error, 1)
	go func() { s.ended <- s.cmd.Wait() }()
	return d.answers(ctx, s)
}

// answers waits until a node answers, and learns its address.
func (d *demo) answers(ctx context.Context, s *site) error {
	return within(ctx, startTime, "the node of "+s.name+" answers", func() error {
		select {
		case err := <-s.ended:
			s.ended <- err
			said, _ := os.ReadFile(s.dir + ".log") // the error says enough without
			return &lastWord{fmt.Errorf("the node of %s ended: %w\n%s", s.name, err, said)}
		default:
		}
		var shown struct{ Address string }
		err := d.ask(ctx, s, &shown, "site", "show")
		if err == nil && shown.Address == "" {
			err = errors.New("it has no address yet")
		}
		s.address = shown.Address
		return err
	})
}

// stop ends a site's node as an administrator would.
func (s *site) stop() error {
	if s.cmd == nil || s.cmd.Process == nil {
		return nil
	}
	_ = s.alive.Close() // the process may be gone
	timer := time.NewTimer(stopTime)
	defer timer.Stop()
	var err error
	select {
	case err = <-s.ended:
	case <-timer.C:
		err = errors.Join(fmt.Errorf("it did not end in %s", stopTime), s.cmd.Process.Kill())
		<-s.ended
	}
	s.cmd = nil
	if err != nil {
		return fmt.Errorf("the node of %s: %w", s.name, err)
	}
	return nil
}

func (d *demo) startSites(ctx context.Context) error {
	d.chapter("Four sites start, each a process of its own")
	d.sites = four(d.dir)
	for _, s := range d.sites {
		if err := d.start(ctx, s); err != nil {
			return err
		}
		d.say("  %-8s manages %-8s  process %d at https://%s", s.name, s.languages, s.cmd.Process.Pid, s.address)
	}
	return nil
}

func (d *demo) stopSites() (err error) {
	for i := len(d.sites) - 1; i >= 0; i-- {
		err = errors.Join(err, d.sites[i].stop())
	}
	return err
}

// ask runs one command at a site and reads its JSON.
func (d *demo) ask(ctx context.Context, s *site, into any, args ...string) error {
	var out bytes.Buffer
	if err := d.Thatch(ctx, &out, append(args, "--json", "--data", s.dir)...); err != nil {
		return err
	}
	if err := json.Unmarshal(out.Bytes(), into); err != nil {
		return fmt.Errorf("thatch %s --json: %w", strings.Join(args, " "), err)
	}
	return nil
}

// lastWord is an error after which waiting makes no sense.
type lastWord struct{ error }

func (l *lastWord) Unwrap() error { return l.error }

// within asks again and again until done has no error to tell.
func within(ctx context.Context, limit time.Duration, what string, done func() error) error {
	end := time.NewTimer(limit)
	defer end.Stop()
	tick := time.NewTicker(askPause)
	defer tick.Stop()
	for {
		err := done()
		var last *lastWord
		if err == nil || errors.As(err, &last) {
			return err
		}
		select {
		case <-tick.C:
		case <-end.C:
			return fmt.Errorf("not within %s: %s: %w", limit, what, err)
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
