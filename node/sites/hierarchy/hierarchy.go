// Package hierarchy reads the tree of sites as people want to see it: who stands where, what each needs, and how the links
// stand.
package hierarchy

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"thatch/catalog/document"
	"thatch/catalog/federation"
	"thatch/node/replicas/dataset"
	"thatch/node/scopes"
	"thatch/node/sites"
	"thatch/node/store"
)

// Hierarchy is the tree as this site knows it: the sites above it and those below.
type Hierarchy struct {
	Self   string        `json:"self"` // id of this site
	Sites  []Member      `json:"sites"`
	Alarms []sites.Alarm `json:"alarms"` // that stand at this site
}

// Member is a site of the tree. Sites come in the order of the tree, each below the one above it.
type Member struct {
	ID        string             `json:"id"`
	Name      string             `json:"name"`
	Parent    string             `json:"parent,omitempty"` // id
	Depth     int                `json:"depth"`            // 0: the highest site that is known
	Relation  string             `json:"relation"`         // self, parent, above, child, below
	Version   string             `json:"version,omitempty"`
	Languages []string           `json:"languages"`       // managed there
	Below     []string           `json:"languages_below"` // managed by its descendants
	Lacking   []string           `json:"languages_lacking,omitempty"`
	Computers map[string]int     `json:"computer_languages,omitempty"`
	Link      *LinkState         `json:"link,omitempty"` // of the parent and of children
	Health    *federation.Health `json:"health,omitempty"`
}

// LinkState is how the link with a neighbour stands.
type LinkState struct {
	Joined  time.Time    `json:"joined"`
	Seen    time.Time    `json:"seen,omitzero"` // last contact
	Revoked time.Time    `json:"revoked,omitzero"`
	Behind  int          `json:"behind"` // changes for the child that it has not taken over yet, at most MaxBehind are counted
	Runs    []RunSummary `json:"runs"`   // the last of each type and direction
}

// RunSummary is the last run of a type over a link.
type RunSummary struct {
	Direction string    `json:"direction"`
	Type      string    `json:"type"`
	Mode      string    `json:"mode"`
	State     string    `json:"state"`
	Ended     time.Time `json:"ended"`
	Documents int       `json:"documents"`
	Bytes     int64     `json:"bytes"`
	Digest    string    `json:"digest,omitempty"` // of the receiver, where the last verification was of everything
	Equal     *bool     `json:"equal,omitempty"`  // null: not verified
	Error     string    `json:"error,omitempty"`
}

// MaxBehind bounds LinkState.Behind.
const MaxBehind = 10_000

// ran is what this room reads of the result of a run.
type ran struct {
	Documents int            `json:"documents"`
	Bytes     int64          `json:"bytes"`
	Sequence  store.Sequence `json:"sequence"`
	Verified  *struct {
		DigestHere string `json:"digest_here"`
		Equal      bool   `json:"equal"`
	} `json:"verified"`
}

// Reading is what a reading takes: the room of sites, and the database of which it is a part.
type reading struct {
	room   *sites.Room
	reader store.Reader
	tree   *sites.Tree
	said   map[string]federation.Alert
	health map[string]federation.Health
}

// Read reads the tree with all that is known of each site. Own are the languages that the site itself manages.
func Read(ctx context.Context, room *sites.Room, reader store.Reader, own []string) (Hierarchy, error) {
	r := reading{room: room, reader: reader}
	var err error
	if r.tree, err = room.Tree(ctx); err != nil {
		return Hierarchy{}, err
	}
	h := Hierarchy{Self: r.tree.Self}
	if r.said, err = room.Alerts(ctx); err != nil {
		return h, err
	}
	r.said[h.Self] = federation.Alert{Languages: own, Computers: r.said[h.Self].Computers}
	if r.health, err = r.readHealth(ctx); err != nil {
		return h, err
	}
	standing, err := room.Standing(ctx)
	if err != nil {
		return h, err
	}
	h.Alarms = append([]sites.Alarm{}, standing...)
	h.Sites = r.members()
	return h, r.linkMembers(ctx, h.Sites)
}

