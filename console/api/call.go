package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/gorilla/mux"

	"thatch/node"
	"thatch/node/identity"
	"thatch/node/store"
)

// MaxBody is the largest request body, in bytes, where a route says nothing else.
const MaxBody = 1 << 20

const defaultPage = 100

// Call is one request on its way through a route.
type Call struct {
	Node   *node.Node
	Who    identity.Operator
	caller *store.Caller
	route  *Route
	r      *http.Request
	body   []byte
	whole  bool // the answer counts more than the caller's part of the site
}

// Context is the request's: reads under it see what the client wrote before, writes under it carry the actor.
func (c *Call) Context() context.Context { return c.r.Context() }

// Fresh is a context whose reads see what this very call wrote.
func (c *Call) Fresh() context.Context { return store.AtLeast(c.Context(), c.caller.Index()) }

// Var is a name of the path, unescaped.
func (c *Call) Var(name string) string { return mux.Vars(c.r)[name] }

// Arg is a query parameter, "" when it is not given.
func (c *Call) Arg(name string) string { return c.r.URL.Query().Get(name) }

// Args are the values of a query parameter that may be given several times.
func (c *Call) Args(name string) []string { return c.r.URL.Query()[name] }

// Flag is a query parameter that says yes or no.
func (c *Call) Flag(name string) bool {
	on, err := strconv.ParseBool(c.Arg(name))
	return err == nil && on
}

// List reads what every list takes: q, sort ("-name" descending), page, limit, and one parameter per column.
func (c *Call) List() (store.Query, error) {
	args := c.r.URL.Query()
	q := store.Query{Search: args.Get("q"), Filter: map[string]string{}}
	q.Sort, q.Descending = strings.CutPrefix(args.Get("sort"), "-")
	page, err := positive(args.Get("page"), 1)
	if err != nil {
		return q, fmt.Errorf("page: %w", err)
	}
	if q.Limit, err = positive(args.Get("limit"), defaultPage); err != nil {
		return q, fmt.Errorf("limit: %w", err)
	}
	if q.Limit > store.MaxPage {
		return q, store.Invalid("limit: at most %d rows are given at once; ask for pages", store.MaxPage)
	}
	q.Offset = (page - 1) * q.Limit
	for name := range args {
		if slices.Contains(c.route.Columns, name) {
			q.Filter[name] = args.Get(name)
		}
	}
	err = c.narrow(&q) // before q is returned: what it leaves out guards what others may not see
	return q, err
}

// Listed makes the answer of a list from the rows of a page and the number of all.
func Listed[T any](q store.Query, items []T, total int) List[T] {
	if items == nil {
		items = []T{}
	}
	return List[T]{Items: items, Total: total, Page: q.Offset/max(q.Limit, 1) + 1, Limit: q.Limit}
}

func positive(text string, absent int) (int, error) {
	if text == "" {
		return absent, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 || n > 1<<30 {
		return 0, store.Invalid("%.40q is no number from 1", text)
	}
	return n, nil
}

// checkArgs refuses query parameters that the route does not know, so that a misspelt filter is not ignored, and calls
// without those that it needs.
func (c *Call) checkArgs() error {
	for _, name := range c.route.Needs {
		if c.Arg(name) == "" {
			return store.Invalid("the parameter %q is missing", name)
		}
	}
	for name := range c.r.URL.Query() {
		if !slices.Contains(c.route.parameters(), name) {
			return store.Invalid("there is no parameter %q here; there are: %s", name,
				strings.Join(c.route.parameters(), ", "))
		}
	}
	return nil
}

func (r *Route) parameters() []string {
	var names []string
	if r.Columns != nil {
		names = append([]string{"q", "sort", "page", "limit"}, r.Columns...)
	}
	for _, p := range r.Query {
		names = append(names, p.Name)
	}
	return names
}

// readBody takes the body in before the route runs, so that the audit log can keep it.
func (c *Call) readBody(w http.ResponseWriter) error {
	limit := c.route.Limit
	if limit == 0 {
		limit = MaxBody
	}
	in := http.MaxBytesReader(w, c.r.Body, limit)
	if c.route.File {
		c.r.Body = in
		return nil
	}
	body, err := io.ReadAll(in)
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge):
		return AsError(err)
	case err != nil:
		return store.Invalid("the request could not be read: %v", err)
	}
	c.body = body
	return nil
}

// File is the body of a route that takes a file. Reading it fails beyond the route's limit.
func (c *Call) File() io.Reader { return c.r.Body }

func (c *Call) decode(into any) error {
	if len(c.body) == 0 {
		return store.Invalid("the request has no body; %s %s takes JSON (see /api/v1/openapi.json)", c.route.Method, c.route.Path)
	}
	dec := json.NewDecoder(strings.NewReader(string(c.body)))
	dec.DisallowUnknownFields()
	if err := dec.Decode(into); err != nil {
		return store.Invalid("the request's JSON: %v", err)
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return store.Invalid("the request's JSON is followed by something else")
	}
	return nil
}

// unescape turns the names of the path into what they stand for: ids may contain slashes, escaped.
func (c *Call) unescape() error {
	vars := mux.Vars(c.r)
	for name, value := range vars {
		plain, err := url.PathUnescape(value)
		if err != nil {
			return store.Invalid("%s in the path: %v", name, err)
		}
		vars[name] = plain
	}
	return nil
}
