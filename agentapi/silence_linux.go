package agentapi

import "golang.org/x/sys/unix"

// limitUnacknowledged has a connection end where what was sent is not acknowledged for some seconds, see tcp(7).
func limitUnacknowledged(socket uintptr, seconds int) error {
	return unix.SetsockoptInt(int(socket), unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, seconds*1000)
}
