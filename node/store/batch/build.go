package batch

import "fmt"

// builderLimit is the size at which a Builder starts another batch. The larger a transaction, the fewer pages of the
// indexes are written for each row.
const builderLimit = MaxBatch / 8 * 7

// Builder gathers groups of statements into as many batches as their size asks for.
type Builder struct {
	model Batch
	full  []Batch
	now   Batch
	size  int // of now, never less than what Encode makes of it
	texts map[string]bool
	parts int
}

// NewBuilder makes batches with the actor, reason, request, time and topics of the model. The request of a part but
// the first gets the part's number, "x/2".
func NewBuilder(model Batch) *Builder {
	model.Statements = nil
	b := &Builder{model: model}
	b.start()
	return b
}

func (b *Builder) start() {
	b.parts++
	b.now = b.model
	if b.model.Request != "" && b.parts > 1 {
		b.now.Request = fmt.Sprintf("%s/%d", b.model.Request, b.parts)
	}
	b.texts = map[string]bool{}
	b.size = 64 + len(b.now.Actor) + len(b.now.Reason) + len(b.now.Request)
	for _, topic := range b.now.Topics {
		b.size += len(topic) + 5
	}
}

// Add adds statements as one group, which never is torn apart. A group larger than a batch is an error (ErrTooLarge),
// and not added.
func (b *Builder) Add(group ...Statement) error {
	if len(group) == 0 {
		return nil
	}
	size := b.sizeOf(group)
	if len(b.now.Statements) > 0 && b.size+size > builderLimit {
		b.full = append(b.full, b.now)
		b.start()
		size = b.sizeOf(group)
	}
	if b.size+size > MaxBatch {
		return fmt.Errorf("%w: %q: one group has %d statements in %d bytes, at most %d fit",
			ErrTooLarge, b.model.Reason, len(group), size, MaxBatch)
	}
	number := 0
	if n := len(b.now.Statements); n > 0 {
		number = b.now.Statements[n-1].Group + 1
	}
	for _, s := range group {
		s.Group = number
		b.texts[s.SQL] = true
		b.now.Statements = append(b.now.Statements, s)
	}
	b.size += size
	return nil
}

// sizeOf is an upper bound of what a group adds to the encoded batch.
func (b *Builder) sizeOf(group []Statement) int {
	const number = 10 // the longest varint
	size := 0
	for i, s := range group {
		size += 4*number + len(s.Args)*(1+number)
		if !b.texts[s.SQL] && (i == 0 || group[i-1].SQL != s.SQL) {
			size += number + len(s.SQL)
		}
		for _, arg := range s.Args {
			switch v := arg.(type) {
			case string:
				size += len(v)
			case []byte:
				size += len(v)
			}
		}
	}
	return size
}

// Full returns the batches that are full, and forgets them: for those who write while they gather.
func (b *Builder) Full() []Batch {
	full := b.full
	b.full = nil
	return full
}

// Batches returns all batches that were not yet taken, the last not full, and forgets them. There are none when
// nothing was added.
func (b *Builder) Batches() []Batch {
	all := b.Full()
	if len(b.now.Statements) > 0 {
		all = append(all, b.now)
		b.start()
	}
	return all
}
