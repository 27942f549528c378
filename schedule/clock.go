// Package schedule says when: maintenance windows, recurrences, and the start of a policy's installs. Everything in it
// is a pure function of a given moment and time zone.
//
// Local times follow one rule everywhere. A time of day that the clocks skip means the moment they jump; one that
// comes twice means the first of the two. Lengths are elapsed time, not differences on the clock face.
package schedule

import (
	"fmt"
	"time"
	_ "time/tzdata" // Windows has no IANA names of its own, and named zones must mean the same on every computer
)

// moment returns when the clocks of loc show a face (see faceOf). Skipped times become the end of the gap, repeated
// ones the first.
func moment(face time.Time, loc *time.Location) time.Time {
	t := time.Date(face.Year(), face.Month(), face.Day(), face.Hour(), face.Minute(), 0, 0, loc)
	begin, end := t.ZoneBounds()
	if shown := faceOf(t); !shown.Equal(face) {
		if shown.After(face) {
			return begin
		}
		return end
	}
	if begin.IsZero() {
		return t
	}
	_, offset := begin.Add(-time.Second).Zone()
	if earlier := face.Add(-time.Duration(offset) * time.Second); earlier.Before(begin) {
		return earlier.In(loc)
	}
	return t
}

// faceOf returns what the clock shows at t as if it were UTC, so that faces compare without a zone.
func faceOf(t time.Time) time.Time {
	_, offset := t.Zone()
	return t.UTC().Add(time.Duration(offset) * time.Second)
}

// zoneOf loads a named zone; "" is the computer's own, and no computer's zone is UTC.
func zoneOf(name string, local *time.Location) (*time.Location, error) {
	if name != "" {
		loc, err := time.LoadLocation(name)
		if err != nil || name == "Local" {
			return nil, fmt.Errorf("time zone %q is not known: use an IANA name such as Europe/Berlin, or leave it empty for the computer's own", name)
		}
		return loc, nil
	}
	if local == nil {
		return time.UTC, nil
	}
	return local, nil
}

// timeOfDay reads "22:05" into hours and minutes.
func timeOfDay(text string) (hour, minute int, err error) {
	t, err := time.Parse("15:04", text)
	if err != nil || len(text) != 5 {
		return 0, 0, fmt.Errorf("time of day %q: write hours and minutes as 22:05", text)
	}
	return t.Hour(), t.Minute(), nil
}

// date reads "2026-12-31" as midnight UTC of that day.
func date(text string) (time.Time, error) {
	t, err := time.Parse(time.DateOnly, text)
	if err != nil {
		return time.Time{}, fmt.Errorf("date %q: write year, month and day as 2026-12-31", text)
	}
	return t, nil
}
