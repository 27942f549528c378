package keys_test

import (
	"bytes"
	"database/sql"
	"errors"
	"fmt"
	"testing"
	"time"

	"thatch/node/gossip/keys"
	"thatch/node/identity/sealed"
	"thatch/node/members"
	"thatch/node/nodetest"
	"thatch/node/store"
	"thatch/node/store/storetest"
)

// world is a site whose keys are tended by its first node.
type world struct {
	t          *testing.T
	room       *keys.Room
	db         *store.DB
	clock      *nodetest.Clock
	nodes      []members.Node
	own        map[string]*sealed.Key
	leader     string
	held, used bool // what living nodes say
}

func newWorld(t *testing.T, nodes ...string) *world {
	t.Helper()
	db, clock := storetest.Open(t), nodetest.NewClock()
	w := &world{t: t, db: db, clock: clock, own: map[string]*sealed.Key{}, leader: nodes[0], held: true, used: true}
	w.room = keys.New("site", db, store.Signed(db, clock.Now, nil), clock.Now)
	for _, id := range nodes {
		w.add(id)
	}
	return w
}

func (w *world) key() *sealed.Key {
	w.t.Helper()
	key, err := sealed.NewKey()
	if err != nil {
		w.t.Fatal(err)
	}
	return key
}

func (w *world) add(id string) {
	w.own[id] = w.key()
	w.nodes = append(w.nodes, members.Node{ID: id, SealKey: w.own[id].Public()})
}

func (w *world) remove(id string) {
	for i, n := range w.nodes {
		if n.ID == id {
			w.nodes = append(w.nodes[:i:i], w.nodes[i+1:]...)
			return
		}
	}
}

// tend goes on until there is nothing to do, and says how many steps there were.
func (w *world) tend() int {
	w.t.Helper()
	for steps := range 10 {
		changed, err := w.room.Tend(w.t.Context(), keys.Known{
			Self: w.leader, Mine: w.own[w.leader], Nodes: w.nodes,
			Held: func(int) bool { return w.held }, Used: func(int) bool { return w.used },
		})
		if err != nil {
			w.t.Fatal(err)
		}
		if !changed {
			return steps
		}
	}
	w.t.Fatal("the keys never settle")
	return 0
}

func (w *world) ring(id string) keys.Ring {
	w.t.Helper()
	ring, err := w.room.Open(w.t.Context(), id, w.own[id])
	if err != nil {
		w.t.Fatal(err)
	}
	return ring
}

// agree fails unless all nodes of the site encrypt with one key, of a number, and hold so many.
func (w *world) agree(number, held int) []byte {
	w.t.Helper()
	first := w.ring(w.nodes[0].ID)
	for _, n := range w.nodes {
		ring := w.ring(n.ID)
		if ring.Use != number || len(ring.Keys) != held || !bytes.Equal(ring.Keys[number], first.Keys[number]) || len(ring.Keys[number]) != 32 {
			w.t.Errorf("%s uses key %d of %d, not %d of %d", n.ID, ring.Use, len(ring.Keys), number, held)
		}
	}
	return first.Keys[number]
}

func TestKeysFollowTheNodes(t *testing.T) {
	w := newWorld(t, "a")
	if w.tend() != 0 {
		t.Error("a node that is alone has a key made")
	}
	w.add("b")
	w.tend()
	first := w.agree(1, 1)
	w.add("c")
	w.tend()
	if !bytes.Equal(w.agree(1, 1), first) {
		t.Error("a node that comes has the key changed")
	}
	// Its own key changes; what is sealed to the former one is of no use to it.
	w.own["c"] = w.key()
	w.nodes[2].SealKey = w.own["c"].Public()
	if ring := w.ring("c"); ring.Use != 0 {
		t.Errorf("it opens what is sealed to another key: %+v", ring)
	}
	w.tend()
	w.agree(1, 1)
	// A node goes: the others change the key, without an instant in which they do not understand each other.
	w.remove("b")
	w.held = false
	w.tend()
	if held := w.ring("c"); held.Use != 1 || held.Held != 2 || len(held.Keys) != 2 {
		t.Errorf("while the new key is on its way: %+v", held)
	}
	if gone := w.ring("b"); gone.Held != 1 {
		t.Errorf("the node that went holds key %d", gone.Held)
	}
	w.held, w.used = true, false
	w.tend()
	w.agree(2, 2)
	w.used = true
	w.tend()
	if bytes.Equal(w.agree(2, 1), first) {
		t.Error("the key did not change")
	}
	if gone := w.ring("b"); len(gone.Keys) != 0 {
		t.Errorf("keys are sealed to the node that went: %+v", gone)
	}
	if w.tend() != 0 {
		t.Error("there is always something to do")
	}
}

func TestKeysGrowOld(t *testing.T) {
	w := newWorld(t, "a", "b")
	if _, err := w.room.Rotate(t.Context(), w.nodes); !errors.Is(err, store.ErrConflict) {
		t.Errorf("there is no key yet: %v", err)
	}
	w.tend()
	w.clock.Move(keys.MaxAge - time.Hour)
	w.tend()
	w.agree(1, 1)
	w.clock.Move(2 * time.Hour)
	w.tend()
	w.agree(2, 1)
	if k, err := w.room.Rotate(t.Context(), w.nodes); err != nil || k.Number != 3 || !k.Used.IsZero() {
		t.Errorf("%+v, %v", k, err)
	}
	if k, err := w.room.Rotate(t.Context(), w.nodes); err != nil || k.Number != 3 {
		t.Errorf("one is on its way: %+v, %v", k, err)
	}
	w.tend()
	w.agree(3, 1)
	all, err := w.room.All(t.Context())
	if err != nil || len(all) != 1 || all[0].Number != 3 || !all[0].Used.Equal(w.clock.Now()) {
		t.Errorf("%+v, %v", all, err)
	}
}

// TestLeaderThatHoldsNone is a node of a site that was restored, or whose key was changed: nobody can hand the key on.
func TestLeaderThatHoldsNone(t *testing.T) {
	w := newWorld(t, "a", "b")
	w.tend()
	w.leader = "z"
	w.nodes = nil
	w.add("z")
	w.add("y")
	w.tend()
	w.agree(2, 1)
	// The table does not know yet that this node has another key of its own: nothing would come of sealing to it.
	w.own["z"] = w.key()
	if w.tend() != 0 {
		t.Error("keys are made that nobody can open")
	}
}

func TestDamagedBoxes(t *testing.T) {
	w := newWorld(t, "a", "b")
	w.tend()
	applied, err := w.db.Write(t.Context(), store.Batch{Statements: []store.Statement{{SQL: `UPDATE gossip_box SET sealed = x'00' WHERE node = 'a'`, Want: 1}}})
	if err != nil || applied.Err() != nil {
		t.Fatal(err, applied.Err())
	}
	if ring := w.ring("a"); ring.Use != 0 || len(ring.Keys) != 0 {
		t.Errorf("%+v", ring)
	}
	w.tend()
	w.agree(2, 1)
	w.remove("b")
	if w.tend() != 0 {
		t.Error("a node that is alone again has keys made")
	}
	err = w.db.View(t.Context(), func(tx *sql.Tx) error {
		var text string
		return tx.QueryRow(`SELECT hex(sealed) FROM gossip_box WHERE node = 'a'`).Scan(&text)
	})
	if err != nil {
		t.Error(fmt.Errorf("the box of a node that stays is gone: %w", err))
	}
}
