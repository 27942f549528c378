package places_test

import (
	"testing"

	"pgregory.net/rapid"

	"thatch/node/places"
)

// TestPlaces holds places against counts.
func TestPlaces(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		all, each := rapid.IntRange(0, 6).Draw(t, "all"), rapid.IntRange(0, 3).Draw(t, "each")
		p, have, taken := places.New(all, each), map[string]int{}, 0
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			who := rapid.SampledFrom([]string{"a", "b", "c"}).Draw(t, "who")
			if rapid.Bool().Draw(t, "give back") && have[who] > 0 {
				p.GiveBack(who)
				have[who]--
				taken--
				continue
			}
			want := (all == 0 || taken < all) && (each == 0 || have[who] < each)
			if got := p.Take(who); got != want {
				t.Fatalf("%s takes with %v of %d: %v", who, have, all, got)
			}
			if want {
				have[who]++
				taken++
			}
		}
	})
}
