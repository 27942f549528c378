// Package guard slows down those who guess: each wrong answer under a key beyond a number that is free has the key wait,
// twice as long each time.
package guard

import (
	"net/netip"
	"sync"
	"time"
)

const (
	maxKeys = 20_000
	forget  = time.Hour // without an attempt
)

// Guard counts in the memory of one node. It is safe for use by several goroutines.
type Guard struct {
	First, Longest time.Duration // waits
	mu             sync.Mutex
	keys           map[string]*attempts
}

type attempts struct {
	wrong int       // attempts that did not succeed, those under way among them
	until time.Time // the next one waits
	last  time.Time
}

// Begin counts an attempt under a key, as a wrong one until it is known to be right, so that many at once gain nothing.
// It answers how long to wait: then the attempt must not be made, and is not counted. Free is how many may be wrong before
// the first wait.
func (g *Guard) Begin(key string, free int, now time.Time) (wait time.Duration) {
	g.mu.Lock()
	defer g.mu.Unlock()
	a := g.keys[key]
	if a == nil {
		a = g.add(key, now)
	}
	if a.until.After(now) {
		return a.until.Sub(now)
	}
	if now.Sub(a.last) > forget {
		a.wrong = 0
	}
	a.last = now
	a.wrong++
	if a.wrong >= free {
		a.until = now.Add(g.Wait(a.wrong - free))
	}
	return 0
}

// Wait is how long the nth wrong answer beyond those that are free has others wait, from 0.
func (g *Guard) Wait(n int) time.Duration {
	wait := g.First
	for ; n > 0 && wait < g.Longest; n-- {
		wait *= 2
	}
	return min(wait, g.Longest)
}

// Until is when the next attempt under a key may be made, the zero time where nothing is in its way.
func (g *Guard) Until(key string, now time.Time) time.Time {
	g.mu.Lock()
	defer g.mu.Unlock()
	if a := g.keys[key]; a != nil && a.until.After(now) {
		return a.until
	}
	return time.Time{}
}

// Back takes an attempt back that was right, but is not the whole of what was asked.
func (g *Guard) Back(key string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if a := g.keys[key]; a != nil && a.wrong > 0 {
		a.wrong--
		a.until = time.Time{}
	}
}

// Clear forgets a key.
func (g *Guard) Clear(key string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	delete(g.keys, key)
}

// add makes room for a key. Where there are too many, those that nobody used for a while go, then any, down to half, so
// that not every new key pays for it: an attacker with so many keys is slowed down by nothing that is counted here.
func (g *Guard) add(key string, now time.Time) *attempts {
	if g.keys == nil {
		g.keys = map[string]*attempts{}
	}
	if len(g.keys) >= maxKeys {
		for k, a := range g.keys {
			if now.Sub(a.last) > forget {
				delete(g.keys, k)
			}
		}
		for k := range g.keys {
			if len(g.keys) <= maxKeys/2 {
				break
			}
			delete(g.keys, k)
		}
	}
	a := &attempts{last: now}
	g.keys[key] = a
	return a
}

// Address is the key of an address, "HOST:PORT" or "HOST": of IPv6 the network of 64 bits, which one person has whole.
func Address(from string) string {
	addr, err := netip.ParseAddr(from)
	if err != nil {
		both, err := netip.ParseAddrPort(from)
		if err != nil {
			return from
		}
		addr = both.Addr()
	}
	addr = addr.Unmap().WithZone("")
	if addr.Is4() {
		return addr.String()
	}
	return netip.PrefixFrom(addr, 64).Masked().String()
}
