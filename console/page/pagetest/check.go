package pagetest

import (
	"fmt"
	"io"
	"strings"
	"testing"

	"golang.org/x/net/html"
)

// Check fails a test where a page could not be used by everybody: a field without a name, a picture without words, two
// elements of one id, a heading that is left out, a link that says nothing; and where it holds what the content-security
// policy would stop.
func Check(t testing.TB, address, body string) {
	t.Helper()
	for _, fault := range Faults(body) {
		t.Errorf("%s: %s", address, fault)
	}
}

// Faults are what Check finds.
func Faults(body string) []string {
	c := checking{ids: map[string]bool{}, labels: map[string]bool{}}
	c.gather(body)
	c.read(body)
	if c.headings == 0 {
		c.fault("the page has no heading h1")
	}
	if !c.language {
		c.fault("the page does not say its language")
	}
	for _, id := range c.refers {
		if !c.ids[id] {
			c.fault("something refers to the id %q, which there is not", id)
		}
	}
	return c.faults
}

type checking struct {
	faults   []string
	ids      map[string]bool
	labels   map[string]bool // ids that a label names
	refers   []string
	open     []*element // from the document down
	headings int
	level    int
	language bool
}

// element is one that is open, with the text that was found in it.
type element struct {
	name  string
	attrs map[string]string
	text  strings.Builder
}

func (c *checking) fault(format string, args ...any) {
	c.faults = append(c.faults, fmt.Sprintf(format, args...))
}

// gather finds which fields have a label elsewhere.
func (c *checking) gather(body string) {
	z := html.NewTokenizer(strings.NewReader(body))
	for {
		switch z.Next() {
		case html.ErrorToken:
			return
		case html.StartTagToken:
			if token := z.Token(); token.Data == "label" {
				c.labels[attributes(token)["for"]] = true
			}
		}
	}
}

var empty = map[string]bool{
	"area": true, "base": true, "br": true, "col": true, "hr": true, "img": true, "input": true, "link": true, "meta": true,
	"path": true, "rect": true, "circle": true, "line": true, "polyline": true,
}

func (c *checking) read(body string) {
	z := html.NewTokenizer(strings.NewReader(body))
	for {
		switch z.Next() {
		case html.ErrorToken:
			if z.Err() != io.EOF {
				c.fault("the page cannot be read: %v", z.Err())
			}
			return
		case html.TextToken:
			text := z.Text()
			for _, e := range c.open {
				e.text.Write(text)
			}
		case html.StartTagToken, html.SelfClosingTagToken:
			c.start(z.Token())
		case html.EndTagToken:
			c.end(z.Token().Data)
		}
	}
}

func attributes(token html.Token) map[string]string {
	attrs := map[string]string{}
	for _, a := range token.Attr {
		attrs[a.Key] = a.Val
	}
	return attrs
}

func (c *checking) start(token html.Token) {
	e := &element{name: token.Data, attrs: attributes(token)}
	if id, ok := e.attrs["id"]; ok {
		if c.ids[id] {
			c.fault("the id %q stands twice", id)
		}
		c.ids[id] = true
	}
	for name := range e.attrs {
		if name == "style" || strings.HasPrefix(name, "on") {
			c.fault("<%s> has the attribute %s, which the content-security policy stops", e.name, name)
		}
	}
	for _, name := range []string{"for", "aria-labelledby", "aria-describedby", "data-copy"} {
		if id := e.attrs[name]; id != "" {
			c.refers = append(c.refers, id)
		}
	}
	c.element(e)
	if token.Type == html.StartTagToken && !empty[e.name] {
		c.open = append(c.open, e)
	}
}

// element judges what can be judged at an element's beginning.
func (c *checking) element(e *element) {
	switch e.name {
	case "html":
		c.language = e.attrs["lang"] != ""
	case "img":
		if _, ok := e.attrs["alt"]; !ok {
			c.fault("a picture has no words: %s", e.attrs["src"])
		}
	case "input", "select", "textarea":
		if !c.named(e) {
			c.fault("the field %q has no label", e.attrs["name"])
		}
	case "script", "style":
		if e.attrs["src"] == "" {
			c.fault("the page holds a <%s> of its own", e.name)
		}
	case "svg":
		if e.attrs["aria-hidden"] != "true" && e.attrs["aria-label"] == "" {
			c.fault("a drawing has no words")
		}
	case "form":
		if e.attrs["method"] == "" {
			c.fault("a form does not say how it is sent")
		}
	}
}

// named says whether people hear what a field is for.
func (c *checking) named(e *element) bool {
	switch e.attrs["type"] {
	case "hidden", "submit":
		return true
	}
	if e.attrs["aria-label"] != "" || e.attrs["aria-labelledby"] != "" || e.attrs["id"] != "" && c.labels[e.attrs["id"]] {
		return true
	}
	for _, outer := range c.open {
		if outer.name == "label" {
			return true
		}
	}
	return false
}

func (c *checking) end(name string) {
	for i := len(c.open) - 1; i >= 0; i-- {
		if c.open[i].name != name {
			continue
		}
		for _, e := range c.open[i:] {
			c.close(e)
		}
		c.open = c.open[:i]
		return
	}
	if !empty[name] {
		c.fault("</%s> ends what was not begun", name)
	}
}

// close judges what can be judged at an element's end.
func (c *checking) close(e *element) {
	text := strings.TrimSpace(e.text.String()) + e.attrs["aria-label"] + e.attrs["title"]
	switch e.name {
	case "a", "button", "summary", "label", "option":
		if text == "" && e.attrs["value"] == "" {
			c.fault("a <%s> says nothing: %v", e.name, e.attrs)
		}
	case "h1", "h2", "h3", "h4":
		level := int(e.name[1] - '0')
		if level == 1 {
			c.headings++
		}
		if level > c.level+1 {
			c.fault("the heading %q is of level %d after one of level %d", text, level, c.level)
		}
		c.level = level
	}
}
