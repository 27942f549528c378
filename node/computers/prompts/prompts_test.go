package prompts_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"thatch/node/computers"
	"thatch/node/computers/prompts"
	"thatch/node/store"
	"thatch/node/store/storetest"
)

// site is a database with computers, and a clock.
type site struct {
	*computers.Room
	db  *store.DB
	at  time.Time
	ids []string
}

func newSite(t *testing.T, count int) *site {
	t.Helper()
	s := &site{db: storetest.Open(t), at: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)}
	s.open(t)
	for i := range count {
		n := computers.Newcomer{Name: fmt.Sprint("pc", i+1), MachineID: fmt.Sprint("m", i), Hardware: fmt.Sprint("h", i), Platform: "windows"}
		place, err := s.Place(t.Context(), n)
		if err != nil {
			t.Fatal(err)
		}
		c, err := s.Enrol(t.Context(), n, place, fmt.Sprint("serial", i))
		if err != nil {
			t.Fatal(err)
		}
		s.ids = append(s.ids, c.ID)
	}
	return s
}

// open opens the rooms, as after a start of the node.
func (s *site) open(t *testing.T) {
	t.Helper()
	var err error
	if s.Room, err = computers.New(t.Context(), s.db, s.db, func() time.Time { return s.at }); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	ticker := time.NewTicker(time.Millisecond)
	var running sync.WaitGroup
	gatherer := s.Gatherer()
	running.Go(func() { gatherer.Run(ctx, ticker.C) })
	t.Cleanup(func() {
		stop()
		ticker.Stop()
		running.Wait()
	})
}

func (s *site) ask(t *testing.T, kind prompts.Kind, numbers ...uint32) prompts.Asking {
	t.Helper()
	asking, err := s.Prompts.Ask(t.Context(), "anna", kind, s.at.Add(prompts.Lasts), numbers)
	if err != nil {
		t.Fatal(err)
	}
	return asking
}

func (s *site) want(t *testing.T, number uint32, kind prompts.Kind, state prompts.State) prompts.Prompt {
	t.Helper()
	p, there := s.Prompts.Of(number)
	if !there || p.Kind != kind || p.State(s.at) != state {
		t.Fatalf("computer %d: %v, %s is %s, want %s %s", number, there, p.Kind, p.State(s.at), kind, state)
	}
	return p
}

func TestLifeOfAPrompt(t *testing.T) {
	s := newSite(t, 3)
	if asking := s.ask(t, prompts.Scan, 1, 2, 2, 99); asking.Made != 2 || asking.Already != 0 {
		t.Fatalf("%+v", asking)
	}
	p := s.want(t, 1, prompts.Scan, prompts.Asked)
	if p.By != "anna" || !p.Asked.Equal(s.at) {
		t.Errorf("%+v", p)
	}
	if _, there := s.Prompts.Of(99); there {
		t.Error("a computer that is not there was asked")
	}
	if asking := s.ask(t, prompts.Scan, 1, 3); asking.Made != 1 || asking.Already != 1 {
		t.Errorf("asked twice: %+v", asking)
	}
	s.at = s.at.Add(time.Minute)
	if err := s.Prompts.Tell(t.Context(), p); err != nil {
		t.Fatal(err)
	}
	told := s.want(t, 1, prompts.Scan, prompts.Told)
	s.at = s.at.Add(time.Minute)
	if err := s.Prompts.Tell(t.Context(), told); err != nil {
		t.Fatal(err)
	}
	s.open(t) // the node starts again
	if again := s.want(t, 1, prompts.Scan, prompts.Told); !again.Told.Equal(told.Told) {
		t.Errorf("told at %s, then at %s", told.Told, again.Told)
	}
	if asking := s.ask(t, prompts.Cycle, 1); asking.Made != 1 {
		t.Errorf("a cycle does not take the place of a scan: %+v", asking)
	}
	cycle := s.want(t, 1, prompts.Cycle, prompts.Asked)
	if err := s.Prompts.Finish(t.Context(), 1, p.ID, false, "late"); err != nil {
		t.Fatal(err)
	}
	s.want(t, 1, prompts.Cycle, prompts.Asked)
	if asking := s.ask(t, prompts.Scan, 1); asking.Already != 1 {
		t.Errorf("a scan takes the place of a cycle: %+v", asking)
	}
	for _, text := range []string{"installed 2", "again"} {
		if err := s.Prompts.Finish(t.Context(), 1, cycle.ID, false, text); err != nil {
			t.Fatal(err)
		}
	}
	if done := s.want(t, 1, prompts.Cycle, prompts.Done); done.Text != "installed 2" || done.Told.IsZero() {
		t.Errorf("%+v", done)
	}
	if asking := s.ask(t, prompts.Scan, 1); asking.Made != 1 {
		t.Errorf("after it was done: %+v", asking)
	}
	if again := s.want(t, 1, prompts.Scan, prompts.Asked); !again.Told.IsZero() || again.Text != "" {
		t.Errorf("the new one has of the former: %+v", again)
	}
}

