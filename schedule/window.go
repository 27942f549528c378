package schedule

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Repeat says how a window comes again.
type Repeat string

// The repetitions of a window.
const (
	Daily   Repeat = "daily"
	Weekly  Repeat = "weekly"  // on Weekdays
	Monthly Repeat = "monthly" // on the Week-th of Weekdays' only day, OffsetDays later
)

// Week counts a weekday within its month.
type Week string

// The weeks of a month.
const (
	First  Week = "first"
	Second Week = "second"
	Third  Week = "third"
	Fourth Week = "fourth"
	Last   Week = "last"
)

// Weekday is an English weekday in lower case.
type Weekday string

var weekdays = []Weekday{"sunday", "monday", "tuesday", "wednesday", "thursday", "friday", "saturday"}

// Limits of a window.
const (
	MaxMinutes    = 7 * 24 * 60
	MaxOffsetDays = 27
	MaxName       = 200
)

// horizon is how far ahead windows that follow each other without a gap are joined.
const horizon = 60 * 24 * time.Hour

// Endless says whether the end of an open window is so far ahead that it is none: its occurrences follow each other
// without a gap.
func Endless(at, until time.Time) bool { return until.Sub(at) >= horizon }

// Window is a maintenance window: the body of a document of kind window. Text that this version does not know
// survives decoding; Validate names it, and such a window is never open.
type Window struct {
	Name       string    `json:"name"`
	Repeat     Repeat    `json:"repeat"`
	Weekdays   []Weekday `json:"weekdays,omitempty"`
	Week       Week      `json:"week,omitempty"`
	OffsetDays int       `json:"offset_days,omitempty"` // after that weekday: Patch Tuesday is the second tuesday, 4 its Saturday
	Start      string    `json:"start"`                 // time of day, "22:00"
	Minutes    int       `json:"minutes"`               // elapsed time, 1 to MaxMinutes
	Zone       string    `json:"zone,omitempty"`        // IANA name; empty: the computer's own
	From       string    `json:"from,omitempty"`        // first date on which it may start, "2026-01-01"
	Until      string    `json:"until,omitempty"`       // last date on which it may start
}

// Validate names everything that is wrong with a window, and what to write instead.
func (w Window) Validate() error {
	var wrong []error
	if w.Name == "" || len(w.Name) > MaxName {
		wrong = append(wrong, fmt.Errorf("name: give it one of at most %d bytes", MaxName))
	}
	wrong = append(wrong, w.validateRepeat()...)
	if _, _, err := timeOfDay(w.Start); err != nil {
		wrong = append(wrong, fmt.Errorf("start: %w", err))
	}
	if w.Minutes < 1 || w.Minutes > MaxMinutes {
		wrong = append(wrong, fmt.Errorf("minutes: %d is not between 1 and %d (a week)", w.Minutes, MaxMinutes))
	}
	if _, err := zoneOf(w.Zone, nil); err != nil {
		wrong = append(wrong, fmt.Errorf("zone: %w", err))
	}
	wrong = append(wrong, w.validateDates()...)
	if len(wrong) == 0 {
		return nil
	}
	return fmt.Errorf("window %q: %w", w.Name, errors.Join(wrong...))
}

func (w Window) validateRepeat() (wrong []error) {
	for i, day := range w.Weekdays {
		if !slices.Contains(weekdays, day) {
			wrong = append(wrong, fmt.Errorf("weekdays: %q is not an English weekday in lower case", day))
		} else if slices.Contains(w.Weekdays[:i], day) {
			wrong = append(wrong, fmt.Errorf("weekdays: %q is there twice", day))
		}
	}
	monthly := w.Repeat == Monthly
	switch {
	case !slices.Contains([]Repeat{Daily, Weekly, Monthly}, w.Repeat):
		wrong = append(wrong, fmt.Errorf("repeat: %q is not daily, weekly or monthly", w.Repeat))
	case w.Repeat == Daily && len(w.Weekdays) > 0:
		wrong = append(wrong, errors.New("weekdays: a daily window has none; use weekly"))
	case w.Repeat == Weekly && len(w.Weekdays) == 0:
		wrong = append(wrong, errors.New("weekdays: a weekly window needs at least one"))
	case monthly && len(w.Weekdays) != 1:
		wrong = append(wrong, errors.New("weekdays: a monthly window needs exactly one"))
	}
	if _, known := weekNumber(w.Week); monthly && !known {
		wrong = append(wrong, fmt.Errorf("week: %q is not first, second, third, fourth or last", w.Week))
	}
	if !monthly && (w.Week != "" || w.OffsetDays != 0) {
		wrong = append(wrong, errors.New("week and offset_days belong to monthly windows alone"))
	}
	if w.OffsetDays < 0 || w.OffsetDays > MaxOffsetDays {
		wrong = append(wrong, fmt.Errorf("offset_days: %d is not between 0 and %d", w.OffsetDays, MaxOffsetDays))
	}
	return wrong
}

