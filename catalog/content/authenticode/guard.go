package authenticode

import (
	"encoding/binary"
	"fmt"
	"io"
)

// The checks of this file come before a parser that allocates what a header claims.

const (
	maxSignature  = 16 << 20  // bytes of a signature; real ones have tens of kilobytes
	maxNested     = 8         // signatures within one
	maxMiniStream = 16 << 20  // bytes of a compound file's small streams; reading them takes time by the square
	maxCompound   = 256 << 20 // bytes of a compound file's allocation table: a file of 32 GB
)

// checkCabinet holds what a cabinet's header claims against the file.
func checkCabinet(r io.ReaderAt, size int64) error {
	var head [0x38]byte
	if _, err := r.ReadAt(head[:], 0); err != nil {
		return fmt.Errorf("cabinet header: %w", err)
	}
	total, files := int64(binary.LittleEndian.Uint32(head[8:])), int64(binary.LittleEndian.Uint32(head[16:]))
	if total > size || files > total {
		return fmt.Errorf("cabinet of %d bytes with its files at %d, in a file of %d", total, files, size)
	}
	const reserved = 4
	if binary.LittleEndian.Uint16(head[0x1e:])&reserved == 0 {
		return nil // no room for a signature, so there is none
	}
	at, length := int64(binary.LittleEndian.Uint32(head[0x2c:])), int64(binary.LittleEndian.Uint32(head[0x30:]))
	if length > maxSignature || at+length > size {
		return fmt.Errorf("signature of %d bytes at %d in a cabinet of %d", length, at, size)
	}
	return nil
}
