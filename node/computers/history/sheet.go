package history

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"hash/fnv"

	"github.com/klauspost/compress/zstd"
)

// Rows are cut into pieces where the digest of a row says so, so that a row which comes or goes changes its piece alone. Texts
// and numbers of a piece are laid down apart, each under the digest of what it says: what did not change since the day
// before is there already.
const (
	pieceRows   = 512        // on the average
	longest     = 4 * 512    // rows of a piece
	digestBytes = 16         // of a SHA-256
	maxPart     = 64 << 20   // bytes of a part, unpacked: against a damaged file
	maxRows     = 10_000_000 // of a sheet
)

// part is the texts, or the numbers, of a piece.
type part struct {
	digest [digestBytes]byte
	body   []byte // packed
}

// plan says how the parts of a sheet are read. It is kept as JSON.
type plan struct {
	Texts   []string `json:"texts"` // names of columns
	Numbers []string `json:"numbers"`
	Pieces  []int    `json:"pieces"` // rows of each; it has two parts, texts first
}

// Kept is a sheet as it is kept.
type Kept struct {
	name  string
	plan  plan
	parts []part
}

// Bytes is how much the sheet takes where nothing of it is kept yet.
func (k Kept) Bytes() (sum int) {
	for _, p := range k.parts {
		sum += len(p.body)
	}
	return sum
}

var (
	packer, _   = zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedBetterCompression), zstd.WithEncoderConcurrency(1)) // fails for wrong options alone
	unpacker, _ = zstd.NewReader(nil, zstd.WithDecoderConcurrency(2), zstd.WithDecoderMaxMemory(maxPart))
)

func newPart(body []byte) part {
	sum := sha256.Sum256(body)
	return part{[digestBytes]byte(sum[:]), packer.EncodeAll(body, nil)}
}

// Of lays rows down.
func (s Sheet[R]) Of(rows []*R) Kept {
	k := Kept{name: s.Name, plan: plan{Texts: []string{}, Numbers: []string{}, Pieces: []int{}}}
	for _, c := range s.Columns {
		if c.isText() {
			k.plan.Texts = append(k.plan.Texts, c.Name)
		} else {
			k.plan.Numbers = append(k.plan.Numbers, c.Name)
		}
	}
	for len(rows) > 0 {
		n := 1
		for n < len(rows) && n < longest && !s.cuts(rows[n]) {
			n++
		}
		k.plan.Pieces = append(k.plan.Pieces, n)
		k.parts = append(k.parts, newPart(lay(rows[:n], s.Columns, true)), newPart(lay(rows[:n], s.Columns, false)))
		rows = rows[n:]
	}
	return k
}

// cuts says whether a piece begins with a row.
func (s Sheet[R]) cuts(row *R) bool {
	first, sum := s.Columns[0], fnv.New32a()
	if first.isText() {
		_, _ = sum.Write([]byte(textOf(first.At(row))))
	} else {
		_, _ = fmt.Fprint(sum, numberOf(first.At(row)))
	}
	return sum.Sum32()%pieceRows == 0
}

// rows raises what was laid down: read gives the body of a part.
func (s Sheet[R]) rows(planned []byte, read func(part int) ([]byte, error)) ([]*R, error) {
	var p plan
	if err := json.Unmarshal(planned, &p); err != nil {
		return nil, err
	}
	count := 0
	for _, n := range p.Pieces {
		if n < 1 || n > longest || count > maxRows {
			return nil, fmt.Errorf("a piece of %d rows", n)
		}
		count += n
	}
	held := make([]R, count)
	rows := make([]*R, count)
	for i := range held {
		rows[i] = &held[i]
	}
	from := 0
	for piece, n := range p.Pieces {
		for i, named := range [][]string{p.Texts, p.Numbers} {
			packed, err := read(2*piece + i)
			if err != nil {
				return nil, err
			}
			body, err := unpacker.DecodeAll(packed, nil)
			if err == nil {
				err = raise(body, rows[from:from+n], s.Columns, named, i == 0)
			}
			if err != nil {
				return nil, fmt.Errorf("part %d: %w", 2*piece+i, err)
			}
		}
		from += n
	}
	if s.Finish != nil {
		for _, row := range rows {
			s.Finish(row)
		}
	}
	return rows, nil
}
