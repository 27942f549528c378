package rollups

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"thatch/catalog/document"
	"thatch/catalog/federation"
	"thatch/node/settings"
	"thatch/node/sites"
	"thatch/node/store"
)

// Tell writes what changed of what this site tells of itself, and takes away what nobody tells any more. It says how many
// documents that were. A node that does not lead its site writes nothing.
func (r *Room) Tell(ctx context.Context) (changed int, err error) {
	r.turn.Lock()
	defer r.turn.Unlock()
	nodes, leading := r.cfg.Nodes()
	if !leading {
		r.sure = false
		return 0, nil
	}
	w := &work{Room: r, at: r.cfg.Now(), seen: r.contacts(), builder: store.NewBuilder(store.Batch{
		Actor: "task roll-ups", Reason: "tell how this site fares", At: r.cfg.Now().UTC(), Topics: []string{store.TopicDocuments},
	})}
	w.whole = !r.sure
	r.sure = false // whatever happens on the way
	if w.values, err = r.cfg.Settings.All(ctx); err != nil {
		return 0, err
	}
	if w.tree, err = r.cfg.Sites.Tree(ctx); err != nil {
		return 0, err
	}
	for _, part := range []func(context.Context) error{
		w.learnMoves, w.rollUps, func(ctx context.Context) error { return w.health(ctx, nodes) }, w.computers, w.tellMachines, w.tellMoves, w.strays,
	} {
		if err := part(ctx); err != nil {
			return 0, err
		}
	}
	for _, batch := range w.builder.Batches() {
		applied, err := r.cfg.Writer.Write(ctx, batch)
		if err = errors.Join(err, applied.Err()); err != nil {
			return 0, fmt.Errorf("tell how this site fares: %w", err)
		}
	}
	for bulletin, digest := range w.now {
		if r.held[bulletin] = digest; digest == (document.Digest{}) {
			delete(r.held, bulletin)
		}
	}
	r.sure = true
	r.looked.Store(&w.at)
	r.identities.wrote(w.shards)
	r.fleet.wrote(w.fleetNow)
	return w.changed, nil
}

// work is one round of telling.
type work struct {
	*Room
	at      time.Time            // when it began
	seen    map[uint32]time.Time // see contacts
	builder *store.Builder
	now     map[string]document.Digest // roll-ups that become others, by bulletin; zero: gone
	shards  map[string]document.Digest // of machines that become others; zero: gone
	changed int
	whole   bool // everything is compared with what is held
	values  settings.Values
	tree    *sites.Tree
	moving
	fleetNow map[string]toldOf // computers of which other things are told; without a digest: gone
}

func (w *work) rollUps(ctx context.Context) error {
	w.now = map[string]document.Digest{}
	list, all, err := w.cfg.Compliance.RollUps(ctx, w.whole, w.aside)
	if err != nil {
		return fmt.Errorf("count for other sites: %w", err)
	}
	if w.whole {
		if w.held, err = w.readHeld(ctx, document.RollUp); err != nil {
			return fmt.Errorf("read what other sites were told: %w", err)
		}
	}
	named := make(map[string]bool, len(list))
	for i := range list {
		roll := &list[i]
		named[roll.Bulletin] = true
		if roll.Counts == (federation.Counts{}) {
			if err := w.remove(roll.Bulletin); err != nil {
				return err
			}
			continue
		}
		if err := w.put(roll); err != nil {
			return err
		}
	}
	if !all {
		return nil
	}
	for _, bulletin := range slices.Sorted(maps.Keys(w.held)) {
		if !named[bulletin] {
			if err := w.remove(bulletin); err != nil {
				return err
			}
		}
	}
	return nil
}

// readHeld reads the digests of this site's documents of a kind whose ids are its own and a further part, by that part.
func (r *Room) readHeld(ctx context.Context, kind document.Kind) (map[string]document.Digest, error) {
	held := map[string]document.Digest{}
	from := federation.RollUpID(r.cfg.Site, "")
	err := r.cfg.Reader.View(ctx, func(tx *sql.Tx) error {
		clear(held)
		// The ids that begin with the site's are those before the one that ends with the character after the colon.
		rows, err := tx.QueryContext(ctx, `SELECT id, digest FROM document WHERE kind = ? AND id >= ? AND id < ?`,
			string(kind), from, from[:len(from)-1]+";")
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var id string
			var raw []byte
			if err := rows.Scan(&id, &raw); err != nil {
				return err
			}
			_, part, _ := federation.SplitRollUpID(id)
			held[part] = document.Digest(raw)
		}
		return rows.Err()
	})
	return held, err
}

