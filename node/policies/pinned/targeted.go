package pinned

import (
	"time"

	"github.com/RoaringBitmap/roaring/v2"

	"thatch/catalog/policy"
	"thatch/node/computers"
)

// Targeted are the computers that a target means, of which needing are those that one of the updates concerns. A computer
// to which none is applicable has nothing to install, and is targeted only where the target does not ask. The set must
// not be changed.
func Targeted(target *policy.Target, memory computers.View, needing *roaring.Bitmap) *roaring.Bitmap {
	if target.NeedsIt && len(target.Unknown) == 0 && asksNothingElse(target) {
		return needing
	}
	found := roaring.New()
	for number, m := range memory.Members() {
		if m.Retired.IsZero() && target.Match(Computer(m, needing.Contains(number))) {
			found.Add(number)
		}
	}
	return found
}

func asksNothingElse(t *policy.Target) bool {
	return len(t.Platforms)+len(t.Languages)+len(t.ProductTypes)+len(t.Names)+len(t.ExceptNames) == 0
}

// Zone is a computer's own time zone; nil: not known.
func Zone(m *computers.Member) *time.Location {
	if m.Facts.TimeZone == "" {
		return nil
	}
	zone, err := time.LoadLocation(m.Facts.TimeZone)
	if err != nil {
		return nil
	}
	return zone
}
