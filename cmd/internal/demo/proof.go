package demo

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// speak adds a language to a site: its documents move, and no others.
func (d *demo) speak(ctx context.Context) error {
	d.chapter("Paris learns English: only the English documents move")
	paris := d.at("Paris")
	d.note("A computer at Paris runs English, which Paris does not manage. Nobody calls it compliant; an alarm says what to do:")
	if err := d.showAt(ctx, paris, "alarms", "list"); err != nil {
		return err
	}
	before, err := d.fromAbove(ctx, paris)
	if err != nil {
		return err
	}
	runs, err := d.dataRuns(ctx, paris)
	if err != nil {
		return err
	}
	if err := d.showAt(ctx, paris, "site", "languages", "--add", "en"); err != nil {
		return err
	}
	paris.languages = "en,fr"
	var after digest
	var moved dataRun
	err = within(ctx, tellTime, "English documents arrive at Paris", func() error {
		if after, err = d.fromAbove(ctx, paris); err != nil {
			return err
		}
		now, err := d.dataRuns(ctx, paris)
		if err != nil {
			return err
		}
		moved = dataRun{}
		for _, r := range now[:len(now)-len(runs)] {
			moved.Documents += r.Documents
			moved.Bytes += r.Bytes
		}
		there, err := d.forChild(ctx, paris)
		if err == nil && (there.Digest != after.Digest || moved.Documents == 0) {
			err = errors.New("they are not all there yet")
		}
		return err
	})
	if err != nil {
		return err
	}
	had, has := before.of("data").Documents, after.of("data").Documents
	d.say("Paris held %d documents of the catalog and holds %d now. On the wire: %d documents, %d bytes, framing included.",
		had, has, moved.Documents, moved.Bytes)
	if moved.Documents != has-had {
		return fmt.Errorf("%d documents moved where %d are new", moved.Documents, has-had)
	}
	d.note("The policy has ordered them all along:")
	return d.patchUntil(ctx, "")
}

// alter changes a byte of a site's file, and has verification find and mend it.
func (d *demo) alter(ctx context.Context) error {
	d.chapter("Somebody alters Berlin's database behind its back: verification finds and repairs it")
	berlin := d.at("Berlin")
	before, err := d.dataRuns(ctx, berlin)
	if err != nil {
		return err
	}
	found, err := d.victim(ctx, berlin)
	if err != nil {
		return err
	}
	if err := berlin.stop(); err != nil {
		return err
	}
	path := filepath.Join(berlin.dir, "site.db")
	place, err := flip(path, found)
	if err != nil {
		return err
	}
	d.say("Berlin's node is stopped. Byte %d of .../berlin/site.db, inside the package %s, has one bit flipped.\n"+
		"The file alone tells that something is wrong:", place, found.name)
	if err := d.showAt(ctx, berlin, "replication", "digest", "--parent"); err == nil {
		return errors.New("the altered file passes for a good one")
	}
	if err := d.start(ctx, berlin); err != nil {
		return err
	}
	d.note("\nThe node is started again, and the parent asks it to compare everything with what it should hold, and what it told\n" +
		"with what the parent holds of that:")
	if err := d.linked(ctx, berlin); err != nil {
		return err
	}
	// It ends with exit code 1 where it found something: a verification at the start of the link may have been there first.
	_ = d.showAt(ctx, d.top(), "replication", "verify", "--child", "Berlin", "--repair")
	after, err := d.dataRuns(ctx, berlin)
	if err != nil {
		return err
	}
	repaired := 0
	for _, r := range after[:len(after)-len(before)] {
		if r.Verified != nil {
			repaired += r.Verified.Repaired
		}
	}
	if repaired == 0 {
		return errors.New("no run says that it repaired the altered document")
	}
	d.note("\nVerified once more: nothing differs, and the exit code is 0.")
	return d.showAt(ctx, d.top(), "replication", "verify", "--child", "Berlin")
}

// linked waits until a site's parent can ask it for runs.
func (d *demo) linked(ctx context.Context, s *site) error {
	return within(ctx, tellTime, s.name+" is linked with its parent again", func() error {
		var ignored any
		return d.ask(ctx, d.at(s.parent), &ignored, "replication", "run", "--child", s.name, "--type", "languages")
	})
}

// victim is a package, as it lies in a site's file.
type victim struct{ id, name, languages, origin string }

