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
}

// Package is what must be known of a pinned package to choose it for a computer.
type Package struct {
	Languages []string
	Files     []string // SHA-256 of its payload files, hexadecimal, lower case
}

// Read reads what a policy pins.
func Read(ctx context.Context, tx *sql.Tx, p *policy.Policy) (*Pins, error) {
	pins := &Pins{updates: make(map[document.Digest]*live.Update), packages: make(map[document.Digest]*Package)}
	for i := range p.Updates {
		update := &p.Updates[i]
		found, err := readUpdate(ctx, tx, update)
		if err != nil {
			return nil, fmt.Errorf("policy %s pins update %s: %w", p.Name, update.Update, err)
		}
		pins.updates[update.Digest] = found
		for _, pin := range update.Packages {
			pack, err := readPackage(ctx, tx, pin)
			if err != nil {
				return nil, fmt.Errorf("policy %s pins package %s: %w", p.Name, pin.ID, err)
			}
			pins.packages[pin.Digest] = pack
		}
	}
	return pins, nil
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

func readPackage(ctx context.Context, tx *sql.Tx, pin policy.Pin) (*Package, error) {
	pack, err := store.Revision(ctx, tx, pin.Digest)
	if err != nil {
		return nil, err
	}
	payload, err := store.Revision(ctx, tx, pin.PayloadDigest)
	if err != nil {
		return nil, fmt.Errorf("its payload: %w", err)
	}
	body, err := catalog.Decode[catalog.Payload](payload.Body)
	if err != nil {
		return nil, fmt.Errorf("its payload: %w", err)
	}
	found := &Package{Languages: pack.Languages}
	for _, f := range body.Files {
		found.Files = append(found.Files, strings.ToLower(f.SHA256))
	}
	return found, nil
}

// Update is the revision of an update that is pinned.
func (p *Pins) Update(pin *policy.Update) *live.Update { return p.updates[pin.Digest] }

// Revision is the pinned revision of an update that has a digest, nil when that is not pinned.
func (p *Pins) Revision(digest document.Digest) *live.Update { return p.updates[digest] }

// Package is the pinned revision of a package.
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

// Alone says whether agents judge a pinned update by its own rules alone, because the catalog's are others, or none:
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
			fit := fits(running, p.Package(pin).Languages)
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
		if len(p.Package(pin).Languages) == 0 {
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
