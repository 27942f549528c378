package keys

import (
	"bytes"
	"context"
	"slices"
	"time"

	"thatch/node/identity/sealed"
	"thatch/node/members"
	"thatch/node/store"
	"thatch/node/store/rows"
)

// MaxAge is after what time a key is followed by another.
const MaxAge = 30 * 24 * time.Hour

// Known is what the node that leads knows of the others when it tends the keys.
type Known struct {
	Self  string // id
	Mine  *sealed.Key
	Nodes []members.Node // of the site, without those that were removed
	// Held says whether every living node can decrypt with a key, and Used whether every one encrypts with it or a newer one.
	Held, Used func(number int) bool
}

// Tend makes the next step towards what is to be: a key in use, sealed to every node of the site and to no other, and none
// that nobody needs. It is for the node that leads, again and again; it says whether it changed anything.
func (r *Room) Tend(ctx context.Context, known Known) (bool, error) {
	all, err := r.All(ctx)
	if err != nil {
		return false, err
	}
	reason, statements, err := r.step(all, known)
	if err != nil || len(statements) == 0 {
		return false, err
	}
	return true, r.write(ctx, reason, statements)
}

func (r *Room) step(all []Key, known Known) (reason string, statements []store.Statement, err error) {
	if len(known.Nodes) < 2 || !told(known) { // whoever is alone needs none
		return "", nil, nil
	}
	ring := r.open(all, known.Self, known.Mine)
	if len(all) == 0 || ring.Held != all[len(all)-1].Number { // nobody here can hand the newest on
		_, statements, err = r.next(all, known.Nodes)
		return "make a key for what nodes gossip", statements, err
	}
	if statements, err = r.missing(all, ring, known.Nodes); len(statements) > 0 || err != nil {
		return "seal the keys for what nodes gossip to every node", statements, err
	}
	newest := all[len(all)-1]
	switch {
	case newest.Used.IsZero() && known.Held(newest.Number):
		return "use the new key for what nodes gossip", []store.Statement{{
			SQL: `UPDATE gossip_key SET used = ? WHERE number = ? AND used = ''`, Args: []any{rows.Stamp(r.now()), newest.Number}, Want: 1,
		}}, nil
	case newest.Used.IsZero():
		return "", nil, nil
	case len(all) > 1 && known.Used(newest.Number):
		return "forget former keys for what nodes gossip", []store.Statement{
			{SQL: `DELETE FROM gossip_box WHERE key < ?`, Args: []any{newest.Number}},
			{SQL: `DELETE FROM gossip_key WHERE number < ?`, Args: []any{newest.Number}},
		}, nil
	case len(all) == 1 && (r.now().Sub(newest.Made) > MaxAge || goes(newest, known.Nodes)):
		_, statements, err = r.next(all, known.Nodes)
		return "make another key for what nodes gossip", statements, err
	}
	return "", nil, nil
}

// told says whether the site knows the key of this very node; until then, what is sealed to it cannot be opened here.
func told(known Known) bool {
	return slices.ContainsFunc(known.Nodes, func(n members.Node) bool {
		return n.ID == known.Self && bytes.Equal(n.SealKey, known.Mine.Public())
	})
}

// goes says whether a node holds a key that is none of the site's any more.
func goes(k Key, nodes []members.Node) bool {
	there := map[string]bool{}
	for _, n := range nodes {
		there[n.ID] = true
	}
	for id := range k.boxes {
		if !there[id] {
			return true
		}
	}
	return false
}

// missing are the statements that seal keys to nodes that lack them, or have another key of their own by now.
func (r *Room) missing(all []Key, ring Ring, nodes []members.Node) (statements []store.Statement, err error) {
	for _, k := range all {
		secret := ring.Keys[k.Number]
		if secret == nil {
			continue
		}
		for _, n := range nodes {
			if b, there := k.boxes[n.ID]; there && bytes.Equal(b.recipient, n.SealKey) {
				continue
			}
			seal, err := r.sealTo(k.Number, n, secret)
			if err != nil {
				return nil, err
			}
			statements = append(statements, seal)
		}
	}
	return statements, nil
}
