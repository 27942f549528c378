package schedule

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func zone(t testing.TB, name string) *time.Location {
	t.Helper()
	loc, err := time.LoadLocation(name)
	if err != nil {
		t.Fatal(err)
	}
	return loc
}

func at(t testing.TB, text string) time.Time {
	t.Helper()
	moment, err := time.Parse(time.RFC3339, text)
	if err != nil {
		t.Fatal(err)
	}
	return moment
}

func daily(start string, minutes int) Window {
	return Window{Name: "w", Repeat: Daily, Start: start, Minutes: minutes}
}

func weekly(start string, minutes int, days ...Weekday) Window {
	return Window{Name: "w", Repeat: Weekly, Weekdays: days, Start: start, Minutes: minutes}
}

func monthly(week Week, day Weekday, offset int) Window {
	return Window{Name: "w", Repeat: Monthly, Week: week, Weekdays: []Weekday{day}, OffsetDays: offset, Start: "22:00", Minutes: 240}
}

func bounded(w Window, from, until string) Window {
	w.From, w.Until = from, until
	return w
}

func in(w Window, zone string) Window {
	w.Zone = zone
	return w
}

func TestOpen(t *testing.T) {
	cases := map[string]struct {
		windows Windows
		local   string
		at      string
		until   string // empty: closed
	}{
		"before":                          {Windows{daily("22:00", 60)}, "UTC", "2026-03-03T21:59:59Z", ""},
		"first moment":                    {Windows{daily("22:00", 60)}, "UTC", "2026-03-03T22:00:00Z", "2026-03-03T23:00:00Z"},
		"last moment":                     {Windows{daily("22:00", 60)}, "UTC", "2026-03-03T22:59:59Z", "2026-03-03T23:00:00Z"},
		"the end is outside":              {Windows{daily("22:00", 60)}, "UTC", "2026-03-03T23:00:00Z", ""},
		"across midnight":                 {Windows{daily("23:30", 120)}, "UTC", "2026-03-04T01:00:00Z", "2026-03-04T01:30:00Z"},
		"local zone":                      {Windows{daily("22:00", 60)}, "Asia/Tokyo", "2026-03-03T13:30:00Z", "2026-03-03T14:00:00Z"},
		"own zone wins over local":        {Windows{in(daily("22:00", 60), "Asia/Tokyo")}, "America/New_York", "2026-03-03T13:30:00Z", "2026-03-03T14:00:00Z"},
		"unknown zone is never open":      {Windows{in(daily("00:00", 1440), "Mars/Olympus")}, "UTC", "2026-03-03T13:30:00Z", ""},
		"unknown repeat is never open":    {Windows{{Name: "w", Repeat: "lunar", Start: "00:00", Minutes: 1440}}, "UTC", "2026-03-03T13:30:00Z", ""},
		"bad one leaves the other":        {Windows{in(daily("13:00", 60), "Mars/Olympus"), daily("13:00", 60)}, "UTC", "2026-03-03T13:30:00Z", "2026-03-03T14:00:00Z"},
		"weekly on the day":               {Windows{weekly("20:00", 600, "saturday", "sunday")}, "UTC", "2026-03-07T20:00:00Z", "2026-03-08T06:00:00Z"},
		"weekly, begun the day before":    {Windows{weekly("20:00", 600, "saturday")}, "UTC", "2026-03-08T05:59:00Z", "2026-03-08T06:00:00Z"},
		"weekly, other day":               {Windows{weekly("20:00", 600, "saturday")}, "UTC", "2026-03-06T21:00:00Z", ""},
		"longer than a day":               {Windows{weekly("18:00", 60*60, "friday")}, "UTC", "2026-03-09T05:59:00Z", "2026-03-09T06:00:00Z"},
		"a week long joins itself":        {Windows{bounded(weekly("00:00", MaxMinutes, "monday"), "2026-03-02", "2026-03-16")}, "UTC", "2026-03-03T00:00:00Z", "2026-03-23T00:00:00Z"},
		"overlapping windows join":        {Windows{daily("20:00", 120), daily("21:00", 180)}, "UTC", "2026-03-03T20:30:00Z", "2026-03-04T00:00:00Z"},
		"touching windows join":           {Windows{daily("20:00", 60), daily("21:00", 60)}, "UTC", "2026-03-03T20:30:00Z", "2026-03-03T22:00:00Z"},
		"second tuesday":                  {Windows{monthly(Second, "tuesday", 0)}, "UTC", "2026-03-10T23:00:00Z", "2026-03-11T02:00:00Z"},
		"first tuesday is not the second": {Windows{monthly(Second, "tuesday", 0)}, "UTC", "2026-03-03T23:00:00Z", ""},
		"saturday after patch tuesday":    {Windows{monthly(Second, "tuesday", 4)}, "UTC", "2026-03-14T22:00:00Z", "2026-03-15T02:00:00Z"},
		"offset into the next month":      {Windows{monthly(Last, "tuesday", 5)}, "UTC", "2026-04-05T22:00:00Z", "2026-04-06T02:00:00Z"},
		"last friday of five":             {Windows{monthly(Last, "friday", 0)}, "UTC", "2026-05-29T22:00:00Z", "2026-05-30T02:00:00Z"},
		"fourth friday of five":           {Windows{monthly(Fourth, "friday", 0)}, "UTC", "2026-05-29T22:00:00Z", ""},
		"from: the day itself":            {Windows{bounded(daily("22:00", 60), "2026-03-03", "")}, "UTC", "2026-03-03T22:30:00Z", "2026-03-03T23:00:00Z"},
		"from: the day before":            {Windows{bounded(daily("22:00", 60), "2026-03-03", "")}, "UTC", "2026-03-02T22:30:00Z", ""},
		"until bounds starts, not ends":   {Windows{bounded(daily("23:30", 60), "", "2026-03-03")}, "UTC", "2026-03-04T00:15:00Z", "2026-03-04T00:30:00Z"},
		"until: the day after":            {Windows{bounded(daily("23:30", 60), "", "2026-03-03")}, "UTC", "2026-03-04T23:45:00Z", ""},

		// Berlin skips 02:00-03:00 on 2026-03-29 and repeats 02:00-03:00 on 2026-10-25.
		"starts in the gap: at its end":            {Windows{daily("02:30", 60)}, "Europe/Berlin", "2026-03-29T01:00:00Z", "2026-03-29T02:00:00Z"},
		"starts in the gap: not before":            {Windows{daily("02:30", 60)}, "Europe/Berlin", "2026-03-29T00:59:59Z", ""},
		"length is elapsed time across the gap":    {Windows{daily("01:00", 240)}, "Europe/Berlin", "2026-03-29T02:00:00Z", "2026-03-29T04:00:00Z"},
		"starts in the fold: the first":            {Windows{daily("02:30", 60)}, "Europe/Berlin", "2026-10-25T00:30:00Z", "2026-10-25T01:30:00Z"},
		"starts in the fold: not again":            {Windows{daily("02:30", 30)}, "Europe/Berlin", "2026-10-25T01:30:00Z", ""},
		"length is elapsed time across the fold":   {Windows{daily("01:00", 240)}, "Europe/Berlin", "2026-10-25T02:59:00Z", "2026-10-25T03:00:00Z"},
		"midnight that does not exist":             {Windows{daily("00:00", 60)}, "America/Asuncion", "2020-10-04T04:10:00Z", "2020-10-04T05:00:00Z"},
		"a whole day that does not exist":          {Windows{weekly("10:00", 60, "friday")}, "Pacific/Apia", "2011-12-30T10:00:00Z", "2011-12-30T11:00:00Z"},
		"half an hour's change, Lord Howe's first": {Windows{daily("01:45", 30)}, "Australia/Lord_Howe", "2026-04-04T14:45:00Z", "2026-04-04T15:15:00Z"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			until, open := c.windows.Open(at(t, c.at), zone(t, c.local))
			if c.until == "" {
				if open || !until.IsZero() {
					t.Fatalf("open until %v, wanted closed", until.UTC())
				}
				return
			}
			if !open || !until.Equal(at(t, c.until)) {
				t.Fatalf("got %v until %v, wanted until %s", open, until.UTC(), c.until)
			}
		})
	}
}