func (d *demo) victim(ctx context.Context, s *site) (v victim, err error) {
	var top struct{ ID string }
	if err := d.ask(ctx, d.top(), &top, "site", "show"); err != nil {
		return v, err
	}
	var list struct {
		Items []struct {
			ID, Package string
			Languages   []string
		}
	}
	if err := d.ask(ctx, s, &list, "packages", "list"); err != nil {
		return v, err
	}
	for _, p := range list.Items {
		if len(p.Languages) > 0 {
			return victim{p.ID, p.Package, strings.Join(p.Languages, ","), top.ID}, nil
		}
	}
	return v, fmt.Errorf("%s holds no package in a language", s.name)
}

// flip flips a bit in the body of a document. It lies in the file as kind, id, languages, origin, signature and body, one
// after the other; a copy that SQLite left behind is altered with it.
func flip(path string, v victim) (place int, err error) {
	content, err := os.ReadFile(path)
	if err != nil {
		return 0, err
	}
	mark := []byte("package" + v.id + v.languages + v.origin)
	for at := bytes.Index(content, mark); at >= 0; {
		begin := at + len(mark)
		if found := bytes.Index(content[begin:min(begin+2000, len(content))], []byte(v.name)); found >= 0 {
			place = begin + found
			content[place] ^= 1
		}
		next := bytes.Index(content[begin:], mark)
		if next < 0 {
			break
		}
		at = begin + next
	}
	if place == 0 {
		return 0, fmt.Errorf("%s does not hold the package %s", path, v.id)
	}
	return place, os.WriteFile(path, content, 0o600)
}

// dataRun is one run of data replication, as the command line tells of it.
type dataRun struct {
	Documents int
	Bytes     int64
	Verified  *struct{ Repaired int }
}

// dataRuns are those of a site, the newest first.
func (d *demo) dataRuns(ctx context.Context, s *site) (runs []dataRun, err error) {
	var list struct{ Items []struct{ Result dataRun } }
	err = d.ask(ctx, s, &list, "replication", "runs", "--filter", "direction=down", "--filter", "type=data", "--sort", "-started", "--limit", "1000")
	for _, item := range list.Items {
		runs = append(runs, item.Result)
	}
	return runs, err
}

// digest is what a site's file alone says that passes between a site and its parent.
type digest struct {
	Digest string
	Types  []typeDigest
}

type typeDigest struct {
	Type      string
	Documents int
	Digest    string
}

func (d digest) of(kind string) typeDigest {
	i := slices.IndexFunc(d.Types, func(t typeDigest) bool { return t.Type == kind })
	if i < 0 {
		return typeDigest{Type: kind}
	}
	return d.Types[i]
}

// fromAbove is computed at a child's file, forChild at its parent's.
func (d *demo) fromAbove(ctx context.Context, s *site) (is digest, err error) {
	return is, d.ask(ctx, s, &is, "replication", "digest", "--parent")
}

func (d *demo) forChild(ctx context.Context, s *site) (is digest, err error) {
	return is, d.ask(ctx, d.at(s.parent), &is, "replication", "digest", "--child", s.name)
}

// prove computes from each site's own file that every child equals its parent.
func (d *demo) prove(ctx context.Context) error {
	d.chapter("The proof: digests from each site's own file")
	d.note("Anybody can compute them, with nothing but the two files; equal digests mean equal documents.")
	if err := d.showAt(ctx, d.top(), "replication", "digest", "--child", "Berlin"); err != nil {
		return err
	}
	if err := d.showAt(ctx, d.at("Berlin"), "replication", "digest", "--parent"); err != nil {
		return err
	}
	d.say("")
	for _, s := range d.sites[1:] {
		var here, there digest
		err := within(ctx, tellTime, s.name+" equals "+s.parent, func() (err error) {
			if here, err = d.fromAbove(ctx, s); err != nil {
				return err
			}
			if there, err = d.forChild(ctx, s); err == nil && here.Digest != there.Digest {
				err = fmt.Errorf("it holds %s, its parent says %s", here.Digest, there.Digest)
			}
			return err
		})
		if err != nil {
			return err
		}
		d.say("  %-8s holds %s\n  %-8s says  %s", s.name, here.Digest, s.parent, there.Digest)
	}
	d.say("\nEvery child equals its parent.")
	return nil
}
