package rollups

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/RoaringBitmap/roaring/v2"

	"thatch/catalog/document"
	"thatch/catalog/federation"
	"thatch/node/computers"
	"thatch/node/settings"
	"thatch/node/store"
)

// identities are what the site knows of machines that several sites have.
type identities struct {
	held  map[string]document.Digest   // this site's documents of machines, by shard
	scope []string                     // sites that moves were found among
	found map[string][]federation.Move // by shard
}

func newIdentities() identities {
	return identities{found: map[string][]federation.Move{}}
}

func (i *identities) wrote(shards map[string]document.Digest) {
	for shard, digest := range shards {
		if i.held[shard] = digest; digest == (document.Digest{}) {
			delete(i.held, shard)
		}
	}
}

// movedAfter is how long a computer must not have been heard of here, after it enrolled elsewhere, to count as moved. Nodes
// of a site know of each other's contacts by computers.SeenStep.
const movedAfter = 2 * computers.SeenStep

// mine is a computer of this site.
type mine struct {
	id       string
	number   uint32
	enrolled int64
	seen     time.Time
}

// machineOf is the digest by which sites know a machine again. Both ids are needed: disks are cloned, and hardware gets
// another system. A simulated computer may have no hardware, and is never taken for a real one.
func machineOf(c *computers.Computer) (string, bool) {
	if c.MachineID == "" || c.Hardware == "" && !c.Simulated || !c.Retired.IsZero() {
		return "", false
	}
	text := "thatch machine\n" + c.Platform + "\n" + c.MachineID + "\n" + c.Hardware
	if c.Simulated {
		text += "\nsimulated"
	}
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:8]), true
}

// shardOf is the part of a site's machines in which one is: one of 64.
func shardOf(machine string) string {
	at := slices.Index([]byte("0123456789abcdef"), machine[1])
	return machine[:1] + string("048c"[at/4])
}

// machines are those of this site.
func (r *Room) machines(seen map[uint32]time.Time) map[string]mine {
	all := map[string]mine{}
	r.cfg.Computers.Look(func(v computers.View) {
		for number, m := range v.Members() {
			machine, ok := machineOf(&m.Computer)
			if !ok {
				continue
			}
			one := mine{m.ID, number, max(m.Enrolled.Unix(), 0), m.LastSeen}
			if at := seen[number]; at.After(one.seen) {
				one.seen = at
			}
			all[machine] = one
		}
	})
	return all
}

// moving is what a round of telling knows of machines that several sites have.
type moving struct {
	own        map[string]mine // what the site tells of its machines
	former     []federation.Move
	gone, both []string        // see federation.Machines
	aside      *roaring.Bitmap // computers of this site that are another one's now: what is told counts them no more
}

// learnMoves finds the machines that several sites below have, takes out of the site what moved long enough ago, and leaves
// the rest of it aside from now on.
func (w *work) learnMoves(ctx context.Context) (err error) {
	w.own, w.aside = map[string]mine{}, roaring.New()
	alone := w.tree.Parent(w.cfg.Site) == "" && len(w.tree.Children(w.cfg.Site)) == 0
	if settings.HealthMachines.In(w.values) && !alone {
		w.own = w.machines(w.seen)
	}
	if w.whole {
		if w.identities.held, err = w.readHeld(ctx, document.Machines); err != nil {
			return fmt.Errorf("read what other sites were told of machines: %w", err)
		}
	}
	above := append(w.tree.Above(w.cfg.Site), w.cfg.Site)
	scope := append([]string{w.cfg.Site}, w.tree.Below(w.cfg.Site)...)
	var moves []federation.Move
	err = w.look(ctx, func(told map[string]*told) {
		w.find(scope, told)
		for _, site := range above {
			if of := told[site]; of != nil {
				moves = append(moves, of.moves...)
			}
		}
		if of := told[w.cfg.Site]; of != nil {
			w.former = of.moves
		}
	})
	if err != nil {
		return err
	}
	for _, move := range moves {
		if one, there := w.own[move.Machine]; there && move.From == w.cfg.Site && one.enrolled <= move.Since {
			if err := w.leave(ctx, one, move); err != nil {
				return err
			}
		}
	}
	for _, list := range []*[]string{&w.gone, &w.both} {
		slices.Sort(*list)
		*list = slices.Compact(*list)
	}
	return nil
}

// leave judges a computer of this site that another one has now. One that was heard of here since is another machine with
// the same ids, and stays. One that was not is left aside at once, and taken out of the site when it was silent for long.
func (w *work) leave(ctx context.Context, one mine, move federation.Move) error {
	since := time.Unix(move.Since, 0)
	switch {
	case one.seen.Sub(since) > clocksDiffer:
		w.both = append(w.both, move.Machine)
	case w.at.Sub(since) < movedAfter || w.at.Sub(one.seen) < movedAfter:
		w.gone = append(w.gone, move.Machine)
		w.aside.Add(one.number)
	default:
		delete(w.own, move.Machine)
		name := w.tree.Name(move.To)
		if err := w.cfg.Retire(ctx, one.id, "moved to site "+name); err != nil {
			return fmt.Errorf("take a computer out that moved to site %s: %w", name, err)
		}
	}
	return nil
}

