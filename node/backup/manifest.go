// Package backup makes and reads backups of a site: one file with a consistent copy of the database, the list of its payloads
// and what is needed to know what the file is. It is a tar in a zstd stream, so that any system can look into it.
//
//	manifest.json    what the backup is
//	payloads.jsonl   the payloads that nodes of the site held: a line of JSON for each; their bytes are not in it
//	site.db          the database: SQLite
//
// Behind the stream stands a frame that zstd skips, with the SHA-256 of all bytes before it. The private keys of the site
// are in the database, sealed to the nodes' keys and to the recovery key that is kept off the site.
package backup

import (
	"context"
	"database/sql"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"
	"unicode"

	"thatch/node/identity/sealed"
	"thatch/node/store"
	"thatch/node/store/rows"
	"thatch/node/store/sqlite"
)

const format = 1

// Manifest is what a backup says of itself.
type Manifest struct {
	Format   int       `json:"format"`
	Made     time.Time `json:"made"`
	Version  string    `json:"version"` // of the program
	Settings Settings  `json:"settings"`
	Term     uint64    `json:"term"` // of the quorum
	Content
	Database Part `json:"database"`
	Payloads Part `json:"payloads"`
}

// Part is a file within the backup.
type Part struct {
	Size   int64  `json:"size"` // in bytes, not compressed
	SHA256 string `json:"sha256"`
	Count  int    `json:"count,omitempty"` // of payloads
	Bytes  int64  `json:"bytes,omitempty"` // of payloads
}

// Settings are how the node was started that made the backup.
type Settings struct {
	Node   string   `json:"node"` // id
	Listen string   `json:"listen"`
	Names  []string `json:"names,omitempty"`
}

// Content is what the database of a backup says of its site.
type Content struct {
	Site      string   `json:"site"`
	SiteID    string   `json:"site_id"`
	Epoch     string   `json:"epoch"`
	Index     uint64   `json:"index"`
	Schema    int      `json:"schema"`
	Languages []string `json:"languages"`
	Nodes     []Node   `json:"nodes"`
	Recovery  string   `json:"recovery_key,omitempty"` // name of the recovery key to which the site's keys are sealed; empty: to none
}

// Node is a node that the site had.
type Node struct {
	ID        string   `json:"id"`
	Name      string   `json:"name"`
	Addresses []string `json:"addresses"`
}

// contentOf reads what a copy of a database says of its site.
func contentOf(ctx context.Context, path string) (c Content, err error) {
	about, err := store.Inspect(ctx, path)
	if err != nil {
		return c, err
	}
	c.Index, c.Schema = about.Applied, about.Schema
	err = look(ctx, path, func(tx *sql.Tx) error {
		if err := tx.QueryRowContext(ctx, `SELECT name, id, epoch FROM site`).Scan(&c.Site, &c.SiteID, &c.Epoch); err != nil {
			return fmt.Errorf("it holds no site: %w", err)
		}
		if c.Languages, err = texts(ctx, tx, `SELECT tag FROM language ORDER BY tag`); err != nil || about.Schema < 4 {
			return err
		}
		box, err := sealed.BoxOf(ctx, tx, sealed.Recovery)
		if err != nil {
			return err
		}
		if box != nil {
			c.Recovery = sealed.Name(box.Recipient)
		}
		return c.nodes(ctx, tx)
	})
	return c, err
}

func (c *Content) nodes(ctx context.Context, tx *sql.Tx) error {
	found, err := tx.QueryContext(ctx, `SELECT id, name, addresses FROM node WHERE removed = '' ORDER BY name, id`)
	if err != nil {
		return err
	}
	defer found.Close()
	for found.Next() {
		var n Node
		var addresses string
		if err := found.Scan(&n.ID, &n.Name, &addresses); err != nil {
			return err
		}
		if err := json.Unmarshal([]byte(addresses), &n.Addresses); err != nil {
			return fmt.Errorf("addresses of node %s: %w", n.ID, err)
		}
		c.Nodes = append(c.Nodes, n)
	}
	return found.Err()
}

func texts(ctx context.Context, tx *sql.Tx, query string) (list []string, err error) {
	found, err := tx.QueryContext(ctx, query)
	if err != nil {
		return nil, err
	}
	defer found.Close()
	for found.Next() {
		var text string
		if err := found.Scan(&text); err != nil {
			return nil, err
		}
		list = append(list, text)
	}
	return list, found.Err()
}

// look reads a copy of a database that nobody has open.
func look(ctx context.Context, path string, read func(tx *sql.Tx) error) error {
	one, err := sql.Open("sqlite", sqlite.Source(path)+"&mode=ro&immutable=1")
	if err != nil {
		return err
	}
	defer one.Close()
	tx, err := one.BeginTx(ctx, &sql.TxOptions{ReadOnly: true})
	if err != nil {
		return err
	}
	return errors.Join(read(tx), tx.Rollback())
}

// writePayloads writes the list of payloads of a copy of a database.
func writePayloads(ctx context.Context, path string, out io.Writer) (part Part, err error) {
	err = look(ctx, path, func(tx *sql.Tx) error {
		found, err := tx.QueryContext(ctx, `SELECT sha256, max(size) FROM holding GROUP BY sha256 ORDER BY sha256`)
		if err != nil {
			return err
		}
		defer found.Close()
		line := json.NewEncoder(out)
		for found.Next() {
			var digest []byte
			var size int64
			if err := found.Scan(&digest, &size); err != nil {
				return err
			}
			part.Count++
			part.Bytes += size
			if err := line.Encode(Payload{hex.EncodeToString(digest), size}); err != nil {
				return err
			}
		}
		return found.Err()
	})
	return part, err
}

// Payload is a line of the list of payloads.
type Payload struct {
	SHA256 string `json:"sha256"`
	Size   int64  `json:"size"`
}

// Extension is that of files of backups.
const Extension = ".tar.zst"

// prefix is that of the names of a site's backups: what it is called, as far as files may be, and the beginning of its id.
func prefix(site, id string) string {
	plain := strings.Map(func(r rune) rune {
		if r < unicode.MaxASCII && (unicode.IsLetter(r) || unicode.IsDigit(r)) {
			return unicode.ToLower(r)
		}
		return '-'
	}, site)
	plain = strings.Join(strings.FieldsFunc(plain, func(r rune) bool { return r == '-' }), "-")
	return "thatch-" + plain[:min(len(plain), 40)] + "-" + id[:min(len(id), 8)] + "-"
}

// fileName is that of a backup: its site, when it was made, and how far it goes.
func (m *Manifest) fileName() string {
	return fmt.Sprintf("%s%s-%d%s", prefix(m.Site, m.SiteID), m.Made.UTC().Format("20060102T150405Z"), m.Index, Extension)
}

// Age is how old the backup is, for people.
func (m *Manifest) Age(now time.Time) string { return rows.Stamp(m.Made) + ", " + Ago(now.Sub(m.Made)) }

// Ago says a span in words.
func Ago(d time.Duration) string {
	switch {
	case d < 2*time.Minute:
		return "just now"
	case d < 2*time.Hour:
		return fmt.Sprintf("%d minutes ago", int(d.Minutes()))
	case d < 48*time.Hour:
		return fmt.Sprintf("%d hours ago", int(d.Hours()))
	}
	return fmt.Sprintf("%d days ago", int(d.Hours()/24))
}
