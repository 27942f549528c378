package load

import (
	"slices"
	"sync"
	"time"
)

// verdict is how a call ended.
type verdict struct {
	refused bool // told to come again
	failed  string
}

// meter gathers how long calls took.
type meter struct {
	mu              sync.Mutex
	took            []time.Duration // of those answered
	refused, failed int
	first           string // failure
}

func (m *meter) add(took time.Duration, v verdict) {
	m.mu.Lock()
	defer m.mu.Unlock()
	switch {
	case v.refused:
		m.refused++
	case v.failed != "":
		m.failed++
		if m.first == "" {
			m.first = v.failed
		}
	default:
		m.took = append(m.took, took)
	}
}

// phase sums up.
func (m *meter) phase(name string, lasted time.Duration) Phase {
	slices.Sort(m.took)
	p := Phase{Name: name, Calls: len(m.took), Seconds: lasted.Seconds(), Refused: m.refused, Failed: m.failed, Error: m.first}
	if lasted > 0 {
		p.Rate = float64(p.Calls) / lasted.Seconds()
	}
	p.P50, p.P99, p.Longest = m.quantile(0.5), m.quantile(0.99), m.quantile(1)
	return p
}

// quantile is the nearest rank, in milliseconds; 0 where nothing was measured.
func (m *meter) quantile(q float64) float64 {
	if len(m.took) == 0 {
		return 0
	}
	rank := int(q*float64(len(m.took))+0.999999) - 1
	return float64(m.took[min(max(rank, 0), len(m.took)-1)].Microseconds()) / 1000
}
