package markup

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"strings"
	"testing"
)

// The packages of any catalog are the same however the stream is cut into reads.
func FuzzSplit(f *testing.F) {
	f.Add([]byte("<a:SystemsManagementCatalog><!-- > --><b:SoftwareDistributionPackage x='>'>y</b:SoftwareDistributionPackage ></a:SystemsManagementCatalog>"), 1)
	f.Add([]byte("<SoftwareDistributionPackage/>"), 3)
	f.Fuzz(func(t *testing.T, content []byte, step int) {
		whole, errWhole := pieces(bytes.NewReader(content))
		cut, errCut := pieces(&slow{content: content, step: max(1, step%97)})
		if (errWhole == nil) != (errCut == nil) || len(whole) != len(cut) {
			t.Fatalf("whole: %d pieces, %v; cut: %d pieces, %v", len(whole), errWhole, len(cut), errCut)
		}
		for i := range whole {
			if whole[i] != cut[i] {
				t.Errorf("piece %d: %q and %q", i, whole[i], cut[i])
			}
		}
	})
}

type slow struct {
	content []byte
	step    int
}

func (s *slow) Read(p []byte) (int, error) {
	if len(s.content) == 0 {
		return 0, io.EOF
	}
	n := copy(p[:min(len(p), s.step)], s.content)
	s.content = s.content[n:]
	return n, nil
}

func pieces(r io.Reader) (found []string, err error) {
	s, err := NewSplitter(r)
	for err == nil {
		var one Raw
		if one, err = s.Next(); err == nil {
			found = append(found, string(one.XML))
		}
	}
	if err == io.EOF {
		err = nil
	}
	return found, err
}

func TestSplit(t *testing.T) {
	const one, two = "<a:SoftwareDistributionPackage x='>'>1</a:SoftwareDistributionPackage>", "<SoftwareDistributionPackage\n/>"
	for name, c := range map[string]struct {
		text string
		want []string
		err  string
	}{
		"single":                 {"\n" + one + "\n", []string{one}, ""},
		"single, empty":          {two, []string{two}, ""},
		"catalog":                {"<c:SystemsManagementCatalog>" + one + "<x/>" + two + "</c:SystemsManagementCatalog >", []string{one, two}, ""},
		"empty catalog":          {"<SystemsManagementCatalog/>", nil, ""},
		"package in a comment":   {"<SystemsManagementCatalog><!--" + one + "--></SystemsManagementCatalog>", nil, ""},
		"package in CDATA":       {"<SystemsManagementCatalog><![CDATA[" + one + "]]></SystemsManagementCatalog>", nil, ""},
		"what follows the end":   {"<SystemsManagementCatalog></SystemsManagementCatalog>" + one, nil, ""},
		"catalog without an end": {"<SystemsManagementCatalog>" + one, []string{one}, "cut short"},
		"package without an end": {"<SystemsManagementCatalog>\n" + one[:len(one)-10], nil, "line 2 does not end"},
		"another root":           {"<?xml version='1.0'?><!DOCTYPE html><html>", nil, `root element is "html"`},
		"nothing":                {"", nil, "cut short"},
		"encoding":               {"<?xml version='1.0' encoding='EBCDIC'?>" + one, nil, "ebcdic"},
		"too large": {
			"<SystemsManagementCatalog>" + one[:40] + strings.Repeat(" ", MaxPackage+chunk), nil, "more than",
		},
		"markup too large": {"<!--" + strings.Repeat("-", MaxPackage+chunk), nil, "more than"},
	} {
		found, err := pieces(strings.NewReader(c.text))
		if strings.Join(found, "|") != strings.Join(c.want, "|") {
			t.Errorf("%s: %.200q", name, found)
		}
		if (err == nil) != (c.err == "") || err != nil && !strings.Contains(err.Error(), c.err) {
			t.Errorf("%s: error %v, want %q", name, err, c.err)
		}
	}
}

func TestSplitterErrors(t *testing.T) {
	broken := errors.New("broken disk")
	if _, err := pieces(io.MultiReader(strings.NewReader("<SystemsManagementCatalog>"), failing{broken})); !errors.Is(err, broken) {
		t.Error(err)
	}
	if _, err := pieces(failing{broken}); !errors.Is(err, broken) {
		t.Error(err)
	}
}

type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

func TestLines(t *testing.T) {
	s, err := NewSplitter(strings.NewReader("\n<SystemsManagementCatalog>\n\n<SoftwareDistributionPackage/>\n <SoftwareDistributionPackage>\n</SoftwareDistributionPackage>"))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []int{4, 5} {
		if one, err := s.Next(); err != nil || one.Line != want {
			t.Errorf("line %d, want %d: %v", one.Line, want, err)
		}
	}
}

func TestParse(t *testing.T) {
	const around = `<c xmlns:s="` + SDP + `" xmlns="urn:other">`
	e, err := Parse([]byte(around), []byte(`<s:p a=" 1 " xmlns:x="urn:x" x:b="2"><s:k> one </s:k><k>two</k><s:k/><s:k>th&#114;ee<!-- --></s:k> <s:m><s:n/>text</s:m></s:p>`))
	if err != nil {
		t.Fatal(err)
	}
	if e.Name != "p" || e.Space != SDP || e.Attr("a") != "1" || e.Attr("b") != "" || len(e.Kids) != 5 {
		t.Errorf("%+v", e)
	}
	if _, has := e.Lookup("absent"); has {
		t.Error("an absent attribute is there")
	}
	if got := strings.Join(e.Content("k"), ","); got != "one,three" || e.First("k") != "one" || len(e.All("k")) != 3 || e.Kid("k").Text != "one" {
		t.Errorf("content %q", got)
	}
	var none *Element
	if none.Kid("k") != nil || none.All("k") != nil || none.Children() != nil || none.First("k") != "" || e.Kid("m").Text != "" {
		t.Error("something came of nothing")
	}
	for text, want := range map[string]string{
		"<p><q></p>": "q", "<p>": "cut short", "<p><q>&x;</q></p>": "p/q", "text": "cut short",
		"<p>" + strings.Repeat("<q>", maxNesting): "more than", "<p>" + strings.Repeat("<q/>", maxElements): "more than",
	} {
		if _, err := Parse(nil, []byte(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.20q: %v", text, err)
		}
	}
	if _, err := Parse([]byte("<c"), []byte("<p/>")); err == nil {
		t.Error("a broken start tag was read")
	}
}

// FuzzParse holds the tree against the decoder's own reading.
func FuzzParse(f *testing.F) {
	f.Add([]byte(`<a xmlns="urn:a" b="c"><d>e</d><f:g xmlns:f="urn:f"/></a>`))
	f.Fuzz(func(t *testing.T, text []byte) {
		e, err := Parse(nil, text)
		if err != nil {
			return
		}
		var plain struct {
			XMLName xml.Name
			Attrs   []xml.Attr `xml:",any,attr"`
		}
		if err := xml.NewDecoder(bytes.NewReader(text)).Decode(&plain); err != nil {
			t.Fatalf("the tree was read, and this was not: %v", err)
		}
		if plain.XMLName.Local != e.Name || plain.XMLName.Space != e.Space || len(plain.Attrs) != len(e.Attrs) {
			t.Errorf("%+v and %+v", plain, e)
		}
	})
}
