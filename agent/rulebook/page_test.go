package rulebook

import (
	"fmt"
	"reflect"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"thatch/agent/scan"
	"thatch/catalog"
	"thatch/catalog/rule"
)

func drawRule(t *rapid.T, depth int) *rule.Rule {
	r := &rule.Rule{Op: rapid.SampledFrom([]string{"And", "Or", "True", "x"}).Draw(t, "op")}
	for _, key := range rapid.SliceOfN(rapid.SampledFrom([]string{"Key", "Value", ""}), 0, 3).Draw(t, "keys") {
		if r.With == nil {
			r.With = map[string]string{}
		}
		r.With[key] = rapid.StringN(0, 3, -1).Draw(t, "value")
	}
	if depth > 0 {
		for range rapid.IntRange(0, 3).Draw(t, "children") {
			r.Rules = append(r.Rules, drawRule(t, depth-1))
		}
	}
	return r
}

func drawList(t *rapid.T) []string {
	texts := rapid.SliceOfN(rapid.SampledFrom([]string{"", "a", "CVE-2019-0001"}), 0, 3).Draw(t, "list")
	if len(texts) == 0 {
		return nil
	}
	return texts
}

func drawEntry(t *rapid.T) Entry {
	word := rapid.SampledFrom([]string{"", "Windows 10", "\xff\x00"})
	e := Entry{Update: scan.Update{Number: rapid.Uint32().Draw(t, "number"), ID: word.Draw(t, "id"), Month: word.Draw(t, "month")}}
	e.Digest[0] = rapid.Byte().Draw(t, "digest")
	e.Body = catalog.Update{
		Name: word.Draw(t, "name"), KB: word.Draw(t, "kb"), Product: catalog.Product{ID: word.Draw(t, "product"), Name: word.Draw(t, "product name")},
		Nature: catalog.Nature{Class: word.Draw(t, "class"), FixedBuild: word.Draw(t, "build")}, Rules: catalog.Rules{NoRule: word.Draw(t, "no rule")},
		CVEs: drawList(t), Relations: catalog.Relations{Supersedes: drawList(t)}, Withdrawn: rapid.Bool().Draw(t, "withdrawn"), Detector: rapid.Bool().Draw(t, "detector"),
	}
	for range rapid.IntRange(0, 3).Draw(t, "groups") {
		e.Body.Prerequisites = append(e.Body.Prerequisites, drawList(t))
	}
	for _, r := range []**rule.Rule{&e.Body.Applicable, &e.Body.Installed, &e.Body.Superseded} {
		if rapid.Bool().Draw(t, "rule") {
			*r = drawRule(t, 3)
		}
	}
	return e
}

// What is written is what is read, and no cut or longer content is taken for a page.
func TestPagesAreReadAsWritten(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := &Page{
			Epoch: "e", Cursor: rapid.String().Draw(t, "cursor"), Reset: rapid.Bool().Draw(t, "reset"), Updates: []Entry{}, Removed: []uint32{},
			Refused: map[uint32]string{},
		}
		for range rapid.IntRange(0, 4).Draw(t, "updates") {
			p.Updates = append(p.Updates, drawEntry(t))
		}
		for range rapid.IntRange(0, 2).Draw(t, "others") {
			number := rapid.Uint32().Draw(t, "number")
			p.Removed, p.Refused[number] = append(p.Removed, number), fmt.Sprint(number)
		}
		raw, err := p.encode()
		if err != nil {
			t.Fatal(err)
		}
		content := raw[frameHead:]
		got, ok := decode(content)
		if !ok || !reflect.DeepEqual(got, p) {
			t.Fatalf("read %+v\nof %+v", got, p)
		}
		cut := rapid.IntRange(0, len(content)-1).Draw(t, "cut")
		if _, ok := decode(content[:cut]); ok {
			t.Fatalf("%d of %d bytes are a page", cut, len(content))
		}
		if _, ok := decode(append(slices.Clone(content), 0)); ok {
			t.Fatal("a byte more is a page")
		}
	})
}

// A field that catalog.Update gains is either kept, or nothing that a scan asks for. Whoever adds it to either list counts
// up the format if it is kept.
func TestEveryFieldIsKeptOrNotNeeded(t *testing.T) {
	left := []string{"Bulletin", "Source", "Vendor", "Title", "Severity", "Restart", "URL", "Bundles", "Texts"}
	kept := []string{
		"Name", "KB", "Product", "CVEs", "Class", "FixedBuild", "Supersedes", "Prerequisites", "Withdrawn", "Detector", "Applicable",
		"Installed", "Superseded", "NoRule",
	}
	for _, field := range reflect.VisibleFields(reflect.TypeFor[catalog.Update]()) {
		if !field.Anonymous && !slices.Contains(left, field.Name) && !slices.Contains(kept, field.Name) {
			t.Errorf("is %s kept? (format %d)", field.Name, format)
		}
	}
}

func FuzzPage(f *testing.F) {
	p := &Page{Epoch: "e", Cursor: "1", Removed: []uint32{1}, Refused: map[uint32]string{2: "why"}, Updates: []Entry{{Update: scan.Update{
		Number: 3, ID: "u", Body: catalog.Update{Rules: catalog.Rules{Applicable: rule.And(rule.Test("True"), rule.Test("RegSz", "Key", "x"))}, Relations: catalog.Relations{Prerequisites: [][]string{{"a"}, nil}}},
	}}}}
	raw, err := p.encode()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(raw[frameHead:])
	f.Add([]byte{format, 0, 0, 0, 0, 0, 1})
	f.Fuzz(func(t *testing.T, content []byte) {
		p, ok := decode(content)
		if !ok {
			return
		}
		if _, err := p.encode(); err != nil && len(content) < 1<<10 {
			t.Fatal(err)
		}
	})
}
