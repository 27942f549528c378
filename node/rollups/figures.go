package rollups

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"

	"thatch/catalog/document"
	"thatch/catalog/federation"
	"thatch/node/store"
)

// figures are what sites told, decoded, current by the journal's sequence: what changed is read once.
type figures struct {
	*sync.RWMutex
	epoch  string
	at     store.Sequence
	read   bool // there is anything
	sites  map[string]*told
	shared map[string]string // ids, so that each is in memory once
	moved  map[string]bool   // shards of machines that are others since identities looked
}

// told is what one site told.
type told struct {
	health  *federation.Health // nil: nothing
	rollUps map[string]*federation.RollUp
	shards  map[string]federation.Machines // by shard
	moves   []federation.Move              // that it found out

	computers map[string]*federation.Computer // by their ids there
}

// answers says what a site that has a machine says of that another one has it too.
func (of *told) answers(machine string) (gone, both bool) {
	shard := of.shards[shardOf(machine)]
	return shard.Answers(machine)
}

func newFigures() figures {
	return figures{RWMutex: &sync.RWMutex{}, sites: map[string]*told{}, shared: map[string]string{}, moved: map[string]bool{}}
}

// kinds are those that figures are made of.
const kinds = `('health', 'roll-up', 'machines', 'moved', 'computer')`

const (
	allTold = `SELECT d.kind, d.id, coalesce(r.origin, ''), r.body FROM document d LEFT JOIN revision r ON r.digest = d.digest
WHERE d.kind IN ` + kinds

	toldSince = `SELECT j.kind, j.id, coalesce(r.origin, ''), r.body
FROM (SELECT DISTINCT kind, id FROM journal WHERE (idx, pos) > (?, ?) AND kind IN ` + kinds + `) j
LEFT JOIN document d ON d.kind = j.kind AND d.id = j.id LEFT JOIN revision r ON r.digest = d.digest`
)

// look calls read with what sites told, as it is now.
func (r *Room) look(ctx context.Context, read func(sites map[string]*told)) error {
	err := r.cfg.Reader.View(ctx, func(tx *sql.Tx) error {
		var epoch string
		var end, start store.Sequence
		err := tx.QueryRowContext(ctx, `SELECT (SELECT epoch FROM site), coalesce((SELECT idx FROM journal_start), 0),
coalesce((SELECT pos FROM journal_start), 0), idx, pos FROM journal ORDER BY idx DESC, pos DESC LIMIT 1`).
			Scan(&epoch, &start.Index, &start.Position, &end.Index, &end.Position)
		if errors.Is(err, sql.ErrNoRows) {
			return nil
		}
		if err != nil {
			return err
		}
		return r.figures.follow(ctx, tx, epoch, start, end)
	})
	if err != nil {
		return fmt.Errorf("read what sites told: %w", err)
	}
	r.figures.RLock()
	defer r.figures.RUnlock()
	read(r.figures.sites)
	return nil
}

// told are the ids of the sites of which documents are here.
func (r *Room) told(ctx context.Context) (list []string, err error) {
	err = r.look(ctx, func(sites map[string]*told) { list = slices.Sorted(maps.Keys(sites)) })
	return list, err
}

// follow brings the figures up to the end of the journal, which is whole from a place on.
func (f *figures) follow(ctx context.Context, tx *sql.Tx, epoch string, start, end store.Sequence) error {
	f.RLock()
	current := f.read && f.epoch == epoch && !before(f.at, end)
	f.RUnlock()
	if current {
		return nil
	}
	f.Lock()
	defer f.Unlock()
	query, args := toldSince, []any{int64(f.at.Index), f.at.Position}
	if !f.read || f.epoch != epoch || before(f.at, start) {
		query, args = allTold, nil
		clear(f.sites)
		clear(f.shared)
	}
	f.read = false // whatever happens on the way
	rows, err := tx.QueryContext(ctx, query, args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var kind document.Kind
		var id, origin string
		var body sql.RawBytes
		if err := rows.Scan(&kind, &id, &origin, &body); err != nil {
			return err
		}
		f.take(kind, id, origin, body)
	}
	f.epoch, f.at, f.read = epoch, end, rows.Err() == nil
	return rows.Err()
}

// take takes one document; body nil: there is none any more. What a site of another version wrote and this one cannot read
// is as if it were not there.
func (f *figures) take(kind document.Kind, id, origin string, body []byte) {
	site, part := id, ""
	if kind == document.RollUp || kind == document.Machines || kind == document.Computer {
		var ok bool
		if site, part, ok = federation.SplitRollUpID(id); !ok {
			return
		}
	}
	of := f.sites[site]
	if of == nil {
		of = &told{rollUps: map[string]*federation.RollUp{}, shards: map[string]federation.Machines{}, computers: map[string]*federation.Computer{}}
		f.sites[site] = of
	}
	good := body != nil && origin == site
	switch kind {
	case document.Health:
		of.health = nil
		if h, err := federation.Decode[federation.Health](body); good && err == nil {
			of.health = &h
		}
	case document.RollUp:
		f.takeRollUp(of, part, body, good)
	case document.Machines:
		f.moved[part] = true
		delete(of.shards, part)
		if m, err := federation.Decode[federation.Machines](body); good && err == nil {
			of.shards[f.share(part)] = m
		}
	case document.Computer:
		f.takeComputer(of, part, body, good)
	case document.Moved:
		of.moves = nil
		if m, err := federation.Decode[federation.Moved](body); good && err == nil {
			of.moves = m.Moves
		}
	}
	if of.health == nil && len(of.rollUps) == 0 && len(of.shards)+len(of.moves)+len(of.computers) == 0 {
		delete(f.sites, site)
	}
}

func (f *figures) takeRollUp(of *told, bulletin string, body []byte, good bool) {
	delete(of.rollUps, bulletin)
	roll, err := federation.Decode[federation.RollUp](body)
	if !good || err != nil || roll.Bulletin != bulletin {
		return
	}
	roll.Bulletin = f.share(bulletin)
	for i := range roll.Updates {
		roll.Updates[i].Update = f.share(roll.Updates[i].Update)
	}
	of.rollUps[roll.Bulletin] = &roll
}

func (f *figures) takeComputer(of *told, id string, body []byte, good bool) {
	delete(of.computers, id)
	c, err := federation.Decode[federation.Computer](body)
	if !good || err != nil {
		return
	}
	for _, text := range []*string{&c.Group, &c.Platform, &c.Product, &c.Build, &c.Agent} {
		*text = f.share(*text)
	}
	for i := range c.Languages {
		c.Languages[i] = f.share(c.Languages[i])
	}
	of.computers[id] = &c
}

func (f *figures) share(text string) string {
	if same, ok := f.shared[text]; ok {
		return same
	}
	f.shared[text] = text
	return text
}

func before(a, b store.Sequence) bool {
	return a.Index < b.Index || a.Index == b.Index && a.Position < b.Position
}