func TestNext(t *testing.T) {
	cases := map[string]struct {
		windows    Windows
		local      string
		at         string
		start, end string // empty: never
	}{
		"today":                        {Windows{daily("22:00", 60)}, "UTC", "2026-03-03T10:00:00Z", "2026-03-03T22:00:00Z", "2026-03-03T23:00:00Z"},
		"at the start: the next day":   {Windows{daily("22:00", 60)}, "UTC", "2026-03-03T22:00:00Z", "2026-03-04T22:00:00Z", "2026-03-04T23:00:00Z"},
		"while open: the next opening": {Windows{daily("22:00", 60)}, "UTC", "2026-03-03T22:30:00Z", "2026-03-04T22:00:00Z", "2026-03-04T23:00:00Z"},
		"joined with others":           {Windows{daily("22:00", 60), daily("22:30", 90)}, "UTC", "2026-03-03T10:00:00Z", "2026-03-03T22:00:00Z", "2026-03-04T00:00:00Z"},
		"the earlier of two":           {Windows{weekly("08:00", 60, "friday"), weekly("07:00", 60, "thursday")}, "UTC", "2026-03-03T10:00:00Z", "2026-03-05T07:00:00Z", "2026-03-05T08:00:00Z"},
		"five weeks ahead":             {Windows{monthly(First, "friday", 0)}, "UTC", "2026-05-01T23:00:00Z", "2026-06-05T22:00:00Z", "2026-06-06T02:00:00Z"},
		"patch tuesday":                {Windows{monthly(Second, "tuesday", 0)}, "UTC", "2026-01-31T00:00:00Z", "2026-02-10T22:00:00Z", "2026-02-11T02:00:00Z"},
		"a far from":                   {Windows{bounded(monthly(Second, "tuesday", 1), "2031-01-01", "")}, "UTC", "2026-01-31T00:00:00Z", "2031-01-15T22:00:00Z", "2031-01-16T02:00:00Z"},
		"over":                         {Windows{bounded(daily("22:00", 60), "", "2026-03-02")}, "UTC", "2026-03-03T10:00:00Z", "", ""},
		"open for the last time":       {Windows{bounded(daily("22:00", 60), "", "2026-03-03")}, "UTC", "2026-03-03T22:10:00Z", "", ""},
		"never closed, never opens":    {Windows{daily("00:00", 1500)}, "UTC", "2026-03-03T22:10:00Z", "", ""},
		"no windows":                   {nil, "UTC", "2026-03-03T22:10:00Z", "", ""},
		"gap":                          {Windows{daily("02:30", 60)}, "Europe/Berlin", "2026-03-28T12:00:00Z", "2026-03-29T01:00:00Z", "2026-03-29T02:00:00Z"},
		"fold, once":                   {Windows{daily("02:30", 10)}, "Europe/Berlin", "2026-10-25T00:45:00Z", "2026-10-26T01:30:00Z", "2026-10-26T01:40:00Z"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			start, end := c.windows.Next(at(t, c.at), zone(t, c.local))
			if c.start == "" {
				if !start.IsZero() || !end.IsZero() {
					t.Fatalf("got %v to %v, wanted never", start.UTC(), end.UTC())
				}
				return
			}
			if !start.Equal(at(t, c.start)) || !end.Equal(at(t, c.end)) {
				t.Fatalf("got %v to %v", start.UTC(), end.UTC())
			}
		})
	}
}

