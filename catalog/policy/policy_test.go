package policy_test

import (
	"encoding/json"
	"errors"
	"reflect"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"thatch/catalog"
	"thatch/catalog/document"
	"thatch/catalog/policy"
	"thatch/catalog/rule"
)

func sample() policy.Policy {
	return policy.Policy{
		Name: "February",
		Updates: []policy.Update{{
			Update: "sdp:u1", Digest: document.Digest{1}, Enabled: true,
			Packages: []policy.Pin{{ID: "sdp:p1", Digest: document.Digest{2}, PayloadDigest: document.Digest{3}}},
		}},
		Target: policy.Target{NeedsIt: true},
		Plan:   policy.Plan{When: policy.StartASAP},
	}
}

func TestBodyIsStable(t *testing.T) {
	body, err := catalog.Encode(sample())
	if err != nil {
		t.Fatal(err)
	}
	want := `{"name":"February","updates":[{"update":"sdp:u1","digest":"01` + strings.Repeat("0", 62) +
		`","enabled":true,"packages":[{"id":"sdp:p1","digest":"02` + strings.Repeat("0", 62) +
		`","payload_digest":"03` + strings.Repeat("0", 62) + `"}]}],"target":{"needs_it":true},"plan":{"when":"asap"}}`
	if string(body) != want {
		t.Fatalf("body\n%s\nwant\n%s", body, want)
	}
	back, err := policy.Decode(body)
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(*back, sample()) {
		t.Fatalf("read back %+v", back)
	}
}

func TestValidate(t *testing.T) {
	for name, spoil := range map[string]func(*policy.Policy){
		"no name":        func(p *policy.Policy) { p.Name = "" },
		"long name":      func(p *policy.Policy) { p.Name = strings.Repeat("x", policy.MaxName+1) },
		"no updates":     func(p *policy.Policy) { p.Updates = nil },
		"twice":          func(p *policy.Policy) { p.Updates = append(p.Updates, p.Updates[0]) },
		"nameless":       func(p *policy.Policy) { p.Updates[0].Update = "" },
		"pins":           func(p *policy.Policy) { p.Updates[0].Packages = make([]policy.Pin, policy.MaxPackages+1) },
		"attempts":       func(p *policy.Policy) { p.Attempts = -1 },
		"when":           func(p *policy.Policy) { p.Plan.When = "soon" },
		"at nothing":     func(p *policy.Policy) { p.Plan.When = policy.StartAt },
		"spread":         func(p *policy.Policy) { p.Plan.SpreadMinutes = -1 },
		"simultaneous":   func(p *policy.Policy) { p.Plan.Simultaneous = -2 },
		"product type":   func(p *policy.Policy) { p.Target.ProductTypes = []string{"toaster"} },
		"empty pattern":  func(p *policy.Policy) { p.Target.Names = []string{""} },
		"endless target": func(p *policy.Policy) { p.Target.Languages = make([]string, 501) },
	} {
		p := sample()
		spoil(&p)
		body, err := catalog.Encode(p)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := policy.Decode(body); !errors.Is(err, policy.ErrInvalid) {
			t.Errorf("%s: %v, want ErrInvalid", name, err)
		}
	}
	good := sample()
	if err := good.Validate(); err != nil {
		t.Error(err)
	}
	if _, err := policy.Decode([]byte(`{"name":`)); !errors.Is(err, policy.ErrInvalid) {
		t.Errorf("truncated: %v", err)
	}
}

func TestPinned(t *testing.T) {
	p := sample()
	update := p.Find("sdp:u1")
	if update == nil || p.Find("sdp:u2") != nil {
		t.Fatal("Find finds the wrong update")
	}
	if !update.Pinned(document.Digest{2}, document.Digest{3}) {
		t.Error("the pinned pair is not pinned")
	}
	if update.Pinned(document.Digest{2}, document.Digest{4}) || update.Pinned(document.Digest{4}, document.Digest{3}) {
		t.Error("half a pair is taken for a pin")
	}
}

