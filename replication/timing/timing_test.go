package timing_test

import (
	"context"
	"testing"
	"time"

	"thatch/node/replicas/dataset"
	"thatch/node/sites"
	"thatch/replication/timing"
	"thatch/replication/wire"
	"thatch/schedule"
)

type clock struct{ at time.Time }

func (c *clock) now() time.Time { return c.at }

func told(rules ...wire.Rule) wire.LinkResponse { return wire.LinkResponse{Rules: rules} }

func plan(rules ...wire.Rule) (*timing.Plan, *clock) {
	c := &clock{time.Date(2026, 3, 4, 12, 0, 0, 0, time.UTC)}
	p := timing.New(c.now)
	p.Take(told(rules...), true)
	return p, c
}

func TestAtOnceMeansAtTheStartAndWheneverTheJournalGrows(t *testing.T) {
	p, c := plan(wire.Rule{Type: dataset.Data, Enabled: true})
	d := p.Due(dataset.Data)
	if !d.Now || d.Complete || d.Verify != 0 {
		t.Fatalf("at the start: %+v", d)
	}
	p.Done(dataset.Data, d)
	c.at = c.at.Add(24 * time.Hour)
	if p.Due(dataset.Data).Now {
		t.Error("nothing grew, and a run is due")
	}
	p.Grown(dataset.Settings, dataset.Languages)
	if p.Due(dataset.Data).Now {
		t.Error("the journal grew by something else, and a run is due")
	}
	p.Grown(dataset.Data)
	if !p.Due(dataset.Data).Now {
		t.Error("the journal grew, and no run is due")
	}
	p.Done(dataset.Data, d)
	p.Grown()
	if !p.Due(dataset.Data).Now {
		t.Error("the journal grew by anything, and no run is due")
	}
	if p.Due(dataset.Policies).Now {
		t.Error("no rule sends policies, and a run is due")
	}
	p.Take(told(wire.Rule{Type: dataset.Data}), false)
	if p.Due(dataset.Data).Now {
		t.Error("the rule is off, and a run is due")
	}
	if !p.Due(dataset.Languages).Now {
		t.Error("keys and names come whatever the rules say")
	}
}

func TestSchedulesAreKeptOverRelinks(t *testing.T) {
	night := wire.Rule{Type: dataset.Data, Enabled: true, Schedule: "0 1 * * *", Verify: 30, Complete: true}
	p, c := plan(night)
	if p.Due(dataset.Data).Now {
		t.Fatal("a run is due at noon")
	}
	c.at = time.Date(2026, 3, 5, 1, 0, 0, 0, time.UTC)
	p.Take(told(night), true) // the link was cut and stands again: what was missed is made up for
	d := p.Due(dataset.Data)
	if !d.Now || !d.Complete || d.Verify != 30 {
		t.Fatalf("at night: %+v", d)
	}
	p.Done(dataset.Data, d)
	if p.Due(dataset.Data).Now {
		t.Error("it is due twice")
	}
	if wait := p.Next(dataset.Types(dataset.Down)); wait <= 0 || wait > time.Hour {
		t.Errorf("waits %v", wait)
	}
	broken := wire.Rule{Type: dataset.Settings, Enabled: true, Schedule: "when the moon is full"}
	p.Take(told(night, broken), false)
	p.Grown()
	if !p.Due(dataset.Settings).Now {
		t.Error("a schedule of a newer parent is not followed at all")
	}
}

