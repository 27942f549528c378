package schedule

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// minutes is the naive answer to when windows are open: it walks every minute and looks at a clock, and knows nothing of
// zones, gaps or folds.
type minutes struct {
	from time.Time
	open []bool // from that minute on
}

// lead is how long before the first minute that is answered the walk begins: no window that starts earlier reaches it.
const lead = (MaxMinutes + 3*24*60) * time.Minute

func walk(ws Windows, local *time.Location, from time.Time, days int) minutes {
	m := minutes{from: from, open: make([]bool, days*24*60)}
	for _, w := range ws {
		loc := local
		if w.Zone != "" {
			loc, _ = time.LoadLocation(w.Zone)
		}
		begin := from.Add(-lead)
		waiting := starts(w, begin.In(loc), days)
		until := begin
		for at := begin; at.Before(from.Add(time.Duration(days) * 24 * time.Hour)); at = at.Add(time.Minute) {
			shown := at.In(loc).Format("2006-01-02 15:04")
			for len(waiting) > 0 && shown >= waiting[0] {
				waiting = waiting[1:]
				if end := at.Add(time.Duration(w.Minutes) * time.Minute); end.After(until) {
					until = end
				}
			}
			if !at.Before(from) && at.Before(until) {
				m.open[at.Sub(from)/time.Minute] = true
			}
		}
	}
	return m
}

// starts are what the clock shows when a window starts, after the first moment, in order.
func starts(w Window, first time.Time, days int) (all []string) {
	day := time.Date(first.Year(), first.Month(), first.Day(), 0, 0, 0, 0, time.UTC)
	for range days + int(lead/(24*time.Hour)) + 3 {
		text := day.Format(time.DateOnly) + " " + w.Start
		if startsOn(w, day) && text > first.Format("2006-01-02 15:04") {
			all = append(all, text)
		}
		day = day.AddDate(0, 0, 1)
	}
	return all
}

func startsOn(w Window, day time.Time) bool {
	date := day.Format(time.DateOnly)
	if w.From != "" && date < w.From || w.Until != "" && date > w.Until {
		return false
	}
	if w.Repeat == Daily {
		return true
	}
	day = day.AddDate(0, 0, -w.OffsetDays)
	if !slices.Contains(w.Weekdays, Weekday(strings.ToLower(day.Weekday().String()))) {
		return false
	}
	if w.Repeat == Weekly {
		return true
	}
	var same []int // days of that weekday in the month
	for d := time.Date(day.Year(), day.Month(), 1, 0, 0, 0, 0, time.UTC); d.Month() == day.Month(); d = d.AddDate(0, 0, 1) {
		if d.Weekday() == day.Weekday() {
			same = append(same, d.Day())
		}
	}
	at := map[Week]int{First: 0, Second: 1, Third: 2, Fourth: 3, Last: len(same) - 1}[w.Week]
	return same[at] == day.Day()
}

// closes is the minute in which the windows close that are open in one; false: not before the end.
func (m minutes) closes(minute int) (int, bool) {
	at := slices.Index(m.open[minute:], false)
	return minute + at, at >= 0
}

// opens is the minute after one in which the windows open next.
func (m minutes) opens(minute int) (int, bool) {
	for i := minute + 1; i < len(m.open); i++ {
		if m.open[i] && !m.open[i-1] {
			return i, true
		}
	}
	return 0, false
}

func (m minutes) at(minute int) time.Time { return m.from.Add(time.Duration(minute) * time.Minute) }

// holds compares one minute's answers, at its first second and its last.
func (m minutes) holds(ws Windows, local *time.Location, minute int) error {
	for _, at := range []time.Time{m.at(minute), m.at(minute).Add(59 * time.Second)} {
		until, open := ws.Open(at, local)
		if open != m.open[minute] {
			return fmt.Errorf("open at %s: %v, the clock says %v", at.In(local), open, m.open[minute])
		}
		if closes, known := m.closes(minute); open && known && !until.Equal(m.at(closes)) {
			return fmt.Errorf("at %s open until %s, by the clock until %s", at.In(local), until.In(local), m.at(closes).In(local))
		}
		start, end := ws.Next(at, local)
		opens, known := m.opens(minute)
		switch {
		case known && !start.Equal(m.at(opens)):
			return fmt.Errorf("at %s opens next at %s, by the clock at %s", at.In(local), start.In(local), m.at(opens).In(local))
		case !known && !start.IsZero() && start.Before(m.at(len(m.open))):
			return fmt.Errorf("at %s opens next at %s, by the clock not", at.In(local), start.In(local))
		}
		if !known {
			continue
		}
		if closes, known := m.closes(opens); known && !end.Equal(m.at(closes)) {
			return fmt.Errorf("opens next at %s until %s, by the clock until %s", start.In(local), end.In(local), m.at(closes).In(local))
		}
	}
	return nil
}

