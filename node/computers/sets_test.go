package computers

import (
	"bytes"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/RoaringBitmap/roaring/v2"
	"pgregory.net/rapid"
)

func setsOf(applicable, installed, unknown []uint32) Sets {
	return Sets{roaring.BitmapOf(applicable...), roaring.BitmapOf(installed...), roaring.BitmapOf(unknown...)}
}

func TestApplyRefuses(t *testing.T) {
	many := make([]uint32, MaxSet+1)
	for i := range many {
		many[i] = uint32(i)
	}
	for name, c := range map[string][3]Change{
		"number too great":        {{Add: []uint32{MaxNumber}}},
		"removed too great":       {{}, {Remove: []uint32{1 << 31}}},
		"too many at once":        {{}, {}, {Add: many}},
		"too many removed":        {{Remove: many}},
		"too many in several set": {{Add: many[:MaxSet]}, {Add: many}},
	} {
		if _, err := NewSets().apply(false, c); !errors.Is(err, ErrBadReport) {
			t.Errorf("%s: %v, want ErrBadReport", name, err)
		}
	}
	full, err := NewSets().apply(true, [3]Change{{Add: many[:MaxSet]}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := full.apply(false, [3]Change{{Add: []uint32{MaxSet}}}); !errors.Is(err, ErrBadReport) {
		t.Errorf("one more than fits: %v, want ErrBadReport", err)
	}
}

func TestApplyLeavesTheReceiver(t *testing.T) {
	before := setsOf([]uint32{1, 2}, []uint32{2}, nil)
	after, err := before.apply(false, [3]Change{{Add: []uint32{3}, Remove: []uint32{1}}, {Remove: []uint32{2}}, {Add: []uint32{9}}})
	if err != nil {
		t.Fatal(err)
	}
	if !before.Equal(setsOf([]uint32{1, 2}, []uint32{2}, nil)) {
		t.Error("the former sets changed")
	}
	if !after.Equal(setsOf([]uint32{2, 3}, nil, []uint32{9})) {
		t.Errorf("after the report: %v", after)
	}
	whole, err := before.apply(true, [3]Change{{Add: []uint32{7}}})
	if err != nil || !whole.Equal(setsOf([]uint32{7}, nil, nil)) {
		t.Errorf("a whole report gives %v, %v", whole, err)
	}
}

func TestMissing(t *testing.T) {
	s := setsOf([]uint32{1, 2, 3, 4}, []uint32{2, 9}, []uint32{3})
	if got := s.Missing().ToArray(); !slices.Equal(got, []uint32{1, 4}) {
		t.Errorf("missing %v, want 1 and 4: 2 is installed, of 3 nothing can be told", got)
	}
}

func drawSets(t *rapid.T) Sets {
	numbers := rapid.SliceOfN(rapid.Uint32Range(0, 300), 0, 60)
	return setsOf(numbers.Draw(t, "applicable"), numbers.Draw(t, "installed"), numbers.Draw(t, "unknown"))
}

func TestDifferenceLeadsThere(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		from, to := drawSets(t), drawSets(t)
		blob, err := differ(from, to).encode()
		if err != nil {
			t.Fatal(err)
		}
		d, err := decodeDifference(blob)
		if err != nil {
			t.Fatal(err)
		}
		got := from.clone()
		for i, set := range got.each() {
			set.Or(d.add[i])
			set.AndNot(d.remove[i])
		}
		if !got.Equal(to) {
			t.Fatalf("from %v by the difference to %v, want %v", from, got, to)
		}
	})
}

func TestLargeDifferenceIsLeftOut(t *testing.T) {
	sets := NewSets()
	for n := uint32(0); n < 1_000_000; n += 50 {
		sets.Applicable.Add(n)
	}
	if blob, err := differ(NewSets(), sets).encode(); err != nil || blob != nil {
		t.Errorf("a difference of 20000 updates is kept in %d bytes, %v", len(blob), err)
	}
}

func TestDecodeSetsRefuses(t *testing.T) {
	good, err := encodeSets(setsOf([]uint32{1, 70_000}, []uint32{2}, nil))
	if err != nil {
		t.Fatal(err)
	}
	for name, blob := range map[string][]byte{
		"cut":      good[:len(good)-1],
		"head cut": good[:3],
		"longer":   append(bytes.Clone(good), 0),
		"length":   append([]byte{0xff, 0xff, 0xff, 0xff}, good[4:]...),
	} {
		if _, err := decodeSets(blob); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	if s, err := decodeSets(nil); err != nil || !s.Equal(NewSets()) {
		t.Errorf("no blob: %v, %v", s, err)
	}
}

func FuzzDecodeSets(f *testing.F) {
	good, _ := encodeSets(setsOf([]uint32{1, 2, 3}, []uint32{2}, []uint32{9}))
	f.Add(good)
	f.Fuzz(func(t *testing.T, blob []byte) {
		sets, err := decodeSets(blob)
		if err != nil {
			return
		}
		again, err := encodeSets(sets)
		if err != nil {
			return
		}
		if back, err := decodeSets(again); err != nil || !back.Equal(sets) {
			t.Fatalf("read %v, wrote and read %v, %v", sets, back, err)
		}
	})
}

func TestCursor(t *testing.T) {
	for _, text := range []string{"", "1.0", "9223372036854775807.4294967295"} {
		c, err := ParseCursor(text)
		if err != nil || c.String() != text {
			t.Errorf("%q reads as %v, %v", text, c, err)
		}
	}
	for _, text := range []string{"1", "1.", ".1", "-1.0", "1.2.3", "18446744073709551615.0", "a.b", strings.Repeat("9", 500)} {
		if c, err := ParseCursor(text); err == nil {
			t.Errorf("%.40q reads as %v, want an error", text, c)
		}
	}
	low, high := Cursor{4, 9}, Cursor{5, 0}
	if low.Compare(high) >= 0 || high.Compare(low) <= 0 || low.Compare(low) != 0 || (Cursor{4, 8}).Compare(low) >= 0 {
		t.Error("cursors are not ordered by index, then position")
	}
}

// Sets with many runs are read in time that grows with them and not with their square: every report reads its computer's.
func BenchmarkDecodeSets(b *testing.B) {
	sets := NewSets()
	for n := range uint32(20_000) { // three products of forty, five updates each a month
		switch product := n / 5 % 40; {
		case product%16 != 3:
		case n%6 > 0:
			sets.Installed.Add(n)
		default:
			sets.Applicable.Add(n)
		}
	}
	blob, err := encodeSets(sets)
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if _, err := decodeSets(blob); err != nil {
			b.Fatal(err)
		}
	}
}
