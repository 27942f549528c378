// Package places shares out what a node does at once, so that no caller takes the places of all.
package places

import "sync"

// Places are a number of places in all, of which each caller may have some. They are safe for use by several goroutines.
type Places struct {
	all, each int // 0: any number
	mu        sync.Mutex
	taken     int
	held      map[string]int
}

// New makes places: all of them, and those that one caller may have at a time; 0 stands for any number.
func New(all, each int) *Places { return &Places{all: all, each: each, held: map[string]int{}} }

// Each is how many one caller may have.
func (p *Places) Each() int { return p.each }

// Take says whether a caller gets one more. Whoever got one gives it back.
func (p *Places) Take(who string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.all > 0 && p.taken >= p.all || p.each > 0 && p.held[who] >= p.each {
		return false
	}
	p.taken++
	p.held[who]++
	return true
}

// GiveBack ends what Take began.
func (p *Places) GiveBack(who string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.taken--
	if p.held[who]--; p.held[who] <= 0 {
		delete(p.held, who)
	}
}
