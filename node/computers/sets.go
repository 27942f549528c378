package computers

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/RoaringBitmap/roaring/v2"
)

// Limits of what one computer may report.
const (
	MaxNumber = 1 << 20 // update numbers are below; a site has tens of thousands
	MaxSet    = 200_000 // numbers in one set
	MaxReason = 2_000   // bytes of one reason
	maxBlob   = 512 << 10
)

// ErrBadReport is wrapped by every error about what a report says; the report was not taken.
var ErrBadReport = errors.New("report cannot be taken")

// Change is a differential set of update numbers.
type Change struct {
	Add, Remove []uint32
}

// Sets are the three sets of one computer, of update numbers. Agents put a number into one of them: applicable is then
// what is missing. One that is in several counts as unknown before installed before applicable.
type Sets struct {
	Applicable, Installed, Unknown *roaring.Bitmap
}

// NewSets returns three empty sets.
func NewSets() Sets {
	return Sets{roaring.New(), roaring.New(), roaring.New()}
}

func (s Sets) each() [3]*roaring.Bitmap {
	return [3]*roaring.Bitmap{s.Applicable, s.Installed, s.Unknown}
}

// Equal says whether all three sets are equal.
func (s Sets) Equal(other Sets) bool {
	a, b := s.each(), other.each()
	for i := range a {
		if !a[i].Equals(b[i]) {
			return false
		}
	}
	return true
}

// Missing returns what is applicable, not installed, and not unknown.
func (s Sets) Missing() *roaring.Bitmap {
	missing := roaring.AndNot(s.Applicable, s.Installed)
	missing.AndNot(s.Unknown)
	return missing
}

// clone copies the sets, so that the copy may be changed.
func (s Sets) clone() Sets {
	return Sets{s.Applicable.Clone(), s.Installed.Clone(), s.Unknown.Clone()}
}

var setNames = [3]string{"applicable", "installed", "unknown"}

// apply returns the sets after a report; the receiver stays as it is. Whole says that the Add lists are everything.
func (s Sets) apply(whole bool, changes [3]Change) (Sets, error) {
	next := s.clone()
	if whole {
		next = NewSets()
	}
	for i, set := range next.each() {
		if err := checkChange(setNames[i], changes[i]); err != nil {
			return Sets{}, err
		}
		for _, number := range changes[i].Remove {
			set.Remove(number)
		}
		set.AddMany(changes[i].Add)
		if set.GetCardinality() > MaxSet {
			return Sets{}, fmt.Errorf("%w: its set %q has %d updates, at most %d are allowed",
				ErrBadReport, setNames[i], set.GetCardinality(), MaxSet)
		}
	}
	return next, nil
}

func checkChange(name string, c Change) error {
	for _, list := range [][]uint32{c.Add, c.Remove} {
		if len(list) > MaxSet {
			return fmt.Errorf("%w: set %q changes %d updates, at most %d are allowed", ErrBadReport, name, len(list), MaxSet)
		}
		if len(list) > 0 && slices.Max(list) >= MaxNumber {
			return fmt.Errorf("%w: set %q names update number %d, numbers are below %d",
				ErrBadReport, name, slices.Max(list), MaxNumber)
		}
	}
	return nil
}

// difference is what must be added to and removed from three sets, in the order of Sets.each.
type difference struct {
	add, remove [3]*roaring.Bitmap
}

func differ(from, to Sets) difference {
	var d difference
	a, b := from.each(), to.each()
	for i := range a {
		d.add[i], d.remove[i] = roaring.AndNot(b[i], a[i]), roaring.AndNot(a[i], b[i])
	}
	return d
}

func (d difference) bitmaps() []*roaring.Bitmap {
	return []*roaring.Bitmap{d.add[0], d.add[1], d.add[2], d.remove[0], d.remove[1], d.remove[2]}
}

// encode returns nil when the difference is so large that reading the sets anew costs no more.
func (d difference) encode() ([]byte, error) {
	blob, err := encodeBitmaps(d.bitmaps()...)
	if err != nil || len(blob) > 16<<10 {
		return nil, err
	}
	return blob, nil
}

func decodeDifference(blob []byte) (difference, error) {
	maps, err := decodeBitmaps(blob, 6)
	if err != nil {
		return difference{}, err
	}
	return difference{[3]*roaring.Bitmap(maps[:3]), [3]*roaring.Bitmap(maps[3:])}, nil
}

func encodeSets(s Sets) ([]byte, error) {
	all := s.each()
	return encodeBitmaps(all[:]...)
}

func decodeSets(blob []byte) (Sets, error) {
	if len(blob) == 0 {
		return NewSets(), nil
	}
	maps, err := decodeBitmaps(blob, 3)
	if err != nil {
		return Sets{}, err
	}
	return Sets{maps[0], maps[1], maps[2]}, nil
}

