package server

import "sync"

// shares counts what each computer has under way, so that none takes the places of all.
type shares struct {
	each int // of one computer at a time
	mu   sync.Mutex
	held map[string]int
}

func newShares(each int) *shares { return &shares{each: each, held: map[string]int{}} }

// take says whether the computer may have one more.
func (s *shares) take(computer string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.held[computer] >= s.each {
		return false
	}
	s.held[computer]++
	return true
}

func (s *shares) giveBack(computer string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.held[computer]--; s.held[computer] <= 0 {
		delete(s.held, computer)
	}
}
