package quorum

import "github.com/hashicorp/raft-wal/types"

// segments are raft-wal's files of entries, with a cure for a fault of version 0.4.0: a file that was the last one when
// entries were cut off the end of the log is marked as finished without the index that finished files have, and opened
// again, its entries cannot be read. Its index is found as that of a file that was being written.
type segments struct{ types.SegmentFiler }

// Open opens a finished file for reading.
func (s segments) Open(info types.SegmentInfo) (types.SegmentReader, error) {
	if info.IndexStart == 0 {
		return s.RecoverTail(info)
	}
	return s.SegmentFiler.Open(info)
}
