package replicas

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"time"

	"thatch/catalog/document"
	"thatch/node/replicas/dataset"
	"thatch/node/store"
)

// Reason says why a document is in quarantine.
type Reason string

// The reasons.
const (
	BadDigest    Reason = "bad digest"    // its content is not what its digest says
	BadSignature Reason = "bad signature" // not signed by the site it is said to come from
	NoKey        Reason = "no key"        // that site's signing key is not known
	TooLarge     Reason = "too large"
	Refused      Reason = "refused"  // by this site's rules, or by the room that would use it
	NotSent      Reason = "not sent" // the sender could not send it: damaged there
)

// passing says that the same document may be fine the next time.
func (r Reason) passing() bool { return r == NoKey || r == NotSent || r == BadDigest }

// onTheWay is how long a document may wait for the key of its signer, which comes by another way, before people are to know.
const onTheWay = time.Minute

// Alarming says whether people are to know of it now.
func (q *Quarantined) Alarming(now time.Time) bool {
	return q.Reason != NoKey || now.Sub(q.Since) >= onTheWay
}

// reasonOf is the reason that an error of a check means.
func reasonOf(err error) Reason {
	switch {
	case errors.Is(err, document.ErrDigest):
		return BadDigest
	case errors.Is(err, document.ErrSignature):
		return BadSignature
	case errors.Is(err, document.ErrNoKey):
		return NoKey
	case errors.Is(err, store.ErrTooLarge):
		return TooLarge
	}
	return Refused
}

// Quarantined is a document that could not be accepted. What was held before is still in force.
type Quarantined struct {
	dataset.Key
	Neighbour string            `json:"neighbour"`
	Direction dataset.Direction `json:"direction"`
	Type      dataset.Type      `json:"type"`
	Digest    document.Digest   `json:"digest"`
	Origin    string            `json:"origin"` // that it claims
	Languages []string          `json:"languages,omitempty"`
	Reason    Reason            `json:"reason"`
	Detail    string            `json:"detail"`
	Since     time.Time         `json:"since"`
	Due       bool              `json:"due,omitempty"` // somebody wants it tried again
}

const quarantineColumns = `neighbour, direction, type, kind, id, digest, origin, languages, reason, detail, since, due`

func scanQuarantined(rows *sql.Rows) (Quarantined, error) {
	var q Quarantined
	var digest []byte
	var languages, since string
	err := rows.Scan(&q.Neighbour, &q.Direction, &q.Type, &q.Kind, &q.ID, &digest, &q.Origin, &languages, &q.Reason, &q.Detail, &since, &q.Due)
	if err != nil {
		return q, err
	}
	copy(q.Digest[:], digest)
	if languages != "" {
		q.Languages = strings.Split(languages, ",")
	}
	q.Since, err = time.Parse(time.RFC3339Nano, since)
	return q, err
}

// Quarantine lists what is set aside, of all neighbours, by kind and id.
func (r *Room) Quarantine(ctx context.Context) (list []Quarantined, err error) {
	return r.quarantine(ctx, ` ORDER BY kind, id, neighbour, direction`)
}

// QuarantineOf lists what of one type from one neighbour is set aside, by kind and id.
func (r *Room) QuarantineOf(ctx context.Context, from Neighbour, t dataset.Type) ([]Quarantined, error) {
	return r.quarantine(ctx, ` WHERE neighbour = ? AND direction = ? AND type = ? ORDER BY kind, id`, from.ID, string(from.Direction), string(t))
}

func (r *Room) quarantine(ctx context.Context, where string, args ...any) (list []Quarantined, err error) {
	err = r.cfg.Reader.View(ctx, func(tx *sql.Tx) error {
		list = list[:0]
		return each(ctx, tx, `SELECT `+quarantineColumns+` FROM quarantine`+where, args, func(rows *sql.Rows) error {
			q, err := scanQuarantined(rows)
			list = append(list, q)
			return err
		})
	})
	if err != nil {
		return nil, fmt.Errorf("read the quarantine: %w", err)
	}
	return list, nil
}

// TopicRetry is that of batches by which somebody wants documents in quarantine tried again.
const TopicRetry = "quarantine-retry"

