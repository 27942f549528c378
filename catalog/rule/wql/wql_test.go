package wql

import (
	"encoding/json"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

var bios = NewTable([]map[string]any{
	{"Manufacturer": "Hewlett-Packard", "Model": "HP ProDesk 600", "ReleaseDate": "20190306000000.000000+000", "Version": nil, "Size": float64(4096), "Big": json.Number("18446744073709551615"), "Ready": true, "Names": []any{"a"}, "Serial": "18446744073709551614"},
	{"Manufacturer": "HP", "Model": "ProLiant_DL380 100%", "ReleaseDate": "20200101000000.000000+000", "Version": "1.2", "Size": 8192, "Big": json.Number("1"), "Ready": false, "Names": nil, "Serial": "x"},
})

func TestQueries(t *testing.T) {
	cases := map[string]string{ // "true", "false" or what the error contains
		"select * from Win32_BIOS":                                     "true",
		"SELECT Manufacturer, Model FROM Win32_BIOS":                   "true",
		"select * from b where Manufacturer = 'hp'":                    "true",
		"select * from b where manufacturer='HP '":                     "false",
		`select * from b where Manufacturer = "HP"`:                    "true",
		"select * from b where 'HP' = Manufacturer":                    "true",
		"select * from b where Manufacturer <> 'HP'":                   "true",
		"select * from b where Manufacturer != 'HP' and Size > 5000":   "false",
		"select * from b where ReleaseDate>='20191231' ":               "true",
		"select * from b where ReleaseDate > '2021'":                   "false",
		"select * from b where '2021' > ReleaseDate":                   "true",
		"select * from b where '2018' >= ReleaseDate":                  "false",
		"select * from b where Size = 4096":                            "true",
		"select * from b where Size = 4096.0":                          "true",
		"select * from b where Size = 0x1000":                          "true",
		"select * from b where Size = '4096'":                          "true",
		"select * from b where Size < 4096":                            "false",
		"select * from b where Size <= 4096":                           "true",
		"select * from b where Size >= 8193":                           "false",
		"select * from b where Size > -1e3":                            "true",
		"select * from b where Size = 'large'":                         "does not compare",
		"select * from b where Big = 18446744073709551615":             "true",
		"select * from b where Big = 18446744073709551614":             "false",
		"select * from b where Serial = 18446744073709551614":          "true",
		"select * from b where Serial = 18446744073709551615":          "does not compare",
		"select * from b where Ready = TRUE":                           "true",
		"select * from b where Ready = 'false'":                        "true",
		"select * from b where Ready = 2":                              "false",
		"select * from b where Ready <> 0 and Size = 8192":             "false",
		"select * from b where Names = 'a'":                            "does not compare",
		"select * from b where Names like 'a'":                         "is no text",
		"select * from b where Names is null":                          "true",
		"select * from b where Version is null and Size = 4096":        "true",
		"select * from b where Version is not null and Size = 4096":    "false",
		"select * from b where Version = null":                         "true",
		"select * from b where Version <> NULL":                        "true",
		"select * from b where Version < null":                         "false",
		"select * from b where Version like '1%'":                      "true",
		"select * from b where Version like '2%'":                      "false",
		"select * from b where not Version like '1%'":                  "null under NOT",
		"select * from b where not (Version like '1%' or Size = 4096)": "false",
		"select * from b where Colour = 'red'":                         "property colour was not collected",
		"select * from b where Colour = 'red' or Size = 4096":          "true",
		"select * from b where Colour = 'red' and Size = 1":            "false",
		"select * from b where not Colour like 'r%'":                   "was not collected",
		"select * from b where Model like '%PRODESK%'":                 "true",
		"select * from b where Model like '%dell%'":                    "false",
		"select * from b where Model not like '%dell%'":                "true",
		"select * from b where Model like '%'":                         "true",
		"select * from b where Model like ''":                          "false",
		"select * from b where Model like 'HP%600'":                    "true",
		"select * from b where Model like 'HP%60'":                     "false",
		"select * from b where Model like '%Pro_esk%'":                 "true",
		"select * from b where Model like '%[xyzD]esk%'":               "true",
		"select * from b where Model like '%[a-c]esk%'":                "false",
		"select * from b where Model like '%[a-d]esk%'":                "true",
		"select * from b where Model like '%[^a-d]esk%'":               "false",
		"select * from b where Model like '%[a-e]esk%'":                "true",
		"select * from b where Model like '%_rodesk%'":                 "true",
		"select * from b where Model like '%__odesk%'":                 "true",
		"select * from b where Model like '%ProDesk_600_%'":            "false",
		"select * from b where Size = 4.096e+3":                        "true",
		"select * from b where Size = 40960e-1":                        "true",
		"select * from b where Model like '%[_]%'":                     "true",
		"select * from b where Model like '%100[%]'":                   "true",
		"select * from b where Model like '%200[%]'":                   "false",
		"select * from b where Model like '%[%'":                       "[ without ]",
		"select * from b where Size like '40%'":                        "true",
		"select * from b where (Manufacturer='Hewlett-Packard' and not (Model like '%Proliant%')) or (Manufacturer='HP') ": "true",
		"select * from b where Manufacturer='HP' and not Model like '%Proliant%'":                                          "false",
		"select * from b where NOT Manufacturer='HP' AND Size=8192":                                                        "false",
		"select * from b where Size=1 or Size=4096 and Manufacturer='HP'":                                                  "false",
		"select * from b where (Size=1 or Size=4096) and Manufacturer>='Hewlett' AND Manufacturer < 'Hewlett~'":            "true",

		"":                                 "expected SELECT, not the end",
		"update b":                         "expected SELECT",
		"select from b":                    "expected FROM",
		"select * b":                       "expected FROM",
		"select * from":                    "expected a class",
		"select * from 'b'":                "expected a class",
		"select * from b where":            "expected a value, not the end",
		"select * from b where Size":       "expected a comparison, not the end",
		"select * from b where Size =":     "expected a value, not the end",
		"select * from b where Size = Big": "expected a value",
		"select * from b where Size = 4x":  "is not a number",
		"select * from b where Size = 1e999999999": "is not a number",
		"select * from b where (Size = 4":          "expected )",
		"select * from b where Size = 4)":          "expected the end",
		"select * from b where Size like 4":        "expected a quoted pattern",
		"select * from b where Size is 4":          "expected NULL",
		"select * from b where Size not 4":         "expected LIKE",
		"select * from b where Size '=' 4":         "expected a comparison",
		"select * from b where 'x' like Model":     "expected a comparison with a property",
		"select * from b where Size = 4-1":         "expected the end",
		"select * from b where Size = 4096+1":      "expected the end",
		"select * from b where Size = 'x\\":        "is not closed",
		"select * from b where 4 4":                "expected a comparison with a property",
		"select * from b where 4 = 4":              "expected a comparison with a property",
		"select * from b where T.Size = 4":         "embedded objects",
		"select * from b where Size = 'x":          "is not closed",
		"select * from b where Size # 1":           "belongs to nothing",
		"select * from b group by x":               "expected the end",
		"associators of {x}":                       "belongs to nothing",
		"select * from b where Model = '\xff'":     "not UTF-8",
		"select * from b where " + strings.Repeat("(", 200) + "Size=1" + strings.Repeat(")", 200): "more than 100 levels",
		"select * from b where " + strings.Repeat("not ", 200) + "Size=1":                         "more than 100 levels",
		strings.Repeat(" ", MaxText+1): "at most 262144",
	}
	for text, want := range cases {
		has, err := ask(text, bios)
		switch {
		case want == "true" || want == "false":
			if err != nil || has != (want == "true") {
				t.Errorf("%s: got %v, %v", text, has, err)
			}
		case err == nil || !strings.Contains(err.Error(), want) || has:
			t.Errorf("%s: got %v, %v, wanted %q", text, has, err, want)
		}
	}
}

func ask(text string, t *Table) (bool, error) {
	q, err := Parse(text)
	if err != nil {
		return false, err
	}
	return q.Has(t)
}

func TestBackslashesAsHPWritesThem(t *testing.T) {
	devices := NewTable([]map[string]any{{"DeviceID": `PCI\VEN_1002&DEV_9900&SUBSYS_1992103C\3&1`}, {"DeviceID": `USB\VID_0BDA\'q'`}})
	for text, want := range map[string]bool{
		`select * from Win32_PnpEntity where DeviceID LIKE '%PCI\\VEN_1002&DEV_9900%'`:                                                true,
		`select * from Win32_PnpEntity where DeviceID LIKE '%PCI\\VEN_1002&DEV_9901%' or DeviceID LIKE '%PCI\\VEN_1002&DEV_9900%'`:    true,
		`select * from Win32_PnpEntity where DeviceID LIKE '%PCI\\VEN_1002&DEV_9901%' or DeviceID LIKE '%HDAUDIO\\FUNC_01&VEN_10EC%'`: false,
		`select * from Win32_PnpEntity where DeviceID LIKE '%\'q\''`:                                                                  true,
		// One text does not go on in the next, not even where any character would do.
		`select * from Win32_PnpEntity where DeviceID LIKE '%_USB\\VID%'`: false,
		`select * from Win32_PnpEntity where DeviceID LIKE '%3&1_USB%'`:   false,
		`select * from Win32_PnpEntity where DeviceID LIKE '%3&1USB%'`:    false,
	} {
		if has, err := ask(text, devices); err != nil || has != want {
			t.Errorf("%s: got %v, %v", text, has, err)
		}
	}
}

// Only a property that is text in every row is searched at once: of the others, some rows cannot be told or are null.
func TestColumns(t *testing.T) {
	table := NewTable([]map[string]any{{"All": "x", "Void": "x", "Some": "x", "Number": "x"}, {"ALL": "y", "Void": nil, "Number": float64(1)}})
	if len(table.columns) != 1 || table.columns["all"] != "x\xffy\xff" {
		t.Fatalf("%q", table.columns)
	}
	for text, want := range map[string]string{
		"select * from t where Some like '%z%'":       "was not collected",
		"select * from t where Void like '%z%'":       "",
		"select * from t where not (Void like '%x%')": "under NOT",
		"select * from t where Number like '%z%'":     "",
	} {
		if has, err := ask(text, table); has || (err != nil) != (want != "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v %v", text, has, err)
		}
	}
}

