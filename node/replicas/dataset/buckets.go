package dataset

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/binary"
	"fmt"
	"hash/fnv"
	"slices"

	"thatch/catalog/document"
	"thatch/node/store"
)

// BucketCount is the number of buckets in which documents are laid by a hash of kind and id.
const BucketCount = 4096

// BucketOf is the bucket of a document.
func BucketOf(k Key) int {
	sum := fnv.New64a()
	sum.Write([]byte(k.Kind))
	sum.Write([]byte{0})
	sum.Write([]byte(k.ID))
	n := sum.Sum64()
	n ^= n >> 33 // the low bits of FNV alone are uneven for ids that differ in their last digit
	n *= 0xff51afd7ed558ccd
	n ^= n >> 33
	return int(n % BucketCount)
}

// Turn are the buckets that the run with a number compares so that every bucket is compared within 100/percent runs
// that follow each other.
func Turn(run, percent int) []int {
	percent = min(max(percent, 0), 100)
	if percent == 0 {
		return []int{}
	}
	runs := (100 + percent - 1) / percent
	at := ((run % runs) + runs) % runs
	var which []int
	for n := at * BucketCount / runs; n < (at+1)*BucketCount/runs; n++ {
		which = append(which, n)
	}
	return which
}

// Bucket is what one holds.
type Bucket struct {
	Number int             `json:"number"`
	Digest document.Digest `json:"digest"` // over heads and what the bodies really are; zero where it is empty
	Count  int             `json:"count"`  // of documents
}

// Damaged is a document whose content is not what its digest says, or whose revision is missing. Nothing of it is sent
// until it is mended by a good copy.
type Damaged struct {
	Key
	Digest document.Digest `json:"digest"`
}

// Sum is what a scope holds, or some buckets of it, at one state of the file.
type Sum struct {
	Buckets []Bucket
	Damaged []Damaged
	Count   int            // documents hashed
	Bytes   int64          // of their bodies
	Tail    store.Sequence // of the journal
}

// Digest is one digest over the whole: it is only that of a type where all buckets were asked for.
func (s *Sum) Digest() document.Digest {
	all := sha256.New()
	for _, b := range s.Buckets {
		if b.Count > 0 {
			all.Write(append(putNumber(putNumber(nil, uint64(b.Number)), uint64(len(b.Digest))), b.Digest[:]...))
		}
	}
	return document.Digest(all.Sum(nil))
}

// Buckets hashes what a scope holds in some buckets, sorted, nil for all: every head, and every body, against the digest
// under which it is kept. What is pinned by policies in scope counts with them.
func (s *Sender) Buckets(ctx context.Context, scope Scope, which []int) (sum Sum, err error) {
	err = s.cfg.Reader.View(ctx, func(tx *sql.Tx) (err error) {
		sum, err = Buckets(ctx, tx, scope, which)
		return err
	})
	if err != nil {
		return Sum{}, fmt.Errorf("%s: %w", scope.Type, err)
	}
	return sum, nil
}

// Buckets is Sender.Buckets in a transaction: a site's file alone is enough.
func Buckets(ctx context.Context, tx *sql.Tx, scope Scope, which []int) (Sum, error) {
	m := newMeasure(&scope, which)
	if err := m.list(ctx, tx); err != nil {
		return Sum{}, err
	}
	if err := m.hash(ctx, tx); err != nil {
		return Sum{}, err
	}
	tail, err := Tail(ctx, tx)
	if err != nil {
		return Sum{}, err
	}
	if err := m.missing(ctx, tx); err != nil {
		return Sum{}, err
	}
	sum := m.sum(which)
	sum.Tail = tail
	return sum, nil
}

// item is a document to be hashed.
type item struct {
	digest document.Digest
	bucket uint16
	held   bool // pinned
	seen   bool
}

// measure hashes what a scope holds.
type measure struct {
	scope  *Scope
	which  []bool // by bucket; nil: all
	except map[Key]bool
	kinds  []document.Kind
	items  []item
	name   bool    // names are wanted
	names  []Key   // of the items that are not held, as the table of documents says
	places []int32 // into items, by digest: see find
	out    output
}

func newMeasure(scope *Scope, which []int) *measure {
	m := &measure{scope: scope, except: map[Key]bool{}}
	if which != nil {
		m.which = make([]bool, BucketCount)
		for _, n := range which {
			if n >= 0 && n < BucketCount {
				m.which[n] = true
			}
		}
	}
	for _, k := range scope.Except {
		m.except[k] = true
	}
	return m
}

// wants says whether a document's bucket is asked for.
func (m *measure) wants(k Key) (bucket int, wanted bool) {
	bucket = BucketOf(k)
	return bucket, (m.which == nil || m.which[bucket]) && !m.except[k]
}

