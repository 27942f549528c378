// Package timing says when runs of replication are due, by the rules of the parent, and how fast a link may be used.
package timing

import (
	"fmt"
	"slices"
	"time"

	"thatch/node/replicas/dataset"
	"thatch/node/sites"
	"thatch/replication/wire"
	"thatch/schedule"
)

// FarOff is how long a worker rests that waits for nothing but what it is told of.
const FarOff = time.Hour

// Waits after a run that failed: after the first failure, then twice as long each time, at most.
const (
	runAgain  = time.Second
	runAtLast = time.Minute
)

// FarBehind is how many batches a recorded cursor may lag behind what was looked at; then it is moved though there is nothing
// new.
const FarBehind = 2000

// verifyEvery is how often, at most, runs that come at once verify what their rule asks for.
const verifyEvery = time.Hour

// Closed says for people that a link's windows are closed, and open again after a while.
func Closed(now time.Time, change time.Duration) string {
	return fmt.Sprintf("the windows of the link are closed until %s: what schedules send waits until then; a person may have it sent now with: thatch replication run",
		now.Add(change).UTC().Format(time.RFC3339))
}

// Due is a run of a type to be made now.
type Due struct {
	Now, Complete bool
	Verify        int // percent
}

// timing is when the runs of a type are made: what all its rules say, together.
type timing struct {
	atOnce, grown bool
	again         time.Time // of a failed run; zero: none failed
	failures      int       // one after the other
	verify        int
	verified      time.Time
	scheduled     []scheduled
}

type scheduled struct {
	recurrence schedule.Recurrence
	complete   bool
	next       time.Time
	spec       string
}

// Plan says when which type is due. It is one worker's own.
type Plan struct {
	now   func() time.Time
	types map[dataset.Type]*timing
}

func New(now func() time.Time) *Plan {
	return &Plan{now: now, types: map[dataset.Type]*timing{}}
}

// Take takes over what the rules say. At the start of a session everything that comes at once is due.
func (p *Plan) Take(said wire.LinkResponse, first bool) {
	now := p.now()
	for _, t := range dataset.Types(dataset.Down) {
		former := p.types[t]
		if former == nil {
			former = &timing{}
		}
		next := &timing{grown: former.grown || first, again: former.again, failures: former.failures, verified: former.verified}
		for _, rule := range said.Rules {
			if rule.Type == t && rule.Enabled {
				next.add(rule, former, now)
			}
		}
		if t == dataset.Languages { // keys and names come whatever the rules say
			next.atOnce = true
		}
		p.types[t] = next
	}
}

func (t *timing) add(rule wire.Rule, former *timing, now time.Time) {
	t.verify = max(t.verify, rule.Verify)
	if rule.Schedule == "" {
		t.atOnce = true
		return
	}
	recurrence, err := schedule.ParseRecurrence(rule.Schedule)
	if err != nil {
		t.atOnce = true // a newer parent's way of saying when: too often is better than never
		return
	}
	s := scheduled{recurrence: recurrence, complete: rule.Complete, spec: rule.Schedule, next: recurrence.Next(now, time.UTC)}
	for _, old := range former.scheduled {
		if old.spec == s.spec && old.complete == s.complete {
			s.next = old.next
		}
	}
	t.scheduled = append(t.scheduled, s)
}

// Grown says that the parent's journal has grown by documents of some types, or where none is named of any, or that its
// rules may be others.
func (p *Plan) Grown(types ...dataset.Type) {
	for of, t := range p.types {
		t.grown = t.grown || len(types) == 0 || slices.Contains(types, of)
	}
}

// Due says what a type needs now.
func (p *Plan) Due(of dataset.Type) Due {
	t, now := p.types[of], p.now()
	if !t.again.IsZero() && now.Before(t.again) {
		return Due{}
	}
	var d Due
	for i := range t.scheduled {
		s := &t.scheduled[i]
		if !s.next.IsZero() && !now.Before(s.next) {
			d.Now, d.Complete, d.Verify = true, d.Complete || s.complete, t.verify
		}
	}
	if t.atOnce && t.verify > 0 && now.Sub(t.verified) >= verifyEvery {
		d.Now, d.Verify = true, t.verify
	}
	d.Now = d.Now || t.atOnce && t.grown || !t.again.IsZero()
	return d
}

// Done says that what was due is done; Later that it failed and is due again after a while.
func (p *Plan) Done(of dataset.Type, d Due) {
	t, now := p.types[of], p.now()
	t.grown, t.again, t.failures = false, time.Time{}, 0
	if d.Verify > 0 {
		t.verified = now
	}
	for i := range t.scheduled {
		if s := &t.scheduled[i]; !now.Before(s.next) {
			s.next = s.recurrence.Next(now, time.UTC)
		}
	}
}

func (p *Plan) Later(of dataset.Type, wait time.Duration) { p.types[of].again = p.now().Add(wait) }

// Failed has a type due again after a while: longer after each failure, and as long as the parent asks for.
func (p *Plan) Failed(of dataset.Type, least time.Duration) {
	t := p.types[of]
	wait := min(runAgain<<min(t.failures, 6), runAtLast)
	t.failures++
	p.Later(of, max(wait, least))
}

// Postponed says whether a run of a type is to be tried again.
func (p *Plan) Postponed(of dataset.Type) bool { return !p.types[of].again.IsZero() }

// Next is how long nothing of some types is due unless something happens.
func (p *Plan) Next(of []dataset.Type) time.Duration {
	now, wait := p.now(), FarOff
	for _, name := range of {
		for _, when := range p.types[name].times() {
			if !when.IsZero() {
				wait = min(wait, max(when.Sub(now), 0))
			}
		}
	}
	return max(wait, 10*time.Millisecond)
}

// times are when something of a type is due: what failed waits for its own, whatever else there is.
func (t *timing) times() []time.Time {
	if !t.again.IsZero() {
		return []time.Time{t.again}
	}
	var at []time.Time
	if t.atOnce && t.verify > 0 {
		at = append(at, t.verified.Add(verifyEvery))
	}
	for _, s := range t.scheduled {
		at = append(at, s.next)
	}
	return at
}

// Window says whether the link may be used now, and when that changes.
func (p *Plan) Window(limits sites.Limits) (open bool, change time.Duration) {
	return Window(limits, p.now())
}

// Window says whether a link may be used at a moment, and in how long that changes. A window that never opens again is
// FarOff.
func Window(limits sites.Limits, now time.Time) (open bool, change time.Duration) {
	if len(limits.Windows) == 0 {
		return true, FarOff
	}
	if until, open := limits.Windows.Open(now, time.UTC); open {
		return true, until.Sub(now)
	}
	start, _ := limits.Windows.Next(now, time.UTC)
	if start.IsZero() {
		return false, FarOff
	}
	return false, max(start.Sub(now), time.Second)
}