// clocksDiffer is how far the clocks of two sites may be apart.
const clocksDiffer = time.Minute

// tellMachines writes the shards of machines that changed.
func (w *work) tellMachines(context.Context) error {
	w.shards = map[string]document.Digest{}
	shards := w.shardsNow()
	for _, shard := range slices.Sorted(maps.Keys(w.identities.held)) {
		if _, there := shards[shard]; !there {
			w.shards[shard], w.changed = document.Digest{}, w.changed+1
			err := w.builder.Add(store.Remove(document.Machines, federation.RollUpID(w.cfg.Site, shard), store.Former{Digest: w.identities.held[shard]})...)
			if err != nil {
				return err
			}
		}
	}
	for _, shard := range slices.Sorted(maps.Keys(shards)) {
		doc, err := made(document.Machines, federation.RollUpID(w.cfg.Site, shard), *shards[shard])
		if err != nil {
			return err
		}
		former, there := w.identities.held[shard]
		if there && former == doc.Digest {
			continue
		}
		w.cfg.Signer.Sign(&doc)
		w.shards[shard], w.changed = doc.Digest, w.changed+1
		if err := w.builder.Add(store.Put(doc, "", store.Former{Absent: !there, Digest: former})...); err != nil {
			return err
		}
	}
	return nil
}

// shardsNow are the documents of machines as they should be.
func (w *work) shardsNow() map[string]*federation.Machines {
	shards := map[string]*federation.Machines{}
	for _, machine := range slices.Sorted(maps.Keys(w.own)) {
		shard := shards[shardOf(machine)]
		if shard == nil {
			shard = &federation.Machines{Machines: map[string]int64{}}
			shards[shardOf(machine)] = shard
		}
		if len(shard.Machines) == federation.MaxMachines {
			continue
		}
		shard.Machines[machine] = w.own[machine].enrolled
		if _, gone := slices.BinarySearch(w.gone, machine); gone {
			shard.Gone = append(shard.Gone, machine)
		}
		if _, both := slices.BinarySearch(w.both, machine); both {
			shard.Both = append(shard.Both, machine)
		}
	}
	return shards
}

func made[T interface {
	federation.Machines | federation.Moved | federation.Computer
	Validate() error
}](kind document.Kind, id string, value T) (document.Document, error) {
	body, err := federation.Encode(value)
	if err != nil {
		return document.Document{}, err
	}
	return document.New(kind, id, nil, body)
}

// find brings the moves that are known up to what sites told: of shards that changed, or of all where the tree did.
func (w *work) find(scope []string, told map[string]*told) {
	i := &w.identities
	if !slices.Equal(i.scope, scope) {
		i.scope = scope
		for _, site := range told {
			for shard := range site.shards {
				w.figures.moved[shard] = true
			}
		}
		for shard := range i.found {
			w.figures.moved[shard] = true
		}
	}
	for shard := range w.figures.moved {
		if i.found[shard] = movesIn(shard, scope, told); len(i.found[shard]) == 0 {
			delete(i.found, shard)
		}
	}
	clear(w.figures.moved)
}

// movesIn are the moves of a shard's machines among some sites.
func movesIn(shard string, scope []string, told map[string]*told) (found []federation.Move) {
	type owner struct {
		site  string
		since int64
	}
	last := map[string]owner{}
	each := func(do func(machine string, o owner)) {
		for _, site := range scope {
			if of := told[site]; of != nil {
				for machine, since := range of.shards[shard].Machines {
					do(machine, owner{site, since})
				}
			}
		}
	}
	several := false
	each(func(machine string, o owner) {
		now, there := last[machine]
		several = several || there
		if !there || cmp.Or(cmp.Compare(o.since, now.since), cmp.Compare(o.site, now.site)) > 0 {
			last[machine] = o
		}
	})
	if !several {
		return nil
	}
	each(func(machine string, o owner) {
		if to := last[machine]; to.site != o.site {
			found = append(found, federation.Move{Machine: machine, From: o.site, To: to.site, Since: to.since})
		}
	})
	return found
}

// tellMoves writes the moves where they are others than told. Some of very many are told first.
func (w *work) tellMoves(context.Context) error {
	now := []federation.Move{}
	for _, found := range w.identities.found {
		now = append(now, found...)
	}
	slices.SortFunc(now, federation.Move.Compare)
	now = now[:min(len(now), federation.MaxMoves)]
	if slices.Equal(now, w.former) {
		return nil
	}
	w.changed++
	if len(now) == 0 {
		return w.builder.Add(store.Remove(document.Moved, w.cfg.Site, store.Former{})...)
	}
	doc, err := made(document.Moved, w.cfg.Site, federation.Moved{Moves: now})
	if err != nil {
		return err
	}
	w.cfg.Signer.Sign(&doc)
	return w.builder.Add(store.Put(doc, "", store.Former{Absent: len(w.former) == 0})...)
}