func TestTargetMatches(t *testing.T) {
	german := policy.Computer{
		Name: "BERLIN-07", Needs: true,
		System: rule.System{Platform: "windows", ProductType: 1, Languages: []string{"de-de", "en-us"}},
	}
	unknown := policy.Computer{Name: "x"}
	controller := policy.Computer{Name: "dc1", System: rule.System{Platform: "windows", ProductType: 2}}
	for _, c := range []struct {
		name     string
		target   string
		computer policy.Computer
		want     bool
	}{
		{"everybody", `{}`, unknown, true},
		{"needs it", `{"needs_it":true}`, german, true},
		{"does not need it", `{"needs_it":true}`, controller, false},
		{"unknown key", `{"site_code":"B1"}`, german, false},
		{"platform", `{"platforms":["Windows"]}`, german, true},
		{"other platform", `{"platforms":["debian"]}`, german, false},
		{"primary language", `{"languages":["de"]}`, german, true},
		{"second language", `{"languages":["fr","en-us"]}`, german, true},
		{"other region", `{"languages":["de-at"]}`, german, false},
		{"prefix is no language", `{"languages":["d"]}`, german, false},
		{"language not known", `{"languages":["de"]}`, unknown, false},
		{"workstation", `{"product_types":["workstation"]}`, german, true},
		{"a controller is a server", `{"product_types":["server"]}`, controller, true},
		{"a workstation is none", `{"product_types":["server","domaincontroller"]}`, german, false},
		{"type not known", `{"product_types":["workstation","server"]}`, unknown, false},
		{"pattern", `{"names":["paris-*","berlin-??"]}`, german, true},
		{"pattern is whole", `{"names":["berlin"]}`, german, false},
		{"except", `{"names":["berlin-*"],"except_names":["*7"]}`, german, false},
		{"all parts", `{"needs_it":true,"platforms":["windows"],"languages":["de"],"names":["*"],"except_names":["paris*"]}`, german, true},
	} {
		var target policy.Target
		if err := json.Unmarshal([]byte(c.target), &target); err != nil {
			t.Fatal(err)
		}
		if got := target.Match(c.computer); got != c.want {
			t.Errorf("%s: %s matches %v, want %v", c.name, c.target, got, c.want)
		}
	}
}

func TestUnknownPartsAreNamed(t *testing.T) {
	p, err := policy.Decode([]byte(`{"name":"n","updates":[{"update":"u"}],"target":{"zebra":1,"group":"x"},"plan":{"when":"asap"}}`))
	if err != nil {
		t.Fatal(err)
	}
	if want := []string{"group", "zebra"}; !reflect.DeepEqual(p.Target.Unknown, want) {
		t.Fatalf("unknown parts %v, want %v", p.Target.Unknown, want)
	}
}

func TestMatchName(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		name := rapid.StringMatching(`[a-zA-Z0-9-]{0,12}`).Draw(t, "name")
		from := rapid.IntRange(0, len(name)).Draw(t, "from")
		to := rapid.IntRange(from, len(name)).Draw(t, "to")
		if pattern := name[:from] + "*" + name[to:]; !policy.MatchName(pattern, name) {
			t.Fatalf("%q does not match %q", pattern, name)
		}
		if pattern := strings.Repeat("?", len(name)); !policy.MatchName(pattern, name) {
			t.Fatalf("%q does not match %q", pattern, name)
		}
		if pattern := name + "?"; policy.MatchName(pattern, name) {
			t.Fatalf("%q matches %q", pattern, name)
		}
		if !policy.MatchName(strings.ToUpper(name), strings.ToLower(name)) {
			t.Fatalf("letter case counts in %q", name)
		}
	})
}

func FuzzDecode(f *testing.F) {
	body, _ := catalog.Encode(sample())
	f.Add(body)
	f.Add([]byte(`{"target":{"names":"x"}}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		p, err := policy.Decode(body)
		if err != nil {
			return
		}
		if err := p.Validate(); err != nil {
			t.Fatalf("decoded what does not validate: %v", err)
		}
		p.Target.Match(policy.Computer{Name: "a"})
	})
}
