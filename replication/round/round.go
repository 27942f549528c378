// Package round makes runs of replication that a person asks for: of several types one after the other, at a child with
// its own parent, or at a parent by asking children for them. A round is a task: it can be followed and cancelled, and its
// result says what both sides hold.
package round

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"thatch/node"
	"thatch/node/replicas/dataset"
	"thatch/node/sites"
	"thatch/node/store"
	"thatch/node/tasks"
	"thatch/replication"
	"thatch/replication/server"
	"thatch/replication/wire"
)

// TaskKind is the kind of task that a round is.
const TaskKind = "replication-round"

// Params say what a round does.
type Params struct {
	Child    string         `json:"child,omitempty"`    // at the parent: name or id of one child
	Children bool           `json:"children,omitempty"` // at the parent: all children that are connected, one after the other
	Types    []dataset.Type `json:"types,omitempty"`    // none: all that rules send, and, to verify, all that goes up
	Complete bool           `json:"complete,omitempty"`
	Verify   int            `json:"verify,omitempty"` // percent of the buckets
	Repair   bool           `json:"repair,omitempty"` // mend what differs; without it, it is only listed
}

// Result is what a round found, over all its types and links.
type Result struct {
	Sequence    uint64 `json:"sequence"` // index of the parent's journal that was compared at, the last one
	Buckets     int    `json:"buckets"`
	Compared    int    `json:"compared"`
	Different   int    `json:"different"`
	Repaired    int    `json:"repaired"`
	Quarantined int    `json:"quarantined"`
	DigestHere  string `json:"digest_here,omitempty"` // of what comes down one link, verified at 100 percent
	DigestThere string `json:"digest_there,omitempty"`
	Equal       bool   `json:"equal"` // everything that was verified is equal, and nothing had to be mended
	Documents   int    `json:"documents"`
	Removed     int    `json:"removed"`
	Bytes       int64  `json:"bytes"`
	Links       []Link `json:"links"`
	MoreLinks   int    `json:"more_links,omitempty"` // that are not named
}

// Link is what came of one link.
type Link struct {
	Site  string           `json:"site"` // name of the neighbour
	ID    string           `json:"id"`
	Runs  []wire.RunResult `json:"runs"`
	Up    []wire.RunResult `json:"up,omitempty"` // verifications of what went up from the child
	Error string           `json:"error,omitempty"`
}

// Rounds makes rounds at a node.
type Rounds struct {
	node   *node.Node
	link   *replication.Link
	parent *server.Parent
}

// New registers the kind of task. Call it before the node runs.
func New(n *node.Node, link *replication.Link, parent *server.Parent) *Rounds {
	r := &Rounds{n, link, parent}
	n.Tasks.Register(tasks.Kind{
		Name: TaskKind, Text: "Replicate and verify now",
		Key: func(raw json.RawMessage) string {
			var p Params
			_ = json.Unmarshal(raw, &p) // what cannot be read fails when it runs
			return p.Child
		},
		Do: func(ctx context.Context, job *tasks.Job) (any, error) {
			var p Params
			if err := job.Decode(&p); err != nil {
				return nil, err
			}
			return r.do(ctx, job, p)
		},
	})
	return r
}

// Start starts a round and names its run.
func (r *Rounds) Start(ctx context.Context, p Params) (run string, err error) {
	if err := p.check(); err != nil {
		return "", err
	}
	switch {
	case p.Child != "":
		child, err := r.node.Sites.Child(ctx, p.Child)
		if err != nil {
			return "", err
		}
		p.Child = child.ID
		if err := r.parent.Reach(child); err != nil && r.leads() {
			return "", err
		}
	case !p.Children:
		if _, err := r.node.Sites.Parent(ctx); errors.Is(err, store.ErrNotFound) {
			return "", r.atTheTop(ctx)
		} else if err != nil {
			return "", err
		}
		if _, err := r.link.Client(); err != nil && r.leads() {
			r.link.Hurry()
			return "", err
		}
	}
	return r.node.Tasks.Run(ctx, TaskKind, p)
}

// leads says whether this node holds the links: else the one that does says what is wrong with them.
func (r *Rounds) leads() bool {
	leads, _, _ := r.node.Votes().Leading()
	return leads
}

// atTheTop says what to do at a site that has no parent.
func (r *Rounds) atTheTop(ctx context.Context) error {
	children, err := r.children(ctx, Params{})
	if err != nil {
		return err
	}
	if len(children) == 0 {
		return store.Invalid("this site has neither a parent nor children: there is nobody to replicate or to compare with")
	}
	return store.Invalid("this site has no parent, so say which child is meant: --child %q, or --children for all of its %d children", children[0].Name, len(children))
}

