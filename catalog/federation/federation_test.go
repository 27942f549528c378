package federation_test

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"thatch/catalog/document"
	"thatch/catalog/federation"
)

const at = "2026-03-01T10:00:00Z"

var long = strings.Repeat("x", 600)

func TestDecodeRefusesSites(t *testing.T) {
	for _, c := range []struct{ raw, says string }{
		{``, "decode"},
		{`[]`, "decode"},
		{`{"name":1}`, "decode"},
		{`{"name":"","authority":"AA=="}`, "name"},
		{`{"name":"` + long + `","authority":"AA=="}`, "name"},
		{`{"name":"a\nb","authority":"AA=="}`, "name"},
		{`{"name":"Berlin"}`, "authority"},
		{`{"name":"Berlin","authority":"` + strings.Repeat("AAAA", 4000) + `"}`, "authority"},
		{`{"name":"Berlin","authority":"AA==","parent":"A"}`, "parent"},
		{`{"name":"Berlin","authority":"AA==","parent":"a,b"}`, "parent"},
		{`{"name":"Berlin","authority":"AA==","version":"` + long + `"}`, "version"},
	} {
		if _, err := federation.Decode[federation.Site]([]byte(c.raw)); !errors.Is(err, federation.ErrInvalid) || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%.60s: %v", c.raw, err)
		}
	}
	good, err := federation.Decode[federation.Site]([]byte(`{"name":"Köln","authority":"AA==","later":{"x":[1]}}`))
	if err != nil || good.Name != "Köln" || good.Parent != "" {
		t.Errorf("a field of a later version: %+v, %v", good, err)
	}
}

func TestDecodeRefusesAlerts(t *testing.T) {
	many := make([]string, 300)
	for i := range many {
		many[i] = fmt.Sprintf(`"aa-%03d"`, i)
	}
	for _, c := range []struct{ raw, says string }{
		{`{"languages":["DE"]}`, "sorted"},
		{`{"languages":["de","de"]}`, "sorted"},
		{`{"languages":["fr","de"]}`, "sorted"},
		{`{"languages":["german language"]}`, "BCP"},
		{`{"languages":[` + strings.Join(many, ",") + `]}`, "at most"},
		{`{"languages":[],"computers":{"de":-1}}`, "-1 computers"},
		{`{"languages":[],"computers":{"":1}}`, "BCP"},
		{`{"languages":[],"computers":{"DE":1}}`, "lower case"},
		{`{"languages":[],"computers":{"de":1e99}}`, "decode"},
	} {
		if _, err := federation.Decode[federation.Alert]([]byte(c.raw)); !errors.Is(err, federation.ErrInvalid) || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%.60s: %v", c.raw, err)
		}
	}
	for _, raw := range []string{`{"languages":null}`, `{"languages":[]}`, `{"languages":["de","pt-br"],"computers":{"fr":3,"de":0}}`} {
		if _, err := federation.Decode[federation.Alert]([]byte(raw)); err != nil {
			t.Errorf("%s: %v", raw, err)
		}
	}
}

func TestDecodeRefusesHealth(t *testing.T) {
	alarms := strings.Repeat(`{"kind":"k","text":"t","since":"`+at+`"},`, federation.MaxAlarms+1)
	nodes := strings.Repeat(`{"id":"n","version":""},`, federation.MaxNodes+1)
	for _, c := range []struct{ raw, says string }{
		{`{"at":"yesterday"}`, "no time"},
		{`{"at":"` + at + `","computers":-1}`, "-1 computers"},
		{`{"at":"` + at + `","computers":1,"not_reporting":2}`, "not reporting"},
		{`{"at":"` + at + `","not_reporting":-2}`, "not reporting"},
		{`{"at":"` + at + `","alarms":[{"kind":"k","text":"t","since":"` + at + `"}]}`, "0 alarms"},
		{`{"at":"` + at + `","alarm_count":1000,"alarms":[` + strings.TrimSuffix(alarms, ",") + `]}`, "at most"},
		{`{"at":"` + at + `","alarm_count":1,"alarms":[{"kind":"","text":"t","since":"` + at + `"}]}`, "the alarm"},
		{`{"at":"` + at + `","alarm_count":1,"alarms":[{"kind":"k","text":"t","since":"x"}]}`, "the alarm"},
		{`{"at":"` + at + `","alarm_count":1,"alarms":[{"kind":"k","text":"` + long + long + `","since":"` + at + `"}]}`, "the alarm"},
		{`{"at":"` + at + `","nodes":[{"id":""}]}`, "the node"},
		{`{"at":"` + at + `","nodes":[` + strings.TrimSuffix(nodes, ",") + `]}`, "at most"},
		{`{"at":"` + at + `","version":"a\u0000"}`, "version"},
	} {
		if _, err := federation.Decode[federation.Health]([]byte(c.raw)); !errors.Is(err, federation.ErrInvalid) || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%.80s: %v", c.raw, err)
		}
	}
}

