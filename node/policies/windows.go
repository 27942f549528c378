package policies

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"thatch/catalog/document"
	"thatch/catalog/policy"
	"thatch/node/computers"
	"thatch/node/store"
	"thatch/schedule"
)

// WindowBody is the body of a document of kind window: the window, and which computers it is for. Agents read the
// window alone; a node gives them those that are theirs.
type WindowBody struct {
	schedule.Window
	Target *policy.Target `json:"target,omitempty"` // nil: every computer
}

// window is one maintenance window in memory. One that cannot be read, or whose target has unknown parts, is never open
// and is given to nobody.
type window struct {
	doc  document.Document
	body WindowBody
	err  error
}

func newWindow(doc document.Document) *window {
	w := &window{doc: doc}
	if w.err = json.Unmarshal(doc.Body, &w.body); w.err == nil {
		w.err = w.body.Validate()
	}
	return w
}

// is says whether the window is for a computer.
func (w *window) is(c policy.Computer) bool {
	return w.err == nil && (w.body.Target == nil || w.body.Target.Match(c))
}

// Window is one maintenance window of a list.
type Window struct {
	ID string `json:"id"`
	schedule.Window
	Target  *policy.Target `json:"target,omitempty"`
	Text    string         `json:"text"`              // when, in words
	Opens   *time.Time     `json:"opens,omitempty"`   // next, in the window's zone or else in UTC
	IsOpen  bool           `json:"open"`              // now, in the window's zone or else in UTC
	Closes  *time.Time     `json:"closes,omitempty"`  // when, where it is open and ever closes
	Count   int            `json:"computers"`         // for which it is
	Problem string         `json:"problem,omitempty"` // why it is never open
	Origin  string         `json:"origin"`            // id of the site that made it
	Version string         `json:"version"`           // changes say which version they were made from
}

var windowColumns = []store.Column[*Window]{
	{Name: "id", Value: func(w *Window) any { return w.ID }},
	{Name: "name", Value: func(w *Window) any { return w.Name }, Search: true},
	{Name: "repeat", Value: func(w *Window) any { return string(w.Repeat) }},
	{Name: "zone", Value: func(w *Window) any { return w.Zone }},
	{Name: "minutes", Kind: store.Number, Value: func(w *Window) any { return w.Minutes }},
	{Name: "computers", Kind: store.Number, Value: func(w *Window) any { return w.Count }},
	{Name: "open", Kind: store.Flag, Value: func(w *Window) any { return w.IsOpen }},
}

// WindowColumns names what the list of windows can be filtered and sorted by.
func WindowColumns() []string { return store.ColumnNames(windowColumns) }

// Windows returns a page of the maintenance windows, by name, and how many fit the query.
func (r *Room) Windows(ctx context.Context, q store.Query) (page []*Window, total int, err error) {
	o, err := r.load(ctx)
	if err != nil {
		return nil, 0, err
	}
	var rows []*Window
	for _, w := range o.windows {
		rows = append(rows, r.windowRow(w))
	}
	return store.Select(q, rows, windowColumns)
}

// Window returns the maintenance window with an id, or with a name that it alone bears.
func (r *Room) Window(ctx context.Context, name string) (*Window, error) {
	o, err := r.load(ctx)
	if err != nil {
		return nil, err
	}
	w, err := o.window(name)
	if err != nil {
		return nil, err
	}
	return r.windowRow(w), nil
}

func (o *orders) window(name string) (*window, error) {
	var found *window
	for _, w := range o.windows {
		switch {
		case w.doc.ID == name:
			return w, nil
		case !strings.EqualFold(w.body.Name, name):
		case found != nil:
			return nil, store.Invalid("several windows are called %q; give the id of one: %s, %s", name, found.doc.ID, w.doc.ID)
		default:
			found = w
		}
	}
	if found == nil {
		return nil, store.NotFound("window", name)
	}
	return found, nil
}

func (r *Room) windowRow(w *window) *Window {
	row := &Window{
		ID: w.doc.ID, Window: w.body.Window, Target: w.body.Target, Text: describe(w.body.Window), Origin: w.doc.Origin,
		Version: w.doc.Digest.String(),
	}
	if w.err != nil {
		row.Problem = w.err.Error()
		return row
	}
	zone := time.UTC
	if loc, err := time.LoadLocation(w.body.Zone); err == nil {
		zone = loc
	}
	now := r.cfg.Now()
	if until, open := w.body.Open(now, zone); open {
		if row.IsOpen = true; !schedule.Endless(now, until) {
			row.Closes = &until
		}
	}
	if start, _ := w.body.Next(now, zone); !start.IsZero() {
		row.Opens = &start
	}
	r.cfg.Computers.Look(func(v computers.View) {
		for _, m := range v.Members() {
			if m.Retired.IsZero() && w.is(targetOf(m, false)) {
				row.Count++
			}
		}
	})
	return row
}