// edges are minutes at which answers change, and some beside.
func (m minutes) edges() (found []int) {
	last := len(m.open) - 1
	for i := 1; i <= last; i++ {
		if m.open[i] != m.open[i-1] {
			found = append(found, i-1, i)
		}
	}
	return append(found, 0, last/3, last/2)
}

// clocks change in many ways: by an hour or by half, at midnight, by a day, in the other half of the year, at the
// whim of a government.
var clocks = []string{
	"UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "America/Sao_Paulo", "America/Asuncion", "Asia/Tehran",
	"Antarctica/Troll", "Africa/Casablanca", "Africa/Cairo", "Pacific/Apia", "Pacific/Chatham", "Asia/Kathmandu", "Asia/Gaza", "America/St_Johns",
}

// changeNear is a moment shortly before clocks of a zone change, or any moment where they do not.
func changeNear(rt *rapid.T, loc *time.Location) time.Time {
	at := time.Unix(rapid.Int64Range(1104537600, 1924992000).Draw(rt, "around"), 0) // 2005 to 2030
	if _, end := at.In(loc).ZoneBounds(); !end.IsZero() && end.Year() < 2032 {
		at = end
	}
	return at.UTC().Truncate(time.Minute).Add(-time.Duration(rapid.IntRange(0, 9*24*60).Draw(rt, "before")) * time.Minute)
}

func TestWindowsAgreeWithTheClock(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		local := zone(t, rapid.SampledFrom(clocks).Draw(rt, "local"))
		from := changeNear(rt, local)
		const days = 12
		var ws Windows
		for range rapid.IntRange(1, 3).Draw(rt, "windows") {
			w := drawWindow(rt)
			w.Zone = rapid.SampledFrom(append([]string{"", ""}, clocks...)).Draw(rt, "zone of its own")
			if rapid.Bool().Draw(rt, "at night") { // where clocks change
				w.Start = fmt.Sprintf("%02d:%02d", rapid.IntRange(0, 4).Draw(rt, "hour"), rapid.SampledFrom([]int{0, 1, 29, 30, 59}).Draw(rt, "minute"))
			}
			if rapid.IntRange(0, 4).Draw(rt, "bounds") == 0 {
				w.From = from.AddDate(0, 0, rapid.IntRange(-3, 4).Draw(rt, "from")).Format(time.DateOnly)
				w.Until = from.AddDate(0, 0, rapid.IntRange(5, 9).Draw(rt, "until")).Format(time.DateOnly)
			}
			ws = append(ws, w)
		}
		if err := ws.Validate(); err != nil {
			rt.Fatal(err)
		}
		m := walk(ws, local, from, days)
		edges := append(m.edges(), rapid.IntRange(0, len(m.open)-1).Draw(rt, "minute"))
		for _, minute := range edges[max(0, len(edges)-24):] {
			if err := m.holds(ws, local, minute); err != nil {
				rt.Fatalf("%+v on clocks of %s: %v", ws, local, err)
			}
		}
	})
}