func (r *reading) readHealth(ctx context.Context) (map[string]federation.Health, error) {
	found := map[string]federation.Health{}
	err := r.reader.View(ctx, func(tx *sql.Tx) error {
		all, err := store.Documents(ctx, tx, document.Health, "", store.MaxPage)
		for i := range all {
			if value, err := federation.Decode[federation.Health](all[i].Body); err == nil && all[i].Origin == all[i].ID {
				found[all[i].ID] = value
			}
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("read the sites' health: %w", err)
	}
	return found, nil
}

// members are the sites above and below, in the order of the tree.
func (r *reading) members() []Member {
	t := r.tree
	var list []Member
	above := t.Above(t.Self)
	slices.Reverse(above)
	for depth, id := range above {
		relation := "above"
		if depth == len(above)-1 {
			relation = "parent"
		}
		list = append(list, r.member(id, depth, relation))
	}
	var walk func(id string, depth int, relation string)
	seen := map[string]bool{}
	walk = func(id string, depth int, relation string) {
		if seen[id] {
			return
		}
		seen[id] = true
		list = append(list, r.member(id, depth, relation))
		next := "below"
		if id == t.Self {
			next = "child"
		}
		for _, child := range t.Children(id) {
			walk(child, depth+1, next)
		}
	}
	walk(t.Self, len(above), "self")
	return list
}

func (r *reading) member(id string, depth int, relation string) Member {
	t, said := r.tree, r.said
	m := Member{
		ID: id, Name: t.Name(id), Parent: t.Parent(id), Depth: depth, Relation: relation, Version: t.Sites[id].Version,
		Languages: said[id].Languages, Below: []string{}, Computers: said[id].Computers,
	}
	if m.Languages == nil {
		m.Languages = []string{}
	}
	if relation != "above" && relation != "parent" { // of those above only what they are is known
		for _, site := range t.Served(id) {
			m.Below = append(m.Below, said[site].Languages...)
		}
		slices.Sort(m.Below)
		m.Below = slices.Compact(m.Below)
		m.Lacking = slices.DeleteFunc(slices.Clone(m.Below), func(tag string) bool { return slices.Contains(m.Languages, tag) })
	}
	if h, ok := r.health[id]; ok {
		m.Health = &h
	}
	return m
}

// linkMembers adds how the links with the parent and with children stand.
func (r *reading) linkMembers(ctx context.Context, members []Member) error {
	runs, err := r.room.LastRuns(ctx)
	if err != nil {
		return err
	}
	children, _, err := r.room.Children(ctx, store.Query{})
	if err != nil {
		return fmt.Errorf("read the children: %w", err)
	}
	for i := range members {
		m := &members[i]
		switch m.Relation {
		case "parent":
			p, err := r.room.Parent(ctx)
			if err != nil {
				return err
			}
			m.Name = p.Name
			m.Link = &LinkState{Joined: p.Joined, Seen: r.room.LastContact(p.ID, p.Told)}
			m.Languages = linkLanguages(p.Link)
		case "child":
			at := slices.IndexFunc(children, func(c sites.Child) bool { return c.ID == m.ID })
			if at < 0 {
				continue
			}
			c := &children[at]
			m.Name, m.Link = c.Name, &LinkState{Joined: c.Joined, Seen: c.Seen, Revoked: c.Revoked}
		default:
			continue
		}
		if err := r.summarise(ctx, m, runs); err != nil {
			return err
		}
	}
	return nil
}

// linkLanguages are those that the parent says it manages.
func linkLanguages(link json.RawMessage) []string {
	var said struct {
		Languages []string `json:"languages"`
	}
	if json.Unmarshal(link, &said) != nil || said.Languages == nil {
		return []string{}
	}
	return said.Languages
}

func (r *reading) summarise(ctx context.Context, m *Member, runs []sites.LinkRun) error {
	m.Link.Runs = []RunSummary{}
	for _, run := range runs {
		if run.Neighbour != m.ID {
			continue
		}
		var result ran
		_ = json.Unmarshal(run.Result, &result) // a run that failed early has none
		s := RunSummary{
			Direction: run.Direction, Type: run.Type, Mode: run.Mode, State: run.State, Ended: run.Ended, Documents: result.Documents,
			Bytes: result.Bytes, Error: run.Error,
		}
		if result.Verified != nil {
			s.Digest, s.Equal = result.Verified.DigestHere, &result.Verified.Equal
		}
		m.Link.Runs = append(m.Link.Runs, s)
		if m.Relation == "child" && run.Direction == string(dataset.Down) {
			behind, err := r.behind(ctx, m.ID, dataset.Type(run.Type), result.Sequence)
			if err != nil {
				return err
			}
			m.Link.Behind = min(m.Link.Behind+behind, MaxBehind)
		}
	}
	return nil
}

// behind counts the changes of a type after a place in the journal that are for a child, by its languages and its rules, or
// were before: they take something away.
func (r *reading) behind(ctx context.Context, child string, t dataset.Type, after store.Sequence) (count int, err error) {
	scope, ruled, err := scopes.Down(ctx, r.room, child, t, r.said[child].Languages)
	if err != nil || !ruled {
		return 0, err
	}
	kinds := dataset.Kinds(t, dataset.Down)
	err = r.reader.View(ctx, func(tx *sql.Tx) error {
		count = 0
		changes, err := store.Journal(ctx, tx, after, MaxBehind)
		for _, c := range changes {
			if t == dataset.Languages && !slices.Contains(scope.Origins, dataset.OriginOf(c.ID)) {
				continue // of a site below
			}
			if slices.Contains(kinds, c.Kind) && scope.Concerns(&c) {
				count++
			}
		}
		return err
	})
	return count, err
}
