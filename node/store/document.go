package store

import (
	"strings"

	"thatch/catalog/document"
)

// Former is what a change of a document expects to find. The zero Former expects nothing in particular.
type Former struct {
	Absent bool            // there is none
	Digest document.Digest // the current one has this digest; zero: any
}

var zeroDigest document.Digest

const (
	insertJournalPlain = `INSERT INTO journal (idx, pos, kind, id, digest, languages, audience, former_languages, former_audience)
VALUES (?, ?, ?, ?, ?, ?, ?, NULL, '')`

	// The former languages and audience are read where the change is applied: what the caller read may be old.
	insertJournal = `INSERT INTO journal (idx, pos, kind, id, digest, languages, audience, former_languages, former_audience)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7,
  (SELECT r.languages FROM document d JOIN revision r ON r.digest = d.digest WHERE d.kind = ?3 AND d.id = ?4),
  coalesce((SELECT d.audience FROM document d WHERE d.kind = ?3 AND d.id = ?4), ''))`

	insertTombstone = `INSERT INTO journal (idx, pos, kind, id, digest, languages, audience, former_languages, former_audience)
SELECT ?1, ?2, d.kind, d.id, NULL, coalesce(r.languages, ''), d.audience, coalesce(r.languages, ''), d.audience
FROM document d LEFT JOIN revision r ON r.digest = d.digest
WHERE d.kind = ?3 AND d.id = ?4 AND (?5 IS NULL OR d.digest = ?5) ORDER BY d.id`

	insertAudience = `INSERT INTO journal (idx, pos, kind, id, digest, languages, audience, former_languages, former_audience)
SELECT ?1, ?2, d.kind, d.id, d.digest, r.languages, ?5, r.languages, d.audience
FROM document d JOIN revision r ON r.digest = d.digest
WHERE d.kind = ?3 AND d.id = ?4 AND (?6 IS NULL OR d.digest = ?6) ORDER BY d.id`

	// Equal digests may come with another head: who made the document, and so who signed it.
	upsertRevision = `INSERT INTO revision (digest, kind, id, languages, origin, signature, body) VALUES (?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (digest) DO UPDATE SET origin = excluded.origin, signature = excluded.signature
WHERE origin <> excluded.origin OR signature <> excluded.signature`

	insertDocument = `INSERT INTO document (kind, id, digest, audience, idx, pos) VALUES (?, ?, ?, ?, ?, ?)`

	upsertDocument = `INSERT INTO document (kind, id, digest, audience, idx, pos) VALUES (?, ?, ?, ?, ?, ?)
ON CONFLICT (kind, id) DO UPDATE SET digest = excluded.digest, audience = excluded.audience, idx = excluded.idx, pos = excluded.pos`

	updateDocument = `UPDATE document SET digest = ?, audience = ?, idx = ?, pos = ? WHERE kind = ? AND id = ? AND digest = ?`

	updateAudience = `UPDATE document SET audience = ?, idx = ?, pos = ? WHERE kind = ? AND id = ?`

	deleteDocument = `DELETE FROM document WHERE kind = ? AND id = ?`

	// A document that was altered behind the site's back may name the revision of another one.
	nobodysElse = `NOT EXISTS (SELECT 1 FROM document d WHERE d.kind = revision.kind AND d.id = revision.id AND d.digest = revision.digest
  AND (d.kind <> ?1 OR d.id <> ?2))
`
	// What becomes of the former revision is settled while the document still names it.
	dropFormer = `DELETE FROM revision WHERE digest = (SELECT d.digest FROM document d WHERE d.kind = ?1 AND d.id = ?2)
AND digest <> ?3 AND ` + nobodysElse + `AND NOT EXISTS (SELECT 1 FROM pin p WHERE p.digest = revision.digest)`

	dropRevision = `DELETE FROM revision WHERE digest = ?4 AND digest <> ?3 AND ` + nobodysElse + `AND NOT EXISTS (SELECT 1 FROM pin p WHERE p.digest = revision.digest)`

	insertPin = `INSERT INTO pin (policy, digest) VALUES (?, ?) ON CONFLICT DO NOTHING`

	insertPinHeld = `INSERT INTO pin (policy, digest) SELECT ?, digest FROM revision WHERE digest = ? ORDER BY digest
ON CONFLICT (policy, digest) DO UPDATE SET policy = excluded.policy`

	deletePins = `DELETE FROM pin WHERE policy = ?`

	dropPinned = `DELETE FROM revision WHERE digest IN (SELECT digest FROM pin WHERE policy = ?1)
AND NOT EXISTS (SELECT 1 FROM document d WHERE d.kind = revision.kind AND d.id = revision.id AND d.digest = revision.digest)
AND NOT EXISTS (SELECT 1 FROM pin p WHERE p.digest = revision.digest AND p.policy <> ?1)`
)

