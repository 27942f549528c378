package cab

import (
	"bytes"
	"compress/flate"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// window is the largest block, unpacked, and how far back MSZIP refers.
const window = 32 << 10

// blocks unpacks the blocks of one folder.
type blocks struct {
	in      *counter
	reserve int
	left    int // blocks not yet read
	zipped  bool

	out      []byte // of the present block, not yet read
	at       int64  // bytes given so far
	block    []byte
	plain    []byte // where out is unpacked
	history  []byte // the last window of unpacked bytes
	inflater io.ReadCloser
}

// Read gives unpacked bytes; io.EOF after the last block.
func (b *blocks) Read(p []byte) (int, error) {
	for len(b.out) == 0 {
		if b.left == 0 {
			return 0, io.EOF
		}
		if err := b.load(); err != nil {
			return 0, err
		}
	}
	n := copy(p, b.out)
	b.out = b.out[n:]
	b.at += int64(n)
	return n, nil
}

func (b *blocks) to(at int64) error {
	if at < b.at {
		return fmt.Errorf("%w: its data overlaps the member before", ErrFormat)
	}
	if _, err := io.CopyN(io.Discard, b, at-b.at); err != nil {
		if errors.Is(err, io.EOF) {
			return fmt.Errorf("%w: its data begins behind the end of its folder", ErrFormat)
		}
		return err
	}
	return nil
}

func (b *blocks) load() error {
	b.left--
	head := make([]byte, 8+b.reserve)
	if err := b.in.full(head); err != nil {
		return err
	}
	le := binary.LittleEndian
	sum, packed, unpacked := le.Uint32(head), int(le.Uint16(head[4:])), int(le.Uint16(head[6:]))
	if unpacked == 0 || unpacked > window {
		return fmt.Errorf("%w: a block of %d bytes", ErrFormat, unpacked)
	}
	if cap(b.block) < packed {
		b.block = make([]byte, 1<<16)
	}
	data := b.block[:packed]
	if err := b.in.full(data); err != nil {
		return err
	}
	if sum != 0 && sum != checksum(head[4:], checksum(data, 0)) {
		return fmt.Errorf("%w: the checksum of a block does not fit", ErrFormat)
	}
	if !b.zipped {
		if packed != unpacked {
			return fmt.Errorf("%w: a stored block of %d bytes claims %d", ErrFormat, packed, unpacked)
		}
		b.out = data
		return nil
	}
	return b.unzip(data, unpacked)
}

// unzip inflates one block, which may refer to what the blocks before it unpacked to.
func (b *blocks) unzip(data []byte, size int) error {
	if len(data) < 2 || data[0] != 'C' || data[1] != 'K' {
		return fmt.Errorf("%w: a block is not MSZIP", ErrFormat)
	}
	packed := bytes.NewReader(data[2:])
	if b.inflater == nil {
		b.inflater = flate.NewReaderDict(packed, b.history)
	} else if err := b.inflater.(flate.Resetter).Reset(packed, b.history); err != nil {
		return fmt.Errorf("%w: %w", ErrFormat, err)
	}
	if b.plain == nil {
		b.plain = make([]byte, window)
	}
	out := b.plain[:size]
	if _, err := io.ReadFull(b.inflater, out); err != nil {
		return fmt.Errorf("%w: a block does not unpack: %w", ErrFormat, err)
	}
	b.out = out
	b.history = append(b.history, out...)
	if over := len(b.history) - window; over > 0 {
		b.history = append(b.history[:0], b.history[over:]...)
	}
	return nil
}

// checksum is the XOR of the data's 32-bit words; the rest's bytes come in the opposite order.
func checksum(data []byte, seed uint32) uint32 {
	for ; len(data) >= 4; data = data[4:] {
		seed ^= binary.LittleEndian.Uint32(data)
	}
	var rest uint32
	for _, b := range data {
		rest = rest<<8 | uint32(b)
	}
	return seed ^ rest
}
