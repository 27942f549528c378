package store

import (
	"strings"

	"thatch/catalog/document"
)

const (
	// The audience that the document has here stays: it is this site's own affair, and may have changed since the caller
	// looked.
	insertJournalReceived = `INSERT INTO journal (idx, pos, kind, id, digest, languages, audience, former_languages, former_audience)
VALUES (?1, ?2, ?3, ?4, ?5, ?6,
  coalesce((SELECT d.audience FROM document d WHERE d.kind = ?3 AND d.id = ?4), ''),
  (SELECT r.languages FROM document d JOIN revision r ON r.digest = d.digest WHERE d.kind = ?3 AND d.id = ?4),
  coalesce((SELECT d.audience FROM document d WHERE d.kind = ?3 AND d.id = ?4), ''))`

	upsertReceived = `INSERT INTO document (kind, id, digest, audience, idx, pos) VALUES (?, ?, ?, '', ?, ?)
ON CONFLICT (kind, id) DO UPDATE SET digest = excluded.digest, idx = excluded.idx, pos = excluded.pos`

	updateReceived = `UPDATE document SET digest = ?, idx = ?, pos = ? WHERE kind = ? AND id = ? AND digest = ?`

	updateHead = `UPDATE revision SET origin = ?, signature = ? WHERE digest = ?`

	// What a damaged row says of itself counts for nothing.
	mendRevision = `INSERT INTO revision (digest, kind, id, languages, origin, signature, body) VALUES (?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (digest) DO UPDATE SET kind = excluded.kind, id = excluded.id, languages = excluded.languages,
  origin = excluded.origin, signature = excluded.signature, body = excluded.body`

	holdPinned = `INSERT INTO revision (digest, kind, id, languages, origin, signature, body) SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7
WHERE EXISTS (SELECT 1 FROM pin WHERE digest = ?1) ORDER BY 1 ON CONFLICT (digest) DO NOTHING`

	// A policy's pins as one argument: digests, 32 bytes each.
	eachPinned = `WITH RECURSIVE place (n) AS (SELECT 0 WHERE length(?2) >= 32 UNION ALL SELECT n + 32 FROM place WHERE n + 64 <= length(?2)),
pinned (digest) AS (SELECT substr(?2, n + 1, 32) FROM place)
`
	insertPins = eachPinned + `INSERT INTO pin (policy, digest) SELECT ?1, digest FROM pinned WHERE true ORDER BY digest ON CONFLICT DO NOTHING`

	dropUnpinned = eachPinned + `DELETE FROM revision WHERE digest IN (
  SELECT p.digest FROM pin p WHERE p.policy = ?1 AND p.digest NOT IN (SELECT digest FROM pinned))
AND NOT EXISTS (SELECT 1 FROM document d WHERE d.kind = revision.kind AND d.id = revision.id AND d.digest = revision.digest)
AND NOT EXISTS (SELECT 1 FROM pin p WHERE p.digest = revision.digest AND p.policy <> ?1)`

	deleteUnpinned = eachPinned + `DELETE FROM pin WHERE policy = ?1 AND digest NOT IN (SELECT digest FROM pinned)`
)

// Receive returns the statements that make a document of another site the current one of its kind and id, as Put does;
// the audience it has here stays. Where held, a revision with its digest must be there, and the body is not needed.
func Receive(doc document.Document, held bool, former Former) []Statement {
	kind, languages := string(doc.Kind), strings.Join(doc.Languages, ",")
	digest := doc.Digest[:]
	journal := Statement{SQL: insertJournalReceived, Want: 1, Args: []any{Index{}, Position(0), kind, doc.ID, digest, languages}}
	drop := Statement{SQL: dropFormer, Args: []any{kind, doc.ID, digest}}
	revision := Statement{SQL: upsertRevision, Args: []any{
		digest, kind, doc.ID, languages, doc.Origin, nonNil(doc.Signature), nonNil(doc.Body),
	}}
	if held {
		revision = Rehead(doc)
	}
	current := Statement{SQL: upsertReceived, Want: 1, Args: []any{kind, doc.ID, digest, Index{}, Position(-3)}}
	switch {
	case former.Absent:
		current = Statement{SQL: insertDocument, Want: 1, Args: []any{kind, doc.ID, digest, "", Index{}, Position(-3)}}
	case former.Digest != zeroDigest:
		drop = Statement{SQL: dropRevision, Args: []any{kind, doc.ID, digest, former.Digest[:]}}
		current = Statement{SQL: updateReceived, Want: 1, Args: []any{digest, Index{}, Position(-3), kind, doc.ID, former.Digest[:]}}
	}
	return []Statement{journal, drop, revision, current}
}

// Rehead returns the statement that gives a revision, current or not, another maker; that there is none is a conflict. Of a
// current one that is a change, see Receive.
func Rehead(doc document.Document) Statement {
	return Statement{SQL: updateHead, Want: 1, Args: []any{doc.Origin, nonNil(doc.Signature), doc.Digest[:]}}
}

// Mend returns the statement that puts a good copy of a document in the place of a damaged one with its digest, or of
// one that is missing. Nothing changes by it but what was wrong: it is no entry of the journal.
func Mend(doc document.Document) Statement {
	return Statement{SQL: mendRevision, Args: []any{
		doc.Digest[:], string(doc.Kind), doc.ID, strings.Join(doc.Languages, ","), doc.Origin,
		nonNil(doc.Signature), nonNil(doc.Body),
	}}
}

// HoldPinned returns the statement that keeps a revision if a policy pins it; else nothing is kept.
func HoldPinned(doc document.Document) Statement {
	s := Hold(doc)
	s.SQL = holdPinned
	return s
}

// Repin returns the statements after which a policy pins these revisions and no others, held or not. Revisions that
// nothing needs then are dropped.
func Repin(policy string, digests []document.Digest) []Statement {
	joined := make([]byte, 0, 32*len(digests))
	for i := range digests {
		joined = append(joined, digests[i][:]...)
	}
	return []Statement{
		{SQL: insertPins, Args: []any{policy, joined}},
		{SQL: dropUnpinned, Args: []any{policy, joined}},
		{SQL: deleteUnpinned, Args: []any{policy, joined}},
	}
}
