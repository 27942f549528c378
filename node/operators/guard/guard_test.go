package guard_test

import (
	"fmt"
	"testing"
	"time"

	"pgregory.net/rapid"

	"thatch/node/operators/guard"
)

var start = time.Unix(1e9, 0)

func TestWaits(t *testing.T) {
	g := guard.Guard{First: time.Minute, Longest: 15 * time.Minute}
	now := start
	for i := range 3 {
		if wait := g.Begin("anna", 3, now); wait != 0 {
			t.Fatalf("attempt %d waits %s", i, wait)
		}
	}
	for _, want := range []time.Duration{1, 2, 4, 8, 15, 15} {
		want *= time.Minute
		if wait := g.Begin("anna", 3, now); wait != want || !g.Until("anna", now).Equal(now.Add(want)) {
			t.Fatalf("waits %s, want %s", wait, want)
		}
		if wait := g.Begin("otto", 3, now); wait != 0 {
			t.Fatalf("somebody else waits %s", wait)
		}
		g.Clear("otto")
		now = now.Add(want)
		if wait := g.Begin("anna", 3, now); wait != 0 { // another wrong one
			t.Fatalf("after the wait: %s", wait)
		}
	}
	now = now.Add(2 * time.Hour)
	for range 3 { // what was long ago is forgotten
		if wait := g.Begin("anna", 3, now); wait != 0 {
			t.Fatal(wait)
		}
	}
	g.Clear("anna")
	if wait := g.Begin("anna", 3, now); wait != 0 {
		t.Errorf("cleared: %s", wait)
	}
}

// TestNobodyGuessesOften: whatever attempts are made when, no more of them are judged than the waits allow.
func TestNobodyGuessesOften(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		g := guard.Guard{First: time.Minute, Longest: 15 * time.Minute}
		now, judged := start, 0
		for range rapid.IntRange(1, 400).Draw(t, "attempts") {
			now = now.Add(time.Duration(rapid.IntRange(0, 90).Draw(t, "seconds")) * time.Second)
			if g.Begin("anna", 5, now) == 0 {
				judged++
			}
		}
		minutes := int(now.Sub(start)/time.Minute) + 1
		if most := 5 + 4 + minutes/15 + 1; judged > most {
			t.Fatalf("%d guesses in %d minutes, at most %d are meant", judged, minutes, most)
		}
	})
}

func TestBack(t *testing.T) {
	g := guard.Guard{First: time.Second, Longest: time.Minute}
	for range 100 { // right answers are never too many
		if wait := g.Begin("here", 3, start); wait != 0 {
			t.Fatal(wait)
		}
		g.Back("here")
	}
	g.Back("nowhere")
	g.Clear("nowhere")
}

// TestBounded: an attacker with many names takes no node's memory, and nobody else waits for it.
func TestBounded(t *testing.T) {
	g := guard.Guard{First: time.Minute, Longest: time.Hour}
	for i := range 50_000 {
		g.Begin(fmt.Sprint("name ", i), 1, start)
	}
	if wait := g.Begin("anna", 5, start); wait != 0 {
		t.Error(wait)
	}
}

func TestAddress(t *testing.T) {
	for from, want := range map[string]string{
		"192.0.2.1:80": "192.0.2.1", "192.0.2.1": "192.0.2.1", "[2001:db8::1]:80": "2001:db8::/64", "2001:db8:0:0:ffff::1": "2001:db8::/64",
		"[2001:db8:0:1::1]:80": "2001:db8:0:1::/64", "[::ffff:192.0.2.1]:80": "192.0.2.1", "[fe80::1%eth0]:80": "fe80::/64", "@": "@", "": "",
	} {
		if got := guard.Address(from); got != want {
			t.Errorf("%q: %q, want %q", from, got, want)
		}
	}
}
