// Package offline computes from a site's file alone the digests by which a child and its parent prove that they hold the
// same, so that anybody can check with a copy of the two files.
package offline

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"slices"

	"thatch/catalog/document"
	"thatch/node/folder"
	"thatch/node/replicas"
	"thatch/node/replicas/dataset"
	"thatch/node/scopes"
	"thatch/node/sites"
	"thatch/node/store"
	"thatch/replication/wire"
)

// Digest is what a site's file holds of the documents that pass between it and a neighbour.
type Digest struct {
	Site       string       `json:"site"` // name of the site whose file it is
	SiteID     string       `json:"site_id"`
	Neighbour  string       `json:"neighbour"` // name of the child, or of the parent
	Languages  []string     `json:"languages"` // of the child
	Types      []TypeDigest `json:"types"`
	Digest     string       `json:"digest"` // over all types that go down
	Up         []TypeDigest `json:"up"`     // of what goes up, or came up
	Quarantine int          `json:"quarantine"`
	Damaged    int          `json:"damaged"`
}

// TypeDigest is that of one type.
type TypeDigest struct {
	Type       dataset.Type      `json:"type"`
	Documents  int               `json:"documents"`
	Bytes      int64             `json:"bytes"`
	Digest     string            `json:"digest"`
	Quarantine []dataset.Key     `json:"quarantine,omitempty"` // left out
	Damaged    []dataset.Damaged `json:"damaged,omitempty"`
}

// file is a site's file and the rooms that read it.
type file struct {
	*store.File
	id, name  string
	languages []string
	sites     *sites.Room
	replicas  *replicas.Room
	sender    *dataset.Sender
}

func open(ctx context.Context, dir string) (*file, error) {
	f, err := store.OpenFile(filepath.Join(dir, folder.DatabaseFile))
	if err != nil {
		return nil, err
	}
	opened := &file{File: f, sender: dataset.NewSender(dataset.Config{Reader: f})}
	if opened.id, opened.name, opened.languages, err = f.Site(ctx); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	opened.sites = sites.New(sites.Config{Site: opened.id, Reader: f})
	opened.replicas = replicas.New(replicas.Config{Site: opened.id, Reader: f})
	return opened, nil
}

// Child computes at a parent's file what came up from a child, and what that should hold, for the languages that its language alert says and the rules
// as they are.
func Child(ctx context.Context, dir, which string) (d Digest, err error) {
	f, err := open(ctx, dir)
	if err != nil {
		return d, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	child, err := f.sites.Child(ctx, which)
	if err != nil {
		return d, err
	}
	alert, err := f.sites.Alert(ctx, child.ID)
	if err != nil {
		return d, fmt.Errorf("which languages %s manages is not known yet: %w", child.Name, err)
	}
	aside, err := f.asideAt(ctx, child.ID)
	if err != nil {
		return d, err
	}
	d = Digest{Site: f.name, SiteID: f.id, Neighbour: child.Name, Languages: alert.Languages}
	err = f.addUp(ctx, &d, func(t dataset.Type) (dataset.Scope, error) {
		scope, err := scopes.FromBelow(ctx, f.sites, child.ID, t)
		if err == nil {
			scope.Except, err = f.aside(ctx, replicas.Neighbour{ID: child.ID, Direction: dataset.Up}, t)
		}
		return scope, err
	})
	if err != nil {
		return d, err
	}
	for _, t := range dataset.Types(dataset.Down) {
		scope, ruled, err := scopes.Down(ctx, f.sites, child.ID, t, alert.Languages)
		if err != nil {
			return d, err
		}
		if !ruled {
			continue
		}
		scope.Except = aside[t]
		if err := f.add(ctx, &d, &d.Types, scope); err != nil {
			return d, err
		}
	}
	return d.sum(), nil
}

// asideAt is what a child has in quarantine, as its last runs told.
func (f *file) asideAt(ctx context.Context, child string) (map[dataset.Type][]dataset.Key, error) {
	runs, err := f.sites.LastRuns(ctx)
	if err != nil {
		return nil, err
	}
	aside := map[dataset.Type][]dataset.Key{}
	for _, run := range runs {
		if run.Neighbour != child || run.Direction != string(dataset.Down) {
			continue
		}
		var result wire.RunResult
		if err := json.Unmarshal(run.Result, &result); err != nil {
			return nil, fmt.Errorf("result of run %s: %w", run.ID, err)
		}
		aside[dataset.Type(run.Type)] = result.Aside
	}
	return aside, nil
}

// addUp computes the digests of what goes up, or came up. What a parent has in quarantine of it is known there alone.
func (f *file) addUp(ctx context.Context, d *Digest, scopeOf func(t dataset.Type) (dataset.Scope, error)) error {
	for _, t := range dataset.Types(dataset.Up) {
		scope, err := scopeOf(t)
		if err == nil {
			err = f.add(ctx, d, &d.Up, scope)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// aside is what is in quarantine here of what a neighbour sent.
func (f *file) aside(ctx context.Context, from replicas.Neighbour, t dataset.Type) (keys []dataset.Key, err error) {
	list, err := f.replicas.QuarantineOf(ctx, from, t)
	for _, q := range list {
		keys = append(keys, q.Key)
	}
	return keys, err
}

// Parent computes at a child's file what came from above, and what goes up.
func Parent(ctx context.Context, dir string) (d Digest, err error) {
	f, err := open(ctx, dir)
	if err != nil {
		return d, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	parent, err := f.sites.Parent(ctx)
	if err != nil {
		return d, err
	}
	var link wire.LinkResponse
	if len(parent.Link) > 0 {
		if err := json.Unmarshal(parent.Link, &link); err != nil {
			return d, fmt.Errorf("what the parent said of the link: %w", err)
		}
	}
	d = Digest{Site: f.name, SiteID: f.id, Neighbour: parent.Name, Languages: f.languages}
	for _, t := range dataset.Types(dataset.Down) {
		if t != dataset.Languages && !link.Sends(t) {
			continue
		}
		scope, err := scopes.FromAbove(ctx, f.sites, t, f.languages)
		if err != nil {
			return d, err
		}
		if scope.Except, err = f.aside(ctx, replicas.Neighbour{ID: parent.ID, Direction: dataset.Down}, t); err != nil {
			return d, err
		}
		if err := f.add(ctx, &d, &d.Types, scope); err != nil {
			return d, err
		}
	}
	err = f.addUp(ctx, &d, func(t dataset.Type) (dataset.Scope, error) {
		scope, err := scopes.Up(ctx, f.sites, t)
		scope.Audience.Withheld = slices.DeleteFunc(dataset.Kinds(t, dataset.Up), func(k document.Kind) bool { return slices.Contains(link.Kinds, k) })
		return scope, err
	})
	return d.sum(), err
}

// add computes one type's digest.
func (f *file) add(ctx context.Context, d *Digest, to *[]TypeDigest, scope dataset.Scope) error {
	sum, err := f.sender.Buckets(ctx, scope, nil)
	if err != nil {
		return err
	}
	*to = append(*to, TypeDigest{
		Type: scope.Type, Documents: sum.Count, Bytes: sum.Bytes, Digest: sum.Digest().String(), Quarantine: scope.Except, Damaged: sum.Damaged,
	})
	d.Quarantine += len(scope.Except)
	d.Damaged += len(sum.Damaged)
	return nil
}

// sum computes the digest over all types.
func (d Digest) sum() Digest {
	all := sha256.New()
	for _, t := range d.Types {
		fmt.Fprintf(all, "%s %s\n", t.Type, t.Digest)
	}
	d.Digest = hex.EncodeToString(all.Sum(nil))
	return d
}