// Put returns the statements that make doc the current document of its kind and id for an audience (” is everyone),
// with its entry in the journal; the former revision is dropped unless a policy pins it. They are one group and stay
// in this order; that the document changed since the caller looked is a conflict. Whoever puts a document that equals
// the current one makes a change of it all the same, so look first.
func Put(doc document.Document, audience string, former Former) []Statement {
	kind, languages := string(doc.Kind), strings.Join(doc.Languages, ",")
	digest := doc.Digest[:]
	signature, body := nonNil(doc.Signature), nonNil(doc.Body)
	journal := Statement{
		SQL: insertJournal, Want: 1,
		Args: []any{Index{}, Position(0), kind, doc.ID, digest, languages, audience},
	}
	revision := Statement{SQL: upsertRevision, Args: []any{digest, kind, doc.ID, languages, doc.Origin, signature, body}}
	current := Statement{SQL: insertDocument, Want: 1, Args: []any{kind, doc.ID, digest, audience, Index{}, Position(-2)}}
	if former.Absent {
		journal.SQL = insertJournalPlain
		return []Statement{journal, revision, current}
	}
	drop := Statement{SQL: dropFormer, Args: []any{kind, doc.ID, digest}}
	current.SQL, current.Args[5] = upsertDocument, Position(-3)
	if former.Digest != zeroDigest {
		drop = Statement{SQL: dropRevision, Args: []any{kind, doc.ID, digest, former.Digest[:]}}
		current.SQL = updateDocument
		current.Args = []any{digest, audience, Index{}, Position(-3), kind, doc.ID, former.Digest[:]}
	}
	return []Statement{journal, drop, revision, current}
}

// Remove returns the statements that take the current document of a kind and id away and leave a tombstone in the
// journal. Former.Absent makes no sense here. That there is none is a conflict.
func Remove(kind document.Kind, id string, former Former) []Statement {
	return []Statement{
		{SQL: insertTombstone, Want: 1, Args: []any{Index{}, Position(0), string(kind), id, former.digest()}},
		{SQL: dropFormer, Args: []any{string(kind), id, []byte{}}},
		{SQL: deleteDocument, Want: 1, Args: []any{string(kind), id}},
	}
}

// SetAudience returns the statements that give the current document of a kind and id to another audience, which is a
// change of it.
func SetAudience(kind document.Kind, id, audience string, former Former) []Statement {
	return []Statement{
		{SQL: insertAudience, Want: 1, Args: []any{Index{}, Position(0), string(kind), id, audience, former.digest()}},
		{SQL: updateAudience, Want: 1, Args: []any{audience, Index{}, Position(-1), string(kind), id}},
	}
}

// Hold returns the statement that keeps a revision without making it current: an earlier document that a policy pins
// and another site sent. Pin it in the same group: only Unpin drops it.
func Hold(doc document.Document) Statement {
	return Statement{SQL: upsertRevision, Args: []any{
		doc.Digest[:], string(doc.Kind), doc.ID, strings.Join(doc.Languages, ","), doc.Origin,
		nonNil(doc.Signature), nonNil(doc.Body),
	}}
}

// Pin returns the statement that pins a revision for a policy. Where held, the revision must be there, else it is a
// conflict; a site below may pin what it is still to receive.
func Pin(policy string, digest document.Digest, held bool) Statement {
	if held {
		return Statement{SQL: insertPinHeld, Args: []any{policy, digest[:]}, Want: 1}
	}
	return Statement{SQL: insertPin, Args: []any{policy, digest[:]}}
}

// Unpin returns the statements that take all pins of a policy away and drop the revisions that nothing needs then.
func Unpin(policy string) []Statement {
	return []Statement{{SQL: dropPinned, Args: []any{policy}}, {SQL: deletePins, Args: []any{policy}}}
}

func (f Former) digest() any {
	if f.Digest == zeroDigest {
		return nil
	}
	return f.Digest[:]
}

// nonNil is a slice that is stored as an empty blob, not as NULL.
func nonNil(b []byte) []byte {
	if b == nil {
		return []byte{}
	}
	return b
}
