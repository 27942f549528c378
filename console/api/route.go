package api

import (
	"context"
	"net/http"
	"reflect"
	"time"

	"thatch/node/identity"
	"thatch/node/store"
)

// Route is one line of the table from which the router, the checks of a call and the OpenAPI document are made.
type Route struct {
	Method  string // GET, POST, PUT, DELETE
	Path    string // below /api/v1, with {names}: "/bulletins/{id}"
	Scope   identity.Scope
	Summary string   // one line for people
	Query   []Param  // query parameters beside those of lists
	Needs   []string // names of those without which the call makes no sense
	Columns []string // of a list: what can be filtered and sorted; nil where the route is no list
	Reach   Reach
	// Alters names what the route changes, by the path of a GET route whose {names} are those of this route's path, of members
	// of its body, or of its answer: "/policies/{id}". After a "#" follow the members of that answer that count, after a "?" the
	// filter of a list. The audit log keeps how it stood before and after. "": the route changes nothing that stands.
	Alters string
	Limit  int64 // of the request body in bytes; 0: MaxBody
	File   bool  // the body is a file as it stands, which the action reads by Call.File
	Do     Action
}

// Param describes a query parameter.
type Param struct {
	Name string
	Type string // string, integer, boolean
	Text string
}

// None is the In of a route that reads no body, and the Out of one that answers with nothing but 204.
type None struct{}

// Action is what a route does, with the types of its request and answer. Make one with Do or Stream.
type Action struct {
	in, out reflect.Type
	media   string
	run     func(c *Call) (any, error)
	stream  func(c *Call, w http.ResponseWriter) error
}

// Do makes an Action of a function. In is decoded from the JSON body (unknown fields are errors), Out is encoded; a
// list answers List[T].
func Do[In, Out any](run func(c *Call, in In) (Out, error)) Action {
	return Action{
		in: reflect.TypeFor[In](), out: reflect.TypeFor[Out](), media: "application/json",
		run: func(c *Call) (any, error) {
			var in In
			if reflect.TypeFor[In]() != reflect.TypeFor[None]() {
				if err := c.decode(&in); err != nil {
					return nil, err
				}
			}
			return run(c, in)
		},
	}
}

// Get makes an Action of a function that reads no body.
func Get[Out any](run func(c *Call) (Out, error)) Action {
	return Do(func(c *Call, _ None) (Out, error) { return run(c) })
}

// Stream makes an Action that writes its answer itself. An error returned before anything was written is answered
// like any other.
func Stream(media string, run func(c *Call, w http.ResponseWriter) error) Action {
	return Action{in: reflect.TypeFor[None](), media: media, stream: run}
}

// List is the answer of every list.
type List[T any] struct {
	Items []T `json:"items"`
	Total int `json:"total"` // rows that match, on all pages
	Page  int `json:"page"`  // from 1
	Limit int `json:"limit"` // rows per page
	// Of a list as of a past day, that day, and when its figures were taken.
	AsOf  string    `json:"as_of,omitempty"`
	Taken time.Time `json:"taken,omitzero"`
}

// Run is the answer of a route that started a task: watch it at /api/v1/runs/{run}.
type Run struct {
	Run string `json:"run"`
}

// Made names what was made.
type Made struct {
	ID string `json:"id"`
}

// GetList makes the Action of a list from a function that reads a page of it and the number of all.
func GetList[T any](read func(ctx context.Context, q store.Query) ([]T, int, error)) Action {
	return Get(func(c *Call) (List[T], error) {
		q, err := c.List()
		if err != nil {
			return List[T]{}, err
		}
		items, total, err := read(c.Context(), q)
		if err != nil {
			return List[T]{}, err
		}
		return Listed(q, items, total), nil
	})
}