func (p *Params) check() error {
	if p.Verify < 0 || p.Verify > 100 {
		return store.Invalid("verify %d percent: want 0 to 100", p.Verify)
	}
	for _, t := range p.Types {
		switch {
		case slices.Contains(dataset.Types(dataset.Down), t):
		case !slices.Contains(dataset.Types(dataset.Up), t):
			return store.Invalid("there is no type %.40q of replication; there are %s", t, typeNames())
		case p.Verify == 0:
			return store.Invalid("%s goes up by itself as it changes; it can be verified: thatch replication verify --type %s", t, t)
		}
	}
	if p.Child != "" && p.Children {
		return store.Invalid("say one child or all of them, not both")
	}
	return nil
}

func typeNames() string {
	var names []string
	for _, t := range append(dataset.Types(dataset.Down), dataset.Health) {
		names = append(names, string(t))
	}
	return strings.Join(names, ", ")
}

func (r *Rounds) do(ctx context.Context, job *tasks.Job, p Params) (any, error) {
	var links []Link
	var err error
	if p.Child == "" && !p.Children {
		var link Link
		link, err = r.here(ctx, job, p)
		links = []Link{link}
	} else {
		links, err = r.below(ctx, job, p)
	}
	result := sum(links, p.Verify)
	result.fit(tasks.MaxResult / 2)
	return result, err
}

// here replicates from this site's own parent.
func (r *Rounds) here(ctx context.Context, job *tasks.Job, p Params) (Link, error) {
	parent, err := r.node.Sites.Parent(ctx)
	link := Link{Site: parent.Name, ID: parent.ID, Runs: []wire.RunResult{}}
	if err != nil {
		return link, err
	}
	runs := p.runs(r.link.State().Link)
	for i, params := range runs {
		job.Progress(tasks.Progress{Done: int64(i), Total: int64(len(runs)), Unit: "types", Text: string(params.Type)})
		result, err := r.one(ctx, job, params)
		link.add(result, params.Up)
		if err != nil {
			link.Error = err.Error()
			return link, fmt.Errorf("%s: %w", params.Type, err)
		}
	}
	return link, nil
}

func (l *Link) add(result wire.RunResult, up bool) {
	if up {
		l.Up = append(l.Up, result)
		return
	}
	l.Runs = append(l.Runs, result)
}

// runs are those of a round, in their order: what comes down first.
func (p *Params) runs(said *wire.LinkResponse) (list []replication.Params) {
	for _, t := range dataset.Types(dataset.Down) {
		named := slices.Contains(p.Types, t)
		if named || len(p.Types) == 0 && (t == dataset.Languages || said != nil && said.Sends(t)) {
			list = append(list, replication.Params{Type: t, Complete: p.Complete, Verify: p.Verify, Repair: p.Repair})
		}
	}
	for _, t := range dataset.Types(dataset.Up) {
		if p.Verify > 0 && said != nil && said.Compares && (len(p.Types) == 0 || slices.Contains(p.Types, t)) {
			list = append(list, replication.Params{Type: t, Up: true, Verify: p.Verify, Repair: p.Repair})
		}
	}
	return list
}

// one makes one run; where another one of its type goes on, after that.
func (r *Rounds) one(ctx context.Context, job *tasks.Job, p replication.Params) (result wire.RunResult, err error) {
	for {
		id, err := r.link.Start(ctx, p)
		if errors.Is(err, store.ErrConflict) {
			if err := r.waitFor(ctx, p); err != nil {
				return result, err
			}
			continue
		}
		if err != nil {
			return result, err
		}
		run, err := r.node.Tasks.Wait(ctx, id)
		if err != nil {
			return result, errors.Join(err, r.node.Tasks.Cancel(context.WithoutCancel(ctx), id))
		}
		for _, line := range run.Lines {
			job.Log("%s: %s", p.Type, line.Text)
		}
		if len(run.Result) > 0 {
			if err := json.Unmarshal(run.Result, &result); err != nil {
				return result, fmt.Errorf("result of run %s: %w", id, err)
			}
		}
		if run.State != tasks.Done {
			return result, errors.New(run.Error)
		}
		return result, nil
	}
}

// waitFor waits until no run of the same type and direction goes on.
func (r *Rounds) waitFor(ctx context.Context, next replication.Params) error {
	runs, _, err := r.node.Tasks.Runs(ctx, store.Query{Filter: map[string]string{"kind": replication.TaskKind, "state": string(tasks.Running)}})
	if err != nil {
		return err
	}
	for _, run := range runs {
		var p replication.Params
		if json.Unmarshal(run.Params, &p) == nil && p.Type == next.Type && p.Up == next.Up {
			if _, err := r.node.Tasks.Wait(ctx, run.ID); err != nil {
				return err
			}
		}
	}
	return ctx.Err()
}

