package replicas_test

import (
	"context"
	"database/sql"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync/atomic"
	"testing"

	"pgregory.net/rapid"

	"thatch/catalog/document"
	"thatch/node/replicas"
	"thatch/node/replicas/dataset"
	"thatch/node/replicas/replicastest"
	"thatch/node/store"
	"thatch/node/store/storetest"
)

// upward is a tree of four sites of which each tells of itself: top, mid, and two below mid.
type upward struct {
	t     *rapid.T
	sites []*replicastest.Site
}

func newUpward(t *rapid.T, dir string) *upward {
	u := &upward{t: t}
	for i, id := range []string{"top", "mid", "low", "net"} {
		var parent *replicastest.Site
		if i > 0 {
			parent = u.sites[min(i-1, 1)]
		}
		s := replicastest.Open(t, id, parent, filepath.Join(dir, id+".db"))
		s.Make(t, "epoch-"+id, "de")
		u.sites = append(u.sites, s)
	}
	u.sites[1].Below = []string{"low", "net"}
	u.sites[0].Below = []string{"mid", "low", "net"}
	return u
}

func (u *upward) any(from int) *replicastest.Site {
	s := u.sites[rapid.IntRange(from, len(u.sites)-1).Draw(u.t, "site")]
	s.Limits = dataset.Limits{Documents: rapid.IntRange(1, 4).Draw(u.t, "documents"), Entries: rapid.IntRange(1, 9).Draw(u.t, "entries")}
	return s
}

func (u *upward) tell(*rapid.T) {
	s := u.any(0)
	body := fmt.Sprint(rapid.IntRange(0, 3).Draw(u.t, "body"))
	switch kind := rapid.SampledFrom([]document.Kind{document.Health, document.LanguageAlert, document.RollUp}).Draw(u.t, "kind"); kind {
	case document.RollUp:
		s.Put(u.t, kind, fmt.Sprintf("%s:b%d", s.ID, rapid.IntRange(1, 3).Draw(u.t, "bulletin")), body, "")
	default:
		s.Put(u.t, kind, s.ID, body, "")
	}
}

func (u *upward) untell(*rapid.T) {
	s := u.any(0)
	for _, h := range s.Heads(u.t, document.RollUp) {
		if h.Origin == s.ID {
			s.Remove(u.t, document.RollUp, h.ID)
			return
		}
	}
}

func (u *upward) push(*rapid.T) {
	s := u.any(1)
	s.Push(u.t, rapid.SampledFrom(dataset.Types(dataset.Up)).Draw(u.t, "type"))
}

func (u *upward) pull(*rapid.T) {
	u.any(1).Pull(u.t, dataset.Languages)
}

func (u *upward) check(*rapid.T) {
	for _, s := range u.sites[1:] {
		s.Pull(u.t, dataset.Languages)
	}
	for round := 0; round < 2; round++ { // a new site's key and alert may come before the site
		for i := len(u.sites) - 1; i > 0; i-- {
			for _, of := range dataset.Types(dataset.Up) {
				u.sites[i].Push(u.t, of)
			}
		}
	}
	for _, s := range u.sites[1:] {
		s.Equal(u.t)
		for _, of := range dataset.Types(dataset.Up) {
			if here, there := s.UpSums(u.t, of); here.Digest() != there.Digest() {
				u.t.Fatalf("%s of site %s: %d documents there, %d above", of, s.ID, here.Count, there.Count)
			}
		}
		if left, err := s.Parent.Room.Quarantine(u.t.Context()); err != nil || len(left) > 0 {
			u.t.Fatalf("in quarantine at %s: %+v, %v", s.Parent.ID, left, err)
		}
	}
}

// TestWhatSitesTellGoesUp lets sites tell and untell while pages of any size go up and down.
func TestWhatSitesTellGoesUp(t *testing.T) {
	dir := t.TempDir()
	n := 0
	rapid.Check(t, func(t *rapid.T) {
		n++
		here := filepath.Join(dir, fmt.Sprint(n))
		if err := os.Mkdir(here, 0o700); err != nil {
			t.Fatal(err)
		}
		defer os.RemoveAll(here)
		u := newUpward(t, here)
		defer func() {
			for _, s := range u.sites {
				s.DB.Close()
			}
		}()
		t.Repeat(map[string]func(*rapid.T){
			"tell": u.tell, "tell too": u.tell, "untell": u.untell, "push": u.push, "pull": u.pull,
		})
		u.check(t)
	})
}

// door reads what it wrote, through whichever nodes.
type door struct {
	*storetest.Site
	index atomic.Uint64
}

func (d *door) Write(ctx context.Context, b store.Batch) (store.Applied, error) {
	applied, err := d.Site.Write(ctx, b)
	d.index.Store(max(d.index.Load(), applied.Index))
	return applied, err
}

func (d *door) View(ctx context.Context, read func(*sql.Tx) error) error {
	return d.Site.View(store.AtLeast(ctx, d.index.Load()), read)
}

// TestNodesOfOneSiteHoldTheSame takes pages through a quorum of three.
func TestNodesOfOneSiteHoldTheSame(t *testing.T) {
	if testing.Short() {
		t.Skip("three voters take their time")
	}
	top := replicastest.New(t, "top", nil, "de", "fr")
	site := storetest.Three(t)
	mid := replicastest.Over("mid", top, nil, top.Key)
	door := &door{Site: site}
	mid.Room = replicas.New(replicas.Config{Site: "mid", Reader: door, Writer: door, Now: replicastest.Now})
	mid.Room.Register(document.Severity, hook{})
	mid.Audience[dataset.Data] = dataset.Audience{All: true}
	statements := replicastest.First("mid", "e", "de")
	if applied, err := door.Write(t.Context(), statements); err != nil || applied.Err() != nil {
		t.Fatal(err, applied.Err())
	}
	site.Equal() // every node has come that far
	for n := range 60 {
		top.Put(t, document.Package, fmt.Sprint("p", n), fmt.Sprint("body ", n), "", []string{"de", "fr"}[n%2])
		top.Put(t, document.Severity, fmt.Sprint("s", n), fmt.Sprint("body ", n), "")
	}
	forged := top.Doc(t, document.Update, "forged", "x")
	forged.Signature = []byte("x")
	top.Put(t, "later kind", "x", "y", "")
	mid.DB = site.Node(0).DB
	mid.Limits.Documents = 7
	mid.PullAll(t)
	if _, err := mid.Room.Repair(t.Context(), mid.Above(), dataset.Data, entries(forged, top.Doc(t, "later kind", "x", "y"))); err != nil {
		t.Fatal(err)
	}
	top.Remove(t, document.Severity, "s1")
	mid.PullAll(t)
	if _, err := mid.Room.LanguagesChanged(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	site.Equal()
	if held := mid.Holds(t, document.Package, document.Severity); len(held) != 30+59 || slices.Contains(held, "severity s1 body 1") {
		t.Errorf("%d documents", len(held))
	}
}
