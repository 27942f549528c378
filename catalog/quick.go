package catalog

import (
	"bytes"
	"strconv"
	"sync"

	"thatch/catalog/rule"
)

// encodeQuickly writes bulletins and updates, of which an import makes thousands, as encoding/json would, several times
// faster. Those with fields that few have, and all other bodies, are not ok.
func encodeQuickly(body any) (raw []byte, ok bool) {
	scratch := scratches.Get().(*fields)
	f := (*scratch)[:0]
	switch v := body.(type) {
	case Bulletin:
		f, ok = quickBulletin(f, &v)
	case Update:
		f, ok = quickUpdate(f, &v)
	}
	if ok {
		raw = bytes.Clone(f)
	}
	if cap(f) <= maxScratch {
		*scratch = f
	}
	scratches.Put(scratch)
	return raw, ok
}

// scratches are buffers in which bodies are written, to be copied in the size that they turn out to have.
var scratches = sync.Pool{New: func() any { return new(fields) }}

// maxScratch is the largest buffer that is kept, in bytes.
const maxScratch = 64 << 10

// fields writes the fields of a JSON object in turn, those that may be left out where they are empty with text, the
// others with must.
type fields []byte

func (f *fields) key(name string) {
	if n := len(*f); (*f)[n-1] != '{' {
		*f = append(*f, ',')
	}
	*f = append(append(append(*f, '"'), name...), `":`...)
}

func (f *fields) must(name, value string) {
	f.key(name)
	*f = rule.AppendText(*f, value)
}

func (f *fields) text(name, value string) {
	if value != "" {
		f.must(name, value)
	}
}

func (f *fields) number(name string, value int) {
	f.key(name)
	*f = strconv.AppendInt(*f, int64(value), 10)
}

func (f *fields) yes(name string, value bool) {
	if value {
		f.key(name)
		*f = append(*f, "true"...)
	}
}

func (f *fields) texts(name string, values []string) {
	list(f, name, values, func(value string) { *f = rule.AppendText(*f, value) })
}

func (f *fields) rule(name string, value *rule.Rule) {
	if value != nil {
		f.key(name)
		*f = rule.Append(*f, value)
	}
}

func list[T any](f *fields, name string, values []T, write func(T)) {
	if len(values) == 0 {
		return
	}
	f.key(name)
	for i, value := range values {
		if i == 0 {
			*f = append(*f, '[')
		} else {
			*f = append(*f, ',')
		}
		write(value)
	}
	*f = append(*f, ']')
}

// plainScore says whether encoding/json writes a score without an exponent.
func plainScore(score float64) bool { return score == 0 || score >= 1e-6 && score < 1e21 }

func quickBulletin(f fields, b *Bulletin) (fields, bool) {
	for i := range b.CVEs {
		if !plainScore(b.CVEs[i].Score) {
			return f, false
		}
	}
	f = append(f, '{')
	f.must("name", b.Name)
	f.must("source", b.Source)
	f.must("vendor", b.Vendor)
	f.must("title", b.Title)
	f.text("description", b.Description)
	f.text("severity", string(b.Severity))
	f.text("released", b.Released)
	f.text("revised", b.Revised)
	f.text("url", b.URL)
	list(&f, "cves", b.CVEs, f.cve)
	list(&f, "named", b.Named, f.named)
	return append(f, '}'), true
}

func (f *fields) cve(c CVE) {
	*f = append(*f, '{')
	f.must("id", c.ID)
	f.text("title", c.Title)
	f.text("severity", string(c.Severity))
	if c.Score != 0 {
		f.key("score")
		*f = strconv.AppendFloat(*f, c.Score, 'f', -1, 64)
	}
	f.text("vector", c.Vector)
	f.yes("exploited", c.Exploited)
	f.yes("disclosed", c.Disclosed)
	*f = append(*f, '}')
}

func (f *fields) named(n NamedBy) {
	*f = append(*f, '{')
	f.must("file", n.File)
	f.number("cves", n.CVEs)
	f.text("released", n.Released)
	*f = append(*f, '}')
}

func quickUpdate(f fields, u *Update) (fields, bool) {
	if len(u.Prerequisites) > 0 || len(u.Texts) > 0 {
		return f, false
	}
	f = append(f, '{')
	f.must("name", u.Name)
	f.must("bulletin", u.Bulletin)
	f.must("source", u.Source)
	f.must("vendor", u.Vendor)
	f.text("title", u.Title)
	f.text("kb", u.KB)
	f.key("product")
	f = append(f, '{')
	f.text("id", u.Product.ID)
	f.must("name", u.Product.Name)
	f.text("family", u.Product.Family)
	f = append(f, '}')
	f.text("severity", string(u.Severity))
	f.texts("cves", u.CVEs)
	f.text("class", u.Class)
	f.text("restart", string(u.Restart))
	f.text("fixed_build", u.FixedBuild)
	f.text("url", u.URL)
	f.texts("supersedes", u.Supersedes)
	f.texts("bundles", u.Bundles)
	f.yes("withdrawn", u.Withdrawn)
	f.yes("detector", u.Detector)
	f.rule("applicable", u.Applicable)
	f.rule("installed", u.Installed)
	f.rule("superseded", u.Superseded)
	f.text("no_rule", u.NoRule)
	return append(f, '}'), true
}
