package xmlscan

import (
	"bytes"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
)

// One byte at a time is the same document.
func TestScannerDoesNotDependOnHowItIsFed(t *testing.T) {
	text := "\ufeff<?xml version='1.0'?><!-- c --><a:cvrfdoc x='1>2'><b>t&amp;<![CDATA[<&>]]>u</b><c/><d y=\"z\" /></a:cvrfdoc>\n"
	events := func(r io.Reader) []string {
		s := New(r)
		var all []string
		for {
			ev, err := s.Next()
			if err != nil {
				t.Fatal(err)
			}
			if ev == Finished {
				return all
			}
			name := string(s.name)
			if ev == Start && name == "b" {
				raw, err := s.Leaf()
				if err != nil {
					t.Fatal(err)
				}
				name += "=" + string(raw)
			}
			all = append(all, name)
		}
	}
	want := []string{"cvrfdoc", "b=t&<&>u", "c", "c", "d", "d", "cvrfdoc"}
	if got := events(strings.NewReader(text)); !slices.Equal(got, want) {
		t.Errorf("%q", got)
	}
	if got := events(oneByte{strings.NewReader(text)}); !slices.Equal(got, want) {
		t.Errorf("a byte at a time: %q", got)
	}
}

type oneByte struct{ r io.Reader }

func (o oneByte) Read(p []byte) (int, error) { return o.r.Read(p[:1]) }

// scan reads to the end and returns the names of the tags.
func scan(r io.Reader) (*Scanner, []string, error) {
	s := New(r)
	var names []string
	for {
		ev, err := s.Next()
		if err != nil || ev == Finished {
			return s, names, err
		}
		names = append(names, string(s.Name()))
	}
}

// Memory does not grow with the file: many megabytes of text pass through one buffer.
func TestMemoryDoesNotGrow(t *testing.T) {
	body := bytes.Repeat([]byte("&lt;p&gt;words and words&lt;/p&gt;\n"), 1<<14)
	parts := []io.Reader{strings.NewReader("<a><b>")}
	for range 40 {
		parts = append(parts, bytes.NewReader(body))
	}
	parts = append(parts, strings.NewReader("</b></a>"))
	s, names, err := scan(io.MultiReader(parts...))
	if err != nil || len(names) != 4 || cap(s.buf) != bufferSize || cap(s.text) != 0 {
		t.Errorf("%v, %v, buffer of %d, text of %d", names, err, cap(s.buf), cap(s.text))
	}
	if line := s.Line(); line != 40<<14+1 {
		t.Errorf("line %d", line)
	}
}

func TestWellFormed(t *testing.T) {
	for text, want := range map[string]string{
		"<a/>":    "",
		"<a></a>": "",
		" <?xml version='1.0'?>\n<!DOCTYPE a><a/><!-- c -->\n": "",
		"<a b='>'/>":                         "",
		"":                                   "no XML element",
		"<a>":                                "inside <a>",
		"<a><b></a>":                         "</b> is wanted",
		"<a/><b/>":                           "second root",
		"<a/>x":                              "outside of the root",
		"x<a/>":                              "outside of the root",
		"</a>":                               "closes nothing",
		"<a":                                 "inside a tag",
		"<a><!-- ":                           "comment",
		"<a><![CDATA[":                       "CDATA",
		"<a><?x":                             "processing instruction",
		"<1/>":                               "no element name",
		"< a/>":                              "no element name",
		"<a><!x></a>":                        "no comment",
		"<!DOCTYPE a [<!ENTITY b 'c'>]><a/>": "declarations of its own",
		"\n\n<a>\n</b>":                      "line 4",
	} {
		_, _, err := scan(strings.NewReader(text))
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", text, err, want)
		}
	}
}

