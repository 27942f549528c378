package msrc

import (
	"cmp"
	"slices"

	"thatch/catalog/importer"
)

// oddities counts irregularities by kind; of each kind the first is described.
type oddities struct {
	file  string
	kinds map[string]*importer.Warning
}

// seen counts one. Where and text are asked for only the first time.
func (o *oddities) seen(kind string, describe func() (element, text string)) {
	if w := o.kinds[kind]; w != nil {
		w.Times++
		return
	}
	element, text := describe()
	if o.kinds == nil {
		o.kinds = make(map[string]*importer.Warning)
	}
	o.kinds[kind] = &importer.Warning{File: o.file, Element: element, Text: text, Kind: kind, Times: 1}
}

// tell hands all of them over, sorted by kind.
func (o *oddities) tell(warn func(importer.Warning)) {
	kinds := make([]string, 0, len(o.kinds))
	for kind := range o.kinds {
		kinds = append(kinds, kind)
	}
	slices.Sort(kinds)
	for _, kind := range kinds {
		w := *o.kinds[kind]
		w.File = o.file
		warn(w)
	}
}

// tally counts the values that several rows give for one thing.
type tally []counted

type counted struct {
	value string
	n     int
}

// add counts a value; empty ones do not count.
func (t *tally) add(value string) {
	if value == "" {
		return
	}
	for i := range *t {
		if (*t)[i].value == value {
			(*t)[i].n++
			return
		}
	}
	*t = append(*t, counted{value, 1})
}

// most returns the value seen most often, of equals the first in order.
func (t tally) most() string {
	if len(t) == 0 {
		return ""
	}
	return slices.MinFunc(t, func(a, b counted) int {
		return cmp.Or(cmp.Compare(b.n, a.n), cmp.Compare(a.value, b.value))
	}).value
}

// best returns the value that compares greatest, of equals the one seen most often.
func (t tally) best(compare func(a, b string) int) string {
	if len(t) == 0 {
		return ""
	}
	return slices.MaxFunc(t, func(a, b counted) int {
		return cmp.Or(compare(a.value, b.value), cmp.Compare(a.n, b.n), cmp.Compare(b.value, a.value))
	}).value
}
