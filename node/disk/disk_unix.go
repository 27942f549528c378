//go:build !windows

package disk

import (
	"math"

	"golang.org/x/sys/unix"
)

func of(folder string) (Space, error) {
	var s unix.Statfs_t
	if err := unix.Statfs(folder, &s); err != nil {
		return Space{}, err
	}
	return Space{Free: bytes(s.Bavail, uint64(s.Bsize)), Total: bytes(s.Blocks, uint64(s.Bsize))}, nil
}

func bytes(blocks, size uint64) int64 {
	if size > 0 && blocks > math.MaxInt64/size {
		return math.MaxInt64
	}
	return int64(blocks * size)
}