// Hard cases, every minute of them: what the walk says is compared at all of its edges.
func TestHardWindowsMinuteByMinute(t *testing.T) {
	long := func(w Window, minutes int) Window {
		w.Minutes = minutes
		return w
	}
	for name, c := range map[string]struct {
		windows Windows
		local   string
		from    string
		days    int
		open    int // minutes in all
	}{
		"nightly where an hour is skipped":                    {Windows{daily("01:30", 120)}, "Europe/Berlin", "2026-03-28T00:00:00Z", 3, 390},
		"nightly where an hour comes twice":                   {Windows{daily("01:30", 120)}, "Europe/Berlin", "2026-10-24T00:00:00Z", 3, 330},
		"start skipped in a zone of its own":                  {Windows{in(daily("02:15", 30), "America/New_York")}, "Asia/Tokyo", "2026-03-07T00:00:00Z", 3, 90},
		"start comes twice in a zone of its own":              {Windows{in(daily("01:15", 30), "America/New_York")}, "Asia/Tokyo", "2026-10-31T00:00:00Z", 3, 90},
		"half an hour is skipped":                             {Windows{daily("02:10", 10)}, "Australia/Lord_Howe", "2026-10-02T12:00:00Z", 3, 30},
		"half an hour comes twice":                            {Windows{daily("01:40", 10)}, "Australia/Lord_Howe", "2026-04-03T12:00:00Z", 3, 30},
		"midnight is skipped":                                 {Windows{daily("00:00", 45)}, "America/Sao_Paulo", "2018-11-03T12:00:00Z", 2, 90},
		"two hours are skipped":                               {Windows{daily("02:30", 45)}, "Antarctica/Troll", "2026-03-28T00:00:00Z", 3, 135},
		"a whole day is skipped":                              {Windows{daily("09:00", 60)}, "Pacific/Apia", "2011-12-28T00:00:00Z", 5, 360},
		"five hours longer than a day, never closed":          {Windows{daily("06:00", 29*60)}, "Europe/Berlin", "2026-03-27T00:00:00Z", 5, 5 * 1440},
		"25 hours on a day of 23":                             {Windows{long(weekly("00:00", 0, "sunday"), 25*60)}, "Europe/Berlin", "2026-03-28T00:00:00Z", 4, 25 * 60},
		"25 hours on a day of 25":                             {Windows{long(weekly("00:00", 0, "sunday"), 25*60)}, "Europe/Berlin", "2026-10-24T00:00:00Z", 4, 25 * 60},
		"24 hours daily join":                                 {Windows{daily("03:00", 1440)}, "UTC", "2026-05-01T00:00:00Z", 3, 3 * 1440},
		"24 hours daily leave a gap when a day has 25":        {Windows{daily("03:00", 1440)}, "Europe/Berlin", "2026-10-24T00:00:00Z", 4, 4*1440 - 60},
		"23 hours daily, and a day has 23":                    {Windows{daily("03:00", 1380)}, "Europe/Berlin", "2026-03-27T02:00:00Z", 3, 3*1380 + 60},
		"the last of a weekday that comes four times":         {Windows{monthly(Last, "monday", 0)}, "UTC", "2026-02-20T00:00:00Z", 10, 240},
		"the last of a weekday that comes five times":         {Windows{monthly(Last, "monday", 0)}, "UTC", "2026-03-28T00:00:00Z", 5, 240},
		"the last of a weekday, a week before the next month": {Windows{monthly(Last, "wednesday", 0)}, "UTC", "2026-03-24T00:00:00Z", 9, 240},
		"the last of a weekday, on the last day":              {Windows{monthly(Last, "tuesday", 0)}, "UTC", "2026-03-23T00:00:00Z", 10, 240},
		"four weekdays of a month that is four weeks":         {Windows{monthly(Last, "saturday", 0)}, "UTC", "2026-02-20T00:00:00Z", 12, 240},
		"the fourth is not the last of five":                  {Windows{monthly(Fourth, "monday", 0)}, "UTC", "2026-03-28T00:00:00Z", 5, 0},
		"27 days after the last: the month after next":        {Windows{monthly(Last, "saturday", 27)}, "UTC", "2026-02-26T00:00:00Z", 3, 240},
		"overlaps of three, two of one zone":                  {Windows{daily("20:00", 180), in(daily("22:00", 120), "Europe/Berlin"), daily("21:30", 10)}, "UTC", "2026-05-01T00:00:00Z", 2, 2 * 180},
		"each computer's own clock: the same window":          {Windows{daily("22:00", 60)}, "Asia/Kathmandu", "2026-05-01T00:00:00Z", 2, 120},
		"one minute": {Windows{daily("23:59", 1)}, "America/St_Johns", "2026-03-07T00:00:00Z", 3, 3},
	} {
		t.Run(name, func(t *testing.T) {
			local, from := zone(t, c.local), at(t, c.from)
			m := walk(c.windows, local, from, c.days)
			open := 0
			for _, is := range m.open {
				if is {
					open++
				}
			}
			if open != c.open {
				t.Errorf("by the clock it is open for %d minutes, want %d", open, c.open)
			}
			for _, minute := range m.edges() {
				if err := m.holds(c.windows, local, minute); err != nil {
					t.Error(err)
				}
			}
		})
	}
}
