package timing

import (
	"context"
	"sync"
	"time"
)

// Pace lets bytes through at a rate, over all connections of a session.
type Pace struct {
	now  func() time.Time
	mu   sync.Mutex
	rate int64     // bytes per second; 0: no limit
	free time.Time // when the bytes let through so far are paid for
}

// NewPace makes one without a limit.
func NewPace(now func() time.Time) *Pace { return &Pace{now: now} }

// Set changes the rate; 0 lifts the limit.
func (p *Pace) Set(bytesPerSecond int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.rate = bytesPerSecond
}

// Wait implements wire.Pace.
func (p *Pace) Wait(ctx context.Context, bytes int) error {
	wait := p.take(bytes)
	if wait <= 0 {
		return nil
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// take counts bytes and says how long to wait for them.
func (p *Pace) take(bytes int) time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.rate <= 0 {
		return 0
	}
	now := p.now()
	if p.free.Before(now) {
		p.free = now
	}
	wait := p.free.Sub(now)
	p.free = p.free.Add(time.Duration(int64(bytes) * int64(time.Second) / p.rate))
	return wait
}
