package wire

import (
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"thatch/catalog/document"
	"thatch/node/replicas/dataset"
)

// Numbers are numbers of buckets, ascending. Their JSON is a list of pairs, each the first and the last of some that
// follow each other.
type Numbers []int

// MarshalJSON implements json.Marshaler.
func (n Numbers) MarshalJSON() ([]byte, error) {
	pairs := [][2]int{}
	for _, number := range n {
		if last := len(pairs) - 1; last >= 0 && pairs[last][1]+1 == number {
			pairs[last][1] = number
			continue
		}
		pairs = append(pairs, [2]int{number, number})
	}
	return json.Marshal(pairs)
}

// UnmarshalJSON implements json.Unmarshaler.
func (n *Numbers) UnmarshalJSON(raw []byte) error {
	var pairs [][2]int
	if err := json.Unmarshal(raw, &pairs); err != nil {
		return fmt.Errorf("numbers of buckets: %w", err)
	}
	next := 0
	*n = Numbers{}
	for _, pair := range pairs {
		if pair[0] < next || pair[1] < pair[0] || pair[1] >= dataset.BucketCount {
			return fmt.Errorf("buckets %d to %d: want them ascending, from 0 to %d", pair[0], pair[1], dataset.BucketCount-1)
		}
		for number := pair[0]; number <= pair[1]; number++ {
			*n = append(*n, number)
		}
		next = pair[1] + 1
	}
	return nil
}

// Buckets are what buckets hold, ascending by number; those that hold nothing are left out. Their JSON is the base64 of,
// for each: how far its number is from the one before (of the first: from -1), the number of documents (both unsigned
// varints of encoding/binary) and the digest.
type Buckets []dataset.Bucket

// MarshalJSON implements json.Marshaler.
func (b Buckets) MarshalJSON() ([]byte, error) {
	raw := make([]byte, 0, 36*len(b))
	last := -1
	for i := range b {
		if b[i].Count == 0 {
			continue
		}
		raw = binary.AppendUvarint(raw, uint64(b[i].Number-last))
		raw = binary.AppendUvarint(raw, uint64(b[i].Count))
		raw = append(raw, b[i].Digest[:]...)
		last = b[i].Number
	}
	return json.Marshal(base64.StdEncoding.EncodeToString(raw))
}

var errBuckets = errors.New("the digests of buckets cannot be read")

// UnmarshalJSON implements json.Unmarshaler.
func (b *Buckets) UnmarshalJSON(text []byte) error {
	var raw []byte
	if err := json.Unmarshal(text, &raw); err != nil {
		return fmt.Errorf("%w: %w", errBuckets, err)
	}
	*b = Buckets{}
	last := -1
	for len(raw) > 0 {
		step, n := binary.Uvarint(raw)
		if n <= 0 || step == 0 || step > uint64(dataset.BucketCount-1-last) {
			return fmt.Errorf("%w: no bucket follows bucket %d as it says", errBuckets, last)
		}
		raw = raw[n:]
		count, n := binary.Uvarint(raw)
		if n <= 0 || count == 0 || count > 1<<40 || len(raw) < n+len(document.Digest{}) {
			return fmt.Errorf("%w: what follows bucket %d is cut or empty", errBuckets, last)
		}
		last += int(step)
		bucket := dataset.Bucket{Number: last, Count: int(count), Digest: document.Digest(raw[n : n+len(document.Digest{})])}
		*b, raw = append(*b, bucket), raw[n+len(bucket.Digest):]
	}
	return nil
}

// Of are the buckets with some numbers, in their order; those that are not there hold nothing.
func (b Buckets) Of(which []int) (all []dataset.Bucket, err error) {
	all = make([]dataset.Bucket, len(which))
	found := 0
	for i, number := range which {
		all[i].Number = number
		at, ok := slices.BinarySearchFunc(b, number, func(one dataset.Bucket, number int) int { return one.Number - number })
		if ok {
			all[i] = b[at]
			found++
		}
	}
	if found != len(b) {
		return nil, fmt.Errorf("%w: %d are of buckets that were not asked for", errBuckets, len(b)-found)
	}
	return all, nil
}
