package page

import (
	"net/http"
	"slices"
	"strconv"

	"thatch/console/api"
)

// Refuse is the error of a form that cannot be done; text says why, in the reader's language.
func Refuse(text string) error {
	return &api.Error{Status: http.StatusBadRequest, Code: "invalid", Text: text}
}

// Number reads a field of the form as a whole number; an empty one is 0.
func (q *Request) Number(name string) (int, error) {
	text := q.Form(name)
	if text == "" {
		return 0, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil {
		return 0, Refuse(q.T("%q is no whole number.", text))
	}
	return n, nil
}

// Version reads the version that a form was filled in from, by default its field "version": what changed meanwhile is not
// overwritten, so a form that names none is refused.
func (q *Request) Version(field ...string) (int, error) {
	n, err := strconv.Atoi(q.Form(append(field, "version")[0]))
	if err != nil || n < 0 {
		return 0, Refuse(q.T("The form names no version. Open the page anew."))
	}
	return n, nil
}

// Chosen are the keys of the rows that were chosen, each once; none is what to say where there are none.
func (q *Request) Chosen(none string) ([]string, error) {
	keys := slices.DeleteFunc(slices.Compact(slices.Sorted(slices.Values(q.Forms("key")))), func(key string) bool { return key == "" })
	if len(keys) == 0 {
		return nil, Refuse(none)
	}
	return keys, nil
}
