package schedule

import (
	"fmt"
	"strings"
	"time"
)

// ParseWindow reads a window as people write it in a line: [WEEKDAYS] HH:MM+DURATION [ZONE], such as
// "saturday,sunday 20:00+10h Europe/Berlin". The line is its name.
func ParseWindow(text string) (Window, error) {
	w := Window{Name: text, Repeat: Daily}
	bad := func(why error) (Window, error) {
		return w, fmt.Errorf("%q: want [WEEKDAYS] HH:MM+DURATION [ZONE], such as \"saturday,sunday 20:00+10h Europe/Berlin\": %w", text, why)
	}
	fields := strings.Fields(text)
	if len(fields) > 0 && !strings.Contains(fields[0], "+") {
		w.Repeat = Weekly
		for day := range strings.SplitSeq(fields[0], ",") {
			w.Weekdays = append(w.Weekdays, Weekday(strings.ToLower(day)))
		}
		fields = fields[1:]
	}
	if len(fields) == 0 || len(fields) > 2 {
		return bad(fmt.Errorf("it has %d parts", len(fields)))
	}
	start, lasts, ok := strings.Cut(fields[0], "+")
	length, err := time.ParseDuration(lasts)
	if !ok || err != nil || length%time.Minute != 0 {
		return bad(fmt.Errorf("%q is no start and duration in whole minutes", fields[0]))
	}
	w.Start, w.Minutes = start, int(length/time.Minute)
	if len(fields) == 2 {
		w.Zone = fields[1]
	}
	if err := w.Validate(); err != nil {
		return bad(err)
	}
	return w, nil
}