func TestNoInstances(t *testing.T) {
	empty := NewTable(nil)
	for _, text := range []string{"select * from b", "select * from b where A like '%%'", "select * from b where not A = 1"} {
		if has, err := ask(text, empty); has || err != nil {
			t.Errorf("%s: got %v, %v", text, has, err)
		}
	}
}

// slow is LIKE by its definition.
func slow(p []atom, text []rune) bool {
	if len(p) == 0 {
		return len(text) == 0
	}
	if p[0].many {
		for i := 0; i <= len(text); i++ {
			if slow(p[1:], text[i:]) {
				return true
			}
		}
		return false
	}
	return len(text) > 0 && p[0].takes(text[0]) && slow(p[1:], text[1:])
}

// spelled writes a pattern so that no short cut is taken for it: a set for every character but the special ones.
func spelled(pattern string) string {
	var out strings.Builder
	for _, r := range pattern {
		if r == '%' || r == '_' {
			out.WriteRune(r)
			continue
		}
		out.WriteString("[" + string(r) + "]")
	}
	return out.String()
}

func TestLikeIsItsDefinition(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		text := rapid.StringMatching(`[%_ab\[\]é^-]{0,8}`).Draw(rt, "pattern")
		subjects := rapid.SliceOfN(rapid.StringMatching(`[abé\[\]-]{0,8}`), 1, 3).Draw(rt, "texts")
		p, err := newPattern(text)
		if err != nil {
			return
		}
		any, column := false, ""
		for _, subject := range subjects {
			got := p.matches(subject)
			any = any || got
			column += subject + separator
			want := got
			switch {
			case !p.within:
				want = slow(p.atoms, []rune(subject))
			case !strings.ContainsAny(text, "^]"):
				long, err := newPattern(spelled(text) + "[^x]")
				if err != nil || long.within {
					rt.Fatalf("%q: %v", spelled(text), err)
				}
				want = slow(long.atoms[:len(long.atoms)-1], []rune(subject))
			}
			if got != want {
				rt.Fatalf("%q like %q: got %v", subject, text, got)
			}
		}
		if p.within && p.isWithin(column) != any {
			rt.Fatalf("%q like %q: %v one by one, but not at once", subjects, text, any)
		}
	})
}