func TestPromptsEnd(t *testing.T) {
	s := newSite(t, 3)
	s.ask(t, prompts.Scan, 1, 2, 3)
	if n, err := s.Prompts.Cancel(t.Context(), "berta", []uint32{1, 99}); err != nil || n != 1 {
		t.Fatalf("%d, %v", n, err)
	}
	if p := s.want(t, 1, prompts.Scan, prompts.Cancelled); p.CancelledBy != "berta" {
		t.Errorf("%+v", p)
	}
	if n, err := s.Prompts.Cancel(t.Context(), "berta", []uint32{1}); err != nil || n != 0 {
		t.Errorf("cancelled again: %d, %v", n, err)
	}
	if asking := s.ask(t, prompts.Scan, 1); asking.Made != 1 {
		t.Errorf("after it was cancelled: %+v", asking)
	}
	p := s.want(t, 2, prompts.Scan, prompts.Asked)
	if err := s.Prompts.Finish(t.Context(), 2, p.ID, true, "no"); err != nil {
		t.Fatal(err)
	}
	s.want(t, 2, prompts.Scan, prompts.Failed)
	s.at = s.at.Add(prompts.Lasts)
	s.want(t, 3, prompts.Scan, prompts.Expired)
	if n, err := s.Prompts.Cancel(t.Context(), "berta", []uint32{3}); err != nil || n != 0 {
		t.Errorf("what expired is cancelled: %d, %v", n, err)
	}
	if asking := s.ask(t, prompts.Scan, 3); asking.Made != 1 {
		t.Errorf("after it expired: %+v", asking)
	}
	if err := s.Retire(t.Context(), "test", s.ids[0], 0); err != nil {
		t.Fatal(err)
	}
	s.at = s.at.Add(2 * prompts.Lasts)
	if asking := s.ask(t, prompts.Scan, 1, 3); asking.Made != 1 {
		t.Errorf("a retired computer is asked: %+v", asking)
	}
	if all := s.Prompts.All(); len(all) != 3 {
		t.Errorf("%d rows for 3 computers", len(all))
	}
}

func TestWhatMakesNoSense(t *testing.T) {
	s := newSite(t, 1)
	for name, ask := range map[string]func() (prompts.Asking, error){
		"another kind": func() (prompts.Asking, error) {
			return s.Prompts.Ask(t.Context(), "anna", "dance", s.at.Add(time.Hour), []uint32{1})
		},
		"over at once": func() (prompts.Asking, error) {
			return s.Prompts.Ask(t.Context(), "anna", prompts.Scan, s.at, []uint32{1})
		},
		"for ever": func() (prompts.Asking, error) {
			return s.Prompts.Ask(t.Context(), "anna", prompts.Scan, s.at.AddDate(1, 0, 0), []uint32{1})
		},
	} {
		if _, err := ask(); !errors.Is(err, store.ErrInvalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestWhoWaitsIsWoken(t *testing.T) {
	s := newSite(t, 2)
	ended, end := context.WithCancel(t.Context())
	end()
	if p, there := s.Prompts.Await(ended, 1); there {
		t.Fatalf("nothing was asked: %+v", p)
	}
	type answer struct {
		p     prompts.Prompt
		there bool
	}
	woken := make(chan answer, 2)
	for range 2 { // a connection that died, and the one after it
		go func() {
			p, there := s.Prompts.Await(t.Context(), 1)
			woken <- answer{p, there}
		}()
	}
	s.ask(t, prompts.Scan, 2)
	s.ask(t, prompts.Cycle, 1)
	for range 2 {
		select {
		case a := <-woken:
			if !a.there || a.p.Kind != prompts.Cycle {
				t.Errorf("%+v", a)
			}
		case <-time.After(30 * time.Second):
			t.Fatal("nobody was woken")
		}
	}
}

// All nodes of a site know what was asked at one of them.
func TestAnotherNodeTells(t *testing.T) {
	if testing.Short() {
		t.Skip("three nodes in one process: not in short runs")
	}
	three := storetest.Three(t)
	var rooms []*computers.Room
	for _, node := range three.Running() {
		r, err := computers.New(t.Context(), node.DB, node.Quorum, time.Now)
		if err != nil {
			t.Fatal(err)
		}
		ctx, stop := context.WithCancel(context.Background())
		watch := node.DB.Watch(computers.Topic)
		var running sync.WaitGroup
		running.Go(func() { _ = r.Run(ctx, watch.C) })
		t.Cleanup(func() {
			stop()
			running.Wait()
			watch.Close()
		})
		rooms = append(rooms, r)
	}
	n := computers.Newcomer{Name: "pc", MachineID: "m", Hardware: "h", Platform: "windows"}
	place, err := rooms[0].Place(t.Context(), n)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := rooms[0].Enrol(t.Context(), n, place, "serial"); err != nil {
		t.Fatal(err)
	}
	told := make(chan prompts.Prompt, 1)
	go func() {
		if p, there := rooms[1].Prompts.Await(t.Context(), 1); there {
			told <- p
		}
	}()
	asking, err := rooms[2].Prompts.Ask(t.Context(), "anna", prompts.Scan, time.Now().Add(time.Hour), []uint32{1})
	if err != nil || asking.Made != 1 {
		t.Fatalf("%+v, %v", asking, err)
	}
	select {
	case p := <-told:
		if err := rooms[1].Prompts.Tell(t.Context(), p); err != nil {
			t.Fatal(err)
		}
	case <-time.After(30 * time.Second):
		t.Fatal("the other node does not know of it")
	}
	three.Equal()
}