func TestWindowWithoutAZoneIsUTC(t *testing.T) {
	if until, open := daily("22:00", 60).Open(at(t, "2026-03-03T22:30:00Z"), nil); !open || !until.Equal(at(t, "2026-03-03T23:00:00Z")) {
		t.Fatal(until, open)
	}
	if start, _ := daily("22:00", 60).Next(at(t, "2026-03-03T20:30:00Z"), nil); !start.Equal(at(t, "2026-03-03T22:00:00Z")) {
		t.Fatal(start)
	}
}

func TestValidateWindow(t *testing.T) {
	good := []Window{daily("00:00", 1), weekly("23:59", MaxMinutes, "monday"), monthly(Last, "sunday", 27), bounded(in(daily("05:00", 5), "Europe/Berlin"), "2026-01-01", "2026-01-01")}
	for _, w := range good {
		if err := w.Validate(); err != nil {
			t.Error(err)
		}
	}
	bad := map[string]struct {
		window Window
		want   string
	}{
		"no name":          {Window{Repeat: Daily, Start: "01:00", Minutes: 1}, "name: give it one"},
		"no repeat":        {Window{Name: "n", Start: "01:00", Minutes: 1}, `repeat: "" is not daily`},
		"no start":         {Window{Name: "n", Repeat: Daily, Minutes: 1}, `start: time of day ""`},
		"short start":      {daily("1:00", 1), `start: time of day "1:00"`},
		"start of day 25":  {daily("25:00", 1), `start: time of day "25:00"`},
		"no length":        {daily("01:00", 0), "minutes: 0"},
		"too long":         {daily("01:00", MaxMinutes+1), "minutes: 10081"},
		"daily weekdays":   {Window{Name: "n", Repeat: Daily, Weekdays: []Weekday{"monday"}, Start: "01:00", Minutes: 1}, "a daily window has none"},
		"weekly, no day":   {weekly("01:00", 1), "at least one"},
		"weekly, bad day":  {weekly("01:00", 1, "Montag"), `"Montag" is not`},
		"weekly, twice":    {weekly("01:00", 1, "monday", "monday"), `"monday" is there twice`},
		"weekly, week":     {Window{Name: "n", Repeat: Weekly, Weekdays: []Weekday{"monday"}, Week: First, Start: "01:00", Minutes: 1}, "monthly windows alone"},
		"monthly, no week": {monthly("", "monday", 0), `week: ""`},
		"monthly, fifth":   {monthly("fifth", "monday", 0), `week: "fifth"`},
		"monthly, offset":  {monthly(First, "monday", 28), "offset_days: 28"},
		"negative offset":  {monthly(First, "monday", -1), "offset_days: -1"},
		"zone":             {in(daily("01:00", 1), "Mars/Olympus"), `time zone "Mars/Olympus" is not known`},
		"zone Local":       {in(daily("01:00", 1), "Local"), `time zone "Local" is not known`},
		"zone with path":   {in(daily("01:00", 1), "../../etc/passwd"), "is not known"},
		"from":             {bounded(daily("01:00", 1), "01.02.2026", ""), `from: date "01.02.2026"`},
		"until":            {bounded(daily("01:00", 1), "", "2026-02-30"), `until: date "2026-02-30"`},
		"until before":     {bounded(daily("01:00", 1), "2026-02-02", "2026-02-01"), "is before from"},
	}
	for name, c := range bad {
		t.Run(name, func(t *testing.T) {
			if err := c.window.Validate(); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Fatalf("got %v, wanted %q in it", err, c.want)
			}
			if err := (Windows{good[0], c.window}).Validate(); err == nil {
				t.Fatal("lost among others")
			}
			if _, open := c.window.Open(at(t, "2026-03-03T01:00:00Z"), time.UTC); open {
				t.Fatal("open all the same")
			}
		})
	}
	if err := (Windows)(good).Validate(); err != nil {
		t.Fatal(err)
	}
	all := (Window{Repeat: "x", Start: "x", Minutes: -1, Zone: "x/y", From: "x"}).Validate().Error()
	for _, field := range []string{"name:", "repeat:", "start:", "minutes:", "zone:", "from:"} {
		if !strings.Contains(all, field) {
			t.Errorf("%s is not named in %s", field, all)
		}
	}
}

