// Package bitmaps keeps sets of update numbers as bytes.
package bitmaps

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/RoaringBitmap/roaring/v2"
)

// MaxNumber is above every update number; a site has tens of thousands.
const MaxNumber = 1 << 20

const maxBlob = 512 << 10

// ErrTooLarge says that sets take more bytes than are kept of one computer.
var ErrTooLarge = errors.New("sets are too large")

// Encode writes each bitmap in roaring's portable format behind its length in four bytes.
func Encode(maps ...*roaring.Bitmap) ([]byte, error) {
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
		return nil, fmt.Errorf("%w: they take %d bytes, at most %d are allowed", ErrTooLarge, len(blob), maxBlob)
	}
	return blob, nil
}

// Decode reads a number of bitmaps that Encode wrote. What is damaged is an error, never a panic, now or later.
func Decode(blob []byte, count int) ([]*roaring.Bitmap, error) {
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
		m, err := decode(blob[:size])
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

// decode reads a set and makes it anew from its numbers: a damaged one can be well-formed and still make the library
// panic later, and the library's own check takes a hundred times as long where a set has many runs.
func decode(raw []byte) (m *roaring.Bitmap, err error) {
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
