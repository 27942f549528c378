package wire_test

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"thatch/catalog/document"
	"thatch/node/replicas/dataset"
	"thatch/replication/wire"
)

func drawNumbers(t *rapid.T) []int {
	numbers := rapid.SliceOfNDistinct(rapid.IntRange(0, dataset.BucketCount-1), 0, 40, rapid.ID[int]).Draw(t, "numbers")
	slices.Sort(numbers)
	return numbers
}

// TestBucketsAreReadAsTheyWereWritten holds numbers and digests of buckets to what was written, without those that are
// empty.
func TestBucketsAreReadAsTheyWereWritten(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		q := wire.BucketsRequest{Type: dataset.Data, Buckets: drawNumbers(t)}
		raw, err := json.Marshal(q)
		if err != nil {
			t.Fatal(err)
		}
		var asked wire.BucketsRequest
		if err := json.Unmarshal(raw, &asked); err != nil || !slices.Equal(asked.Buckets, q.Buckets) {
			t.Fatalf("%v, %v", asked, err)
		}
		var answer wire.BucketsResponse
		for _, n := range q.Buckets {
			b := dataset.Bucket{Number: n, Count: rapid.IntRange(0, 300).Draw(t, "count")}
			if b.Count > 0 {
				b.Digest = document.Digest(rapid.SliceOfN(rapid.Byte(), 32, 32).Draw(t, "digest"))
			}
			answer.Buckets = append(answer.Buckets, b)
		}
		if raw, err = json.Marshal(answer); err != nil {
			t.Fatal(err)
		}
		var read wire.BucketsResponse
		if err := json.Unmarshal(raw, &read); err != nil {
			t.Fatal(err)
		}
		all, err := read.Buckets.Of(q.Buckets)
		if err != nil || !slices.Equal(all, answer.Buckets) {
			t.Fatalf("%v, %v, want %v", all, err, answer.Buckets)
		}
	})
}

func TestAllBucketsThatHoldOneDocumentEachAreSmall(t *testing.T) {
	var all wire.Buckets
	var which wire.Numbers
	for n := range dataset.BucketCount {
		all, which = append(all, dataset.Bucket{Number: n, Count: 1, Digest: document.Digest{1}}), append(which, n)
	}
	for most, value := range map[int]any{190_000: all, 2: wire.Buckets{{Number: 7}}, 12: which} {
		if raw, err := json.Marshal(value); err != nil || len(raw) > most {
			t.Errorf("%d bytes, want at most %d; %v", len(raw), most, err)
		}
	}
}

func TestBucketsRefuse(t *testing.T) {
	for _, text := range []string{`[[5,4]]`, `[[0,4096]]`, `[[-1,3]]`, `[[3,4],[4,5]]`, `[[0,1],[0,1]]`, `{}`} {
		var n wire.Numbers
		if err := json.Unmarshal([]byte(text), &n); err == nil {
			t.Errorf("%s: read as %v", text, n)
		}
	}
	good, err := json.Marshal(wire.Buckets{{Number: 4095, Count: 1, Digest: document.Digest{1}}})
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{`"AAAA"`, `"AQ=="`, `"!"`, strings.Replace(string(good), `"`, `"`+strings.Trim(string(good), `"=`), 1)} {
		var b wire.Buckets
		if err := json.Unmarshal([]byte(text), &b); err == nil {
			t.Errorf("%s: read as %v", text, b)
		}
	}
	var b wire.Buckets
	if err := json.Unmarshal(good, &b); err != nil {
		t.Fatal(err)
	}
	if _, err := b.Of([]int{1, 2}); err == nil {
		t.Error("buckets that were not asked for are taken")
	}
}

// FuzzBuckets holds whatever is read to what is written of it.
func FuzzBuckets(f *testing.F) {
	f.Add([]byte(`"AQE="`))
	f.Fuzz(func(t *testing.T, text []byte) {
		var b, again wire.Buckets
		if json.Unmarshal(text, &b) != nil {
			return
		}
		raw, err := json.Marshal(b)
		if err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(raw, &again); err != nil || !slices.Equal(b, again) {
			t.Fatalf("%v, %v, %v", b, again, err)
		}
	})
}
