// Package keys holds the keys with which the nodes of a site encrypt what they gossip: agreed on by the site, sealed to each
// node, and changed from time to time, and whenever a node was removed, while nodes go on talking.
package keys

import (
	"context"
	"crypto/rand"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"time"

	"thatch/node/identity/sealed"
	"thatch/node/members"
	"thatch/node/store"
	"thatch/node/store/rows"
)

// Topic is that of batches that change keys.
const Topic = "gossip keys"

// size of a key in bytes: AES-256.
const size = 32

// Key is one key of the site. The newest that is in use is the one with which nodes encrypt; with any they decrypt.
type Key struct {
	Number int       `json:"number"` // rises
	Made   time.Time `json:"made"`
	Used   time.Time `json:"used,omitzero"` // since when it is in use; zero: it is on its way to the nodes
	boxes  map[string]box
}

// box is a key sealed to one node.
type box struct{ recipient, sealed []byte }

// Room is safe for use by several goroutines.
type Room struct {
	site   string // id
	reader store.Reader
	writer store.Writer
	now    func() time.Time
}

// New makes the room of a site.
func New(site string, reader store.Reader, writer store.Writer, now func() time.Time) *Room {
	return &Room{site: site, reader: reader, writer: writer, now: now}
}

// All are the keys there are, the oldest first.
func (r *Room) All(ctx context.Context) ([]Key, error) {
	var list []Key
	err := r.reader.View(ctx, func(tx *sql.Tx) (err error) {
		if list, err = readKeys(ctx, tx); err != nil {
			return err
		}
		return readBoxes(ctx, tx, list)
	})
	if err != nil {
		return nil, fmt.Errorf("read the keys of what nodes gossip: %w", err)
	}
	return list, nil
}

func readKeys(ctx context.Context, tx *sql.Tx) (list []Key, err error) {
	found, err := tx.QueryContext(ctx, `SELECT number, made, used FROM gossip_key ORDER BY number`)
	if err != nil {
		return nil, err
	}
	defer found.Close()
	for found.Next() {
		k := Key{boxes: map[string]box{}}
		var made, used string
		if err := found.Scan(&k.Number, &made, &used); err != nil {
			return nil, err
		}
		k.Made, k.Used = rows.Unstamp(made), rows.Unstamp(used)
		list = append(list, k)
	}
	return list, found.Err()
}

func readBoxes(ctx context.Context, tx *sql.Tx, list []Key) error {
	found, err := tx.QueryContext(ctx, `SELECT key, node, recipient, sealed FROM gossip_box`)
	if err != nil {
		return err
	}
	defer found.Close()
	for found.Next() {
		var number int
		var node string
		var b box
		if err := found.Scan(&number, &node, &b.recipient, &b.sealed); err != nil {
			return err
		}
		if at := slices.IndexFunc(list, func(k Key) bool { return k.Number == number }); at >= 0 {
			list[at].boxes[node] = b
		}
	}
	return found.Err()
}

// Ring is what one node can do with the keys of its site.
type Ring struct {
	Keys map[int][]byte // that it can open, by number
	Use  int            // with which it encrypts; 0: none yet
	Held int            // the newest it can open
}

// Open opens the keys that are sealed to a node. Those that are sealed to another key than the one it has are left out: the
// node that leads seals them anew.
func (r *Room) Open(ctx context.Context, node string, mine *sealed.Key) (Ring, error) {
	all, err := r.All(ctx)
	if err != nil {
		return Ring{}, err
	}
	return r.open(all, node, mine), nil
}

func (r *Room) open(all []Key, node string, mine *sealed.Key) Ring {
	ring := Ring{Keys: map[int][]byte{}}
	for _, k := range all {
		b, there := k.boxes[node]
		if !there {
			continue
		}
		secret, err := mine.Open(r.purpose(k.Number, node), b.sealed)
		if err != nil || len(secret) != size {
			continue
		}
		ring.Keys[k.Number], ring.Held = secret, k.Number
		if !k.Used.IsZero() {
			ring.Use = k.Number
		}
	}
	return ring
}

func (r *Room) purpose(number int, node string) []byte {
	return sealed.For("gossip key", r.site, fmt.Sprint(number), node)
}

// Rotate has the site make another key, which comes into use when the nodes that live hold it. One that is on its way already
// is the answer. A site of one node needs none (store.ErrConflict).
func (r *Room) Rotate(ctx context.Context, nodes []members.Node) (Key, error) {
	all, err := r.All(ctx)
	if err != nil {
		return Key{}, err
	}
	switch {
	case len(all) == 0:
		return Key{}, store.Conflicting("the site has one node, or makes its first key just now: there is no key to change")
	case all[len(all)-1].Used.IsZero():
		return all[len(all)-1], nil
	}
	k, statements, err := r.next(all, nodes)
	if err != nil {
		return Key{}, err
	}
	return k, r.write(ctx, "make another key for what nodes gossip", statements)
}

// next are the statements that make the key after those there are. The first is in use at once.
func (r *Room) next(all []Key, nodes []members.Node) (Key, []store.Statement, error) {
	k := Key{Number: 1, Made: r.now()}
	if len(all) > 0 {
		k.Number = all[len(all)-1].Number + 1
	} else {
		k.Used = k.Made
	}
	secret := make([]byte, size)
	if _, err := rand.Read(secret); err != nil {
		return k, nil, fmt.Errorf("make a key: %w", err)
	}
	statements := []store.Statement{{
		SQL:  `INSERT INTO gossip_key (number, made, used) VALUES (?, ?, ?) ON CONFLICT DO NOTHING`,
		Args: []any{k.Number, rows.Stamp(k.Made), rows.Stamp(k.Used)}, Want: 1,
	}}
	for _, n := range nodes {
		seal, err := r.sealTo(k.Number, n, secret)
		if err != nil {
			return k, nil, err
		}
		statements = append(statements, seal)
	}
	return k, statements, nil
}

func (r *Room) sealTo(number int, n members.Node, secret []byte) (store.Statement, error) {
	text, err := sealed.Seal(n.SealKey, r.purpose(number, n.ID), secret)
	if err != nil {
		return store.Statement{}, fmt.Errorf("seal a key to node %s: %w", n.ID, err)
	}
	return store.Statement{
		SQL: `INSERT INTO gossip_box (key, node, recipient, sealed) VALUES (?, ?, ?, ?)
ON CONFLICT (key, node) DO UPDATE SET recipient = excluded.recipient, sealed = excluded.sealed`,
		Args: []any{number, n.ID, n.SealKey, text}, Want: 1,
	}, nil
}

func (r *Room) write(ctx context.Context, reason string, statements []store.Statement) error {
	applied, err := r.writer.Write(ctx, store.Batch{Reason: reason, Topics: []string{Topic}, Statements: statements})
	if err = errors.Join(err, applied.Err()); err != nil {
		return fmt.Errorf("%s: %w", reason, err)
	}
	return nil
}