func (w Window) validateDates() (wrong []error) {
	for field, text := range map[string]string{"from": w.From, "until": w.Until} {
		if _, err := date(text); text != "" && err != nil {
			wrong = append(wrong, fmt.Errorf("%s: %w", field, err))
		}
	}
	// Dates written this way sort as text.
	if len(wrong) == 0 && w.From != "" && w.Until != "" && w.Until < w.From {
		wrong = append(wrong, fmt.Errorf("until: %s is before from, %s", w.Until, w.From))
	}
	slices.SortFunc(wrong, func(a, b error) int { return strings.Compare(a.Error(), b.Error()) })
	return wrong
}

// weekNumber is 1 to 4 for first to fourth and -1 for the last.
func weekNumber(week Week) (number int, known bool) {
	if week == Last {
		return -1, true
	}
	i := slices.Index([]Week{First, Second, Third, Fourth}, week)
	return i + 1, i >= 0
}

// Open says whether the window is open at a moment, and until when. Occurrences that overlap or follow each other
// without a gap are one; a window that never closes is said to be open for about two months. Local is the computer's
// zone (nil: UTC).
func (w Window) Open(at time.Time, local *time.Location) (until time.Time, open bool) {
	return Windows{w}.Open(at, local)
}

// Next returns the next time, after at, when the window opens and closes; while it is open that is its next opening.
// Both are zero when it never opens again.
func (w Window) Next(at time.Time, local *time.Location) (start, end time.Time) {
	return Windows{w}.Next(at, local)
}

// Windows are several windows seen as one: open when any of them is.
type Windows []Window

// Open is Window.Open over several.
func (ws Windows) Open(at time.Time, local *time.Location) (until time.Time, open bool) {
	return openIn(ws.series(local), at)
}

// Next is Window.Next over several.
func (ws Windows) Next(at time.Time, local *time.Location) (start, end time.Time) {
	all := ws.series(local)
	if until, open := openIn(all, at); open {
		if Endless(at, until) {
			return start, end
		}
		at = until
	}
	for _, s := range all {
		if t, ok := s.following(at); ok && (start.IsZero() || t.Before(start)) {
			start = t
		}
	}
	if start.IsZero() {
		return start, end
	}
	end, _ = openIn(all, start)
	return start, end
}

// Validate checks each window.
func (ws Windows) Validate() error {
	var wrong []error
	for _, w := range ws {
		wrong = append(wrong, w.Validate())
	}
	return errors.Join(wrong...)
}

// series prepares the valid windows.
func (ws Windows) series(local *time.Location) []series {
	all := make([]series, 0, len(ws))
	for _, w := range ws {
		if s, err := newSeries(w, local); err == nil {
			all = append(all, s)
		}
	}
	return all
}

// openIn follows occurrences that cover at, and those that cover the end of these, to the end of them all.
func openIn(all []series, at time.Time) (until time.Time, open bool) {
	until = at
	for until.Sub(at) < horizon {
		end := until
		for _, s := range all {
			if e := s.covering(until); e.After(end) {
				end = e
			}
		}
		if !end.After(until) {
			break
		}
		until, open = end, true
	}
	if !open {
		return time.Time{}, false
	}
	return until, true
}
