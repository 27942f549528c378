package dataset

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"runtime"
	"sync"

	"thatch/catalog/document"
)

// hashed is what a document counts for in its bucket.
type hashed struct {
	digest document.Digest
	bucket uint16
}

func compareHashed(a, b hashed) int {
	return cmp.Or(cmp.Compare(a.bucket, b.bucket), bytes.Compare(a.digest[:], b.digest[:]))
}

// heap is how many bytes of rows are hashed at a time.
const heap = 256 << 10

// output hashes rows beside whoever reads them. Rows are copied into one buffer after the other, each row as that over
// which its digest is: length-prefixed kind, id, languages and body.
type output struct {
	work    chan *load
	spare   chan *load
	now     *load
	done    sync.WaitGroup
	once    sync.Once
	mu      sync.Mutex
	hashes  []hashed
	damaged []Damaged
	bytes   int64
}

// load is some rows on their way to be hashed.
type load struct {
	rows []row
	text []byte
}

type row struct {
	digest   document.Digest // under which it is kept
	bucket   uint16
	held     bool
	kind, id int // bytes of them
	end      int // of the row in text
	more     int // where origin and signature begin in text
	bytes    int // of the body
}

func (o *output) start() {
	workers := max(runtime.GOMAXPROCS(0), 1)
	o.work, o.spare = make(chan *load), make(chan *load, workers+1)
	for range workers + 1 {
		o.spare <- &load{text: make([]byte, 0, heap+document.MaxSize/4)}
	}
	o.now = <-o.spare
	for range workers {
		o.done.Add(1)
		go func() {
			defer o.done.Done()
			for l := range o.work {
				o.hash(l)
				l.rows, l.text = l.rows[:0], l.text[:0]
				o.spare <- l
			}
		}()
	}
}

// stop waits until everything is hashed.
func (o *output) stop() {
	o.once.Do(func() {
		o.work <- o.now
		close(o.work)
		o.done.Wait()
	})
}

// columns are those of one revision.
type columns struct{ kind, id, languages, origin, signature, body []byte }

// add takes a row, whose columns are copied.
func (o *output) add(it *item, c *columns) {
	l := o.now
	r := row{digest: it.digest, bucket: it.bucket, held: it.held, kind: len(c.kind), id: len(c.id), bytes: len(c.body)}
	for _, text := range [...][]byte{c.kind, c.id, c.languages, c.body} {
		l.text = putNumber(l.text, uint64(len(text)))
		l.text = append(l.text, text...)
	}
	r.more = len(l.text)
	if !it.held { // who made what is pinned may differ: equal documents of two sites
		l.text = putNumber(l.text, uint64(len(c.origin)))
		l.text = append(append(l.text, c.origin...), c.signature...)
	}
	r.end = len(l.text)
	l.rows = append(l.rows, r)
	if len(l.text) >= heap {
		o.work <- l
		o.now = <-o.spare
	}
}

// hash takes some rows to their buckets.
func (o *output) hash(l *load) {
	found := make([]hashed, 0, len(l.rows))
	var damaged []Damaged
	var total int64
	var head []byte
	begin := 0
	for _, r := range l.rows {
		text := l.text[begin:r.more]
		real := document.Digest(sha256.Sum256(text))
		if real != r.digest {
			damaged = append(damaged, Damaged{
				Key{document.Kind(text[8 : 8+r.kind]), string(text[16+r.kind : 16+r.kind+r.id])}, r.digest,
			})
		}
		head = append(head[:0], 0)
		if r.held {
			head[0] = 1
		}
		head = append(append(head, real[:]...), l.text[r.more:r.end]...)
		found = append(found, hashed{sha256.Sum256(head), r.bucket})
		total += int64(r.bytes)
		begin = r.end
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.hashes = append(o.hashes, found...)
	o.damaged = append(o.damaged, damaged...)
	o.bytes += total
}
