package agentapi

import "golang.org/x/sys/windows"

// maxRetransmission is TCP_MAXRT of ws2ipdef.h.
const maxRetransmission = 5

// limitUnacknowledged has a connection end where what was sent is not acknowledged for some seconds.
func limitUnacknowledged(socket uintptr, seconds int) error {
	return windows.SetsockoptInt(windows.Handle(socket), windows.IPPROTO_TCP, maxRetransmission, seconds)
}
