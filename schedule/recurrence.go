package schedule

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/robfig/cron/v3"
)

// maxSpec bounds the text of a recurrence in bytes.
const maxSpec = 500

// Recurrence is a repeating time of tasks and of agents' installs. The zero one never comes.
type Recurrence struct {
	spec  string
	times cron.Schedule
	loc   *time.Location // nil: the zone that Next is given
	fixed bool           // the hour is fixed: run once a day also when clocks change
}

// ParseRecurrence reads a crontab line of five fields (minute, hour, day of month, month, day of week), @yearly,
// @monthly, @weekly, @daily, @hourly, or "@every 90m" of a minute or more. A prefix such as "CRON_TZ=Europe/Berlin "
// sets the zone; otherwise whoever asks does.
func ParseRecurrence(spec string) (Recurrence, error) {
	fail := func(err error) (Recurrence, error) {
		return Recurrence{}, fmt.Errorf("schedule %q: %w: write minute, hour, day, month and weekday as in \"30 2 * * sun\", or @daily", spec, err)
	}
	if len(spec) > maxSpec {
		return Recurrence{}, fmt.Errorf("schedule of %d bytes: at most %d are read", len(spec), maxSpec)
	}
	r := Recurrence{spec: spec}
	fields := strings.TrimSpace(spec)
	if zone, rest, has := zonePrefix(fields); has {
		loc, err := zoneOf(zone, nil)
		if err != nil {
			return fail(err)
		}
		r.loc, fields = loc, rest
	}
	times, err := cron.ParseStandard(fields)
	if err != nil {
		return fail(err)
	}
	r.times = times
	switch t := times.(type) {
	case cron.ConstantDelaySchedule:
		if t.Delay < time.Minute {
			return fail(errors.New("more often than every minute"))
		}
	case *cron.SpecSchedule:
		t.Location = time.UTC
		const everyHour = 1<<24 - 1
		r.fixed = t.Hour&everyHour != everyHour
	}
	if r.Next(time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC), time.UTC).IsZero() {
		return fail(errors.New("no day is ever like that"))
	}
	return r, nil
}

// zonePrefix splits "CRON_TZ=zone fields". The cron library would panic when the fields are missing.
func zonePrefix(spec string) (zone, rest string, has bool) {
	for _, prefix := range []string{"CRON_TZ=", "TZ="} {
		if after, found := strings.CutPrefix(spec, prefix); found {
			zone, rest, _ = strings.Cut(after, " ")
			return zone, strings.TrimSpace(rest), true
		}
	}
	return "", spec, false
}

// String returns the text that was read.
func (r Recurrence) String() string { return r.spec }

// IsZero says that the recurrence was never set.
func (r Recurrence) IsZero() bool { return r.times == nil }

// Next returns the first time after a moment, in the recurrence's own zone or else in local (nil: UTC); zero when
// there is none within five years. Where clocks change, a fixed hour comes exactly once that day, and a schedule of
// every hour goes by elapsed hours.
func (r Recurrence) Next(after time.Time, local *time.Location) time.Time {
	if r.times == nil {
		return time.Time{}
	}
	loc := r.loc
	if loc == nil {
		loc, _ = zoneOf("", local)
	}
	if _, every := r.times.(cron.ConstantDelaySchedule); every {
		return r.times.Next(after).In(loc)
	}
	spec := *r.times.(*cron.SpecSchedule)
	if !r.fixed {
		spec.Location = loc
		return spec.Next(after.In(loc))
	}
	// The face of a clock that was put back shows hours that have been; those before it are looked at again.
	for face := spec.Next(faceOf(after.In(loc)).Add(-25 * time.Hour)); !face.IsZero(); face = spec.Next(face) {
		t := moment(face, loc)
		if t.After(after) {
			return t
		}
	}
	return time.Time{}
}