func TestWindowJSON(t *testing.T) {
	w := bounded(in(monthly(Second, "tuesday", 4), "Europe/Berlin"), "2026-01-01", "2026-12-31")
	text, err := json.Marshal(w)
	if err != nil {
		t.Fatal(err)
	}
	const want = `{"name":"w","repeat":"monthly","weekdays":["tuesday"],"week":"second","offset_days":4,"start":"22:00","minutes":240,"zone":"Europe/Berlin","from":"2026-01-01","until":"2026-12-31"}`
	if string(text) != want {
		t.Fatalf("got %s", text)
	}
	var back Window
	if err := json.Unmarshal([]byte(strings.Replace(want, `{"name"`, `{"colour":{"r":1},"name"`, 1)), &back); err != nil || !reflect.DeepEqual(back, w) {
		t.Fatalf("%v %+v", err, back)
	}
	if err := json.Unmarshal([]byte(`{"name":"later","repeat":"lunar","start":"22:00","minutes":5}`), &back); err != nil || back.Repeat != "lunar" {
		t.Fatal("an unknown repeat does not survive decoding:", err)
	}
}

var zones = []string{"UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Pacific/Apia", "Asia/Kathmandu", "Africa/Casablanca", "America/St_Johns"}

func drawWindow(rt *rapid.T) Window {
	w := Window{
		Name: "w", Repeat: rapid.SampledFrom([]Repeat{Daily, Weekly, Monthly}).Draw(rt, "repeat"),
		Start:   time.Date(2026, 1, 1, 0, rapid.IntRange(0, 1439).Draw(rt, "start"), 0, 0, time.UTC).Format("15:04"),
		Minutes: rapid.OneOf(rapid.IntRange(1, 600), rapid.IntRange(1, MaxMinutes)).Draw(rt, "minutes"),
		Zone:    rapid.SampledFrom(zones).Draw(rt, "zone"),
	}
	switch w.Repeat {
	case Weekly:
		w.Weekdays = rapid.SliceOfNDistinct(rapid.SampledFrom(weekdays), 1, 7, rapid.ID).Draw(rt, "days")
	case Monthly:
		w.Weekdays = []Weekday{rapid.SampledFrom(weekdays).Draw(rt, "day")}
		w.Week = rapid.SampledFrom([]Week{First, Second, Third, Fourth, Last}).Draw(rt, "week")
		w.OffsetDays = rapid.IntRange(0, MaxOffsetDays).Draw(rt, "offset")
	}
	return w
}

