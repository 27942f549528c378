// Package bulletins is the site's catalog: it keeps what imports bring as signed documents, numbers updates, and holds
// the verbs of bulletins, updates, packages and custom severities. The catalog in memory is in live, downloads in
// staging.
package bulletins

import (
	"context"
	"database/sql"
	"fmt"
	"log/slog"
	"time"

	"thatch/catalog/document"
	"thatch/catalog/importer"
	"thatch/node/bulletins/counting"
	"thatch/node/bulletins/intake"
	"thatch/node/bulletins/live"
	"thatch/node/bulletins/staging"
	"thatch/node/store"
)

// Signer makes documents the site's own: it sets origin and signature (see node/identity).
type Signer interface {
	Sign(doc *document.Document)
	SignAll(docs []*document.Document)
}

// Config is what the room needs.
type Config struct {
	Site   string // id, which is part of the ids of what people make here
	Reader store.Reader
	Writer store.Writer
	Signer Signer
	Now    func() time.Time
	Log    *slog.Logger
	// PolicyCount tells how many policies pin updates of each bulletin; nil: none do.
	PolicyCount Count
	// NeededCount tells how many computers miss an update of each bulletin; nil: nobody counts.
	NeededCount Count
	// Covered makes the statements that are written when a site above turns out to import a source too; nil: none.
	Covered func(source string) []store.Statement
}

// Bulletins is safe for use by several goroutines.
type Bulletins struct {
	cfg     Config
	catalog *live.Catalog
	counter counting.Counter
	state   func(ctx context.Context) (*staging.State, error) // nil: as the database has it
}

// SourceCounts are what the catalog holds of one source.
type SourceCounts = counting.Counts

// CountSource counts what the catalog holds of a source. It does not wait for the catalog in memory.
func (b *Bulletins) CountSource(ctx context.Context, source string) (counts SourceCounts, err error) {
	err = b.cfg.Reader.View(ctx, func(tx *sql.Tx) error {
		counts, err = b.counter.Count(ctx, tx, source)
		return err
	})
	return counts, err
}

// New makes the room.
func New(cfg Config) *Bulletins {
	if cfg.Log == nil {
		cfg.Log = slog.Default()
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	return &Bulletins{cfg: cfg, catalog: live.New(cfg.Reader, cfg.Log)}
}

// Sink keeps what imports bring.
func (b *Bulletins) Sink() importer.Sink {
	return intake.New(intake.Config{
		Site: b.cfg.Site, Reader: b.cfg.Reader, Writer: b.cfg.Writer, Log: b.cfg.Log,
		Sign: b.cfg.Signer.SignAll, Learn: b.counter.Learn,
	})
}

// Catalog is the catalog in memory.
func (b *Bulletins) Catalog() *live.Catalog { return b.catalog }

// Count counts something of some bulletins, by document id; of all where none is named.
type Count func(ctx context.Context, of ...string) (map[string]int, error)

// CountPolicies sets Config.PolicyCount after the room was made: policies are made after bulletins.
func (b *Bulletins) CountPolicies(count Count) {
	b.cfg.PolicyCount = count
}

// CountNeeded sets Config.NeededCount after the room was made: computers come after bulletins.
func (b *Bulletins) CountNeeded(count Count) {
	b.cfg.NeededCount = count
}

// State has the room ask for the state of staging, after it was made: what is on its way is known to the stager alone.
func (b *Bulletins) State(load func(ctx context.Context) (*staging.State, error)) { b.state = load }

// Staging is the state of staging, with what is known of payloads on their way.
func (b *Bulletins) Staging(ctx context.Context) (*staging.State, error) {
	if b.state != nil {
		return b.state(ctx)
	}
	return staging.Load(ctx, b.cfg.Reader)
}

// with reads the catalog together with the state of staging.
func (b *Bulletins) with(ctx context.Context, read func(v *live.View, s *staging.State) error) error {
	state, err := b.Staging(ctx)
	if err != nil {
		return err
	}
	return b.catalog.Read(ctx, func(v *live.View) error { return read(v, state) })
}

// others are numbers of bulletins, by document id, that other rooms count.
type others struct{ policies, needed map[string]int }

// others counts for some bulletins, for all where none is named.
func (b *Bulletins) others(ctx context.Context, of ...string) (o others, err error) {
	if b.cfg.PolicyCount != nil {
		if o.policies, err = b.cfg.PolicyCount(ctx, of...); err != nil {
			return o, fmt.Errorf("count the policies of bulletins: %w", err)
		}
	}
	if b.cfg.NeededCount != nil {
		if o.needed, err = b.cfg.NeededCount(ctx, of...); err != nil {
			return o, fmt.Errorf("count the computers that need bulletins: %w", err)
		}
	}
	return o, nil
}

// row is a bulletin as lists show it.
func (o others) row(v *live.View, s *staging.State, one *live.Bulletin) *Row {
	row := rowOf(v, s, one)
	row.Policies, row.Needed = o.policies[one.ID], o.needed[one.ID]
	return row
}

// find looks for a bulletin by document id or, where one alone bears it, by name.
func find(v *live.View, name string) (*live.Bulletin, error) {
	if found := v.Bulletin(name); found != nil {
		return found, nil
	}
	var found *live.Bulletin
	for _, b := range v.BulletinsNamed(name) {
		if found != nil {
			return nil, store.Invalid("several bulletins are called %q; give the id of one: %s, %s", name, found.ID, b.ID)
		}
		found = b
	}
	if found == nil {
		return nil, store.NotFound("bulletin", name)
	}
	return found, nil
}

// Find returns the document id of the bulletin with an id or a name.
func (b *Bulletins) Find(ctx context.Context, name string) (id string, err error) {
	err = b.catalog.Read(ctx, func(v *live.View) error {
		found, err := find(v, name)
		if err == nil {
			id = found.ID
		}
		return err
	})
	return id, err
}
