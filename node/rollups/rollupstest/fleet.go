// Package rollupstest gives sites a small catalog and computers that say what a test wants, and counts them one by one.
package rollupstest

import (
	"fmt"
	"testing"

	"thatch/catalog"
	"thatch/catalog/document"
	"thatch/catalog/federation"
	"thatch/catalog/rule"
	"thatch/node"
	"thatch/node/bulletins/bulletinstest"
	"thatch/node/bulletins/live"
	"thatch/node/computers"
	"thatch/node/rollups"
	"thatch/node/store"
)

// The catalog of the tree's tests: three bulletins; u1 is replaced by u4.
var (
	Bulletins = []string{"b1", "b2", "b3"}
	Updates   = map[string]string{"u1": "b1", "u2": "b1", "u3": "b2", "u4": "b3"}
)

// Publish imports it.
func Publish(t testing.TB, n *node.Node) {
	t.Helper()
	var docs []document.Document
	for _, b := range Bulletins {
		docs = append(docs, bulletinstest.Doc(t, document.Bulletin, b, nil, catalog.Bulletin{Name: "KB-" + b, Source: "msrc", Title: "Bulletin " + b}))
	}
	for id, b := range Updates {
		u := catalog.Update{Name: id, Bulletin: b, Source: "msrc", Rules: catalog.Rules{Applicable: rule.Test("True")}}
		if id == "u4" {
			u.Supersedes = []string{"u1"}
		}
		docs = append(docs, bulletinstest.Doc(t, document.Update, id, nil, u))
	}
	bulletinstest.Save(t, n.Bulletins, "msrc", "tree", docs...)
}

// Fleet is the computers of a site that the test knows of.
type Fleet struct {
	PCs []*PC
	n   *node.Node
}

// New is the fleet of a node's site, without computers yet. The node must run.
func New(n *node.Node) *Fleet { return &Fleet{n: n} }

// PC is a computer as the test knows it: what it says of every update.
type PC struct {
	computers.Computer
	Says map[string]string
}

// Enrol makes a machine a computer.
func (b *Fleet) Enrol(t testing.TB, name string) *PC {
	t.Helper()
	return b.EnrolAs(t, computers.Newcomer{Name: name, MachineID: "machine " + name, Hardware: "hardware " + name, Platform: "windows"})
}

// EnrolAs makes a newcomer a computer.
func (b *Fleet) EnrolAs(t testing.TB, n computers.Newcomer) *PC {
	t.Helper()
	place, err := b.n.Computers.Place(t.Context(), n)
	if err != nil {
		t.Fatal(err)
	}
	c, err := b.n.Computers.Enrol(t.Context(), n, place, n.Name)
	if err != nil {
		t.Fatal(err)
	}
	one := &PC{Computer: c, Says: map[string]string{}}
	b.PCs = append(b.PCs, one)
	return one
}

// Report has a computer say what it says, whole.
func (b *Fleet) Report(t testing.TB, one *PC) {
	t.Helper()
	rep := computers.Report{At: b.n.Now(), Reasons: map[uint32]string{}}
	err := b.n.Bulletins.Catalog().Read(t.Context(), func(v *live.View) error {
		for id, says := range one.Says {
			u := v.UpdateByID(id)
			if u == nil {
				return fmt.Errorf("%s has no update %s", b.n.Site().Name, id)
			}
			status := computers.NotApplicable
			switch says {
			case "applicable":
				rep.Applicable.Add = append(rep.Applicable.Add, u.Number)
			case "scheduled":
				rep.Applicable.Add = append(rep.Applicable.Add, u.Number)
				status = computers.Scheduled
			case "failed":
				rep.Applicable.Add = append(rep.Applicable.Add, u.Number)
				status = computers.FailedToInstall
			case "installed":
				rep.Installed.Add = append(rep.Installed.Add, u.Number)
			case "unknown":
				rep.Unknown.Add = append(rep.Unknown.Add, u.Number)
			}
			rep.States = append(rep.States, computers.State{Number: u.Number, Policy: "p", Status: status})
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	taken, err := b.n.Computers.Report(t.Context(), one.ID, rep)
	if err != nil || taken.Resend {
		t.Fatalf("%+v, %v", taken, err)
	}
}

// Naive counts the computers of some sites one by one.
func Naive(branches []*Fleet, updates ...string) (c federation.Counts) {
	for _, b := range branches {
		for _, one := range b.PCs {
			var applicable, missing, failed, scheduled, unknown bool
			for _, u := range updates {
				if u == "u1" { // replaced
					continue
				}
				says := one.Says[u]
				lacks := says == "applicable" || says == "scheduled" || says == "failed"
				applicable = applicable || lacks || says == "installed"
				missing, unknown = missing || lacks, unknown || says == "unknown"
				failed, scheduled = failed || says == "failed", scheduled || says == "scheduled"
			}
			for field, is := range map[*int]bool{
				&c.Applicable: applicable, &c.Missing: missing, &c.Failed: failed, &c.Scheduled: scheduled, &c.Unknown: unknown,
				&c.Installed: applicable && !missing && !unknown,
			} {
				if is {
					*field++
				}
			}
		}
	}
	return c
}

func countsOf(f rollups.Figures) federation.Counts {
	return federation.Counts{
		Applicable: f.Applicable, Installed: f.Installed, Missing: f.Missing, Failed: f.Failed, Scheduled: f.Scheduled, Unknown: f.Unknown,
	}
}

// Agrees is nil when a site's report of a part of the tree is what counting one by one says.
func (b *Fleet) Agrees(t testing.TB, of rollups.Of, branches ...*Fleet) error {
	list, _, err := b.n.RollUps.Bulletins(t.Context(), of, store.Query{})
	if err != nil {
		return err
	}
	rows := map[string]federation.Counts{}
	for _, row := range list {
		rows[row.ID] = countsOf(row.Figures)
	}
	updates, _, err := b.n.RollUps.Updates(t.Context(), of, store.Query{})
	if err != nil {
		return err
	}
	for _, row := range updates {
		rows[row.ID] = countsOf(row.Figures)
	}
	for _, bulletin := range Bulletins {
		var members []string
		for u, of := range Updates {
			if of == bulletin {
				members = append(members, u)
			}
		}
		if want := Naive(branches, members...); rows[bulletin] != want {
			return fmt.Errorf("%s of %+v: %+v, want %+v", bulletin, of, rows[bulletin], want)
		}
	}
	for u := range Updates {
		if want := Naive(branches, u); rows[u] != want {
			return fmt.Errorf("%s of %+v: %+v, want %+v", u, of, rows[u], want)
		}
	}
	all := 0
	for _, one := range branches {
		all += len(one.PCs)
	}
	sites, err := b.n.RollUps.SiteRows(t.Context(), of, rollups.Within{})
	if err != nil {
		return err
	}
	if sites[0].Computers != all || sites[0].Untold != 0 {
		return fmt.Errorf("%+v: %d computers, want %d; %d sites never told", of, sites[0].Computers, all, sites[0].Untold)
	}
	return nil
}
