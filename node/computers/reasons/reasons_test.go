package reasons

import (
	"strings"
	"testing"

	"github.com/RoaringBitmap/roaring/v2"
)

func TestReasonsFollowUnknown(t *testing.T) {
	former := Reasons{"registry": {1, 2}, "file": {3}}
	next := former.After(map[uint32]string{2: "file", 5: "msi"}, roaring.BitmapOf(1, 2, 5, 6))
	for number, want := range map[uint32]string{1: "registry", 2: "file", 5: "msi", 6: reasonAbsent, 3: reasonAbsent} {
		if got := next.Of(number); got != want {
			t.Errorf("reason of %d is %q, want %q", number, got, want)
		}
	}
	raw, err := next.Encode()
	if err != nil {
		t.Fatal(err)
	}
	back, err := Decode(raw)
	if err != nil || back.Of(5) != "msi" || len(back.ByUpdate()) != 4 {
		t.Errorf("read back %v, %v", back, err)
	}
	if _, err := Decode([]byte(`{"a":`)); err == nil {
		t.Error("damaged reasons are read")
	}
}

func TestReasonsAreBounded(t *testing.T) {
	news := map[uint32]string{}
	unknown := roaring.New()
	for n := uint32(0); n < 500; n++ {
		news[n] = strings.Repeat(string(rune('a'+n%26)), int(n)) + strings.Repeat("ä", Max)
		unknown.Add(n)
	}
	kept := Reasons{}.After(news, unknown)
	size := 0
	for text := range kept {
		size += len(text)
		if len(text) > Max || !strings.HasSuffix(strings.ToValidUTF8(text, "?"), text[len(text)-1:]) {
			t.Fatalf("a reason of %d bytes is kept, or cut in a character", len(text))
		}
	}
	if size > maxReasons+len(reasonLeft) {
		t.Errorf("reasons take %d bytes, at most %d are kept", size, maxReasons)
	}
	if kept.Of(499) != reasonLeft {
		t.Errorf("the last reason is %.40q, want that there are more", kept.Of(499))
	}
}
