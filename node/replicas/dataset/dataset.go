// Package dataset reads what of a site's documents is for a neighbour: pages of what changed, complete lists, bodies,
// and digests by which both sides can prove that they hold the same. It judges nothing about who the neighbour is;
// whoever asks says what it may see (Scope).
package dataset

import (
	"cmp"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"

	"thatch/catalog/document"
	"thatch/node/replicas/marks"
	"thatch/node/store"
)

// Why a differential page cannot be given. All but ErrBehind call for a complete run.
var (
	ErrEpoch    = errors.New("the site was restored from a backup since")
	ErrAudience = errors.New("other documents are meant for the neighbour than when the cursor was made")
	ErrOld      = errors.New("the cursor is older than what the journal keeps")
	ErrDiverged = errors.New("the journal is not the one that the cursor was made from: the site went back in time")
	ErrBehind   = errors.New("this node is behind the cursor; ask again, or ask the node that leads")
)

// Key names a document. The order of a complete list is that of kinds (CompareKinds), then ids by bytes.
type Key struct {
	Kind document.Kind `json:"kind"`
	ID   string        `json:"id"`
}

// Compare orders keys.
func (k Key) Compare(other Key) int {
	return cmp.Or(CompareKinds(k.Kind, other.Kind), cmp.Compare(k.ID, other.ID))
}

// Audience is which documents of a type are meant for a neighbour: the union of its rules that are on.
type Audience struct {
	All   bool     `json:"all,omitempty"`   // a rule takes everything of the type
	Rules []string `json:"rules,omitempty"` // ids of the rules that select documents, sorted
	// KeepOthers says that a rule of the type is off, which sends nothing and removes nothing.
	KeepOthers bool `json:"keep_others,omitempty"`
	// Withheld are kinds that the neighbour does not know; sorted.
	Withheld []document.Kind `json:"withheld,omitempty"`
}

// Equal says whether two audiences are the same.
func (a Audience) Equal(b Audience) bool {
	return a.All == b.All && a.KeepOthers == b.KeepOthers && slices.Equal(a.Rules, b.Rules) && slices.Equal(a.Withheld, b.Withheld)
}

// holds says whether a document with an audience of its own (rule ids, sorted, joined by commas) is in this one.
func (a Audience) holds(selected string) bool {
	if a.All {
		return true
	}
	for rest := selected; rest != ""; {
		var rule string
		rule, rest, _ = strings.Cut(rest, ",")
		if slices.Contains(a.Rules, rule) {
			return true
		}
	}
	return false
}

// Scope is what of a site's documents is meant. Sender and receiver describe the same set each from where it stands:
//
//	down, at the parent: the child's languages and audience; Not holds the child; for Languages, Origins are the parent and its ancestors
//	down, at the child:  its own languages, Audience.All; Not holds itself and its descendants
//	up, at the child:    Audience.All; Origins are itself and its descendants
//	up, at the parent:   Audience.All; Origins are the child and its descendants
type Scope struct {
	Type      Type
	Direction Direction
	Languages []string // managed by the receiver, normal; no matter upward
	Audience  Audience
	Origins   []string // ids of the sites whose documents are meant; nil: all
	Not       []string // but not those of these sites
	Except    []Key    // in quarantine at either side: left out of buckets and digests, nowhere else
}

// matters says whether a document that has languages and an audience is in scope. Who made it is asked apart.
func (s *Scope) matters(languages []string, audience string) bool {
	return s.speaks(languages) && s.Audience.holds(audience)
}

// Concerns says whether a change is one of a document that is in scope, as far as languages and audience go, or was before.
func (s *Scope) Concerns(c *store.Change) bool {
	return !c.Removed && s.matters(c.Languages, c.Audience) || !c.Created && s.matters(c.FormerLanguages, c.FormerAudience)
}

func (s *Scope) speaks(languages []string) bool {
	if len(languages) == 0 || s.Direction == Up {
		return true
	}
	for _, tag := range languages {
		if slices.Contains(s.Languages, tag) {
			return true
		}
	}
	return false
}

// Has says whether a document is in scope.
func (s *Scope) Has(head *document.Head, audience string) bool {
	return s.matters(head.Languages, audience) && s.by(head.Origin)
}

// by says whether documents of a site are in scope.
func (s *Scope) by(origin string) bool {
	return (s.Origins == nil || slices.Contains(s.Origins, origin)) && !slices.Contains(s.Not, origin)
}

// OriginOf is the site that a document is of by its id alone, for the kinds that travel upward: their ids are or begin
// with that of the site that made them.
func OriginOf(id string) string {
	site, _, _ := strings.Cut(id, ":")
	return site
}

// Mark is a running digest of the journal up to a place in it.
type Mark = marks.Mark