// list finds the documents that the buckets hold, as far as that can be told without their revisions.
func (m *measure) list(ctx context.Context, tx *sql.Tx) (err error) {
	if m.kinds, err = m.scope.kinds(ctx, tx); err != nil {
		return err
	}
	for _, kind := range m.kinds {
		var id, digest, audience sql.RawBytes
		query, into := `SELECT id, digest, audience FROM document WHERE kind = ?`, []any{&id, &digest, &audience}
		if m.scope.Audience.All {
			query, into = `SELECT id, digest FROM document WHERE kind = ?`, into[:2]
		}
		err := eachRow(ctx, tx, query, []any{string(kind)}, func(rows *sql.Rows) error {
			if err := rows.Scan(into...); err != nil {
				return err
			}
			bucket, wanted := m.wants(Key{kind, string(id)})
			if wanted && m.scope.Audience.holds(string(audience)) {
				it := item{bucket: uint16(bucket)}
				copy(it.digest[:], digest)
				m.items = append(m.items, it)
				if m.name {
					m.names = append(m.names, Key{kind, string(id)})
				}
			}
			return nil
		})
		if err != nil {
			return fmt.Errorf("read the documents of kind %s: %w", kind, err)
		}
	}
	if err := m.listPinned(ctx, tx); err != nil {
		return err
	}
	m.index()
	return nil
}

// index makes find work: digests are spread evenly, so they need no other hash.
func (m *measure) index() {
	size := 16
	for size < 2*len(m.items) {
		size *= 2
	}
	m.places = make([]int32, size)
	for i := range m.items {
		at := slot(&m.items[i].digest, size)
		for m.places[at] != 0 {
			at = (at + 1) & (size - 1)
		}
		m.places[at] = int32(i + 1)
	}
}

func slot(d *document.Digest, size int) int {
	return int(binary.LittleEndian.Uint64(d[:])) & (size - 1)
}

// find is the item of a digest, nil where it is not wanted.
func (m *measure) find(d *document.Digest) *item {
	for at := slot(d, len(m.places)); m.places[at] != 0; at = (at + 1) & (len(m.places) - 1) {
		if it := &m.items[m.places[at]-1]; it.digest == *d {
			return it
		}
	}
	return nil
}

