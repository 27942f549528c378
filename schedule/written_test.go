package schedule

import "testing"

func TestParseWindow(t *testing.T) {
	for _, c := range []struct {
		text string
		want Window
		ok   bool
	}{
		{"20:00+10h", Window{Repeat: Daily, Start: "20:00", Minutes: 600}, true},
		{"Saturday,sunday 00:00+24h Europe/Berlin", Window{Repeat: Weekly, Weekdays: []Weekday{"saturday", "sunday"}, Start: "00:00", Minutes: 1440, Zone: "Europe/Berlin"}, true},
		{"22:30+90m Europe/Berlin", Window{Repeat: Daily, Start: "22:30", Minutes: 90, Zone: "Europe/Berlin"}, true},
		{"", Window{}, false},
		{"20:00", Window{}, false},
		{"25:00+1h", Window{}, false},
		{"20:00+-1h", Window{}, false},
		{"20:00+90s", Window{}, false},
		{"20:00+1h Mars/Olympus", Window{}, false},
		{"noday 20:00+1h", Window{}, false},
		{"monday 20:00+1h Europe/Berlin more", Window{}, false},
	} {
		got, err := ParseWindow(c.text)
		if (err == nil) != c.ok {
			t.Errorf("%q: %v", c.text, err)
			continue
		}
		if c.ok && (got.Repeat != c.want.Repeat || got.Start != c.want.Start || got.Minutes != c.want.Minutes || got.Zone != c.want.Zone || len(got.Weekdays) != len(c.want.Weekdays)) {
			t.Errorf("%q is read as %+v, want %+v", c.text, got, c.want)
		}
	}
}
