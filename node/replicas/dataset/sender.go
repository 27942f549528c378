package dataset

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"time"

	"thatch/catalog/document"
	"thatch/node/replicas/marks"
	"thatch/node/store"
)

// Config is what a Sender needs.
type Config struct {
	Reader store.Reader
	Writer store.Writer // of marks of the journal
	Now    func() time.Time
	// Barrier returns when everything committed so far is applied here, and fails where this node does not lead. Nil: what
	// is here is all there is.
	Barrier func(ctx context.Context) error
}

// Sender reads what is for a neighbour. It is safe for use by several goroutines, and keeps nothing between calls.
type Sender struct{ cfg Config }

// NewSender makes one.
func NewSender(cfg Config) *Sender {
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	return &Sender{cfg}
}

func (s *Sender) keeper() marks.Keeper {
	return marks.Keeper{Reader: s.cfg.Reader, Writer: s.cfg.Writer, Now: s.cfg.Now}
}

// state is where the site stands.
type state struct {
	epoch string
	tail  store.Sequence
}

func readState(ctx context.Context, tx *sql.Tx) (state, error) {
	var st state
	if err := tx.QueryRowContext(ctx, `SELECT epoch FROM site`).Scan(&st.epoch); err != nil {
		return st, fmt.Errorf("read the site's epoch: %w", err)
	}
	var err error
	st.tail, err = Tail(ctx, tx)
	return st, err
}

// judge says whether a cursor fits this journal.
func (st state) judge(ctx context.Context, tx *sql.Tx, from Cursor) error {
	switch {
	case from.Epoch != st.epoch:
		return ErrEpoch
	case from.Mark.Compare(st.tail) > 0:
		return ErrDiverged
	}
	for _, at := range from.At {
		if at.Compare(from.Mark.Sequence) > 0 {
			return fmt.Errorf("%w: it names a place beyond its mark", ErrDiverged)
		}
	}
	start, err := marks.Start(ctx, tx)
	switch {
	case err != nil:
		return err
	case from.Mark.Compare(start) < 0:
		return ErrOld
	case from.Mark.Sequence == (store.Sequence{}):
		return nil // the beginning of every journal
	}
	digest, err := marks.At(ctx, tx, from.Mark.Sequence)
	if err == nil && digest != from.Mark.Digest {
		err = ErrDiverged
	}
	return err
}

// Tail is the place of the journal's last entry.
func Tail(ctx context.Context, tx *sql.Tx) (at store.Sequence, err error) {
	err = tx.QueryRowContext(ctx, `SELECT idx, pos FROM journal ORDER BY idx DESC, pos DESC LIMIT 1`).Scan(&at.Index, &at.Position)
	if errors.Is(err, sql.ErrNoRows) {
		return at, nil
	}
	if err != nil {
		return at, fmt.Errorf("read the journal's tail: %w", err)
	}
	return at, nil
}

// Page returns what changed since a cursor, in the order of changes. An error that wraps ErrEpoch, ErrAudience, ErrOld
// or ErrDiverged calls for a complete run, ErrBehind for another try.
func (s *Sender) Page(ctx context.Context, scope Scope, from Cursor, limits Limits) (Page, error) {
	page, err := s.page(ctx, scope, from, limits)
	if errors.Is(err, ErrDiverged) && s.cfg.Barrier != nil {
		if err := s.cfg.Barrier(ctx); err != nil {
			return Page{}, fmt.Errorf("%w: %w", ErrBehind, err)
		}
		page, err = s.page(ctx, scope, from, limits)
	}
	if err == nil {
		page.Cursor.Mark, err = s.keeper().Mark(ctx, page.Cursor.Mark.Sequence)
	}
	if errors.Is(err, marks.ErrGone) { // it was shortened in this moment
		err = fmt.Errorf("%w: %w", ErrOld, err)
	}
	if err != nil {
		return Page{}, fmt.Errorf("%s: %w", scope.Type, err)
	}
	return page, nil
}

func (s *Sender) page(ctx context.Context, scope Scope, from Cursor, limits Limits) (page Page, err error) {
	err = s.cfg.Reader.View(ctx, func(tx *sql.Tx) error {
		st, err := readState(ctx, tx)
		if err == nil {
			err = st.judge(ctx, tx, from)
		}
		if err == nil && !from.Audience.Equal(scope.Audience) {
			err = ErrAudience
		}
		if err != nil {
			return err
		}
		page, err = differential(ctx, tx, scope, from, limits.complete())
		page.Tail = st.tail
		page.More = !page.Cursor.Holds(st.tail)
		return err
	})
	return page, err
}