// listPinned finds the revisions that policies in scope pin.
func (m *measure) listPinned(ctx context.Context, tx *sql.Tx) error {
	if m.scope.Type != Policies {
		return nil
	}
	var policies []string
	err := eachRow(ctx, tx, `SELECT d.id, d.audience, r.languages, r.origin FROM document d JOIN revision r ON r.digest = d.digest
WHERE d.kind = 'policy' ORDER BY d.id`, nil, func(rows *sql.Rows) error {
		var id, audience, origin string
		var languages sql.RawBytes
		err := rows.Scan(&id, &audience, &languages, &origin)
		if err == nil && m.scope.matters(tags(languages), audience) && m.scope.by(origin) {
			policies = append(policies, id)
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("read the policies: %w", err)
	}
	pinned := map[document.Digest]bool{}
	for _, policy := range policies {
		err := eachRow(ctx, tx, `SELECT r.digest, r.kind, r.id, r.languages FROM pin p JOIN revision r ON r.digest = p.digest WHERE p.policy = ?`,
			[]any{policy}, func(rows *sql.Rows) error {
				var digest, kind, id, languages sql.RawBytes
				if err := rows.Scan(&digest, &kind, &id, &languages); err != nil {
					return err
				}
				bucket, wanted := m.wants(Key{document.Kind(kind), string(id)})
				it := item{bucket: uint16(bucket), held: true}
				copy(it.digest[:], digest)
				if wanted && !pinned[it.digest] && m.scope.speaks(tags(languages)) {
					pinned[it.digest] = true // no policy is pinned: nothing is in the list twice
					m.items = append(m.items, it)
					if m.name {
						m.names = append(m.names, Key{document.Kind(kind), string(id)})
					}
				}
				return nil
			})
		if err != nil {
			return fmt.Errorf("read the pins of policy %s: %w", policy, err)
		}
	}
	return nil
}

// measured reads a revision in few columns, since each column costs as much as hashing 500 bytes: the lengths of kind, id,
// languages and origin in one number, these and the signature in one text.
const measured = `SELECT digest, octet_length(kind) | (octet_length(id) << 15) | (octet_length(languages) << 30) | (octet_length(origin) << 45),
CAST(kind || id || languages || origin || signature AS BLOB), body FROM revision`

// cut takes the first bytes of a text off, fewer where it has not as many.
func cut(text *[]byte, n int64) (first []byte) {
	n = min(n&(1<<15-1), int64(len(*text)))
	first, *text = (*text)[:n], (*text)[n:]
	return first
}

// hash reads the revisions: all of them in the order in which they lie in the file, unless few are wanted.
func (m *measure) hash(ctx context.Context, tx *sql.Tx) error {
	m.out.start()
	defer m.out.stop()
	var all int
	if err := tx.QueryRowContext(ctx, `SELECT coalesce(max(rowid), 0) FROM revision`).Scan(&all); err != nil {
		return fmt.Errorf("count the revisions: %w", err)
	}
	if len(m.items) > all/4 {
		return m.read(eachRow(ctx, tx, measured, nil, m.row))
	}
	args := make([]any, 0, 200)
	for some := range slices.Chunk(m.items, cap(args)) {
		args = args[:0]
		for i := range some {
			args = append(args, some[i].digest[:])
		}
		if err := m.read(eachRow(ctx, tx, measured+` WHERE digest IN (`+places(len(args))+`)`, args, m.row)); err != nil {
			return err
		}
	}
	return nil
}

func (m *measure) read(err error) error {
	if err != nil {
		return fmt.Errorf("read the revisions: %w", err)
	}
	return nil
}

// row takes one revision.
func (m *measure) row(rows *sql.Rows) error {
	var digest, head, body sql.RawBytes
	var lengths int64
	if err := rows.Scan(&digest, &lengths, &head, &body); err != nil {
		return err
	}
	var d document.Digest
	copy(d[:], digest)
	it := m.find(&d)
	if it == nil {
		return nil
	}
	it.seen = true
	rest := []byte(head)
	c := columns{cut(&rest, lengths), cut(&rest, lengths>>15), cut(&rest, lengths>>30), cut(&rest, lengths>>45), rest, body}
	if !it.held && (!m.scope.speaks(tags(c.languages)) || !m.scope.by(string(c.origin))) {
		return nil
	}
	m.out.add(it, &c)
	return nil
}

// missing finds documents whose revisions are not there.
func (m *measure) missing(ctx context.Context, tx *sql.Tx) error {
	if !slices.ContainsFunc(m.items, func(it item) bool { return !it.seen }) {
		return nil
	}
	for _, kind := range m.kinds {
		err := eachRow(ctx, tx, `SELECT id, digest FROM document WHERE kind = ? ORDER BY id`, []any{string(kind)}, func(rows *sql.Rows) error {
			one := Damaged{Key: Key{Kind: kind}}
			var digest sql.RawBytes
			err := rows.Scan(&one.ID, &digest)
			copy(one.Digest[:], digest)
			if it := m.find(&one.Digest); err == nil && it != nil && !it.seen {
				m.out.damaged = append(m.out.damaged, one)
			}
			return err
		})
		if err != nil {
			return fmt.Errorf("read the documents of kind %s: %w", kind, err)
		}
	}
	return nil
}

// sum lays the hashes in their buckets.
func (m *measure) sum(which []int) Sum {
	s := Sum{Damaged: m.out.damaged, Count: len(m.out.hashes), Bytes: m.out.bytes}
	slices.SortFunc(s.Damaged, func(a, b Damaged) int { return a.Compare(b.Key) })
	if which == nil {
		which = make([]int, BucketCount)
		for n := range which {
			which[n] = n
		}
	}
	slices.SortFunc(m.out.hashes, compareHashed)
	rest := m.out.hashes
	for _, n := range which {
		for len(rest) > 0 && int(rest[0].bucket) < n {
			rest = rest[1:]
		}
		b := Bucket{Number: n}
		sum := sha256.New()
		for len(rest) > 0 && int(rest[0].bucket) == n {
			sum.Write(rest[0].digest[:])
			b.Count++
			rest = rest[1:]
		}
		if b.Count > 0 {
			sum.Sum(b.Digest[:0])
		}
		s.Buckets = append(s.Buckets, b)
	}
	return s
}

// eachRow calls take with every row of a query.
func eachRow(ctx context.Context, tx *sql.Tx, query string, args []any, take func(*sql.Rows) error) error {
	rows, err := tx.QueryContext(ctx, query, args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		if err := take(rows); err != nil {
			return err
		}
	}
	return rows.Err()
}

// places are the parameters of an IN.
func places(n int) string {
	text := make([]byte, 0, 3*n)
	for i := range n {
		if i > 0 {
			text = append(text, ", "...)
		}
		text = append(text, '?')
	}
	return string(text)
}

// putNumber writes eight bytes, the highest first.
func putNumber(into []byte, n uint64) []byte { return binary.BigEndian.AppendUint64(into, n) }
