package schedule

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestPlanStart(t *testing.T) {
	nightly, err := ParseRecurrence("0 22 * * *")
	if err != nil {
		t.Fatal(err)
	}
	cases := map[string]struct {
		plan  Plan
		agent Recurrence
		want  string
	}{
		"as soon as possible":          {Plan{When: AsSoonAsPossible}, nightly, "2026-03-03T10:00:00Z"},
		"one moment":                   {Plan{When: AtTime, At: "2026-12-01T22:00:00+02:00"}, nightly, "2026-12-01T20:00:00Z"},
		"own clock":                    {Plan{When: AtTime, At: "2026-12-01T22:00"}, nightly, "2026-12-01T21:00:00Z"},
		"own clock, in the gap":        {Plan{When: AtTime, At: "2026-03-29T02:30"}, nightly, "2026-03-29T01:00:00Z"},
		"a time that has been":         {Plan{When: AtTime, At: "2020-12-01T22:00:00Z"}, nightly, "2020-12-01T22:00:00Z"},
		"agent's default":              {Plan{When: AgentDefault}, nightly, "2026-03-03T21:00:00Z"},
		"agent's default without one":  {Plan{When: AgentDefault}, Recurrence{}, "2026-03-03T10:00:00Z"},
		"spread of less than a second": {Plan{When: AsSoonAsPossible, Spread: 0}, nightly, "2026-03-03T10:00:00Z"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			got, err := c.plan.Start(at(t, "2026-03-03T10:00:00Z"), c.agent, zone(t, "Europe/Berlin"), "k")
			if err != nil || !got.Equal(at(t, c.want)) {
				t.Fatalf("got %v, %v", got.UTC(), err)
			}
		})
	}
}

func TestPlanRefusals(t *testing.T) {
	for want, plan := range map[string]Plan{
		`"" is not asap`:           {},
		`"soon" is not asap`:       {When: "soon"},
		"a time belongs to":        {When: AsSoonAsPossible, At: "2026-12-01T22:00"},
		`time "":`:                 {When: AtTime},
		`time "tomorrow":`:         {When: AtTime, At: "tomorrow"},
		"spread of -1 minutes":     {When: AsSoonAsPossible, Spread: -1},
		"spread of 100000 minutes": {When: AgentDefault, Spread: 100000},
	} {
		start, err := plan.Start(time.Now(), Recurrence{}, time.UTC, "k")
		if err == nil || !strings.Contains(err.Error(), want) || !start.IsZero() {
			t.Errorf("%+v: got %v, %v", plan, start, err)
		}
	}
}

func TestSpreadIsFairAndStable(t *testing.T) {
	const computers, parts = 6000, 6
	plan := Plan{When: AsSoonAsPossible, Spread: 60}
	ordered := at(t, "2026-03-03T10:00:00Z")
	var counts [parts]int
	for i := range computers {
		key := Key(fmt.Sprintf("computer-%d", i), "policy")
		start, err := plan.Start(ordered, Recurrence{}, time.UTC, key)
		again, _ := plan.Start(ordered, Recurrence{}, time.UTC, key)
		if err != nil || !again.Equal(start) {
			t.Fatal("the same key gives two starts", err)
		}
		counts[start.Sub(ordered)/(10*time.Minute)]++
	}
	for part, n := range counts {
		if n < computers/parts*8/10 || n > computers/parts*12/10 {
			t.Errorf("ten minutes %d hold %d of %d starts", part, n, computers)
		}
	}
	if Key("a", "bc") == Key("ab", "c") {
		t.Error("keys of different computers are equal")
	}
}

func TestJitterStaysWithin(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		spread := time.Duration(rapid.Int64Range(-5, int64(30*24*time.Hour)).Draw(rt, "spread"))
		if j := Jitter(rapid.String().Draw(rt, "key"), spread); j < 0 || j > 0 && j >= spread {
			rt.Fatalf("%v of %v", j, spread)
		}
	})
}
