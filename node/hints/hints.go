// Package hints holds which node the computers of a subnet talk to, where an administrator said so.
package hints

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"thatch/node/members"
	"thatch/node/store"
	"thatch/node/store/rows"
)

// Topic is that of batches that change hints.
const Topic = "hints"

// Limits of what is kept.
const (
	maxHints = 5000
	maxNote  = 200 // bytes
)

// Hint says that computers with an address in a subnet talk to a node, as long as it answers.
type Hint struct {
	Subnet  string    `json:"subnet"` // 10.1.0.0/16
	Node    string    `json:"node"`   // id
	Name    string    `json:"name"`   // of the node; "" where it is none of the site's any more
	Note    string    `json:"note,omitempty"`
	By      string    `json:"by"`
	Changed time.Time `json:"changed"`
}

// Gone says whether its node is none of the site's any more: such a hint is passed over.
func (h Hint) Gone() bool { return h.Name == "" }

// Room is the hints of a site. It is safe for use by several goroutines.
type Room struct {
	reader  store.Reader
	writer  store.Writer
	members *members.Room
	now     func() time.Time
}

// New makes the room.
func New(reader store.Reader, writer store.Writer, members *members.Room, now func() time.Time) *Room {
	return &Room{reader: reader, writer: writer, members: members, now: now}
}

// All are the hints, by subnet.
func (r *Room) All(ctx context.Context) ([]Hint, error) {
	nodes, err := r.members.Nodes(ctx)
	if err != nil {
		return nil, err
	}
	all := []Hint{}
	err = r.reader.View(ctx, func(tx *sql.Tx) error {
		all = all[:0]
		found, err := tx.QueryContext(ctx, `SELECT subnet, node, note, changed_by, changed FROM node_hint ORDER BY subnet`)
		if err != nil {
			return err
		}
		defer found.Close()
		for found.Next() {
			var h Hint
			var changed string
			if err := found.Scan(&h.Subnet, &h.Node, &h.Note, &h.By, &changed); err != nil {
				return err
			}
			h.Changed = rows.Unstamp(changed)
			if at := slices.IndexFunc(nodes, func(n members.Node) bool { return n.ID == h.Node }); at >= 0 {
				h.Name = nodes[at].Name
			}
			all = append(all, h)
		}
		return found.Err()
	})
	if err != nil {
		return nil, fmt.Errorf("read the hints of subnets: %w", err)
	}
	return all, nil
}

// Subnet reads a subnet as it is kept: 10.1.0.0/16, 2001:db8::/32, or one address.
func Subnet(text string) (netip.Prefix, error) {
	text = strings.TrimSpace(text)
	if !strings.Contains(text, "/") {
		address, err := netip.ParseAddr(text)
		if err != nil || address.Zone() != "" {
			return netip.Prefix{}, store.Invalid("%.80q is no subnet: want one such as 10.1.0.0/16 or 2001:db8::/32", text)
		}
		address = address.Unmap()
		return netip.PrefixFrom(address, address.BitLen()), nil
	}
	prefix, err := netip.ParsePrefix(text)
	switch {
	case err != nil || prefix.Addr().Is4In6():
		return netip.Prefix{}, store.Invalid("%.80q is no subnet: want one such as 10.1.0.0/16 or 2001:db8::/32", text)
	case prefix != prefix.Masked():
		return netip.Prefix{}, store.Invalid("%.80q has bits beyond its mask: did you mean %s?", text, prefix.Masked())
	}
	return prefix, nil
}

// Set says which node the computers of a subnet talk to, in place of what was said before. The node is named by its id or
// name.
func (r *Room) Set(ctx context.Context, by, subnet, node, note string) (Hint, error) {
	prefix, err := Subnet(subnet)
	if err != nil {
		return Hint{}, err
	}
	if len(note) > maxNote {
		return Hint{}, store.Invalid("the note has %d bytes, at most %d are kept", len(note), maxNote)
	}
	n, err := r.members.Find(ctx, node)
	if err != nil {
		return Hint{}, err
	}
	h := Hint{Subnet: prefix.String(), Node: n.ID, Name: n.Name, Note: note, By: by, Changed: r.now()}
	err = r.write(ctx, fmt.Sprintf("computers of %s talk to node %s", h.Subnet, n.Name), store.Statement{
		SQL: `INSERT INTO node_hint (subnet, node, note, changed_by, changed) SELECT ?, ?, ?, ?, ?
			WHERE EXISTS (SELECT 1 FROM node_hint WHERE subnet = ?) OR (SELECT count(*) FROM node_hint) < ? ORDER BY 1
			ON CONFLICT (subnet) DO UPDATE SET node = excluded.node, note = excluded.note, changed_by = excluded.changed_by, changed = excluded.changed`,
		Args: []any{h.Subnet, h.Node, h.Note, h.By, rows.Stamp(h.Changed), h.Subnet, maxHints}, Want: 1,
	})
	if errors.Is(err, store.ErrConflict) {
		return Hint{}, store.Invalid("there are %d hints, and no more are kept: remove some", maxHints)
	}
	return h, err
}

// Remove takes a hint back.
func (r *Room) Remove(ctx context.Context, subnet string) error {
	prefix, err := Subnet(subnet)
	if err != nil {
		return err
	}
	err = r.write(ctx, "no node for the computers of "+prefix.String(), store.Statement{
		SQL: `DELETE FROM node_hint WHERE subnet = ?`, Args: []any{prefix.String()}, Want: 1,
	})
	if errors.Is(err, store.ErrConflict) {
		return store.NotFound("hint", prefix.String())
	}
	return err
}

func (r *Room) write(ctx context.Context, reason string, s store.Statement) error {
	applied, err := r.writer.Write(ctx, store.Batch{Reason: reason, At: r.now(), Topics: []string{Topic}, Statements: []store.Statement{s}})
	if err == nil {
		err = applied.Err()
	}
	if err != nil {
		return fmt.Errorf("%s: %w", reason, err)
	}
	return nil
}

// Table finds the node of an address.
type Table struct {
	prefixes []netip.Prefix // longest first
	nodes    []string
}

// NewTable makes a table of hints, but for those whose node is gone.
func NewTable(all []Hint) Table {
	var t Table
	all = slices.Clone(all)
	bits := func(h Hint) int {
		prefix, err := netip.ParsePrefix(h.Subnet)
		if err != nil || h.Gone() {
			return -1
		}
		return prefix.Bits()
	}
	slices.SortStableFunc(all, func(a, b Hint) int { return bits(b) - bits(a) })
	for _, h := range all {
		if bits(h) < 0 {
			break
		}
		t.prefixes, t.nodes = append(t.prefixes, netip.MustParsePrefix(h.Subnet)), append(t.nodes, h.Node)
	}
	return t
}

// Of is the node of the smallest subnet that holds one of the addresses, "" where none does. What is no address is passed
// over.
func (t Table) Of(addresses []string) string {
	var parsed []netip.Addr
	for _, text := range addresses {
		if address, err := netip.ParseAddr(text); err == nil {
			parsed = append(parsed, address.WithZone("").Unmap())
		}
	}
	for i, prefix := range t.prefixes {
		if slices.ContainsFunc(parsed, prefix.Contains) {
			return t.nodes[i]
		}
	}
	return ""
}
