package format_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"

	"thatch/console/page/format"
	"thatch/console/page/words"
)

var now = time.Date(2026, 3, 9, 8, 30, 0, 0, time.UTC)

func values(t *testing.T, language, zone string) format.Values {
	t.Helper()
	location, err := time.LoadLocation(zone)
	if err != nil {
		t.Fatal(err)
	}
	return format.Values{Catalog: words.For(language), Zone: location, Now: func() time.Time { return now }}
}

func TestValuesAreWrittenForTheirReader(t *testing.T) {
	english, german := values(t, "en", "UTC"), values(t, "de", "Europe/Berlin")
	half, almost := 50.0, 99.97
	late := time.Date(2026, 3, 8, 23, 30, 0, 0, time.UTC)
	for _, c := range []struct{ want, english, german string }{
		{"1,234,567", english.Figure(1234567), ""},
		{"1.234.567", "", german.Figure(uint32(1234567))},
		{"2.5", english.Figure(2.5), ""},
		{"2,5", "", german.Figure(2.5)},
		{"50 %", english.Percent(&half), german.Percent(half)},
		{"99.9 %", english.Percent(almost), ""},
		{"99,9 %", "", german.Percent(&almost)},
		{"0.1 %", english.Percent(0.0001), ""},
		{"100 %", english.Percent(100.0), german.Percent(100)},
		{"–", english.Percent((*float64)(nil)), german.Percent("no share")},
		{"2026-03-08", english.Date(late), ""},
		{"09.03.2026", "", german.Date(late)}, // the zone's day
		{"09.03.2026", "", german.Date("2026-03-09")},
		{"not a date", english.Date("not a date"), german.Date("not a date")},
		{"–", english.Date(time.Time{}), german.When(nil)},
		{"2026-03-08 23:30 UTC", english.When(late), ""},
		{"09.03.2026 00:30", "", german.When(late.Format(time.RFC3339))},
		{"03-09", english.Day("2026-03-09"), ""},
		{"09.03.", "", german.Day("2026-03-09")},
		{"9 hours ago", english.Ago(late), ""},
		{"in 90 minutes", english.Ago(now.Add(90 * time.Minute)), ""},
		{"just now", english.Ago(now.Add(-9 * time.Second)), ""},
		{"never", english.Ago(""), ""},
		{"since 2026-03-09 00:30 UTC it waits", english.Said("since 2026-03-09T00:30:00Z it waits"), ""},
		{"Since 09.03.2026 01:30 it waits", "", german.Sentence("since 2026-03-09T00:30:00Z it waits")},
		{"thatch node status", english.Sentence("thatch node status"), german.Sentence("thatch node status")},
		{"", english.Sentence(""), german.Sentence("")},
	} {
		for _, text := range []string{c.english, c.german} {
			if text != "" && text != c.want {
				t.Errorf("%q, want %q", text, c.want)
			}
		}
	}
}

type base struct {
	ID string `json:"id"`
}

type row struct {
	base
	*late
	Name  string   `json:"name,omitempty"`
	Tags  []string `json:"tags"`
	Inner string   `json:"-"`
}

type late struct {
	Share *float64 `json:"share"`
}

func TestFieldsByTheirNames(t *testing.T) {
	r := &row{base: base{ID: "a/b"}, Name: "c d", Tags: []string{"x", "y"}, Inner: "hidden"}
	for name, want := range map[string]any{"name": "c d", "tags": []string{"x", "y"}, "share": nil, "Inner": nil, "-": nil, "nothing": nil} {
		if got := format.Field(reflect.ValueOf(r), name); !reflect.DeepEqual(got, want) {
			t.Errorf("field %s is %v, want %v", name, got, want)
		}
	}
	if got := format.Field(reflect.ValueOf((*row)(nil)), "name"); got != nil {
		t.Errorf("a row that is nil has the name %v", got)
	}
	for pattern, want := range map[string]string{"/things/{name}?of={tags}": "/things/c%20d?of=x%2C+y", "/things/{share}": "", "/things": "/things"} {
		if got := format.Link(pattern, reflect.ValueOf(r)); got != want {
			t.Errorf("%s leads to %q, want %q", pattern, got, want)
		}
	}
}

func TestFilesKeepWhatASpreadsheetWouldRun(t *testing.T) {
	var text bytes.Buffer
	out := format.CSV(&text, []string{"Name", "Count"})
	for _, line := range [][]any{{"=1+1", -5}, {[]string{"@x", "y"}, 2.5}, {"a, \"b\"", nil}} {
		if err := out.Row(line); err != nil {
			t.Fatal(err)
		}
	}
	if err := out.End(); err != nil {
		t.Fatal(err)
	}
	if want := "Name,Count\n'=1+1,-5\n\"'@x, y\",2.5\n\"a, \"\"b\"\"\",\n"; text.String() != want {
		t.Errorf("%q, want %q", text.String(), want)
	}
}

func TestFilesOfJSON(t *testing.T) {
	for count, rows := range [][][]any{nil, {{"a", 1}}, {{"a", 1}, {nil, []string{"x"}}}} {
		var text bytes.Buffer
		out := format.JSON(&text, []string{"name", "of"})
		for _, row := range rows {
			if err := out.Row(row); err != nil {
				t.Fatal(err)
			}
		}
		if err := out.End(); err != nil {
			t.Fatal(err)
		}
		var read []map[string]any
		if err := json.Unmarshal(text.Bytes(), &read); err != nil || len(read) != count {
			t.Errorf("%d rows are %q: %v", count, text.String(), err)
		}
	}
}

// A disk or a browser that takes no more is told of, in the row or at the end.
func TestFilesThatCannotBeWritten(t *testing.T) {
	full := errors.New("full")
	for name, out := range map[string]format.Rows{
		"CSV": format.CSV(refusing{full}, []string{"a"}), "JSON": format.JSON(refusing{full}, []string{"a"}),
	} {
		err := out.Row([]any{strings.Repeat("long ", 2000)})
		if err = errors.Join(err, out.End()); !errors.Is(err, full) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

type refusing struct{ err error }

func (r refusing) Write([]byte) (int, error) { return 0, r.err }
