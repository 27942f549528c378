package expression

import (
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestEmptyPartsAreLeftOut(t *testing.T) {
	n, err := Decode([]byte(`{"op":"True","with":{},"rules":[]}`))
	if err != nil || !reflect.DeepEqual(n, &Node{Op: "True"}) {
		t.Fatalf("%+v, %v", n, err)
	}
	if n := Test("True", "odd"); n.With != nil {
		t.Fatal(n.With)
	}
	if n := Test("True", "a", "b", "odd"); !reflect.DeepEqual(n.With, map[string]string{"a": "b"}) {
		t.Fatal(n.With)
	}
}

// Trees that somebody made into rings are still walked and checked to an end.
func TestRings(t *testing.T) {
	ring := Not(nil)
	ring.Rules[0] = ring
	visited := 0
	Walk(ring, func(*Node) { visited++ })
	if visited != MaxDepth {
		t.Errorf("visited %d nodes", visited)
	}
	if problems := Check(ring); len(problems) != 1 || !strings.Contains(problems[0].Text, "deeper than") {
		t.Error(problems)
	}
	metadata := &Node{Op: "MsiApplicationMetadata", Rules: []*Node{Test("ProductCode", Text, "{AAAAAAAA-0000-0000-0000-000000000001}")}}
	metadata.Rules = append(metadata.Rules, metadata, nil)
	problems := Check(&Node{Op: "MsiApplicationInstalled", Rules: []*Node{metadata}})
	if len(problems) != 2 || !strings.Contains(problems[0].Text, "deeper than") || strings.Count(problems[1].Path, "MsiApplicationMetadata") != MaxDepth {
		t.Error(problems)
	}
	wide := And(nil, nil)
	wide.Rules[0], wide.Rules[1] = wide, wide
	if problems := Check(wide); len(problems) == 0 || problems[len(problems)-1].Text != "has more than 20000 nodes" {
		t.Error(problems[len(problems)-1])
	}
}

func TestWalkLeavesDataOut(t *testing.T) {
	var seen []string
	Walk(And(Test("True"), nil, &Node{Op: "MsiFeatureInstalledForProduct", Rules: []*Node{Test("Feature", Text, "f"), Test("Stray")}}, &Node{Op: "Oracle", Rules: []*Node{Test("Inner")}}),
		func(n *Node) { seen = append(seen, n.Op) })
	if want := []string{"And", "True", "MsiFeatureInstalledForProduct", "Stray", "Oracle", "Inner"}; !slices.Equal(seen, want) {
		t.Error(seen)
	}
	Walk(nil, func(*Node) { t.Error("visited nothing") })
}

func TestParts(t *testing.T) {
	n := &Node{Op: "MsiPatch", Rules: []*Node{nil, Test("A", Text, " one "), Test("B"), Test("A", Text, "two")}}
	if n.Content("A") != "one" || n.Content("B") != "" || n.Content("C") != "" || n.Part("C") != nil || n.Part("B") != n.Rules[2] {
		t.Error(n.Content("A"), n.Content("B"), n.Content("C"))
	}
	if got := n.Contents("A"); !slices.Equal(got, []string{"one", "two"}) {
		t.Error(got)
	}
	var none *Node
	if none.Part("A") != nil || none.Content("A") != "" {
		t.Error("nothing has parts")
	}
	if !Test("A", "V", "true").Flag("V") || !Test("A", "V", " 1 ").Flag("V") || Test("A", "V", "false").Flag("V") || Test("A").Flag("V") || Test("A", "V", "TRUE").Flag("V") {
		t.Error("flags")
	}
}

// Every form takes what it should and refuses what it should.
func TestForms(t *testing.T) {
	cases := map[string][2][]string{ // taken, refused
		"text":         {{"", "anything"}, nil},
		"bool":         {{"true", "false", "1", "0"}, {"", "yes", "True", "2"}},
		"int":          {{"0", "-5", "1033"}, {"", "x", "1.5", "99999999999"}},
		"uint32":       {{"0", "4294967295"}, {"", "-1", "4294967296", "0x10"}},
		"uint64":       {{"0", "9223372036854775807"}, {"-1", "9223372036854775808"}},
		"csidl":        {{"37", "0", "65535"}, {"", "-1", "65536", "system"}},
		"digits":       {{"4487044", "0"}, {"", "KB1", "1234567890123", "1 2", "1\n"}},
		"scalar":       {{"LessThan", "EqualTo", "GreaterThanOrEqualTo"}, {"", "lessthan", "Contains"}},
		"match":        {{"EqualTo", "BeginsWith", "Contains", "EndsWith"}, {"", "LessThan"}},
		"quantifier":   {{"Any", "All", "None"}, {"", "any", "Some"}},
		"hive":         {{"HKEY_LOCAL_MACHINE", "HKEY_LOOP_TARGET"}, {"", "HKLM", "HKEY_CURRENT_USER"}},
		"subkey":       {{`\`, strings.Repeat("ä", 255)}, {"", strings.Repeat("a", 256)}},
		"path":         {{"a", strings.Repeat("ä", 260)}, {"", strings.Repeat("a", 261)}},
		"regtype":      {{"REG_SZ", "REG_FULL_RESOURCE_DESCRIPTOR"}, {"", "REG_NONE", "reg_sz"}},
		"guid":         {{"{FB2B7CC0-8307-47e6-A065-11015CC96B99}"}, {"", "FB2B7CC0-8307-47e6-A065-11015CC96B99", "{FB2B7CC0-8307-47e6-A065-11015CC96B9}", "{GB2B7CC0-8307-47e6-A065-11015CC96B99}"}},
		"language":     {{"de", "pt-BR", "zh-Hans-CN"}, {"", "d", "de_DE", "de-", "german1"}},
		"time":         {{"2015-12-21T11:48:00", "2015-12-21T11:48:00Z", "2015-12-21T11:48:00.25+02:00"}, {"", "2015-12-21", "today", "2015-13-21T11:48:00"}},
		"version":      {{"1", "1.2.3.4", "99999"}, {"", "1.2.3.4.5", "1.x"}},
		"four":         {{"0.0.0.0", "1.2.3.65535"}, {"", "1", "1.2.3", "1.2.3.65536", "1.2.3.4.5", "1.2.3.x"}},
		"architecture": {{"x86", "arm64"}, {"", "amd64"}},
		"producttype":  {{"workstation", "server", "domaincontroller"}, {"", "Server"}},
		"installation": {{"client", "server", "servercore"}, {"", "core"}},
	}
	for name, form := range forms {
		c, tested := cases[name]
		if !tested {
			t.Errorf("form %s has no cases", name)
		}
		for _, text := range c[0] {
			if !form.fits(text) {
				t.Errorf("%s: %q is refused", name, text)
			}
		}
		for _, text := range c[1] {
			if form.fits(text) {
				t.Errorf("%s: %q is taken", name, text)
			}
		}
	}
	for op, entry := range vocabulary {
		for _, a := range entry.attributes {
			if forms[a.form].fits == nil {
				t.Errorf("%s %s has form %q, which there is not", op, a.name, a.form)
			}
		}
	}
}

func TestTimesWithoutZoneAreUTC(t *testing.T) {
	for text, want := range map[string]string{"2015-12-21T11:48:00": "2015-12-21T11:48:00Z", " 2015-12-21T11:48:00+02:00 ": "2015-12-21T09:48:00Z"} {
		got, err := ParseTime(text)
		if err != nil || got.UTC().Format(time.RFC3339) != want {
			t.Errorf("%s: %v, %v", text, got, err)
		}
	}
}

func TestClip(t *testing.T) {
	for text, want := range map[string]string{
		strings.Repeat("a", 120):       strings.Repeat("a", 120),
		strings.Repeat("a", 121):       strings.Repeat("a", 120) + "...",
		strings.Repeat("a", 119) + "ä": strings.Repeat("a", 119) + "...",
	} {
		if got := Clip(text); got != want {
			t.Errorf("%d bytes became %q", len(text), got)
		}
	}
}