func TestFailuresAreTriedAgainSeldomerAndSeldomer(t *testing.T) {
	p, c := plan(wire.Rule{Type: dataset.Data, Enabled: true})
	var former time.Duration
	for range 10 {
		began := c.at
		p.Failed(dataset.Data, 0)
		if p.Due(dataset.Data).Now {
			t.Fatal("due at once after a failure")
		}
		for !p.Due(dataset.Data).Now {
			c.at = c.at.Add(p.Next(dataset.Types(dataset.Down)))
		}
		waited := c.at.Sub(began)
		if waited < former || waited > time.Minute {
			t.Fatalf("waited %v after %v", waited, former)
		}
		former = waited
	}
	p.Failed(dataset.Data, time.Hour)
	c.at = c.at.Add(59 * time.Minute)
	if p.Due(dataset.Data).Now {
		t.Error("the parent asked for an hour")
	}
	p.Done(dataset.Data, timing.Due{})
	p.Failed(dataset.Data, 0)
	c.at = c.at.Add(time.Second)
	if !p.Due(dataset.Data).Now {
		t.Error("a success does not forget the failures before it")
	}
}

// TestNobodyLooksAgainInVain: neither what failed nor what must not run now has a worker look every moment.
func TestNobodyLooksAgainInVain(t *testing.T) {
	night := wire.Rule{Type: dataset.Data, Enabled: true, Schedule: "0 1 * * *", Verify: 30}
	p, c := plan(night, wire.Rule{Type: dataset.Settings, Enabled: true, Verify: 100})
	c.at = time.Date(2026, 3, 5, 1, 0, 0, 0, time.UTC)
	if wait := p.Next([]dataset.Type{dataset.Languages}); wait != timing.FarOff {
		t.Errorf("where data must not run, its worker looks again after %v", wait)
	}
	p.Failed(dataset.Data, 0)
	p.Failed(dataset.Settings, 0)
	if wait := p.Next(dataset.Types(dataset.Down)); wait != time.Second {
		t.Errorf("what failed is to be tried again in a second, and looked at after %v", wait)
	}
}

func TestVerificationOfWhatComesAtOnceIsHourly(t *testing.T) {
	p, c := plan(wire.Rule{Type: dataset.Data, Enabled: true, Verify: 10}, wire.Rule{Type: dataset.Data, Enabled: true, Verify: 25})
	d := p.Due(dataset.Data)
	if d.Verify != 25 {
		t.Fatalf("%+v, the most that a rule asks for is 25", d)
	}
	p.Done(dataset.Data, d)
	p.Grown()
	if d := p.Due(dataset.Data); !d.Now || d.Verify != 0 {
		t.Errorf("a moment later: %+v", d)
	}
	p.Done(dataset.Data, timing.Due{})
	c.at = c.at.Add(p.Next(dataset.Types(dataset.Down)))
	if d := p.Due(dataset.Data); !d.Now || d.Verify != 25 {
		t.Errorf("an hour later: %+v", d)
	}
}

func TestWindowsOfALink(t *testing.T) {
	p, c := plan()
	if open, _ := p.Window(sites.Limits{}); !open {
		t.Error("without windows a link is always open")
	}
	night := sites.Limits{Windows: schedule.Windows{{Name: "night", Repeat: schedule.Daily, Start: "22:00", Minutes: 120, Zone: "UTC"}}}
	open, wait := p.Window(night)
	if open || wait != 10*time.Hour {
		t.Errorf("at noon: %v, changes in %v", open, wait)
	}
	c.at = c.at.Add(10*time.Hour + 30*time.Minute)
	if open, wait = p.Window(night); !open || wait != 90*time.Minute {
		t.Errorf("at half past ten: %v, changes in %v", open, wait)
	}
}

func TestPace(t *testing.T) {
	c := &clock{time.Unix(1000, 0)}
	p := timing.NewPace(c.now)
	if err := p.Wait(t.Context(), 1<<30); err != nil {
		t.Fatal(err)
	}
	p.Set(1000)
	if err := p.Wait(t.Context(), 5000); err != nil { // what comes first is let through, and paid for by what follows
		t.Fatal(err)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if err := p.Wait(ended, 1); err == nil {
		t.Error("5000 bytes at 1000 a second, and the next need not wait")
	}
	c.at = c.at.Add(6 * time.Second)
	if err := p.Wait(ended, 1); err != nil {
		t.Errorf("six seconds later: %v", err)
	}
}