func TestAttributesAndLeaves(t *testing.T) {
	s := New(strings.NewReader(`<r xmlns:p="u"><e p:one = "1 &amp; 2" two='"' three="&#x41;"><!-- x -->a<i>not this</i> b </e><f bad/></r>`))
	for range 2 {
		if ev, err := s.Next(); ev != Start || err != nil {
			t.Fatal(ev, err)
		}
	}
	for name, want := range map[string]string{"one": "1 & 2", "two": `"`, "three": "A", "four": ""} {
		if got, err := s.Attr(name); string(got) != want || err != nil {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
	if text, err := s.Leaf(); string(text) != "a b" || err != nil {
		t.Errorf("%q, %v", text, err)
	}
	if ev, err := s.Next(); ev != Start || string(s.Name()) != "f" || err != nil {
		t.Error(ev, err)
	}
	if err := s.Skip(); err != nil {
		t.Error(err)
	}
	if ev, err := s.Next(); ev != End || string(s.Name()) != "r" || err != nil {
		t.Error(ev, err)
	}
	if ev, err := s.Next(); ev != Finished || err != nil {
		t.Error(ev, err)
	}
}

// walk tells everything that is read: names, the attribute x, the texts of elements that begin with t; what
// begins with s is skipped.
func walk(r io.Reader) (told string) {
	s := New(r)
	for {
		ev, err := s.Next()
		if err != nil || ev == Finished {
			return fmt.Sprintf("%s, an error: %t", told, err != nil) // whose words may depend on what is in the buffer
		}
		told += fmt.Sprintf(" %d %q", ev, s.Name())
		if ev != Start {
			continue
		}
		initial := s.Name()[:1]
		switch string(initial) {
		case "t":
			raw, err := s.Leaf()
			if told += fmt.Sprintf("=%q", raw); err != nil {
				return told + " fails"
			}
		case "s":
			if err := s.Skip(); err != nil {
				return told + " fails"
			}
		default:
			raw, err := s.Attr("x")
			if told += fmt.Sprintf(" x=%q", raw); err != nil {
				return told + " fails"
			}
		}
	}
}

// What is read at once, without looking for tags one by one, is what would have been read otherwise.
func TestQuickWaysAreTheSlowOnes(t *testing.T) {
	for _, text := range []string{
		"<a><t>b</t><t> b </t ><t>1 &lt; 2\n</t><t/><t></t><t>b<t>c</t>d</t></a>",
		"<p:a><p:t>b</p:t><t>b</p:t></p:a>",
		"<p:a><p:t>b</t></p:a>",
		"<a><s>b<c>d</c><c/><s></s> </s><s/><s></s><t>e</t></a>",
		"<a><s>b<c>d</e></c></s></a>",
		"<a><s>b</c></a>",
		"<a><t>b<!-- c --></t><t><![CDATA[<d>]]></t></a>",
		"<a x='1'><b x='&amp;'/><c\nx = \"2\"></c></a>",
		"<a><b\"x=''></a>", "<a><b<c></a>", "<a><b'></a>", "<a><b></b", "<a><t>b</t", "<a><t>b",
		"<a><t>&nothing;</t></a>", "<a><t>" + strings.Repeat("b", MaxText+1) + "</t></a>", "<a><t>" + strings.Repeat("b", MaxText) + "</t></a>",
	} {
		slowly := walk(oneByte{strings.NewReader(text)})
		if quickly := walk(strings.NewReader(text)); quickly != slowly {
			t.Errorf("%.80q: %.200s; a byte at a time: %.200s", text, quickly, slowly)
		}
	}
}

// Whatever comes, it ends, and a document that encoding/xml cannot read either is refused or was not looked into.
func FuzzScan(f *testing.F) {
	f.Add([]byte("<a b='c'>d<![CDATA[e]]><!-- f --><g/></a>"))
	f.Add([]byte("\xff\xfe<\x00a\x00/\x00>\x00"))
	f.Add([]byte("\xef\xbb\xbf<a>&#65;</a>"))
	f.Fuzz(func(t *testing.T, raw []byte) {
		slowly := walk(oneByte{bytes.NewReader(raw)})
		if quickly := walk(bytes.NewReader(raw)); quickly != slowly {
			t.Errorf("%q: %s; a byte at a time: %s", raw, quickly, slowly)
		}
		_, names, err := scan(bytes.NewReader(raw))
		if err == nil && len(names)%2 != 0 {
			t.Errorf("%q: %d tags", raw, len(names))
		}
		s := New(bytes.NewReader(raw))
		for {
			ev, err := s.Next()
			if err != nil || ev == Finished {
				return
			}
			if ev == Start {
				_, _ = s.Attr("b")
				if _, err := s.Leaf(); err != nil {
					return
				}
			}
		}
	})
}