// put writes a roll-up where it is another one than is held. One that is too large is cut: its own counts are whole.
func (w *work) put(roll *federation.RollUp) error {
	body, err := federation.Encode(*roll)
	for err == nil && len(body) > maxBody {
		roll.Updates = roll.Updates[:len(roll.Updates)/2]
		body, err = federation.Encode(*roll)
	}
	if err != nil {
		w.cfg.Log.Error("the figures of a bulletin cannot be told to other sites", "bulletin", roll.Bulletin, "error", err)
		return nil // the others can
	}
	doc, err := document.New(document.RollUp, federation.RollUpID(w.cfg.Site, roll.Bulletin), nil, body)
	if err != nil {
		w.cfg.Log.Error("the figures of a bulletin cannot be told to other sites", "bulletin", roll.Bulletin, "error", err)
		return nil
	}
	former, there := w.held[roll.Bulletin]
	if there && former == doc.Digest {
		return nil
	}
	w.cfg.Signer.Sign(&doc)
	w.now[roll.Bulletin], w.changed = doc.Digest, w.changed+1
	return w.builder.Add(store.Put(doc, "", store.Former{Absent: !there, Digest: former})...)
}

// maxBody leaves room for a head.
const maxBody = document.MaxSize - 16<<10

func (w *work) remove(bulletin string) error {
	former, there := w.held[bulletin]
	if !there {
		return nil
	}
	w.now[bulletin], w.changed = document.Digest{}, w.changed+1
	return w.builder.Add(store.Remove(document.RollUp, federation.RollUpID(w.cfg.Site, bulletin), store.Former{Digest: former})...)
}

// strayFor is how long documents of a site that is not in the tree are kept: a site that moves is out of it for a moment.
const strayFor = 10 * time.Minute

// strays takes away what sites that left the tree had told. Where a child is removed that happens at once; this is for what
// stands further down.
func (w *work) strays(ctx context.Context) error {
	inside := map[string]bool{w.cfg.Site: true}
	for _, site := range w.tree.Below(w.cfg.Site) {
		inside[site] = true
	}
	told, err := w.told(ctx)
	if err != nil {
		return err
	}
	now := w.cfg.Now()
	maps.DeleteFunc(w.stray, func(site string, _ time.Time) bool { return inside[site] || !slices.Contains(told, site) })
	for _, site := range told {
		since, known := w.stray[site]
		switch {
		case inside[site]:
		case !known:
			w.stray[site] = now
		case now.Sub(since) >= strayFor:
			if err := w.forget(ctx, site); err != nil {
				return err
			}
		}
	}
	return nil
}

// forget takes away what a site told, some of it at a time.
func (w *work) forget(ctx context.Context, site string) error {
	const some = 2000
	return w.cfg.Reader.View(ctx, func(tx *sql.Tx) error {
		rows, err := tx.QueryContext(ctx, `SELECT d.kind, d.id, d.digest FROM document d JOIN revision r ON r.digest = d.digest
			WHERE d.kind IN ('`+string(document.Health)+`', '`+string(document.RollUp)+`', '`+string(document.Machines)+`', '`+string(document.Computer)+`')
			AND r.origin = ? AND (d.id = ? OR d.id >= ? AND d.id < ?) ORDER BY d.kind, d.id LIMIT ?`, site, site, site+":", site+";", some)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var kind document.Kind
			var id string
			var raw []byte
			if err := rows.Scan(&kind, &id, &raw); err != nil {
				return err
			}
			w.changed++
			if err := w.builder.Add(store.Remove(kind, id, store.Former{Digest: document.Digest(raw)})...); err != nil {
				return err
			}
		}
		return rows.Err()
	})
}
