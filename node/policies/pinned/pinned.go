// Package pinned holds what a policy pins as it was when it was pinned: the revisions of updates, and the packages that
// install them. The catalog may hold others since, or none.
package pinned

import (
	"cmp"
	"context"
	"database/sql"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"

	"thatch/catalog"
	"thatch/catalog/document"
	"thatch/catalog/policy"
	"thatch/node/bulletins/live"
	"thatch/node/computers"
	"thatch/node/store"
)

// Pins is what one revision of a policy pins. It is never changed.
type Pins struct {
	updates  map[document.Digest]*live.Update
	packages map[document.Digest]*Package
	awaits   map[string]bool // ids of updates of which something is missing
	// Missing are the documents that are pinned, matter to the site and have not arrived.
	Missing []Missing
}

// Missing is a document that a policy from above pins and that has not arrived.
type Missing struct {
	Kind   document.Kind   `json:"kind"`
	ID     string          `json:"id"`
	Digest document.Digest `json:"digest"`
	Update string          `json:"update"` // id of the update that waits for it
}

// Package is what must be known of a pinned package to choose it for a computer.
type Package struct {
	Languages []string
	Files     []string             // SHA-256 of its payload files, hexadecimal, lower case
	Staged    []catalog.StagedFile // the same, as staging found them
}

// Read reads what a policy pins, all of which is here.
func Read(ctx context.Context, tx *sql.Tx, p *policy.Policy) (*Pins, error) {
	pins, err := read(ctx, tx, p, func(policy.Pin) bool { return true })
	if err == nil && len(pins.Missing) > 0 {
		m := pins.Missing[0]
		err = fmt.Errorf("policy %s pins %w", p.Name, store.NotFound(string(m.Kind)+" with digest "+m.Digest.String(), m.ID))
	}
	return pins, err
}

// Arrived reads what a policy from above pins, as far as it has arrived and matters to a site with these languages.
func Arrived(ctx context.Context, tx *sql.Tx, p *policy.Policy, managed []string) (*Pins, error) {
	return read(ctx, tx, p, func(pin policy.Pin) bool {
		head := document.Head{Languages: pin.Languages}
		return head.Matters(managed)
	})
}

func read(ctx context.Context, tx *sql.Tx, p *policy.Policy, matters func(policy.Pin) bool) (*Pins, error) {
	pins := &Pins{
		updates: make(map[document.Digest]*live.Update), packages: make(map[document.Digest]*Package), awaits: make(map[string]bool),
	}
	for i := range p.Updates {
		update := &p.Updates[i]
		found, err := readUpdate(ctx, tx, update)
		switch {
		case errors.Is(err, store.ErrNotFound):
			pins.miss(document.Update, update.Update, update.Digest, update)
		case err != nil:
			return nil, fmt.Errorf("policy %s pins update %s: %w", p.Name, update.Update, err)
		default:
			pins.updates[update.Digest] = found
		}
		for _, pin := range update.Packages {
			if !matters(pin) {
				continue
			}
			if err := pins.readPackage(ctx, tx, update, pin); err != nil {
				return nil, fmt.Errorf("policy %s pins package %s: %w", p.Name, pin.ID, err)
			}
		}
	}
	return pins, nil
}

func (p *Pins) miss(kind document.Kind, id string, digest document.Digest, of *policy.Update) {
	p.Missing = append(p.Missing, Missing{Kind: kind, ID: id, Digest: digest, Update: of.Update})
	p.awaits[of.Update] = true
}

func readUpdate(ctx context.Context, tx *sql.Tx, pin *policy.Update) (*live.Update, error) {
	doc, err := store.Revision(ctx, tx, pin.Digest)
	if err != nil {
		return nil, err
	}
	var number uint32
	err = tx.QueryRowContext(ctx, `SELECT number FROM software_update WHERE id = ?`, pin.Update).Scan(&number)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return nil, fmt.Errorf("its number: %w", err)
	}
	return live.Revision(&doc, number)
}

