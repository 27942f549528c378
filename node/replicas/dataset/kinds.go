package dataset

import (
	"cmp"
	"context"
	"database/sql"
	"fmt"
	"slices"

	"thatch/catalog/document"
)

// Type is what a replication rule is about: kinds of documents that are sent together, with one cursor for each child.
type Type string

// The types.
const (
	Languages Type = "languages" // who the sites are, and the languages they need
	Data      Type = "data"      // the catalog
	Policies  Type = "policies"  // what is ordered
	Settings  Type = "settings"  // custom severities, their assignments, maintenance windows
	Health    Type = "health"    // how the sites below fare
)

// Direction is the way documents go between a parent and a child.
type Direction string

// The directions.
const (
	Down Direction = "down"
	Up   Direction = "up"
)

// course says by which type a kind travels each way; empty: it does not.
type course struct{ down, up Type }

// courses are the kinds that this version knows: a new kind is one line.
var courses = map[document.Kind]course{
	document.Site:          {Languages, Languages},
	document.SigningKey:    {Languages, Languages},
	document.LanguageAlert: {"", Languages},
	document.Bulletin:      {Data, ""},
	document.Update:        {Data, ""},
	document.Package:       {Data, ""},
	document.Payload:       {Data, ""},
	document.Policy:        {Policies, ""},
	document.PolicyState:   {Policies, ""},
	document.Severity:      {Settings, ""},
	document.Assignment:    {Settings, ""},
	document.Window:        {Settings, ""},
	document.Health:        {"", Health},
	document.RollUp:        {"", Health},
	document.Computer:      {"", Health},
	document.Machines:      {"", Health},
	document.Moved:         {Languages, ""},
}

// Types are those that travel in a direction, in the order in which they are best run: keys before what they sign, data
// before the policies that pin it.
func Types(d Direction) []Type {
	if d == Up {
		return []Type{Languages, Health}
	}
	return []Type{Languages, Data, Settings, Policies}
}

// TypeOf is the type by which a kind travels in a direction. Known is false for kinds of which this version knows
// nothing; a known kind that does not travel that way has the empty type.
func TypeOf(kind document.Kind, d Direction) (t Type, known bool) {
	c, known := courses[kind]
	if d == Up {
		return c.up, known
	}
	return c.down, known
}

// Kinds are the known kinds of a type in a direction, in the order of CompareKinds.
func Kinds(t Type, d Direction) []document.Kind {
	var kinds []document.Kind
	for kind := range courses {
		if of, _ := TypeOf(kind, d); of == t && t != "" {
			kinds = append(kinds, kind)
		}
	}
	slices.SortFunc(kinds, CompareKinds)
	return kinds
}

// CompareKinds orders kinds: signing keys come before the sites that they vouch for, these before what they tell, and all
// else in the order of bytes.
func CompareKinds(a, b document.Kind) int {
	return cmp.Or(cmp.Compare(rank(a), rank(b)), cmp.Compare(a, b))
}

func rank(kind document.Kind) int {
	switch kind {
	case document.SigningKey:
		return 0
	case document.Site:
		return 1
	}
	return 2
}

// Yields says whether a document that this site made gives way to one of its kind and id from above: those of the
// catalog, which imports and staging make, and assignments of custom severities, whose id is their bulletin's.
func Yields(kind document.Kind) bool {
	down, _ := TypeOf(kind, Down)
	return down == Data || kind == document.Assignment
}

// kinds are AllKinds of the scope without those that its neighbour does not know.
func (s *Scope) kinds(ctx context.Context, tx *sql.Tx) ([]document.Kind, error) {
	kinds, err := AllKinds(ctx, tx, s.Type, s.Direction)
	return slices.DeleteFunc(kinds, func(k document.Kind) bool { return slices.Contains(s.Audience.Withheld, k) }), err
}

// AllKinds are Kinds, and downward those that this version does not know and that came by the type.
func AllKinds(ctx context.Context, tx *sql.Tx, t Type, d Direction) ([]document.Kind, error) {
	kinds := Kinds(t, d)
	if d == Up {
		return kinds, nil
	}
	rows, err := tx.QueryContext(ctx, `SELECT kind FROM learned_kind WHERE type = ?`, string(t))
	if err != nil {
		return nil, fmt.Errorf("kinds that came by %s: %w", t, err)
	}
	defer rows.Close()
	for rows.Next() {
		var kind document.Kind
		if err := rows.Scan(&kind); err != nil {
			return nil, fmt.Errorf("kinds that came by %s: %w", t, err)
		}
		if _, known := courses[kind]; !known { // it may have been unknown to an earlier version
			kinds = append(kinds, kind)
		}
	}
	slices.SortFunc(kinds, CompareKinds)
	return kinds, rows.Err()
}