// below asks children. One that is not connected, or fails, holds up no other.
func (r *Rounds) below(ctx context.Context, job *tasks.Job, p Params) (links []Link, err error) {
	children, err := r.children(ctx, p)
	if err != nil {
		return nil, err
	}
	var failed []error
	for i, child := range children {
		job.Progress(tasks.Progress{Done: int64(i), Total: int64(len(children)), Unit: "children", Text: child.Name})
		link, err := r.ask(ctx, child, p)
		if err != nil {
			link.Error = err.Error()
			failed = append(failed, fmt.Errorf("child %s: %w", child.Name, err))
			job.Log("%s: %v", child.Name, err)
		}
		links = append(links, link)
		if ctx.Err() != nil {
			return links, ctx.Err()
		}
	}
	return links, errors.Join(failed...)
}

func (r *Rounds) children(ctx context.Context, p Params) ([]sites.Child, error) {
	if p.Child != "" {
		child, err := r.node.Sites.Child(ctx, p.Child)
		return []sites.Child{child}, err
	}
	var all []sites.Child
	for seen := 0; ; {
		page, total, err := r.node.Sites.Children(ctx, store.Query{Offset: seen})
		if err != nil {
			return nil, err
		}
		for _, child := range page {
			if child.Revoked.IsZero() {
				all = append(all, child)
			}
		}
		if seen += len(page); len(page) == 0 || seen >= total {
			return all, nil
		}
	}
}

// ask has one child replicate, and waits for it.
func (r *Rounds) ask(ctx context.Context, child sites.Child, p Params) (Link, error) {
	link := Link{Site: child.Name, ID: child.ID, Runs: []wire.RunResult{}}
	types := p.Types
	if len(types) == 0 {
		types = []dataset.Type{""} // all that rules send
	}
	for _, t := range types {
		order, err := r.parent.Run(ctx, child, wire.RunOrder{Type: t, Complete: p.Complete, Verify: p.Verify, Repair: p.Repair})
		if err != nil {
			return link, err
		}
		if err := r.parent.Wait(ctx, order); err != nil {
			r.parent.Cancel(order)
			return link, err
		}
		ended, err := r.parent.Order(order.ID)
		if err != nil {
			return link, err
		}
		if ended.Error != "" {
			err = fmt.Errorf("it does not do it: %s", ended.Error)
		}
		for _, ran := range ended.Runs {
			link.add(seenFromAbove(ran.Result), ran.Up)
			if ran.Error != "" {
				err = errors.Join(err, fmt.Errorf("%s: %s", ran.Type, ran.Error))
			}
		}
		if err != nil {
			return link, err
		}
	}
	return link, nil
}

// seenFromAbove turns what a child tells into what it is here: its digest there is this site's own.
func seenFromAbove(r wire.RunResult) wire.RunResult {
	if r.Verified != nil {
		v := *r.Verified
		v.DigestHere, v.DigestThere = v.DigestThere, v.DigestHere
		r.Verified = &v
	}
	return r
}

// sum adds up what was found.
func sum(links []Link, percent int) Result {
	result := Result{Links: links, Equal: len(links) > 0}
	for _, link := range links {
		result.Equal = result.Equal && link.Error == ""
		here, there := sha256.New(), sha256.New()
		whole := percent == 100
		for _, run := range link.Runs {
			result.Documents += run.Documents
			result.Removed += run.Removed
			result.Bytes += run.Bytes
			v := run.Verified
			if result.add(v); v == nil {
				whole = false
				continue
			}
			whole = whole && v.DigestHere != ""
			fmt.Fprintf(here, "%s %s\n", v.Type, v.DigestHere)
			fmt.Fprintf(there, "%s %s\n", v.Type, v.DigestThere)
		}
		for _, run := range link.Up {
			result.add(run.Verified)
		}
		if whole && len(links) == 1 {
			result.DigestHere, result.DigestThere = hex.EncodeToString(here.Sum(nil)), hex.EncodeToString(there.Sum(nil))
		}
	}
	return result
}

// fit shortens a result to about so many bytes of JSON: first the lists of its runs, then that of its links, where those that
// failed are named first.
func (r *Result) fit(most int) {
	runs := 1
	for _, link := range r.Links {
		runs += len(link.Runs) + len(link.Up)
	}
	slices.SortStableFunc(r.Links, func(a, b Link) int { return -cmp.Compare(min(len(a.Error), 1), min(len(b.Error), 1)) })
	for i := range r.Links {
		link := &r.Links[i]
		link.Error = wire.Text(link.Error)
		for _, of := range [][]wire.RunResult{link.Runs, link.Up} {
			for j := range of {
				of[j].Fit(most / 2 / runs)
			}
		}
		raw, err := json.Marshal(link)
		if most -= len(raw); err != nil || most < 0 && i > 0 {
			r.Links, r.MoreLinks = r.Links[:i], len(r.Links)-i
			return
		}
	}
}

func (r *Result) add(v *wire.Verified) {
	if v == nil {
		r.Equal = false
		return
	}
	r.Sequence = max(r.Sequence, v.Sequence.Index)
	r.Buckets += v.Buckets
	r.Compared += v.Compared
	r.Different += v.Different
	r.Repaired += v.Repaired + v.MendedAbove
	r.Quarantined += v.Quarantined
	r.Equal = r.Equal && v.Equal
}