func (p *Pins) readPackage(ctx context.Context, tx *sql.Tx, of *policy.Update, pin policy.Pin) error {
	pack, err := store.Revision(ctx, tx, pin.Digest)
	lacks := errors.Is(err, store.ErrNotFound)
	if lacks {
		p.miss(document.Package, pin.ID, pin.Digest, of)
	} else if err != nil {
		return err
	}
	payload, err := store.Revision(ctx, tx, pin.PayloadDigest)
	if errors.Is(err, store.ErrNotFound) {
		p.miss(document.Payload, pin.ID, pin.PayloadDigest, of)
		return nil
	}
	if err != nil {
		return fmt.Errorf("its payload: %w", err)
	}
	body, err := catalog.Decode[catalog.Payload](payload.Body)
	if err != nil {
		return fmt.Errorf("its payload: %w", err)
	}
	if lacks {
		return nil
	}
	found := &Package{Languages: pack.Languages, Staged: body.Files}
	for _, f := range body.Files {
		found.Files = append(found.Files, strings.ToLower(f.SHA256))
	}
	p.packages[pin.Digest] = found
	return nil
}

// Here says whether everything is here that is pinned of an update and matters to the site.
func (p *Pins) Here(pin *policy.Update) bool { return !p.awaits[pin.Update] }

// Bulletins are those of the updates that are here, sorted.
func (p *Pins) Bulletins() []string {
	found := make([]string, 0, len(p.updates))
	for _, u := range p.updates {
		found = append(found, u.Bulletin)
	}
	slices.Sort(found)
	return slices.Compact(found)
}

// Lacks are the managed languages in which the catalog has a package for an update of which none is pinned: whoever
// revises the policy pins them.
func (p *Pins) Lacks(pin *policy.Update, v *live.View, managed []string) (lacks []string) {
	if u := v.UpdateByID(pin.Update); u == nil || u.Withdrawn {
		return nil
	}
	pinned := func(tag string) bool {
		return slices.ContainsFunc(pin.Packages, func(k policy.Pin) bool {
			pack := p.Package(k)
			return slices.Contains(k.Languages, tag) || pack != nil && slices.Contains(pack.Languages, tag)
		})
	}
	for _, tag := range managed {
		has := func(k *live.Package) bool { return slices.Contains(k.Languages, tag) }
		if slices.ContainsFunc(v.PackagesOf(pin.Update), has) && !pinned(tag) {
			lacks = append(lacks, tag)
		}
	}
	return lacks
}

// Update is the revision of an update that is pinned, nil where it has not arrived.
func (p *Pins) Update(pin *policy.Update) *live.Update { return p.updates[pin.Digest] }

// Revision is the pinned revision of an update that has a digest, nil when that is not pinned.
func (p *Pins) Revision(digest document.Digest) *live.Update { return p.updates[digest] }

// Package is the pinned revision of a package, nil where it has not arrived or does not matter to the site.
func (p *Pins) Package(pin policy.Pin) *Package { return p.packages[pin.Digest] }

// Standing is how the catalog stands to what is pinned of an update.
type Standing string

// The standings.
const (
	Current   Standing = "current"   // the catalog holds what is pinned
	Newer     Standing = "newer"     // it holds another revision of the update, of a package or of its payload
	Withdrawn Standing = "withdrawn" // its vendor withdrew the update
	Gone      Standing = "gone"      // it left the catalog
)

// Standing tells how the catalog stands to a pin.
func (p *Pins) Standing(pin *policy.Update, v *live.View) Standing {
	u := v.UpdateByID(pin.Update)
	switch {
	case u == nil:
		return Gone
	case u.Withdrawn:
		return Withdrawn
	case u.Digest != pin.Digest:
		return Newer
	}
	for _, k := range pin.Packages {
		if p.Package(k) == nil {
			continue // in a language that this site does not manage
		}
		now := v.Package(k.ID)
		if now == nil || now.Digest != k.Digest {
			return Newer
		}
		if payload := v.PayloadOf(now); payload != nil && payload.Digest != k.PayloadDigest {
			return Newer
		}
	}
	return Current
}

