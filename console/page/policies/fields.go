package policies

import (
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"thatch/catalog/policy"
	"thatch/console/page"
)

// fields are what a form says, from the form that was sent or from the address: so that going back and forth, counting and
// reloading keep everything, and nothing is remembered but there.
type fields url.Values

// asked are the fields that a request carries, of those known; empty ones are left out.
func asked(q *page.Request, known func(name string) bool) fields {
	from := q.R.URL.Query()
	if q.Sent() {
		from = q.R.PostForm
	}
	f := fields{}
	for name, values := range from {
		if !known(name) {
			continue
		}
		for _, value := range values {
			if value = strings.TrimSpace(value); value != "" && !slices.Contains(f[name], value) {
				f[name] = append(f[name], value)
			}
		}
	}
	return f
}

// Get is the first value of a field, or "".
func (f fields) Get(name string) string { return url.Values(f).Get(name) }

// Has says whether a field has a value.
func (f fields) Has(name, value string) bool { return slices.Contains(f[name], value) }

// All are the values of a field.
func (f fields) All(name string) []string { return f[name] }

func (f fields) set(name, value string) {
	if value == "" {
		delete(f, name)
		return
	}
	f[name] = []string{value}
}

// at is an address with the fields.
func (f fields) at(path string) string {
	if len(f) == 0 {
		return path
	}
	return path + "?" + url.Values(f).Encode()
}

// count reads a whole number that is not negative; an empty field is 0.
func (f fields) count(q *page.Request, name string) (int, error) {
	text := f.Get(name)
	if text == "" {
		return 0, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 0 {
		return 0, page.Refuse(q.T("%q is no whole number.", text))
	}
	return n, nil
}

// Fields of targets and plans in forms.
var (
	targetFields = []string{"everyone", "platform", "language", "type", "names", "except"}
	planFields   = []string{"start", "at", "clock", "spread", "simultaneous"}
)

// split reads a list as people write it: with commas, spaces or lines between.
func split(text string) []string {
	list := strings.FieldsFunc(text, func(r rune) bool { return r == ',' || r == ';' || r == '\n' || r == '\r' || r == ' ' || r == '\t' })
	return slices.Compact(list)
}

// target is the target that a form says. Windows ask nobody's needs.
func (f fields) target(needs bool) *policy.Target {
	return &policy.Target{
		NeedsIt: needs && f.Get("everyone") == "", Platforms: f["platform"], Languages: split(strings.ToLower(f.Get("language"))),
		ProductTypes: f["type"], Names: split(f.Get("names")), ExceptNames: split(f.Get("except")),
	}
}

// setTarget has the form say a target.
func (f fields) setTarget(t *policy.Target, needs bool) {
	if needs && !t.NeedsIt {
		f.set("everyone", "yes")
	}
	for name, values := range map[string][]string{"platform": t.Platforms, "type": t.ProductTypes} {
		if len(values) > 0 {
			f[name] = values
		}
	}
	f.set("language", strings.Join(t.Languages, ", "))
	f.set("names", strings.Join(t.Names, ", "))
	f.set("except", strings.Join(t.ExceptNames, ", "))
}

// Clocks that a start may go by.
const (
	ownClocks = "own"  // every computer's
	myClock   = "mine" // the reader's: one moment for all
)

// faceTime is a time of day on a date as browsers send it.
const faceTime = "2006-01-02T15:04"

// plan is the plan that a form says.
func (f fields) plan(q *page.Request) (*policy.Plan, error) {
	p := &policy.Plan{When: f.Get("start")}
	if p.When == "" {
		p.When = policy.StartASAP
	}
	if p.When == policy.StartAt {
		if p.At = f.Get("at"); f.Get("clock") == myClock {
			at, err := time.ParseInLocation(faceTime, p.At, q.Zone())
			if err != nil {
				return nil, page.Refuse(q.T("%q is no time; write one such as 2026-12-01T22:00.", p.At))
			}
			p.At = at.UTC().Format(time.RFC3339)
		}
	}
	var err error
	if p.SpreadMinutes, err = f.count(q, "spread"); err != nil {
		return nil, err
	}
	p.Simultaneous, err = f.count(q, "simultaneous")
	return p, err
}

// setPlan has the form say a plan.
func (f fields) setPlan(q *page.Request, p policy.Plan) {
	f.set("start", p.When)
	f.set("clock", ownClocks)
	f.set("at", p.At)
	if at, err := time.Parse(time.RFC3339, p.At); err == nil {
		f.set("at", at.In(q.Zone()).Format(faceTime))
		f.set("clock", myClock)
	}
	f.setCount("spread", p.SpreadMinutes)
	f.setCount("simultaneous", p.Simultaneous)
}

func (f fields) setCount(name string, n int) {
	if n != 0 {
		f.set(name, strconv.Itoa(n))
	}
}