// encodeBitmaps writes each bitmap in roaring's portable format behind its length in four bytes.
func encodeBitmaps(maps ...*roaring.Bitmap) ([]byte, error) {
	var blob []byte
	for _, m := range maps {
		m.RunOptimize()
		raw, err := m.ToBytes()
		if err != nil {
			return nil, fmt.Errorf("encode set: %w", err)
		}
		blob = binary.LittleEndian.AppendUint32(blob, uint32(len(raw)))
		blob = append(blob, raw...)
	}
	if len(blob) > maxBlob {
		return nil, fmt.Errorf("%w: its sets take %d bytes, at most %d are allowed", ErrBadReport, len(blob), maxBlob)
	}
	return blob, nil
}

func decodeBitmaps(blob []byte, count int) ([]*roaring.Bitmap, error) {
	maps := make([]*roaring.Bitmap, 0, count)
	for range count {
		if len(blob) < 4 {
			return nil, errors.New("decode sets: cut short")
		}
		size := binary.LittleEndian.Uint32(blob)
		blob = blob[4:]
		if uint64(size) > uint64(len(blob)) {
			return nil, fmt.Errorf("decode sets: a set of %d bytes, only %d left", size, len(blob))
		}
		m, err := decodeBitmap(blob[:size])
		if err != nil {
			return nil, fmt.Errorf("decode sets: %w", err)
		}
		maps, blob = append(maps, m), blob[size:]
	}
	if len(blob) > 0 {
		return nil, fmt.Errorf("decode sets: %d bytes too many", len(blob))
	}
	return maps, nil
}

// decodeBitmap reads a set and makes it anew from its numbers: a damaged one can be well-formed and still make the library
// panic later, and the library's own check takes a hundred times as long where a set has many runs.
func decodeBitmap(raw []byte) (m *roaring.Bitmap, err error) {
	defer func() {
		if failure := recover(); failure != nil {
			err = fmt.Errorf("a damaged set: %v", failure)
		}
	}()
	m = roaring.New()
	if err := m.UnmarshalBinary(raw); err != nil {
		return nil, err
	}
	// Numbers are below MaxNumber; more of them, or others, were never written.
	if count := m.GetCardinality(); count > MaxNumber {
		return nil, fmt.Errorf("a damaged set of %d numbers", count)
	}
	numbers := m.ToArray()
	for at, number := range numbers {
		if number >= MaxNumber || at > 0 && number <= numbers[at-1] {
			return nil, fmt.Errorf("a damaged set: its number %d at place %d is none or out of order", number, at)
		}
	}
	return roaring.BitmapOf(numbers...), nil
}

// Reasons say why an update is unknown on a computer. Many updates share one text, so they are kept by text.
type Reasons map[string][]uint32

const (
	maxReasons   = 128 << 10 // bytes of all reasons of one computer
	reasonLeft   = "more reasons than are kept; the agent's log has all"
	reasonAbsent = "the agent gave no reason"
)

// Of returns the reason of one update.
func (r Reasons) Of(number uint32) string {
	for text, numbers := range r {
		if slices.Contains(numbers, number) {
			return text
		}
	}
	return reasonAbsent
}

// byUpdate turns the reasons round.
func (r Reasons) byUpdate() map[uint32]string {
	all := make(map[uint32]string)
	for text, numbers := range r {
		for _, number := range numbers {
			all[number] = text
		}
	}
	return all
}

// after returns the reasons of exactly the unknown updates: the new text where there is one, else the former.
func (r Reasons) after(news map[uint32]string, unknown *roaring.Bitmap) Reasons {
	former, next, size := r.byUpdate(), make(Reasons), 0
	unknown.Iterate(func(number uint32) bool {
		text, ok := news[number]
		if !ok {
			text, ok = former[number]
		}
		if !ok {
			text = reasonAbsent
		}
		text = clip(text, MaxReason)
		if _, known := next[text]; !known {
			if size+len(text) > maxReasons {
				text = reasonLeft
			}
			size += len(text)
		}
		next[text] = append(next[text], number)
		return true
	})
	return next
}

func (r Reasons) encode() ([]byte, error) {
	if len(r) == 0 {
		return nil, nil
	}
	return json.Marshal(r)
}

func decodeReasons(blob []byte) (Reasons, error) {
	reasons := make(Reasons)
	if len(blob) == 0 {
		return reasons, nil
	}
	if err := json.Unmarshal(blob, &reasons); err != nil {
		return nil, fmt.Errorf("decode reasons: %w", err)
	}
	return reasons, nil
}

// clip cuts a text to a number of bytes without cutting a character.
func clip(text string, most int) string {
	if len(text) <= most {
		return text
	}
	for most > 0 && text[most]&0xC0 == 0x80 {
		most--
	}
	return text[:most]
}
