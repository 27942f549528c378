package schedule

import (
	"slices"
	"time"
)

// series is a valid window with its texts read.
type series struct {
	window       Window
	loc          *time.Location
	hour, minute int
	length       time.Duration
	days         []time.Weekday
	week         int
	from, until  time.Time // as date returns them; zero: unbounded
}

// longest is the most days between two dates of a series that has not ended: two weekdays of neighbouring months, and
// a day of reserve.
const longest = 43

func newSeries(w Window, local *time.Location) (series, error) {
	if err := w.Validate(); err != nil {
		return series{}, err
	}
	s := series{window: w, length: time.Duration(w.Minutes) * time.Minute}
	s.loc, _ = zoneOf(w.Zone, local)
	s.hour, s.minute, _ = timeOfDay(w.Start)
	s.week, _ = weekNumber(w.Week)
	for _, day := range w.Weekdays {
		s.days = append(s.days, time.Weekday(slices.Index(weekdays, day)))
	}
	if w.From != "" {
		s.from, _ = date(w.From)
	}
	if w.Until != "" {
		s.until, _ = date(w.Until)
	}
	return s, nil
}

// on says whether an occurrence starts on a day, given as midnight UTC.
func (s series) on(day time.Time) bool {
	if !s.from.IsZero() && day.Before(s.from) || !s.until.IsZero() && day.After(s.until) {
		return false
	}
	switch s.window.Repeat {
	case Daily:
		return true
	case Weekly:
		return slices.Contains(s.days, day.Weekday())
	}
	day = day.AddDate(0, 0, -s.window.OffsetDays)
	if !slices.Contains(s.days, day.Weekday()) {
		return false
	}
	if s.week < 0 {
		return day.AddDate(0, 0, 7).Month() != day.Month()
	}
	return (day.Day()-1)/7+1 == s.week
}

// starts is when the occurrence of a day starts.
func (s series) starts(day time.Time) time.Time {
	return moment(day.Add(time.Duration(s.hour*60+s.minute)*time.Minute), s.loc)
}

// dayOf is the date of t on the series' clocks, as midnight UTC.
func (s series) dayOf(t time.Time) time.Time {
	y, m, d := t.In(s.loc).Date()
	return time.Date(y, m, d, 0, 0, 0, 0, time.UTC)
}

// covering returns the latest end of the occurrences that cover t, zero when none does.
func (s series) covering(t time.Time) (end time.Time) {
	// A day more on either side: zones have skipped and repeated whole days.
	last := s.dayOf(t).AddDate(0, 0, 1)
	for day := s.dayOf(t.Add(-s.length)).AddDate(0, 0, -1); !day.After(last); day = day.AddDate(0, 0, 1) {
		if !s.on(day) {
			continue
		}
		start := s.starts(day)
		if e := start.Add(s.length); !start.After(t) && e.After(t) && e.After(end) {
			end = e
		}
	}
	return end
}

// following returns the first start after t.
func (s series) following(t time.Time) (start time.Time, ok bool) {
	day := s.dayOf(t).AddDate(0, 0, -1)
	if day.Before(s.from) {
		day = s.from
	}
	for range longest {
		if s.on(day) {
			if start = s.starts(day); start.After(t) {
				return start, true
			}
		}
		day = day.AddDate(0, 0, 1)
	}
	return time.Time{}, false
}
