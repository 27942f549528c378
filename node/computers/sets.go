package computers

import (
	"errors"
	"fmt"
	"slices"

	"github.com/RoaringBitmap/roaring/v2"

	"thatch/node/computers/bitmaps"
	"thatch/node/computers/reasons"
)

// Reasons say why updates are unknown on a computer.
type Reasons = reasons.Reasons

// Limits of what one computer may report.
const (
	MaxNumber = bitmaps.MaxNumber // update numbers are below
	MaxSet    = 200_000           // numbers in one set
	MaxReason = reasons.Max       // bytes of one reason
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
	blob, err := bitmaps.Encode(d.bitmaps()...)
	if err != nil || len(blob) > 16<<10 {
		return nil, err
	}
	return blob, nil
}

func decodeDifference(blob []byte) (difference, error) {
	maps, err := bitmaps.Decode(blob, 6)
	if err != nil {
		return difference{}, err
	}
	return difference{[3]*roaring.Bitmap(maps[:3]), [3]*roaring.Bitmap(maps[3:])}, nil
}

func encodeSets(s Sets) ([]byte, error) {
	all := s.each()
	blob, err := bitmaps.Encode(all[:]...)
	if errors.Is(err, bitmaps.ErrTooLarge) {
		err = fmt.Errorf("%w: %w", ErrBadReport, err)
	}
	return blob, err
}

func decodeSets(blob []byte) (Sets, error) {
	if len(blob) == 0 {
		return NewSets(), nil
	}
	maps, err := bitmaps.Decode(blob, 3)
	if err != nil {
		return Sets{}, err
	}
	return Sets{maps[0], maps[1], maps[2]}, nil
}
