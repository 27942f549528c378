package page

import (
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"thatch/console/api"
	"thatch/node/identity"
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

// inMemory is how much of a form with files is held in memory; the rest waits on disk.
const inMemory = 1 << 20

// withFiles says whether a form with files was sent.
func (q *Request) withFiles() bool {
	return strings.HasPrefix(q.R.Header.Get("Content-Type"), "multipart/form-data")
}

// takeFiles reads a form with files, of an operator, sent by a page of this console as far as the browser says: its token is
// among what is read.
func (q *Request) takeFiles(w http.ResponseWriter) error {
	if !q.withFiles() {
		return nil
	}
	if err := q.Session.Operator.Require(identity.Operate); err != nil {
		return err
	}
	if !SameOrigin(q.R) {
		return q.genuine()
	}
	q.R.Body = http.MaxBytesReader(w, q.R.Body, q.page.Files)
	err := q.R.ParseMultipartForm(inMemory)
	if err != nil && api.AsError(err).Status != http.StatusRequestEntityTooLarge {
		return Refuse(q.T("The form could not be read: %s.", err))
	}
	return err
}

func (q *Request) dropFiles() {
	if q.R.MultipartForm != nil {
		_ = q.R.MultipartForm.RemoveAll() // the system empties its folder for what is not kept
	}
}

// File opens a file of the form; none says that there is none.
func (q *Request) File(field, none string) (name string, content io.ReadCloser, err error) {
	file, head, err := q.R.FormFile(field)
	if err != nil {
		return "", nil, Refuse(none)
	}
	return head.Filename, file, nil
}
