// Package members knows the nodes of a site: where each is reached, whether it votes, by which keys it is known, and the
// tokens with which more of them join.
package members

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"thatch/node/store"
	"thatch/node/store/rows"
)

// Topic is that of batches that change which nodes there are, or what is known of one.
const Topic = "members"

// KeySize is the size of both keys of a node as the table keeps them, in bytes.
const KeySize = 32

// Limits of what a node says of itself.
const (
	maxName      = 200 // bytes
	maxAddress   = 260 // bytes
	maxAddresses = 16
)

// Node is a node of the site, or one that was.
type Node struct {
	ID        string    `json:"id"`
	Name      string    `json:"name"`      // what people call it
	Addresses []string  `json:"addresses"` // HOST:PORT, those to try first first
	Votes     bool      `json:"votes"`     // it is to vote; else it holds data and payloads and serves agents
	TLSKey    []byte    `json:"tls_key"`   // SHA-256 of the public key (SubjectPublicKeyInfo) of its certificates
	SealKey   []byte    `json:"seal_key"`  // X25519 public key to which secrets are sealed
	Version   string    `json:"version"`   // of its program
	Schema    int       `json:"schema"`    // newest schema of the site's database that its program knows
	Added     time.Time `json:"added"`
	Removed   time.Time `json:"removed,omitzero"`
	Reason    string    `json:"reason,omitempty"` // why it was removed
}

// Check says what is wrong with what a node says of itself.
func (n *Node) Check() error {
	switch {
	case n.ID == "" || len(n.ID) > maxName:
		return store.Invalid("a node's id has 1 to %d bytes", maxName)
	case n.Name == "" || len(n.Name) > maxName:
		return store.Invalid("a node's name has 1 to %d bytes", maxName)
	case len(n.TLSKey) != KeySize || len(n.SealKey) != KeySize:
		return store.Invalid("the keys of a node have %d bytes each", KeySize)
	}
	return CheckAddresses(n.Addresses)
}

// CheckAddresses says what is wrong with the addresses that somebody says a node has.
func CheckAddresses(list []string) error {
	if len(list) > maxAddresses || slices.ContainsFunc(list, func(a string) bool { return a == "" || len(a) > maxAddress }) {
		return store.Invalid("a node has at most %d addresses of 1 to %d bytes each", maxAddresses, maxAddress)
	}
	return nil
}

// Room is safe for use by several goroutines.
type Room struct {
	authority []byte // of the site, DER
	reader    store.Reader
	writer    store.Writer
	now       func() time.Time
}

// New makes the room of a site with an authority (DER).
func New(authority []byte, reader store.Reader, writer store.Writer, now func() time.Time) *Room {
	return &Room{authority: authority, reader: reader, writer: writer, now: now}
}

const columnsOfNode = `id, name, addresses, votes, tls_key, seal_key, version, schema, added, removed, reason`

// scan reads a row of columnsOfNode.
func scan(row interface{ Scan(into ...any) error }) (n Node, err error) {
	var addresses, added, removed string
	err = row.Scan(&n.ID, &n.Name, &addresses, &n.Votes, &n.TLSKey, &n.SealKey, &n.Version, &n.Schema, &added, &removed, &n.Reason)
	if err != nil {
		return n, err
	}
	n.Added, n.Removed = rows.Unstamp(added), rows.Unstamp(removed)
	if err := json.Unmarshal([]byte(addresses), &n.Addresses); err != nil {
		return n, fmt.Errorf("addresses of node %s: %w", n.ID, err)
	}
	return n, nil
}

// Read reads all nodes, also those that were removed, by name and id.
func Read(ctx context.Context, reader store.Reader) ([]Node, error) {
	var list []Node
	err := reader.View(ctx, func(tx *sql.Tx) error {
		list = list[:0]
		found, err := tx.QueryContext(ctx, `SELECT `+columnsOfNode+` FROM node ORDER BY name, id`)
		if err != nil {
			return err
		}
		defer found.Close()
		for found.Next() {
			n, err := scan(found)
			if err != nil {
				return err
			}
			list = append(list, n)
		}
		return found.Err()
	})
	if err != nil {
		return nil, fmt.Errorf("read the nodes of the site: %w", err)
	}
	return list, nil
}

// Nodes are the nodes of the site, by name and id, without those that were removed.
func (r *Room) Nodes(ctx context.Context) ([]Node, error) {
	all, err := Read(ctx, r.reader)
	return slices.DeleteFunc(all, func(n Node) bool { return !n.Removed.IsZero() }), err
}

// Find finds a node that was not removed by its id, the beginning of its id (eight characters or more), or its name.
func (r *Room) Find(ctx context.Context, what string) (Node, error) {
	all, err := r.Nodes(ctx)
	if err != nil {
		return Node{}, err
	}
	var found []Node
	for _, n := range all {
		if n.ID == what {
			return n, nil
		}
		if strings.EqualFold(n.Name, what) || len(what) >= 8 && strings.HasPrefix(n.ID, what) {
			found = append(found, n)
		}
	}
	switch len(found) {
	case 0:
		return Node{}, store.NotFound("node", what)
	case 1:
		return found[0], nil
	}
	return Node{}, store.Conflicting("%d nodes are called %q: name one by its id (thatch site nodes)", len(found), what)
}