// Alone says whether agents judge a pinned update that is here by its own rules alone, because the catalog's are others, or none:
// then the three sets say nothing of it, and what agents say of the order is all that is known.
func (p *Pins) Alone(pin *policy.Update, v *live.View) bool {
	now := v.UpdateByID(pin.Update)
	return now == nil || now.Withdrawn || !now.Evaluable || now.Digest != pin.Digest && now.Rules != p.Update(pin).Rules
}

// Speaking returns the packages in the first of a computer's languages that has any, the nearest region alone, and the
// neutral ones.
func (p *Pins) Speaking(pins []policy.Pin, languages []string) []policy.Pin {
	var best []policy.Pin
	for _, running := range languages {
		nearest := 0
		for _, pin := range pins {
			pack := p.Package(pin)
			if pack == nil {
				continue
			}
			fit := fits(running, pack.Languages)
			if fit > nearest {
				best, nearest = nil, fit
			}
			if fit > 0 && fit == nearest {
				best = append(best, pin)
			}
		}
		if len(best) > 0 {
			break
		}
	}
	for _, pin := range pins {
		if pack := p.Package(pin); pack != nil && len(pack.Languages) == 0 {
			best = append(best, pin)
		}
	}
	return best
}

// fits is the length of the longest of the wanted tags that a running language serves, 0 for none.
func fits(running string, wanted []string) int {
	longest := 0
	for _, w := range wanted {
		if policy.Speaks(running, w) {
			longest = max(longest, len(w))
		}
	}
	return longest
}

// For is how an update that is judged by its pinned rules stands on a computer: whether it is ordered there, and
// whether it is to be installed. Until its agent said what they say, it may be.
func For(u *live.Update, c *computers.Column, m *computers.Member) (ordered, missing bool) {
	if !u.Evaluable || u.Number == 0 || u.Platform() != cmp.Or(m.Facts.System.Platform, m.Platform) {
		return false, false
	}
	if c == nil || c.Said == nil {
		return true, true
	}
	said := c.Said
	return true, !said.Installed.Contains(m.Number) && !said.Unknown.Contains(m.Number) && !said.Absent.Contains(m.Number)
}

// Held says which payload files, by SHA-256 in hexadecimal, a node of the site holds.
func Held(ctx context.Context, reader store.Reader, files []string) (map[string]bool, error) {
	held := make(map[string]bool, len(files))
	files = slices.Compact(slices.Sorted(slices.Values(files)))
	err := reader.View(ctx, func(tx *sql.Tx) error {
		for some := range slices.Chunk(files, 400) {
			if err := markHeld(ctx, tx, some, held); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read which payloads are held: %w", err)
	}
	return held, nil
}

func markHeld(ctx context.Context, tx *sql.Tx, files []string, held map[string]bool) error {
	args := make([]any, 0, len(files))
	for _, file := range files {
		sum, err := hex.DecodeString(file)
		if err != nil {
			return fmt.Errorf("digest of a payload file: %w", err)
		}
		args = append(args, sum)
	}
	rows, err := tx.QueryContext(ctx, `SELECT DISTINCT sha256 FROM holding WHERE sha256 IN (?`+strings.Repeat(",?", len(args)-1)+`)`, args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var sum []byte
		if err := rows.Scan(&sum); err != nil {
			return err
		}
		held[hex.EncodeToString(sum)] = true
	}
	return rows.Err()
}

// Computer is what targets ask of a computer.
func Computer(m *computers.Member, needs bool) policy.Computer {
	system := m.Facts.System
	if len(system.Languages) == 0 {
		system.Languages = m.Languages
	}
	if system.Platform == "" {
		system.Platform = m.Platform
	}
	return policy.Computer{Name: m.Name, System: system, Needs: needs}
}