func TestLikeDoesNotExplode(t *testing.T) {
	p, err := newPattern(strings.Repeat("%a", 200) + "%b_")
	if err != nil {
		t.Fatal(err)
	}
	if p.matches(strings.Repeat("a", 50_000)) {
		t.Fatal("matches")
	}
}

// Whatever is asked, NOT (A) is told exactly when A is told for a single row, and then is its opposite.
func TestNotIsOpposite(t *testing.T) {
	one := NewTable([]map[string]any{{"A": "x", "B": float64(2), "C": true}})
	leaf := rapid.SampledFrom([]string{"A = 'x'", "A like '%y%'", "B < 2", "B >= 2", "C = true", "D = 1", "A > 3"})
	rapid.Check(t, func(rt *rapid.T) {
		condition := leaf.Draw(rt, "first")
		for range rapid.IntRange(0, 4).Draw(rt, "more") {
			switch next := leaf.Draw(rt, "next"); rapid.IntRange(0, 2).Draw(rt, "join") {
			case 0:
				condition = "(" + condition + ") and " + next
			case 1:
				condition += " or " + next
			case 2:
				condition = "not (" + condition + ")"
			}
		}
		has, err := ask("select * from t where "+condition, one)
		not, nerr := ask("select * from t where not ("+condition+")", one)
		if (err == nil) != (nerr == nil) || err == nil && has == not {
			rt.Fatalf("%s: %v %v, its opposite %v %v", condition, has, err, not, nerr)
		}
	})
}

func FuzzQuery(f *testing.F) {
	for _, seed := range []string{
		"select * from Win32_BIOS", "select A, B from b where (A = 'x' and not B like '%[a-c]_%') or C <> 0x1F", `select * from b where Model = "a\"b"`,
		"select * from b where Version is not null", "select * from b where Size = -1.5e3", "select * from b where 'a' < Model",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		q, err := Parse(text)
		if err != nil {
			if err.Error() == "" {
				t.Fatal("an error without words")
			}
			return
		}
		first, err := q.Has(bios)
		again, errAgain := q.Has(bios)
		if first != again || (err == nil) != (errAgain == nil) || first && err != nil {
			t.Fatalf("%q: %v %v, then %v %v", text, first, err, again, errAgain)
		}
	})
}