func TestDecodeRefusesRollUps(t *testing.T) {
	updates := make([]string, federation.MaxUpdates+1)
	for i := range updates {
		updates[i] = fmt.Sprintf(`{"update":"u%06d"}`, i)
	}
	for _, c := range []struct{ raw, says string }{
		{`{}`, "bulletin"},
		{`{"bulletin":"` + long + `"}`, "bulletin"},
		{`{"bulletin":"b","updates":[{"update":""}]}`, "no name"},
		{`{"bulletin":"b","updates":[{"update":"u"},{"update":"u"}]}`, "twice"},
		{`{"bulletin":"b","updates":[{"update":"v"},{"update":"u"}]}`, "order"},
		{`{"bulletin":"b","updates":[{"update":"v","failed":-1}]}`, "below 0"},
		{`{"bulletin":"b","missing":-1}`, "below 0"},
		{`{"bulletin":"b","updates":[` + strings.Join(updates, ",") + `]}`, "at most"},
	} {
		if _, err := federation.Decode[federation.RollUp]([]byte(c.raw)); !errors.Is(err, federation.ErrInvalid) || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%.80s: %v", c.raw, err)
		}
	}
}

func TestDecodeRefusesMachines(t *testing.T) {
	for raw, says := range map[string]string{
		`{"machines":{"0123":1}}`:                                                            "no digest",
		`{"machines":{"0123456789abcdeF":1}}`:                                                "no digest",
		`{"machines":{"0123456789abcdef":-1}}`:                                               "enrolled",
		`{"machines":{"0123456789abcdef":1},"gone":["0123456789abcde0"]}`:                    "none of the site's",
		`{"machines":{"0123456789abcdef":1},"both":["0123456789abcdef","0123456789abcdef"]}`: "named twice",
	} {
		if _, err := federation.Decode[federation.Machines]([]byte(raw)); !errors.Is(err, federation.ErrInvalid) || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: %v", raw, err)
		}
	}
	move := `{"machine":"0123456789abcdef","from":"a","to":"b","since":1}`
	for raw, says := range map[string]string{
		`{"moves":[` + move + `,` + move + `]}`:                      "out of order",
		`{"moves":[{"machine":"x"}]}`:                                "no digest",
		`{"moves":[` + strings.Replace(move, `"b"`, `"a"`, 1) + `]}`: "from site",
		`{"moves":[` + strings.Replace(move, `"b"`, `"B"`, 1) + `]}`: "from site",
	} {
		if _, err := federation.Decode[federation.Moved]([]byte(raw)); !errors.Is(err, federation.ErrInvalid) || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: %v", raw, err)
		}
	}
	if m, err := federation.Decode[federation.Moved]([]byte(`{"moves":[` + move + `]}`)); err != nil || len(m.Moves) != 1 {
		t.Errorf("%+v, %v", m, err)
	}
}

func TestDecodeRefusesComputers(t *testing.T) {
	long := strings.Repeat("x", 201)
	const seen = `"seen":"2026-01-01T00:00:00Z"`
	for raw, says := range map[string]string{
		`{` + seen + `}`:                                      "without a name",
		`{"name":"a\nb",` + seen + `}`:                        "several lines",
		`{"name":"` + long + `",` + seen + `}`:                "more than 200 bytes",
		`{"name":"a","group":"` + long + `",` + seen + `}`:    "its group",
		`{"name":"a"}`:                                        "no time",
		`{"name":"a","seen":"yesterday"}`:                     "no time",
		`{"name":"a","machine":"x",` + seen + `}`:             "no digest",
		`{"name":"a","missing":-1,` + seen + `}`:              "below 0",
		`{"name":"a","languages":["not a tag"],` + seen + `}`: "computer",
		`{"name":"a","languages":["de"` + strings.Repeat(`,"de"`, 32) + `],` + seen + `}`: "33 languages",
	} {
		if _, err := federation.Decode[federation.Computer]([]byte(raw)); !errors.Is(err, federation.ErrInvalid) || !strings.Contains(err.Error(), says) {
			t.Errorf("%.80s: %v", raw, err)
		}
	}
}

func TestEncodeRefusesWhatDecodeWould(t *testing.T) {
	if _, err := federation.Encode(federation.Site{}); !errors.Is(err, federation.ErrInvalid) {
		t.Errorf("an empty site: %v", err)
	}
	if _, err := federation.Encode(federation.RollUp{}); !errors.Is(err, federation.ErrInvalid) {
		t.Errorf("an empty roll-up: %v", err)
	}
	raw, err := federation.Encode(federation.State{Enabled: true})
	if err != nil || string(raw) != `{"enabled":true}` {
		t.Errorf("%s, %v", raw, err)
	}
	if _, err := federation.Decode[federation.State](bytes.Repeat([]byte(" "), document.MaxSize+1)); !errors.Is(err, federation.ErrInvalid) {
		t.Errorf("a body that is too large: %v", err)
	}
}

