package policies_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"thatch/catalog/policy"
	"thatch/node/policies"
	"thatch/node/policies/windows"
	"thatch/node/store"
	"thatch/schedule"
)

func wantErr(t testing.TB, what string, err, kind error, says string) {
	t.Helper()
	if !errors.Is(err, kind) || !strings.Contains(err.Error(), says) {
		t.Errorf("%s: %v; want %v that says %q", what, err, kind, says)
	}
}

func TestNamesArePoliciesOwn(t *testing.T) {
	s := newSite(t)
	ctx := t.Context()
	first := s.create(t, policies.Draft{Name: "Fébruary", Bulletins: []string{"KB1"}})
	_, err := s.Create(ctx, policies.Draft{Name: " FÉBRUARY ", Bulletins: []string{"KB1"}})
	wantErr(t, "the same name in capitals", err, store.ErrConflict, first.ID)
	if strings.Contains(err.Error(), "meanwhile") {
		t.Errorf("%v: nothing happened meanwhile", err)
	}
	second := s.create(t, policies.Draft{Name: "March", Bulletins: []string{"KB1"}})
	name := "fébruary"
	wantErr(t, "renamed to another's name", s.Change(ctx, second.ID, 0, policies.Edit{Name: &name}), store.ErrConflict, first.ID)
	if err := s.Change(ctx, first.ID, 0, policies.Edit{Name: &name}); err != nil {
		t.Errorf("its own name in another case: %v", err)
	}
	name = "April"
	if err := s.Change(ctx, first.ID, 0, policies.Edit{Name: &name}); err != nil {
		t.Errorf("renamed: %v", err)
	}
	s.create(t, policies.Draft{Name: "fébruary", Bulletins: []string{"KB1"}})
	// Two that bear one name since earlier can still be changed, and deleted.
	s.sql(t, `UPDATE policy SET name = 'April', version = version + 1, idx = (SELECT idx + 1 FROM applied) WHERE id = ?`, second.ID)
	text := "still to be changed"
	if err := s.Change(ctx, first.ID, 0, policies.Edit{Description: &text}); err != nil {
		t.Errorf("one of two of a name: %v", err)
	}
}

func TestNamesAreWindowsOwn(t *testing.T) {
	s := newSite(t)
	ctx := t.Context()
	night, err := s.windows.Create(ctx, windows.Body{Window: nightly("night")})
	if err != nil {
		t.Fatal(err)
	}
	_, err = s.windows.Create(ctx, windows.Body{Window: nightly(" Night")})
	wantErr(t, "the same name", err, store.ErrConflict, night)
	noon, err := s.windows.Create(ctx, windows.Body{Window: nightly("noon")})
	if err != nil {
		t.Fatal(err)
	}
	wantErr(t, "renamed to another's name", s.windows.Change(ctx, noon, "", windows.Body{Window: nightly("NIGHT")}), store.ErrConflict, night)
	if err := s.windows.Change(ctx, noon, "", windows.Body{Window: nightly("Noon")}); err != nil {
		t.Errorf("its own name: %v", err)
	}
	if err := s.windows.Delete(ctx, night, ""); err != nil {
		t.Fatal(err)
	}
	if err := s.windows.Change(ctx, noon, "", windows.Body{Window: nightly("night")}); err != nil {
		t.Errorf("a name that is free again: %v", err)
	}
}

// Two nodes, or two people at once: the name is held where the change is applied.
func TestNameIsGivenOnceAtATime(t *testing.T) {
	s := newSite(t)
	const many = 6
	made, given := make(chan error, many), make(chan error, many)
	for range many {
		go func() {
			_, err := s.Create(t.Context(), policies.Draft{Name: "one", Bulletins: []string{"KB1"}})
			made <- err
			_, err = s.windows.Create(t.Context(), windows.Body{Window: nightly("one")})
			given <- err
		}()
	}
	for what, answers := range map[string]chan error{"policies": made, "windows": given} {
		count := 0
		for range many {
			if err := <-answers; err == nil {
				count++
			} else if !errors.Is(err, store.ErrConflict) {
				t.Error(err)
			}
		}
		if count != 1 {
			t.Errorf("%d %s bear one name", count, what)
		}
	}
}

