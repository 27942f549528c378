//go:build !linux && !windows

package agentapi

// limitUnacknowledged leaves the system's own limit, of some minutes.
func limitUnacknowledged(uintptr, int) error { return nil }
