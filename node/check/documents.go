package check

import (
	"context"
	"database/sql"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"thatch/catalog/document"
	"thatch/node/store/local"
)

// Names in the node's own file.
const (
	roundName     = "check/documents"
	damagedPrefix = "damaged/"
)

// round is how far the check of documents is.
type round struct {
	Began time.Time `json:"began"`
	After string    `json:"after"` // digest, hexadecimal
	Count int       `json:"count"` // documents read
	Done  bool      `json:"done"`
}

// Damage is a document that this node holds and that is not what it was.
type Damage struct {
	Kind   string    `json:"kind"`
	ID     string    `json:"id"`
	Digest string    `json:"digest"`
	Found  string    `json:"found"` // what is wrong
	At     time.Time `json:"at"`    // when it was last found so
}

var errBodyGone = errors.New("its body is gone")

// takeUp reads how far an earlier start was. What cannot be read is looked for again.
func (c *Checker) takeUp() {
	text, err := c.cfg.Own.Get(roundName)
	if err == nil {
		err = json.Unmarshal(text, &c.round)
	}
	if err != nil {
		c.round = round{}
		if !errors.Is(err, local.ErrNotFound) {
			c.cfg.Log.Warn("the check of documents begins anew", "error", err)
		}
	}
	kept, err := c.cfg.Own.List(damagedPrefix)
	if err != nil {
		c.cfg.Log.Warn("which documents are damaged is looked for again", "error", err)
	}
	for name, text := range kept {
		var d Damage
		if json.Unmarshal(text, &d) == nil && name == damagedPrefix+d.Digest {
			c.damaged[d.Digest] = d
		}
	}
}

// Damaged counts the documents that were found damaged and not sound since.
func (c *Checker) Damaged() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.damaged)
}

// nextPage checks the next page of a round that goes on, or begins one that is due.
func (c *Checker) nextPage(ctx context.Context) time.Duration {
	now := c.cfg.Now()
	if left := c.round.Began.Add(every).Sub(now); c.round.Done && left > 0 && left <= every {
		return min(left, again)
	}
	if c.round.Done || c.round.Began.IsZero() {
		c.round = round{Began: now}
	}
	docs, err := c.page(ctx)
	if err == nil && len(docs) == 0 {
		docs, err = c.bodiless(ctx)
		c.round.Done = err == nil
	}
	if err != nil {
		if ctx.Err() == nil {
			c.cfg.Log.Error("the documents cannot be checked; the next hour tries again", "error", err)
		}
		return again
	}
	for _, d := range docs {
		c.note(d)
	}
	if c.round.Done {
		c.endRound()
	}
	c.keep(roundName, c.round)
	return pagePause
}

// checked is a document that was looked at.
type checked struct {
	document.Head
	err error // nil: it is sound
}

// page reads the bodies of the next revisions, current and pinned ones, in the order of their digests.
func (c *Checker) page(ctx context.Context) (docs []checked, err error) {
	after, err := hex.DecodeString(c.round.After)
	if err != nil {
		after = nil
	}
	err = c.cfg.Reader.View(ctx, func(tx *sql.Tx) error {
		docs = docs[:0]
		rows, err := tx.QueryContext(ctx, `SELECT digest, kind, id, languages, body FROM revision WHERE digest > ? ORDER BY digest LIMIT ?`,
			nonNil(after), pageRows)
		if err != nil {
			return err
		}
		defer rows.Close()
		for size := 0; size < pageBytes && rows.Next(); {
			var doc document.Document
			var digest []byte
			var languages string
			if err := rows.Scan(&digest, &doc.Kind, &doc.ID, &languages, &doc.Body); err != nil {
				return err
			}
			copy(doc.Digest[:], digest)
			if languages != "" {
				doc.Languages = strings.Split(languages, ",")
			}
			docs = append(docs, checked{doc.Head, doc.VerifyDigest()})
			size += len(doc.Body)
		}
		return rows.Err()
	})
	if err == nil && len(docs) > 0 {
		c.round.After = docs[len(docs)-1].Digest.String()
		c.round.Count += len(docs)
	}
	return docs, err
}

// bodiless are current documents whose revision is not here.
func (c *Checker) bodiless(ctx context.Context) (docs []checked, err error) {
	err = c.cfg.Reader.View(ctx, func(tx *sql.Tx) error {
		docs = docs[:0]
		rows, err := tx.QueryContext(ctx, `SELECT digest, kind, id FROM document d
WHERE NOT EXISTS (SELECT 1 FROM revision r WHERE r.digest = d.digest) ORDER BY kind, id LIMIT ?`, pageRows)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			doc := checked{err: errBodyGone}
			var digest []byte
			if err := rows.Scan(&digest, &doc.Kind, &doc.ID); err != nil {
				return err
			}
			copy(doc.Digest[:], digest)
			docs = append(docs, doc)
		}
		return rows.Err()
	})
	return docs, err
}

// note tells of a document that is damaged, and of one that is not any more.
func (c *Checker) note(doc checked) {
	name := doc.Digest.String()
	c.mu.Lock()
	defer c.mu.Unlock()
	_, known := c.damaged[name]
	switch {
	case doc.err != nil:
		d := Damage{Kind: string(doc.Kind), ID: doc.ID, Digest: name, Found: doc.err.Error(), At: c.cfg.Now()}
		c.damaged[name] = d
		c.keep(damagedPrefix+name, d)
		c.cfg.Log.Error("a document is damaged in this node's database: look at its disk, and bring the document in anew",
			"kind", d.Kind, "id", d.ID, "digest", name, "error", d.Found)
	case known:
		c.mended(name, "a document that was damaged is sound again")
	}
}

// mended takes a document from the damaged ones, whose lock is held.
func (c *Checker) mended(name, text string) {
	d := c.damaged[name]
	delete(c.damaged, name)
	if err := c.cfg.Own.Delete(damagedPrefix + name); err != nil {
		c.cfg.Log.Warn("the node's own file takes nothing", "error", err)
	}
	c.cfg.Log.Info(text, "kind", d.Kind, "id", d.ID, "digest", name)
}

// endRound forgets what the round did not find any more.
func (c *Checker) endRound() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for name, d := range c.damaged {
		if d.At.Before(c.round.Began) {
			c.mended(name, "a document that was damaged is gone")
		}
	}
	c.cfg.Log.Info("the documents were checked", "documents", c.round.Count, "damaged", len(c.damaged))
}

// keep writes down what the next start takes up. Without it the next start reads again.
func (c *Checker) keep(name string, value any) {
	text, err := json.Marshal(value)
	if err == nil {
		err = c.cfg.Own.Put(name, text)
	}
	if err != nil {
		c.cfg.Log.Warn("how far the check is was not kept", "error", fmt.Errorf("%s: %w", name, err))
	}
}

func nonNil(b []byte) []byte {
	if b == nil {
		return []byte{}
	}
	return b
}