// Complete returns the documents in scope after a key, in the order of keys, whatever they are newer than. The first
// page, from the zero Cursor, states where the journal stands; whoever goes on gives its From back, and after the last
// page holds everything up to there: what changes meanwhile is told by the next differential page.
func (s *Sender) Complete(ctx context.Context, scope Scope, from Cursor, after Key, limits Limits) (page Page, err error) {
	if from.Zero() {
		if from, err = s.stand(ctx, scope); err != nil {
			return Page{}, fmt.Errorf("%s: %w", scope.Type, err)
		}
	}
	read := func(tx *sql.Tx) error {
		st, err := readState(ctx, tx)
		if err == nil {
			err = st.judge(ctx, tx, from)
		}
		if err == nil && !from.Audience.Equal(scope.Audience) {
			err = ErrAudience
		}
		if err != nil {
			return err
		}
		page, err = complete(ctx, tx, scope, after, limits.complete())
		page.Tail, page.From = st.tail, from
		if !page.More {
			page.Cursor = from
		}
		return err
	}
	err = s.cfg.Reader.View(ctx, read)
	if errors.Is(err, ErrDiverged) && s.cfg.Barrier != nil {
		if err := s.cfg.Barrier(ctx); err != nil {
			return Page{}, fmt.Errorf("%s: %w: %w", scope.Type, ErrBehind, err)
		}
		err = s.cfg.Reader.View(ctx, read)
	}
	if err != nil {
		return Page{}, fmt.Errorf("%s: %w", scope.Type, err)
	}
	return page, nil
}

// stand is the cursor of whoever holds everything there is now.
func (s *Sender) stand(ctx context.Context, scope Scope) (Cursor, error) {
	var st state
	err := s.cfg.Reader.View(ctx, func(tx *sql.Tx) (err error) {
		st, err = readState(ctx, tx)
		return err
	})
	if err != nil {
		return Cursor{}, err
	}
	c := Cursor{Epoch: st.epoch, Audience: scope.Audience, At: map[string]store.Sequence{"": st.tail}}
	for _, tag := range scope.Languages {
		c.At[tag] = st.tail
	}
	c.Mark, err = s.keeper().Mark(ctx, st.tail)
	return c, err
}

// Tail is where the journal of the Sender's site ends.
func (s *Sender) Tail(ctx context.Context) (at store.Sequence, err error) {
	err = s.cfg.Reader.View(ctx, func(tx *sql.Tx) (err error) {
		at, err = Tail(ctx, tx)
		return err
	})
	return at, err
}

// Settings is the place of the last change of a setting: of a maintenance window, a custom severity or its assignment.
func (s *Sender) Settings(ctx context.Context) (stand Stand, err error) {
	const last = `SELECT idx, pos FROM journal WHERE kind = 'assignment' OR kind = 'severity' OR kind = 'window' ORDER BY idx DESC, pos DESC LIMIT 1`
	err = s.cfg.Reader.View(ctx, func(tx *sql.Tx) error {
		if err := tx.QueryRowContext(ctx, `SELECT epoch FROM site`).Scan(&stand.Epoch); err != nil {
			return fmt.Errorf("read the site's epoch: %w", err)
		}
		err := tx.QueryRowContext(ctx, last).Scan(&stand.At.Index, &stand.At.Position)
		if err != nil && !errors.Is(err, sql.ErrNoRows) {
			return fmt.Errorf("read the last change of a setting: %w", err)
		}
		return nil
	})
	return stand, err
}

// Bodies returns the documents with some digests, as far as they are in scope and as their digests say. What is held
// but damaged is refused; what is not in scope is not told from what is not there.
func (s *Sender) Bodies(ctx context.Context, scope Scope, digests []document.Digest) (docs []document.Document, refused []Refusal, err error) {
	err = s.cfg.Reader.View(ctx, func(tx *sql.Tx) error {
		docs, refused = docs[:0], refused[:0]
		kinds, err := scope.kinds(ctx, tx)
		if err != nil {
			return err
		}
		seen := make(map[document.Digest]bool, len(digests))
		for _, digest := range digests {
			if seen[digest] {
				continue
			}
			seen[digest] = true
			doc, inScope, err := bodyInScope(ctx, tx, &scope, kinds, digest)
			switch {
			case err != nil:
				return err
			case !inScope:
				continue
			}
			if err := doc.VerifyDigest(); err != nil {
				refused = append(refused, Refusal{Key: Key{doc.Kind, doc.ID}, Digest: digest, Err: err})
				continue
			}
			docs = append(docs, doc)
		}
		return nil
	})
	if err != nil {
		return nil, nil, fmt.Errorf("%s: %w", scope.Type, err)
	}
	return docs, refused, nil
}

// Current are the digests of the documents of a scope's type with some keys, and the keys of which there is none. One that is
// damaged is there.
func (s *Sender) Current(ctx context.Context, scope Scope, keys []Key) (digests []document.Digest, gone []Key, err error) {
	err = s.cfg.Reader.View(ctx, func(tx *sql.Tx) error {
		digests, gone = nil, nil
		kinds, err := scope.kinds(ctx, tx)
		if err != nil {
			return err
		}
		for _, key := range keys {
			if !slices.Contains(kinds, key.Kind) {
				continue
			}
			var raw []byte
			err := tx.QueryRowContext(ctx, `SELECT digest FROM document WHERE kind = ? AND id = ?`, string(key.Kind), key.ID).Scan(&raw)
			switch {
			case notFound(err):
				gone = append(gone, key)
			case err != nil:
				return fmt.Errorf("look up %s %q: %w", key.Kind, key.ID, err)
			case len(raw) == len(document.Digest{}):
				digests = append(digests, document.Digest(raw))
			}
		}
		return nil
	})
	return digests, gone, err
}
