package wire

import "time"

// GreetWithin has handshakes take no longer than that, until what it returns is called. No port is open meanwhile.
func GreetWithin(d time.Duration) (restore func()) {
	former := greetTimeout
	greetTimeout = d
	return func() { greetTimeout = former }
}
