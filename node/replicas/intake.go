package replicas

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"strings"

	"thatch/catalog/document"
	"thatch/catalog/federation"
	"thatch/node/replicas/dataset"
)

// intake is what is known of a page's documents before they are judged.
type intake struct {
	site       string
	from       Neighbour
	t          dataset.Type
	current    map[dataset.Key]current
	held       map[document.Digest]bool   // revisions that are here, current or pinned
	heldAs     map[document.Digest]string // their kinds, ids and languages
	asideCount int                        // documents of the sender in quarantine
	aside      map[dataset.Key]Quarantined
	keys       document.Keyring
	below      map[string]bool // see Neighbour.Below; upward with the sender
	known      map[string]bool // sites that this site knows of, among those who made the entries
	learned    map[document.Kind]dataset.Type
	managed    []string // languages
}

// current is the head of the present document. A document whose revision was lost from the file has a digest alone.
type current struct {
	digest    document.Digest
	origin    string
	signature string
}

// is says whether an entry changes nothing.
func (c current) is(e *dataset.Entry) bool {
	return c.digest == e.Digest && c.origin == e.Origin && c.signature == string(e.Signature)
}

// lookUp reads what is held of the documents of some entries.
func (r *Room) lookUp(ctx context.Context, tx *sql.Tx, from Neighbour, t dataset.Type, entries []dataset.Entry) (*intake, error) {
	in := &intake{
		site: r.cfg.Site, from: from, t: t, current: map[dataset.Key]current{}, held: map[document.Digest]bool{}, heldAs: map[document.Digest]string{},
		aside: map[dataset.Key]Quarantined{}, keys: document.Keyring{}, below: map[string]bool{},
		known: map[string]bool{}, learned: map[document.Kind]dataset.Type{},
	}
	for _, site := range from.Below {
		in.below[site] = true
	}
	in.below[from.ID] = from.Direction == dataset.Up
	byKind := map[document.Kind][]string{}
	var digests []any
	origins := map[string]bool{}
	for i := range entries {
		e := &entries[i]
		byKind[e.Kind] = append(byKind[e.Kind], e.ID)
		if !e.Removed {
			digests = append(digests, e.Digest[:])
			origins[e.Origin] = true
		}
	}
	for kind, ids := range byKind {
		if err := in.lookKind(ctx, tx, kind, ids); err != nil {
			return nil, fmt.Errorf("look up what is held of kind %s: %w", kind, err)
		}
	}
	err := tx.QueryRowContext(ctx, `SELECT count(*) FROM quarantine WHERE neighbour = ?`, from.ID).Scan(&in.asideCount)
	if err != nil {
		return nil, fmt.Errorf("count what is in quarantine: %w", err)
	}
	if err := in.lookHeld(ctx, tx, digests); err != nil {
		return nil, fmt.Errorf("look up what is held: %w", err)
	}
	if err := in.lookKeys(ctx, tx, origins); err != nil {
		return nil, fmt.Errorf("look up signing keys: %w", err)
	}
	return in, nil
}

// lookKind reads the present documents of a kind, and what of them is in quarantine.
func (in *intake) lookKind(ctx context.Context, tx *sql.Tx, kind document.Kind, ids []string) error {
	for some := range slices.Chunk(ids, 400) {
		args := []any{string(kind)}
		for _, id := range some {
			args = append(args, id)
		}
		list := `(?` + strings.Repeat(", ?", len(some)-1) + `)`
		err := each(ctx, tx, `SELECT d.id, d.digest, coalesce(r.origin, ''), coalesce(r.signature, '') FROM document d
LEFT JOIN revision r ON r.digest = d.digest AND r.kind = d.kind AND r.id = d.id WHERE d.kind = ? AND d.id IN `+list, args, func(rows *sql.Rows) error {
			var id string
			var c current
			var digest []byte
			err := rows.Scan(&id, &digest, &c.origin, &c.signature)
			copy(c.digest[:], digest)
			in.current[dataset.Key{Kind: kind, ID: id}] = c
			return err
		})
		if err != nil {
			return err
		}
		args = append([]any{in.from.ID, string(in.from.Direction)}, args...)
		err = each(ctx, tx, `SELECT `+quarantineColumns+` FROM quarantine WHERE neighbour = ? AND direction = ? AND kind = ? AND id IN `+list,
			args, func(rows *sql.Rows) error {
				q, err := scanQuarantined(rows)
				in.aside[q.Key] = q
				return err
			})
		if err != nil {
			return err
		}
	}
	var t string
	err := tx.QueryRowContext(ctx, `SELECT type FROM learned_kind WHERE kind = ?`, string(kind)).Scan(&t)
	if err == nil {
		in.learned[kind] = dataset.Type(t)
	}
	return ignoreNone(err)
}