// Whatever Open and Next say agrees with asking Open again nearby.
func TestOpenAndNextAgree(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		ws := Windows(rapid.SliceOfN(rapid.Custom(drawWindow), 1, 3).Draw(rt, "windows"))
		if err := ws.Validate(); err != nil {
			rt.Fatal(err)
		}
		now := time.Unix(rapid.Int64Range(1262304000, 1893456000).Draw(rt, "at"), 0).UTC()
		until, open := ws.Open(now, time.UTC)
		if open {
			if !until.After(now) {
				rt.Fatalf("open at %v until %v", now, until)
			}
			if _, still := ws.Open(until.Add(-time.Second), time.UTC); !still {
				rt.Fatalf("not open just before its end %v", until)
			}
			if _, still := ws.Open(until, time.UTC); still && until.Sub(now) < horizon {
				rt.Fatalf("still open at its end %v", until)
			}
		}
		start, end := ws.Next(now, time.UTC)
		if start.IsZero() {
			if !open {
				rt.Fatal("a window without end opens never again")
			}
			return
		}
		if !start.After(now) || !end.After(start) || open && start.Before(until) {
			rt.Fatalf("at %v: next %v to %v, open until %v", now, start, end, until)
		}
		if u, ok := ws.Open(start, time.UTC); !ok || !u.Equal(end) {
			rt.Fatalf("opens %v until %v, Open says %v", start, end, u)
		}
		if _, ok := ws.Open(start.Add(-time.Second), time.UTC); ok {
			rt.Fatalf("already open before it opens at %v", start)
		}
		from := now
		if open {
			from = until
		}
		middle := from.Add(time.Duration(rapid.Int64Range(0, int64(start.Sub(from)/time.Second)).Draw(rt, "middle")) * time.Second)
		if _, ok := ws.Open(middle, time.UTC); ok && middle.Before(start) {
			rt.Fatalf("open at %v although the next opening is %v", middle, start)
		}
	})
}

// moment is checked against walking the clock minute by minute.
func TestMomentIsTheFirstTimeTheClockIsThereOrPast(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		loc := zone(t, rapid.SampledFrom(zones).Draw(rt, "zone"))
		day := time.Unix(rapid.Int64Range(1262304000, 1893456000).Draw(rt, "day"), 0).UTC()
		// A change of clocks nearby makes the case worth while.
		if _, change := day.In(loc).ZoneBounds(); !change.IsZero() {
			day = change.UTC()
		}
		face := day.In(loc)
		hour, minute := rapid.IntRange(0, 23).Draw(rt, "hour"), rapid.IntRange(0, 59).Draw(rt, "minute")
		wanted := time.Date(face.Year(), face.Month(), face.Day(), hour, minute, 0, 0, time.UTC)
		got := moment(wanted, loc)
		walk := wanted.Add(-27 * time.Hour)
		for faceOf(walk.In(loc)).Before(wanted) {
			walk = walk.Add(time.Minute)
		}
		if !got.Equal(walk) {
			rt.Fatalf("%v in %v: got %v, walking finds %v", wanted, loc, got, walk.In(loc))
		}
	})
}