// describe says in words when a window is open.
func describe(w schedule.Window) string {
	days := make([]string, 0, len(w.Weekdays))
	for _, d := range w.Weekdays {
		days = append(days, string(d))
	}
	text := "daily"
	switch w.Repeat {
	case schedule.Weekly:
		text = strings.Join(days, ", ")
	case schedule.Monthly:
		text = fmt.Sprintf("%s %s of the month", w.Week, strings.Join(days, ", "))
		if w.OffsetDays > 0 {
			text = fmt.Sprintf("%d days after the %s", w.OffsetDays, text)
		}
	}
	zone := "each computer's own time"
	if w.Zone != "" {
		zone = w.Zone
	}
	return fmt.Sprintf("%s at %s for %s, %s", text, w.Start, time.Duration(w.Minutes)*time.Minute, zone)
}

func (b *WindowBody) check() error {
	b.Name = strings.TrimSpace(b.Name)
	if b.Target == nil {
		return asked(b.Validate())
	}
	if len(b.Target.Unknown) > 0 {
		return store.Invalid("the target has parts that are not known here: %s", strings.Join(b.Target.Unknown, ", "))
	}
	if b.Target.NeedsIt {
		return store.Invalid("the target of a window cannot ask who needs an update")
	}
	if err := b.Validate(); err != nil {
		return asked(err)
	}
	return asked(b.Target.Validate())
}

// CreateWindow adds a maintenance window and returns its id.
func (r *Room) CreateWindow(ctx context.Context, body WindowBody) (id string, err error) {
	if err := body.check(); err != nil {
		return "", err
	}
	if err := r.checkDates(&body, nil); err != nil {
		return "", err
	}
	o, err := r.load(ctx)
	if err != nil {
		return "", err
	}
	alone, err := o.freeWindow(body.Name, "")
	if err != nil {
		return "", err
	}
	doc, err := r.signed(document.Window, r.newID("window"), nil, body)
	if err != nil {
		return "", err
	}
	return doc.ID, r.write(ctx, "create window "+body.Name, append([]store.Statement{alone}, store.Put(doc, "", store.Former{Absent: true})...)...)
}

// ChangeWindow replaces a maintenance window. Version is the one that was seen; "" takes the present one.
func (r *Room) ChangeWindow(ctx context.Context, name, version string, body WindowBody) error {
	if err := body.check(); err != nil {
		return err
	}
	found, former, err := r.windowAt(ctx, name, version)
	if err != nil {
		return err
	}
	if err := r.checkDates(&body, &found.body); err != nil {
		return err
	}
	doc, err := r.signed(document.Window, found.doc.ID, nil, body)
	if err != nil || doc.Digest == found.doc.Digest && former.Digest == doc.Digest {
		return err
	}
	statements := store.Receive(doc, false, former)
	if !strings.EqualFold(body.Name, found.body.Name) {
		o, err := r.load(ctx)
		if err != nil {
			return err
		}
		alone, err := o.freeWindow(body.Name, found.doc.ID)
		if err != nil {
			return err
		}
		statements = append([]store.Statement{alone}, statements...)
	}
	return r.write(ctx, "change window "+body.Name, statements...)
}

// DeleteWindow removes a maintenance window. Version is the one that was seen; "" takes the present one.
func (r *Room) DeleteWindow(ctx context.Context, name, version string) error {
	found, former, err := r.windowAt(ctx, name, version)
	if err != nil {
		return err
	}
	return r.write(ctx, "delete window "+found.body.Name, store.Remove(document.Window, found.doc.ID, former)...)
}

func (r *Room) windowAt(ctx context.Context, name, version string) (*window, store.Former, error) {
	o, err := r.load(ctx)
	if err != nil {
		return nil, store.Former{}, err
	}
	found, err := o.window(name)
	if err != nil {
		return nil, store.Former{}, err
	}
	if found.doc.Origin != r.cfg.Site {
		return nil, store.Former{}, store.AllOwn(ctx, r.cfg.Reader, r.cfg.Site, found.doc.Head)
	}
	former := store.Former{Digest: found.doc.Digest}
	if version != "" {
		if former.Digest, err = document.ParseDigest(version); err != nil {
			return nil, former, store.Invalid("version: %v", err)
		}
	}
	return found, former, nil
}