// Cursor says how far the receiver holds what a scope means. The zero Cursor says: not at all.
type Cursor struct {
	Epoch    string                    `json:"epoch,omitempty"` // of the sender
	At       map[string]store.Sequence `json:"at,omitempty"`    // by language, "" for neutral: everything up to here
	Mark     Mark                      `json:"mark,omitzero"`   // of the greatest place in At
	Audience Audience                  `json:"audience,omitzero"`
}

// Zero says that the cursor was never set: only a complete run can follow.
func (c Cursor) Zero() bool { return c.Epoch == "" }

// Languages are those of the cursor, sorted.
func (c Cursor) Languages() []string {
	list := make([]string, 0, len(c.At))
	for tag := range c.At {
		if tag != "" {
			list = append(list, tag)
		}
	}
	slices.Sort(list)
	return list
}

// Holds says whether the cursor has come up to a place in every language and in what is neutral.
func (c Cursor) Holds(at store.Sequence) bool {
	for _, own := range c.At {
		if own.Compare(at) < 0 {
			return false
		}
	}
	return !c.Zero()
}

// Without is the cursor after some languages are managed no more.
func (c Cursor) Without(languages []string) Cursor {
	at := make(map[string]store.Sequence, len(c.At))
	for tag, own := range c.At {
		if tag == "" || !slices.Contains(languages, tag) {
			at[tag] = own
		}
	}
	c.At = at
	return c
}

// greatest is the farthest place among some languages, of those that the receiver manages; the place of what is neutral
// where there are none.
func (c Cursor) greatest(languages, managed []string) store.Sequence {
	if len(languages) == 0 {
		return c.At[""]
	}
	var most store.Sequence
	for _, tag := range languages {
		if own := c.At[tag]; own.Compare(most) > 0 && slices.Contains(managed, tag) {
			most = own
		}
	}
	return most
}

// Entry is one document of a page or list.
type Entry struct {
	document.Head
	Removed bool   // only kind and id are known
	Held    bool   // pinned by a policy in scope; in the lists of buckets alone
	Size    int    // bytes of the body
	Body    []byte // nil: not asked for, or not had; an empty body is not nil
	Changed store.Sequence
}

// Key names the entry's document.
func (e *Entry) Key() Key { return Key{e.Kind, e.ID} }

// Damaged says that the side that lists the document holds it in name alone: what it is it cannot say any more.
func (e *Entry) Damaged() bool { return !e.Removed && e.Origin == "" }

// Document is the entry's, where it has a body.
func (e *Entry) Document() document.Document { return document.Document{Head: e.Head, Body: e.Body} }

// Limits bound a page; 0: as DefaultLimits. A page always has one entry where there is one.
type Limits struct {
	Documents int
	Bytes     int // of bodies
	Entries   int // of the journal, looked at
}

// DefaultLimits are those of a page that nobody limits.
var DefaultLimits = Limits{Documents: 500, Bytes: 4 << 20, Entries: 20_000}

func (l Limits) complete() Limits {
	return Limits{
		Documents: cmp.Or(max(l.Documents, 0), DefaultLimits.Documents),
		Bytes:     cmp.Or(max(l.Bytes, 0), DefaultLimits.Bytes),
		Entries:   cmp.Or(max(l.Entries, 0), DefaultLimits.Entries),
	}
}

// Page is a part of what a scope means, without bodies.
type Page struct {
	Type     Type
	Entries  []Entry        // no two of one document
	From     Cursor         // differential: that it continues. Complete: as stated by the first page
	Cursor   Cursor         // of whoever has taken it. Complete: only after the last page
	Complete bool           // entries are all there is in (After, Next]
	After    Key            // complete: exclusive
	Next     Key            // complete: inclusive; where there is no more, beyond every document
	More     bool           // there are more pages
	Tail     store.Sequence // of the sender's journal
	Settings Stand          // of policies: how far settings stood, zero where the sender sends none
}

// Stand is a place in the journal of a site, in one of its epochs.
type Stand struct {
	Epoch string         `json:"epoch,omitempty"`
	At    store.Sequence `json:"at,omitzero"`
}

// last is beyond every key.
var last = Key{Kind: "\xff"}

// In says whether a key is among those of which a complete page says all.
func (p *Page) In(k Key) bool { return k.Compare(p.After) > 0 && k.Compare(p.Next) <= 0 }

// Refusal is a document that the site holds and cannot send.
type Refusal struct {
	Key
	Digest document.Digest `json:"digest"`
	Err    error           `json:"-"`
}

func (r Refusal) Error() string { return fmt.Sprintf("%s %q: %v", r.Kind, r.ID, r.Err) }
func (r Refusal) Unwrap() error { return r.Err }

func notFound(err error) bool {
	return errors.Is(err, store.ErrNotFound) || errors.Is(err, sql.ErrNoRows)
}