// Tell writes what a node is and where it is reached, unless the table says so already. It makes the row of the site's first
// node, and of those of a site that had no such table; a node that was removed does not come back (store.ErrConflict).
func (r *Room) Tell(ctx context.Context, n Node) error {
	if err := n.Check(); err != nil {
		return err
	}
	all, err := Read(ctx, r.reader)
	if err != nil {
		return err
	}
	statements := []store.Statement{{
		SQL:  `UPDATE node SET name = ?, addresses = ?, version = ?, schema = ?, tls_key = ?, seal_key = ? WHERE id = ? AND removed = ''`,
		Args: []any{n.Name, jsonOf(n.Addresses), n.Version, n.Schema, n.TLSKey, n.SealKey, n.ID}, Want: 1,
	}}
	at := slices.IndexFunc(all, func(other Node) bool { return other.ID == n.ID })
	switch {
	case at < 0:
		n.Added = r.now()
		statements = []store.Statement{Insert(n)}
	case all[at].same(n):
		return nil
	}
	return r.write(ctx, "node "+n.Name+" tells of itself", statements...)
}

// same says whether the table need not change.
func (n Node) same(told Node) bool {
	return n.Removed.IsZero() && n.Name == told.Name && slices.Equal(n.Addresses, told.Addresses) && n.Version == told.Version &&
		n.Schema == told.Schema && slices.Equal(n.TLSKey, told.TLSKey) && slices.Equal(n.SealKey, told.SealKey)
}

// Insert is the statement that makes a node one of the site's.
func Insert(n Node) store.Statement {
	return store.Statement{
		SQL: `INSERT INTO node (id, name, addresses, votes, tls_key, seal_key, version, schema, added) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT DO NOTHING`,
		Args: []any{n.ID, n.Name, jsonOf(n.Addresses), n.Votes, n.TLSKey, n.SealKey, n.Version, n.Schema, rows.Stamp(n.Added)}, Want: 1,
	}
}

// ChangeSealKey is the statement after which a node has another key to which secrets are sealed.
func ChangeSealKey(id string, public []byte) store.Statement {
	return store.Statement{SQL: `UPDATE node SET seal_key = ? WHERE id = ? AND removed = ''`, Args: []any{public, id}, Want: 1}
}

func jsonOf(addresses []string) string {
	if addresses == nil {
		addresses = []string{}
	}
	text, err := json.Marshal(addresses)
	if err != nil {
		panic("members: a list of texts has no JSON: " + err.Error())
	}
	return string(text)
}

func (r *Room) write(ctx context.Context, reason string, statements ...store.Statement) error {
	applied, err := r.writer.Write(ctx, store.Batch{Reason: reason, Topics: []string{Topic}, Statements: statements})
	if err = errors.Join(err, applied.Err()); err != nil {
		return fmt.Errorf("%s: %w", reason, err)
	}
	return nil
}

// Remove shuts a node out for ever. The last one that votes stays. What else goes with it stands or falls with it.
func (r *Room) Remove(ctx context.Context, id, reason string, also ...store.Statement) error {
	err := r.write(ctx, "remove node "+id, append([]store.Statement{{
		SQL: `UPDATE node SET removed = ?, reason = ? WHERE id = ? AND removed = ''
AND (votes = 0 OR (SELECT count(*) FROM node WHERE votes = 1 AND removed = '') > 1)`,
		Args: []any{rows.Stamp(r.now()), reason, id}, Want: 1,
	}}, also...)...)
	if errors.Is(err, store.ErrConflict) {
		if _, missing := r.Find(ctx, id); missing != nil {
			return missing
		}
		return store.Conflicting("node %s is the only one that votes: have another one vote first", id)
	}
	return err
}

// SetVotes says whether a node is to vote. The last one that does goes on. What else comes with it stands or falls with it.
func (r *Room) SetVotes(ctx context.Context, id string, votes bool, also ...store.Statement) error {
	reason := "node " + id + " is to vote no more"
	if votes {
		reason = "node " + id + " is to vote"
	}
	err := r.write(ctx, reason, append([]store.Statement{{
		SQL: `UPDATE node SET votes = ? WHERE id = ? AND removed = ''
AND (? = 1 OR votes = 0 OR (SELECT count(*) FROM node WHERE votes = 1 AND removed = '') > 1)`,
		Args: []any{votes, id, votes}, Want: 1,
	}}, also...)...)
	if errors.Is(err, store.ErrConflict) {
		if _, missing := r.Find(ctx, id); missing != nil {
			return missing
		}
		return store.Conflicting("node %s is the only one that votes: have another one vote first", id)
	}
	return err
}