// Retry has documents in quarantine asked for again: what came from above by the next run (see Due), what came from below of
// the child as soon as it is there. Without keys it is all of them.
func (r *Room) Retry(ctx context.Context, keys ...dataset.Key) error {
	if len(keys) == 0 {
		return r.write(ctx, "try again what is in quarantine", []store.Statement{{SQL: `UPDATE quarantine SET due = 1`}}, TopicRetry)
	}
	var statements []store.Statement
	for _, k := range keys {
		statements = append(statements, store.Statement{
			SQL: `UPDATE quarantine SET due = 1 WHERE kind = ? AND id = ?`, Args: []any{string(k.Kind), k.ID},
		})
	}
	return r.write(ctx, "try again what is in quarantine", statements, TopicRetry)
}

// Release takes documents of a neighbour out of quarantine that nobody sends any more.
func (r *Room) Release(ctx context.Context, from Neighbour, keys []dataset.Key) error {
	if len(keys) == 0 {
		return nil
	}
	statements := make([]store.Statement, 0, len(keys))
	for _, k := range keys {
		statements = append(statements, release(from, k))
	}
	return r.write(ctx, "forget what nobody sends any more", statements)
}

// Due are the digests of documents in quarantine that a run asks for again: those that somebody wanted tried, those that
// were not sent whole, and those whose signer is known meanwhile. What comes is for Repair.
func (r *Room) Due(ctx context.Context, from Neighbour, t dataset.Type) (digests []document.Digest, err error) {
	err = r.cfg.Reader.View(ctx, func(tx *sql.Tx) error {
		digests = digests[:0]
		// Upward a site, its key and what it tells are judged together: they may have come apart.
		const here = `(EXISTS (SELECT 1 FROM document d WHERE d.kind = '%[1]s' AND d.id = q.origin) OR q.direction = 'up' AND EXISTS (
  SELECT 1 FROM quarantine o WHERE o.neighbour = q.neighbour AND o.direction = 'up' AND o.kind = '%[1]s' AND o.id = q.origin))`
		query := `SELECT digest FROM quarantine q WHERE neighbour = ? AND direction = ? AND type = ? AND (due = 1
OR reason IN ('bad digest', 'not sent') OR reason = 'no key' AND ` + fmt.Sprintf(here, "signing-key") + ` AND (direction = 'down' OR ` + fmt.Sprintf(here, "site") + `))
ORDER BY id, kind`
		return each(ctx, tx, query, []any{from.ID, string(from.Direction), string(t)}, func(rows *sql.Rows) error {
			var raw []byte
			err := rows.Scan(&raw)
			var digest document.Digest
			copy(digest[:], raw)
			digests = append(digests, digest)
			return err
		})
	})
	if err != nil {
		return nil, fmt.Errorf("read the quarantine: %w", err)
	}
	return digests, nil
}

// setAside is the statement that puts a document into quarantine.
func setAside(q Quarantined) store.Statement {
	const most = 500
	if len(q.Detail) > most {
		q.Detail = strings.ToValidUTF8(q.Detail[:most], "")
	}
	return store.Statement{
		SQL: `INSERT INTO quarantine (` + quarantineColumns + `) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 0)
ON CONFLICT (neighbour, direction, kind, id) DO UPDATE SET type = excluded.type, digest = excluded.digest, origin = excluded.origin,
  languages = excluded.languages, reason = excluded.reason, detail = excluded.detail, since = excluded.since, due = 0`,
		Args: []any{
			q.Neighbour, string(q.Direction), string(q.Type), string(q.Kind), q.ID, q.Digest[:], q.Origin, strings.Join(q.Languages, ","),
			string(q.Reason), q.Detail, q.Since.UTC().Format(time.RFC3339Nano),
		},
	}
}

// release takes a document out of quarantine.
func release(from Neighbour, k dataset.Key) store.Statement {
	return store.Statement{
		SQL:  `DELETE FROM quarantine WHERE neighbour = ? AND direction = ? AND kind = ? AND id = ?`,
		Args: []any{from.ID, string(from.Direction), string(k.Kind), k.ID},
	}
}