func TestSenseOfPlans(t *testing.T) {
	s := newSite(t) // its clock stands at 2019-03-06T12:00:00Z
	at := func(at string) *policy.Plan { return &policy.Plan{When: policy.StartAt, At: at} }
	draft := func(plan *policy.Plan) policies.Draft {
		return policies.Draft{Name: "p", Bulletins: []string{"KB1"}, Plan: plan}
	}
	for says, plan := range map[string]*policy.Plan{
		"2019-03-05T22:00 is past":     at("2019-03-05T22:00"),
		"2019-03-06T11:00:00Z is past": at("2019-03-06T11:00:00Z"),
		"spread of 10081 minutes":      {When: policy.StartASAP, SpreadMinutes: 10081},
		"spread of -1 minutes":         {When: policy.StartASAP, SpreadMinutes: -1},
		"simultaneous is 100001":       {When: policy.StartASAP, Simultaneous: 100_001},
		"-5 computers at once":         {When: policy.StartASAP, Simultaneous: -5},
	} {
		_, err := s.Create(t.Context(), draft(plan))
		wantErr(t, says, err, store.ErrInvalid, says)
	}
	for says, attempts := range map[string]int{"attempts is 101": 101, "attempts is -1": -1} {
		_, err := s.Create(t.Context(), policies.Draft{Name: "p", Bulletins: []string{"KB1"}, Attempts: attempts})
		wantErr(t, says, err, store.ErrInvalid, says)
	}
	for _, good := range []*policy.Plan{
		at("2019-03-06T11:56:00Z"),                                        // the minute in which it was typed
		{When: policy.StartAt, At: "2019-03-06T01:00", SpreadMinutes: 60}, // still to come on some clocks
		{When: policy.StartASAP, Simultaneous: 100_000, SpreadMinutes: 10080},
	} {
		d := draft(good)
		d.Name = good.At + "x"
		s.create(t, d)
	}
}

// A time that has come meanwhile does not hold up other changes.
func TestPlansThatCameMeanwhile(t *testing.T) {
	s := newSite(t)
	plan := policy.Plan{When: policy.StartAt, At: "2019-03-07T22:00"}
	p := s.create(t, policies.Draft{Name: "p", Bulletins: []string{"KB1"}, Plan: &plan})
	s.wait(30 * 24 * time.Hour)
	plan.SpreadMinutes = 30
	if err := s.Change(t.Context(), p.ID, 0, policies.Edit{Plan: &plan, Disable: []string{"u1"}}); err != nil {
		t.Errorf("a change that leaves the time as it is: %v", err)
	}
	s.catalog(t, "two")
	for _, id := range []string{"u1-en", "u1-de", "u1-neutral"} {
		s.restage(t, id)
	}
	if _, err := s.Revise(t.Context(), p.ID, 0); err != nil {
		t.Errorf("revised: %v", err)
	}
	plan.At = "2019-03-08T22:00"
	wantErr(t, "another time that was", s.Change(t.Context(), p.ID, 0, policies.Edit{Plan: &plan}), store.ErrInvalid, "is past")
}

func TestWindowsThatNeverOpenAgain(t *testing.T) {
	s := newSite(t)
	body := func(until string) windows.Body {
		w := nightly("night")
		w.Until = until
		return windows.Body{Window: w}
	}
	_, err := s.windows.Create(t.Context(), body("2019-03-04"))
	wantErr(t, "over", err, store.ErrInvalid, "does not open again")
	id, err := s.windows.Create(t.Context(), body("2019-03-06"))
	if err != nil {
		t.Errorf("tonight for the last time: %v", err)
	}
	s.wait(10 * 24 * time.Hour)
	later := body("2019-03-06")
	later.Repeat, later.Weekdays = schedule.Weekly, []schedule.Weekday{"friday"}
	if err := s.windows.Change(t.Context(), id, "", later); err != nil {
		t.Errorf("one that is over, changed otherwise: %v", err)
	}
	wantErr(t, "changed to be over", s.windows.Change(t.Context(), id, "", body("2019-03-10")), store.ErrInvalid, "does not open again")
}