// lookHeld finds which revisions are here.
func (in *intake) lookHeld(ctx context.Context, tx *sql.Tx, digests []any) error {
	for some := range slices.Chunk(digests, 400) {
		err := each(ctx, tx, `SELECT digest, kind, id, languages FROM revision WHERE digest IN (?`+strings.Repeat(", ?", len(some)-1)+`)`, some,
			func(rows *sql.Rows) error {
				var raw []byte
				var kind, id, languages string
				err := rows.Scan(&raw, &kind, &id, &languages)
				var digest document.Digest
				copy(digest[:], raw)
				in.held[digest] = true
				in.heldAs[digest] = headOf(kind, id, languages)
				return err
			})
		if err != nil {
			return err
		}
	}
	return nil
}

// headOf is what of a head a digest is over, as one text.
func headOf(kind, id, languages string) string { return kind + "\x00" + id + "\x00" + languages }

// lookKeys reads the signing keys of those who signed. The key of a site that went is remembered: another one in its name
// must be vouched for by it.
func (in *intake) lookKeys(ctx context.Context, tx *sql.Tx, origins map[string]bool) error {
	for origin := range origins {
		key, err := keyOf(ctx, tx, origin)
		if err != nil {
			return err
		}
		if key == nil {
			if key, err = rememberedKey(ctx, tx, origin); err != nil {
				return err
			}
		}
		if key != nil {
			in.keys[origin] = key
		}
		var one int
		err = tx.QueryRowContext(ctx, `SELECT 1 FROM document WHERE kind = 'site' AND id = ?`, origin).Scan(&one)
		if ignoreNone(err) != nil {
			return err
		}
		in.known[origin] = err == nil
	}
	return nil
}

// learn takes the signing keys among the entries, and upward the sites below the sender that they tell of, so that what
// they sign in the same page can be judged. What it cannot take is found out again, and set aside, where it is judged.
func (in *intake) learn(entries []dataset.Entry) {
	for i := range entries {
		e := &entries[i]
		if e.Kind == document.SigningKey && e.Body != nil && e.Origin != in.site {
			_, _ = in.keys.Learn(e.Document()) //nolint:errcheck // judged later, with the same outcome
		}
	}
	if in.from.Direction != dataset.Up {
		return
	}
	for again := true; again; {
		again = false
		for i := range entries {
			e := &entries[i]
			if e.Kind != document.Site || e.Body == nil || in.below[e.ID] || e.ID == in.site || e.ID != e.Origin {
				continue
			}
			doc := e.Document()
			site, err := federation.Decode[federation.Site](e.Body)
			if err == nil && in.below[site.Parent] && in.keys.Verify(&doc) == nil {
				in.below[e.ID], again = true, true
			}
		}
	}
}

// permit says why the sender must not send an entry at all: only upward, where every document must be of a kind that
// travels there, of the sender or of a site below it.
func (in *intake) permit(e *dataset.Entry) error {
	if in.from.Direction != dataset.Up {
		return nil
	}
	t, known := dataset.TypeOf(e.Kind, dataset.Up)
	switch {
	case !known || t != in.t:
		return fmt.Errorf("%w: documents of kind %.60q do not travel upward by %s", ErrRefused, e.Kind, in.t)
	case e.Removed, e.Damaged():
		return nil // judged by who made what is here; what the sender holds in name alone claims nothing
	case e.Kind == document.SigningKey && e.ID == e.Origin && e.Origin != in.site:
		return nil // it may come before the site that it is of: judged with it
	case !in.below[e.Origin] && (in.known[e.Origin] || e.Origin == in.site):
		return fmt.Errorf("%w: %s %.80q is of site %.80q, which is not below site %s", ErrRefused, e.Kind, e.ID, e.Origin, in.from.ID)
	case dataset.OriginOf(e.ID) != e.Origin:
		return fmt.Errorf("%w: %s %.80q bears the name of another site than %s, which made it", ErrRefused, e.Kind, e.ID, e.Origin)
	}
	return nil
}
