package schedule

import (
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestRecurrenceNext(t *testing.T) {
	cases := map[string]struct {
		spec, local, after string
		want               []string
	}{
		"daily":                 {"@daily", "UTC", "2026-03-03T10:00:00Z", []string{"2026-03-04T00:00:00Z", "2026-03-05T00:00:00Z"}},
		"spaces around":         {"  30 2 * * *  ", "UTC", "2026-03-03T10:00:00Z", []string{"2026-03-04T02:30:00Z"}},
		"weekday names":         {"0 22 * * sat", "Europe/Berlin", "2026-03-03T10:00:00Z", []string{"2026-03-07T21:00:00Z", "2026-03-14T21:00:00Z"}},
		"its own zone":          {"CRON_TZ=Asia/Tokyo 0 9 * * *", "America/New_York", "2026-03-03T10:00:00Z", []string{"2026-03-04T00:00:00Z"}},
		"its own zone, TZ":      {"TZ=Asia/Tokyo @daily", "America/New_York", "2026-03-03T10:00:00Z", []string{"2026-03-03T15:00:00Z"}},
		"strictly after":        {"0 10 * * *", "UTC", "2026-03-03T10:00:00Z", []string{"2026-03-04T10:00:00Z"}},
		"every 90 minutes":      {"@every 90m", "UTC", "2026-03-03T10:00:00Z", []string{"2026-03-03T11:30:00Z", "2026-03-03T13:00:00Z"}},
		"leap day":              {"0 0 29 2 *", "UTC", "2026-03-03T10:00:00Z", []string{"2028-02-29T00:00:00Z"}},
		"in the gap: its end":   {"30 2 * * *", "Europe/Berlin", "2026-03-28T12:00:00Z", []string{"2026-03-29T01:00:00Z", "2026-03-30T00:30:00Z"}},
		"in the fold: once":     {"30 2 * * *", "Europe/Berlin", "2026-10-24T12:00:00Z", []string{"2026-10-25T00:30:00Z", "2026-10-26T01:30:00Z"}},
		"between the two":       {"30 2 * * *", "Europe/Berlin", "2026-10-25T01:00:00Z", []string{"2026-10-26T01:30:00Z"}},
		"hourly goes on":        {"30 * * * *", "Europe/Berlin", "2026-10-25T00:00:00Z", []string{"2026-10-25T00:30:00Z", "2026-10-25T01:30:00Z", "2026-10-25T02:30:00Z"}},
		"hourly across the gap": {"30 * * * *", "Europe/Berlin", "2026-03-29T00:00:00Z", []string{"2026-03-29T00:30:00Z", "2026-03-29T01:30:00Z"}},
		"minutes in the gap":    {"*/20 2 * * *", "Europe/Berlin", "2026-03-29T00:00:00Z", []string{"2026-03-29T01:00:00Z", "2026-03-30T00:00:00Z"}},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			r, err := ParseRecurrence(c.spec)
			if err != nil {
				t.Fatal(err)
			}
			if r.String() != c.spec || r.IsZero() {
				t.Fatal("text lost")
			}
			now := at(t, c.after)
			for _, want := range c.want {
				if now = r.Next(now, zone(t, c.local)); !now.Equal(at(t, want)) {
					t.Fatalf("got %v, wanted %s", now.UTC(), want)
				}
			}
		})
	}
	if next := (Recurrence{}).Next(at(t, "2026-03-03T10:00:00Z"), time.UTC); !next.IsZero() {
		t.Fatal("the zero recurrence comes", next)
	}
}

func TestRecurrenceRefusals(t *testing.T) {
	for spec, want := range map[string]string{
		"":                         "empty spec",
		"* * * *":                  "expected exactly 5 fields",
		"61 * * * *":               "above maximum",
		"@sometimes":               "unrecognized descriptor",
		"@every 59s":               "more often than every minute",
		"@every -1h":               "more often",
		"@every soon":              "failed to parse duration",
		"0 0 30 2 *":               "no day is ever like that",
		"CRON_TZ=Mars/Olympus 0 0": "is not known",
		"CRON_TZ=UTC":              "empty spec",
		"TZ=":                      "empty spec",
		strings.Repeat("1,", 400):  "at most 500",
	} {
		if r, err := ParseRecurrence(spec); err == nil || !strings.Contains(err.Error(), want) || !r.IsZero() {
			t.Errorf("%q: got %v, wanted %q", spec, err, want)
		}
	}
}

func TestRecurrenceNextIsAfterAndMonotonic(t *testing.T) {
	specs := []string{"30 2 * * *", "*/7 * * * *", "0 0 1 * *", "15 1-3 * * 0", "@weekly", "@every 61m", "CRON_TZ=Australia/Lord_Howe 45 1 * * *"}
	rapid.Check(t, func(rt *rapid.T) {
		r, err := ParseRecurrence(rapid.SampledFrom(specs).Draw(rt, "spec"))
		if err != nil {
			rt.Fatal(err)
		}
		loc := zone(t, rapid.SampledFrom(zones).Draw(rt, "zone"))
		now := time.Unix(rapid.Int64Range(1262304000, 1893456000).Draw(rt, "at"), 0)
		next := r.Next(now, loc)
		if !next.After(now) {
			rt.Fatalf("%v is not after %v", next, now)
		}
		if strings.HasPrefix(r.String(), "@every") {
			return
		}
		between := now.Add(time.Duration(rapid.Int64Range(0, int64(next.Sub(now))-1).Draw(rt, "between")))
		if again := r.Next(between, loc); !again.Equal(next) {
			rt.Fatalf("after %v comes %v, but after %v in between comes %v", now, next, between, again)
		}
	})
}

func FuzzParseRecurrence(f *testing.F) {
	for _, spec := range []string{"30 2 * * sun", "@daily", "CRON_TZ=UTC 0 0 1 1 *", "TZ=", "@every 1h", "*/0 * * * *", "1-0 * * * *", "TZ= @"} {
		f.Add(spec)
	}
	now := time.Date(2026, 3, 28, 12, 0, 0, 0, time.UTC)
	f.Fuzz(func(t *testing.T, spec string) {
		if r, err := ParseRecurrence(spec); err == nil && !r.Next(now, time.UTC).After(now) {
			t.Fatalf("%q: next is not after now", spec)
		}
	})
}
