package policies_test

import (
	"crypto/ed25519"
	"errors"
	"strings"
	"testing"

	"thatch/catalog/document"
	"thatch/catalog/policy"
	"thatch/node/bulletins/bulletinstest"
	"thatch/node/policies/windows"
	"thatch/node/store"
	"thatch/schedule"
)

func TestWindowRefuses(t *testing.T) {
	s := newSite(t)
	for name, spoil := range map[string]func(*windows.Body){
		"no name":        func(w *windows.Body) { w.Name = "" },
		"repeat":         func(w *windows.Body) { w.Repeat = "hourly" },
		"start":          func(w *windows.Body) { w.Start = "25:00" },
		"length":         func(w *windows.Body) { w.Minutes = 0 },
		"zone":           func(w *windows.Body) { w.Zone = "Europe/Atlantis" },
		"target":         func(w *windows.Body) { w.Target = &policy.Target{ProductTypes: []string{"toaster"}} },
		"needs":          func(w *windows.Body) { w.Target = &policy.Target{NeedsIt: true} },
		"unknown target": func(w *windows.Body) { w.Target = &policy.Target{Unknown: []string{"moon"}} },
	} {
		body := windows.Body{Window: nightly("night")}
		spoil(&body)
		if _, err := s.windows.Create(t.Context(), body); !errors.Is(err, store.ErrInvalid) {
			t.Errorf("%s: %v, want ErrInvalid", name, err)
		}
	}
}

func TestWindowsComeAndGo(t *testing.T) {
	s := newSite(t)
	ctx := t.Context()
	german := s.computer(t, "pc", "de-de", nil, nil)
	id, err := s.windows.Create(ctx, windows.Body{Window: nightly("night"), Target: &policy.Target{Languages: []string{"de"}}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.windows.Create(ctx, windows.Body{Window: nightly("elsewhere"), Target: &policy.Target{Languages: []string{"fr"}}}); err != nil {
		t.Fatal(err)
	}
	got := s.assigned(t, german.ID).Windows
	if len(got) != 1 || got[0].ID != id || got[0].Verify(bulletinstest.Key.Public().(ed25519.PublicKey)) != nil {
		t.Fatalf("a German computer gets %d windows", len(got))
	}
	w, err := s.windows.Find(ctx, "NIGHT")
	if err != nil || w.Count != 1 || w.Opens == nil || w.Closes != nil || w.IsOpen || !strings.Contains(w.Text, "daily at 22:00 for 2h") {
		t.Errorf("window %+v, %v", w, err)
	}
	changed := windows.Body{Window: nightly("night")}
	changed.Start = "11:00"
	if err := s.windows.Change(ctx, id, w.Version, changed); err != nil {
		t.Fatal(err)
	}
	if err := s.windows.Change(ctx, id, w.Version, windows.Body{Window: nightly("night")}); !errors.Is(err, store.ErrConflict) {
		t.Errorf("change from a stale version: %v", err)
	}
	if err := s.windows.Delete(ctx, id, w.Version); !errors.Is(err, store.ErrConflict) {
		t.Errorf("delete from a stale version: %v", err)
	}
	if w, _ = s.windows.Find(ctx, id); w.Closes == nil || !w.IsOpen || w.Target != nil {
		t.Errorf("at noon a window from 11 to 13 is %+v", w)
	}
	rows, total, err := s.windows.List(ctx, store.Query{Filter: map[string]string{"open": "yes"}})
	if err != nil || total != 1 || rows[0].ID != id {
		t.Errorf("open windows: %d, %v", total, err)
	}
	if err := s.windows.Delete(ctx, id, ""); err != nil {
		t.Fatal(err)
	}
	if _, err := s.windows.Find(ctx, id); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("a deleted window: %v", err)
	}
	if err := s.windows.Delete(ctx, id, ""); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("delete twice: %v", err)
	}
	if err := s.windows.Change(ctx, "elsewhere", "nonsense", windows.Body{Window: nightly("x")}); !errors.Is(err, store.ErrInvalid) {
		t.Errorf("a version that is none: %v", err)
	}
}

func TestWindowOfALaterVersion(t *testing.T) {
	s := newSite(t)
	s.under(t, "elsewhere")
	c := s.computer(t, "pc", "de", nil, nil)
	doc := bulletinstest.Doc(t, document.Window, "window:elsewhere:1", nil, schedule.Window{Name: "moon", Repeat: "lunar", Start: "22:00", Minutes: 5})
	doc.Sign("elsewhere", bulletinstest.Key)
	bulletinstest.Write(t, s.db, store.Put(doc, "", store.Former{})...)
	if a := s.assigned(t, c.ID); len(a.Windows) != 0 {
		t.Error("a window that is not understood is given to computers")
	}
	w, err := s.windows.Find(t.Context(), "moon")
	if err != nil || !strings.Contains(w.Problem, "lunar") {
		t.Errorf("nobody is told: %+v, %v", w, err)
	}
	if err := s.windows.Delete(t.Context(), "moon", ""); !errors.Is(err, store.ErrConflict) || !strings.Contains(err.Error(), "site elsewhere") {
		t.Errorf("another site's window is deleted here: %v", err)
	}
}

func TestDescribe(t *testing.T) {
	s := newSite(t)
	for want, w := range map[string]schedule.Window{
		"monday, friday at 20:00 for 1h, Europe/Berlin": {Name: "a", Repeat: schedule.Weekly, Weekdays: []schedule.Weekday{"monday", "friday"}, Start: "20:00", Minutes: 60, Zone: "Europe/Berlin"},
		"4 days after the second tuesday of the month at 20:00 for 1h, each computer's own time": {
			Name: "b", Repeat: schedule.Monthly, Week: schedule.Second, Weekdays: []schedule.Weekday{"tuesday"}, OffsetDays: 4, Start: "20:00", Minutes: 60,
		},
	} {
		id, err := s.windows.Create(t.Context(), windows.Body{Window: w})
		if err != nil {
			t.Fatal(err)
		}
		if got, err := s.windows.Find(t.Context(), id); err != nil || got.Text != want {
			t.Errorf("%q, %v; want %q", got.Text, err, want)
		}
	}
}
