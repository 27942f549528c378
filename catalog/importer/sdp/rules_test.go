package sdp

import (
	"fmt"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"thatch/catalog/rule"
)

// holds evaluates a tree whose leaves are names of what is true.
func holds(r *rule.Rule, facts map[string]bool) bool {
	switch r.Op {
	case "True":
		return true
	case "False":
		return false
	case "Not":
		return !holds(r.Rules[0], facts)
	case "And":
		for _, child := range r.Rules {
			if !holds(child, facts) {
				return false
			}
		}
		return true
	case "Or":
		for _, child := range r.Rules {
			if holds(child, facts) {
				return true
			}
		}
		return false
	}
	return facts[r.Op]
}

// Whatever the rules of a package and its items say, the update's rules say what the schema means by them together.
func TestCombined(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		facts := map[string]bool{}
		leaf := func(name string) *rule.Rule {
			switch rapid.IntRange(0, 5).Draw(t, name) {
			case 0:
				return constant(true)
			case 1:
				return constant(false)
			}
			facts[name] = rapid.Bool().Draw(t, name+" holds")
			return rule.Test(name)
		}
		var pack groups
		if rapid.Bool().Draw(t, "package rule") {
			pack.installable = leaf("package can")
		}
		if rapid.Bool().Draw(t, "package installed rule") {
			pack.installed = leaf("package has")
		}
		var items []item
		for i := range rapid.IntRange(1, 4).Draw(t, "items") {
			items = append(items, item{
				groups:    groups{leaf(fmt.Sprint("can", i)), leaf(fmt.Sprint("has", i)), leaf(fmt.Sprint("over", i))},
				languages: rapid.SampledFrom([]string{"", "", "de", "en"}).Draw(t, "language"),
			})
		}
		got := combined(pack, items)
		can := pack.installable == nil || holds(pack.installable, facts)
		some := false
		for _, i := range items {
			some = some || holds(i.installable, facts)
		}
		if want := can && some; holds(got.installable, facts) != want {
			t.Errorf("installable: want %v", want)
		}
		want := meant(items, facts, func(i item) *rule.Rule { return i.installed }) && (pack.installed == nil || holds(pack.installed, facts))
		if holds(got.installed, facts) != want {
			t.Errorf("installed: want %v of %+v", want, facts)
		}
		want = meant(items, facts, func(i item) *rule.Rule { return i.superseded })
		if (got.superseded != nil && holds(got.superseded, facts)) != want {
			t.Errorf("superseded: want %v", want)
		}
	})
}

// meant says it in words: the neutral items and those of one language all are what is asked, as far as they can be
// installed, and of neutral ones alone, or of that language, at least one is. A single one has nothing to hide behind.
func meant(items []item, facts map[string]bool, ask func(item) *rule.Rule) bool {
	enough := func(language string) (all, some bool) {
		all = true
		var of []item
		for _, i := range items {
			if i.languages == language {
				of = append(of, i)
				is := holds(ask(i), facts)
				some = some || is
				all = all && (is || !holds(i.installable, facts))
			}
		}
		return all, some && (all || len(of) == 0)
	}
	languages := map[string]bool{}
	for _, i := range items {
		languages[i.languages] = true
	}
	if len(languages) == 1 && languages[""] {
		_, some := enough("")
		return some
	}
	for language := range languages {
		if language == "" {
			continue
		}
		neutral, _ := enough("")
		if _, some := enough(language); some && neutral {
			return true
		}
	}
	return false
}

func TestTooLarge(t *testing.T) {
	deep := rule.Test("True")
	for range rule.MaxDepth {
		deep = rule.Not(deep)
	}
	wide := rule.And()
	for range rule.MaxNodes {
		wide.Rules = append(wide.Rules, rule.Test("True"))
	}
	for name, c := range map[string]struct {
		r    *rule.Rule
		want bool
	}{"none": {nil, false}, "one": {rule.Test("True"), false}, "deep": {deep, true}, "deepest": {deep.Rules[0], false}, "wide": {wide, true}} {
		if got := tooLarge(c.r) != ""; got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

func TestSlug(t *testing.T) {
	for text, want := range map[string]string{
		"Dell": "dell", "HP Business Clients": "hp-business-clients", "  Ä & B, Inc. ": "ä-b-inc.", "": "unknown", "//": "unknown", "..": "unknown",
		"sp94801": "sp94801", "APSB18-01": "apsb18-01", "a/../b": "a-..-b",
	} {
		if got := slug(text); got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
	if long := slug(strings.Repeat("ab ", 1000)); len(long) > 200 {
		t.Errorf("%d bytes", len(long))
	}
}

func TestNames(t *testing.T) {
	for text, want := range map[string]string{
		"a.exe": "a.exe", `dir\a.exe`: "a.exe", "../../a.exe": "a.exe", "": "", ".": "", "..": "", `\`: "", "C:evil.exe": "", "a\x00b": "",
		"a|b": "", " a b.msi ": "a b.msi", strings.Repeat("n", 300): "",
	} {
		if got := baseName(text); got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
	for text, want := range map[string]string{"KB4711": "4711", "kb12": "12", "4711": "4711", "sp94801": "", "": "", "KB": "", "KB12a": "", "1234567890123": ""} {
		if got := digits(text); got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
	for text, want := range map[string]string{
		"2019-02-03T04:05:06": "2019-02-03T04:05:06Z", "2019-02-03T04:05:06.789Z": "2019-02-03T04:05:06Z", "2019-02-03T05:05:06+01:00": "2019-02-03T04:05:06Z",
		"2019-02-03": "2019-02-03T00:00:00Z", "": "", "now": "",
	} {
		if got, _ := parseDate(text); got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
}

func TestPartBodies(t *testing.T) {
	part := packagePart{created: "2019-01-01T00:00:00Z", update: []byte(`{"a":"\n"}`), items: []itemPart{
		{id: "x", languages: []string{"de"}, body: []byte("{}")}, {id: "y", body: []byte("{ }")},
	}}
	text, err := part.encode()
	if err != nil {
		t.Fatal(err)
	}
	got, err := decodePart(text)
	if err != nil || fmt.Sprint(got) != fmt.Sprint(part) {
		t.Errorf("%v, %v", got, err)
	}
	for n := range text {
		if _, err := decodePart(text[:n]); err == nil {
			t.Errorf("%d bytes of %d were read", n, len(text))
		}
	}
	if _, err := decodePart(append(text, ' ')); err == nil {
		t.Error("a byte too many was read")
	}
	if _, err := decodePart([]byte(`{"update":-1}` + "\n")); err == nil {
		t.Error("a negative length was read")
	}
}
