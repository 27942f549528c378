// Package format writes values for one reader: on pages, in templates and in files.
package format

import (
	"fmt"
	"regexp"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"thatch/catalog"
	"thatch/console/page/words"
)

// Values writes values for one reader.
type Values struct {
	*words.Catalog
	Zone *time.Location
	Now  func() time.Time
}

// Zone is the time zone of an IANA name, UTC where there is none.
func Zone(name string) *time.Location {
	if name == "" || name == "Local" || len(name) > 64 {
		return time.UTC
	}
	location, err := time.LoadLocation(name)
	if err != nil {
		return time.UTC
	}
	return location
}

// Figure writes a number with the language's separators.
func (f Values) Figure(n any) string {
	switch n := n.(type) {
	case int:
		return f.Number(int64(n))
	case int64:
		return f.Number(n)
	case uint64:
		return f.Number(int64(n))
	case uint32:
		return f.Number(int64(n))
	case float64:
		return f.Decimal(n, 1)
	}
	return fmt.Sprint(n)
}

// Percent writes a share that is given in percent; a nil one says that there is nothing to have a share of.
func (f Values) Percent(p any) string {
	switch p := p.(type) {
	case *float64:
		if p == nil {
			return "–"
		}
		return f.share(*p)
	case float64:
		return f.share(p)
	case int:
		return f.Number(int64(p)) + " %"
	}
	return "–"
}

// share never rounds to 100 what is less, nor to 0 what is more.
func (f Values) share(p float64) string {
	switch {
	case p > 99.9 && p < 100:
		p = 99.9
	case p > 0 && p < 0.1:
		p = 0.1
	}
	if p == float64(int(p)) {
		return f.Number(int64(p)) + " %"
	}
	return f.Decimal(p, 1) + " %"
}

// Moment reads a time.Time, or a string as RFC 3339 or as a date alone, which has no zone.
func Moment(value any) (at time.Time, dateOnly, ok bool) {
	switch v := value.(type) {
	case time.Time:
		return v, false, !v.IsZero()
	case *time.Time:
		if v == nil {
			return time.Time{}, false, false
		}
		return *v, false, !v.IsZero()
	case string:
		if at, err := time.Parse(time.RFC3339Nano, v); err == nil {
			return at, false, true
		}
		if at, err := time.Parse(time.DateOnly, v); err == nil {
			return at, true, true
		}
	}
	return time.Time{}, false, false
}

// Date writes a day.
func (f Values) Date(value any) string {
	at, dateOnly, ok := Moment(value)
	if !ok {
		if text, is := value.(string); is {
			return text
		}
		return "–"
	}
	if !dateOnly {
		at = at.In(f.Zone)
	}
	return at.Format(f.layout())
}

func (f Values) layout() string {
	if f.Language == "de" {
		return "02.01.2006"
	}
	return "2006-01-02"
}

// Day writes a date without its year, as below a chart.
func (f Values) Day(date string) string {
	at, err := time.Parse(time.DateOnly, date)
	switch {
	case err != nil:
		return date
	case f.Language == "de":
		return at.Format("02.01.")
	}
	return at.Format("01-02")
}

// When writes a moment to the minute, with the zone's name where the reader's is not known.
func (f Values) When(value any) string {
	at, dateOnly, ok := Moment(value)
	if !ok || dateOnly {
		return f.Date(value)
	}
	text := at.In(f.Zone).Format(f.layout() + " 15:04")
	if f.Zone == time.UTC {
		text += " UTC"
	}
	return text
}

// stamp is a moment in what the node says.
var stamp = regexp.MustCompile(`\b\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d:\d\d)`)

// Said is what the node said, in the reader's language, with times in the reader's zone.
func (f Values) Said(text string) string {
	return stamp.ReplaceAllStringFunc(f.Catalog.Said(text), func(at string) string { return f.When(at) })
}

// Sentence is what the node said, beginning like a sentence, but where that is a command line.
func (f Values) Sentence(text string) string {
	text = f.Said(text)
	if letter, size := utf8.DecodeRuneInString(text); size > 0 && !strings.HasPrefix(text, "thatch ") {
		text = string(unicode.ToUpper(letter)) + text[size:]
	}
	return text
}

// Ago writes how long ago a moment was, or in how long it will be.
func (f Values) Ago(value any) string {
	at, _, ok := Moment(value)
	if !ok {
		return f.T("never")
	}
	d := f.Now().Sub(at)
	if d < 0 {
		return f.T("in %s", f.span(-d))
	}
	if d < 10*time.Second {
		return f.T("just now")
	}
	return f.T("%s ago", f.span(d))
}

func (f Values) span(d time.Duration) string {
	switch {
	case d < 2*time.Minute:
		return f.Count("1 second", "%s seconds", int(d/time.Second))
	case d < 2*time.Hour:
		return f.Count("1 minute", "%s minutes", int(d/time.Minute))
	case d < 48*time.Hour:
		return f.Count("1 hour", "%s hours", int(d/time.Hour))
	}
	return f.Count("1 day", "%s days", int(d/(24*time.Hour)))
}

// Tone says how a state is coloured: good, bad, warn, busy or "".
func Tone(state any) string {
	switch strings.ToLower(fmt.Sprint(state)) {
	case "installed", "done", "ok", "ready", "succeeded", "complete", "here", "equal", "on", "active", "staged", "online", "current", "added":
		return "good"
	case "failed", "failed to install", "critical", "revoked", "lost", "different", "missing", "error", "alarm", "refused", "withdrawn", "gone", "removed":
		return "bad"
	case "important", "newer", "revised", "installation failed - rescheduled", "retry", "waiting", "awaiting", "paused", "unknown", "cannot tell",
		"not all there", "pending", "quarantined", "cancelled", "interrupted", "stopped", "no package", "expired":
		return "warn"
	case "running", "installation scheduled", "download required", "downloading", "queued", "staging", "asked", "told":
		return "busy"
	}
	return ""
}

// SeverityTone says how a vendor's severity is coloured.
func SeverityTone(s string) string {
	switch catalog.Severity(s) {
	case catalog.Critical:
		return "critical"
	case catalog.Important:
		return "important"
	case catalog.Moderate:
		return "moderate"
	case catalog.Low:
		return "low"
	}
	return ""
}