func TestRollUpIDs(t *testing.T) {
	for _, c := range []struct {
		id, site, bulletin string
		ok                 bool
	}{
		{"site-1:msrc/KB1", "site-1", "msrc/KB1", true},
		{"site-1:a:b", "site-1", "a:b", true},
		{"site-1:", "site-1", "", false},
		{":b", "", "b", false},
		{"Site:b", "Site", "b", false},
		{"none", "none", "", false},
	} {
		site, bulletin, ok := federation.SplitRollUpID(c.id)
		if site != c.site || bulletin != c.bulletin || ok != c.ok {
			t.Errorf("%q: %q %q %v", c.id, site, bulletin, ok)
		}
		if ok && federation.RollUpID(site, bulletin) != c.id {
			t.Errorf("%q does not come back", c.id)
		}
	}
}

// TestEqualValuesHaveEqualBytes: however a map was filled, a site writes its alert again only when it changed.
func TestEqualValuesHaveEqualBytes(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		tags := rapid.SliceOfDistinct(rapid.StringMatching(`[a-z]{2}(-[a-z]{2})?`), func(s string) string { return s }).Draw(rt, "tags")
		there, back := federation.Alert{Computers: map[string]int{}}, federation.Alert{Computers: map[string]int{}}
		for i := range tags {
			there.Computers[tags[i]] = 1
			back.Computers[tags[len(tags)-1-i]] = 1
		}
		a, err := federation.Encode(there)
		if err != nil {
			rt.Skip(err)
		}
		b, err := federation.Encode(back)
		if err != nil || !bytes.Equal(a, b) {
			rt.Fatalf("%s and %s, %v", a, b, err)
		}
		again, err := federation.Decode[federation.Alert](a)
		if err != nil || len(again.Computers) != len(tags) {
			rt.Fatalf("%+v, %v", again, err)
		}
	})
}

// FuzzDecode: what one kind's decoder lets in can be written again, and means the same.
func FuzzDecode(f *testing.F) {
	for _, seed := range []string{
		`{"name":"Berlin","authority":"AA==","parent":"p-1","version":"1"}`, `{"languages":["de","en"],"computers":{"fr":2}}`, `{"enabled":true}`,
		`{"version":"1","at":"` + at + `","computers":3,"alarm_count":1,"alarms":[{"kind":"k","text":"t","since":"` + at + `"}],"nodes":[{"id":"n","version":"1"}]}`,
		`{"bulletin":"b","missing":2,"updates":[{"update":"u","applicable":1},{"update":"v","failed":2}]}`,
		`{"machines":{"0123456789abcdef":5}}`, `{"moves":[{"machine":"0123456789abcdef","from":"a","to":"b","since":1}]}`,
		`{"machines":{"0123456789abcdef":5},"gone":["0123456789abcdef"]}`,
		`{"name":"PC","build":"22631.1","languages":["de"],"seen":"` + at + `","missing":3}`, `null`, `[[[[`, "\xff",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		check(t, raw, federation.Encode[federation.Site], federation.Decode[federation.Site])
		check(t, raw, federation.Encode[federation.Alert], federation.Decode[federation.Alert])
		check(t, raw, federation.Encode[federation.State], federation.Decode[federation.State])
		check(t, raw, federation.Encode[federation.Health], federation.Decode[federation.Health])
		check(t, raw, federation.Encode[federation.RollUp], federation.Decode[federation.RollUp])
		check(t, raw, federation.Encode[federation.Machines], federation.Decode[federation.Machines])
		check(t, raw, federation.Encode[federation.Moved], federation.Decode[federation.Moved])
		check(t, raw, federation.Encode[federation.Computer], federation.Decode[federation.Computer])
	})
}

func check[T any](t *testing.T, raw []byte, encode func(T) ([]byte, error), decode func([]byte) (T, error)) {
	t.Helper()
	value, err := decode(raw)
	if err != nil {
		if !errors.Is(err, federation.ErrInvalid) {
			t.Fatalf("%q: %v", raw, err)
		}
		return
	}
	once, err := encode(value)
	if err != nil {
		t.Fatalf("%q was read and cannot be written: %v", raw, err)
	}
	again, err := decode(once)
	if err != nil {
		t.Fatalf("%q cannot be read again: %v", once, err)
	}
	if twice, err := encode(again); err != nil || !bytes.Equal(once, twice) {
		t.Fatalf("%q is written as %q and then %q, %v", raw, once, twice, err)
	}
}
