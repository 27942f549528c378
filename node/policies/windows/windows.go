// Package windows holds the maintenance windows of a site: its own, and those of the sites above it, which agents obey
// alike.
package windows

import (
	"cmp"
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"thatch/catalog/document"
	"thatch/catalog/policy"
	"thatch/node/computers"
	"thatch/node/policies/authoring"
	"thatch/node/policies/pinned"
	"thatch/node/store"
	"thatch/schedule"
)

// Body is the body of a document of kind window: the window, and which computers it is for. Agents read the
// window alone; a node gives them those that are theirs.
type Body struct {
	schedule.Window
	Target *policy.Target `json:"target,omitempty"` // nil: every computer
}

// Window is one maintenance window in memory. One that cannot be read, or whose target has unknown parts, is never open
// and is given to nobody.
type Window struct {
	Doc  document.Document
	Body Body
	Err  error
}

func New(doc document.Document) *Window {
	w := &Window{Doc: doc}
	if w.Err = json.Unmarshal(doc.Body, &w.Body); w.Err == nil {
		w.Err = w.Body.Validate()
	}
	return w
}

// For says whether the window is for a computer.
func (w *Window) For(c policy.Computer) bool {
	return w.Err == nil && (w.Body.Target == nil || w.Body.Target.Match(c))
}

// Set is all windows of a site, by name, then id.
type Set []*Window

// Read reads the windows.
func Read(ctx context.Context, tx *sql.Tx) (Set, error) {
	var all Set
	for after := ""; ; {
		const page = 500
		list, err := store.Documents(ctx, tx, document.Window, after, page)
		if err != nil {
			return nil, err
		}
		for _, current := range list {
			after = current.ID
			all = append(all, New(current.Document))
		}
		if len(list) < page {
			break
		}
	}
	slices.SortFunc(all, func(a, b *Window) int {
		return cmp.Or(cmp.Compare(strings.ToLower(a.Body.Name), strings.ToLower(b.Body.Name)), cmp.Compare(a.Doc.ID, b.Doc.ID))
	})
	return all, nil
}

// For are the windows of one computer.
func (all Set) For(c policy.Computer) Set {
	var found Set
	for _, w := range all {
		if w.For(c) {
			found = append(found, w)
		}
	}
	return found
}

// Config is what the room needs.
type Config struct {
	authoring.Author
	Reader    store.Reader
	Computers *computers.Room
}

// Room is safe for use by several goroutines.
type Room struct{ cfg Config }

// Open makes the room.
func Open(cfg Config) *Room { return &Room{cfg: cfg} }

func (r *Room) load(ctx context.Context) (all Set, err error) {
	err = r.cfg.Reader.View(ctx, func(tx *sql.Tx) (err error) {
		all, err = Read(ctx, tx)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("read the maintenance windows: %w", err)
	}
	return all, nil
}

// rows shows windows, with the sites that made them.
func (r *Room) rows(ctx context.Context, all ...*Window) (rows []*Row, err error) {
	origins := make([]string, 0, len(all))
	for _, w := range all {
		rows, origins = append(rows, r.row(w)), append(origins, w.Doc.Origin)
	}
	r.count(rows, all)
	err = r.cfg.Reader.View(ctx, func(tx *sql.Tx) error {
		names, err := store.SiteNames(ctx, tx, origins...)
		for _, row := range rows {
			row.Site, row.FromAbove = names[row.Origin], row.Origin != r.cfg.Site
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("read who made the maintenance windows: %w", err)
	}
	return rows, nil
}

// Row is one maintenance window of a list.
type Row struct {
	ID string `json:"id"`
	schedule.Window
	Target    *policy.Target `json:"target,omitempty"`
	Text      string         `json:"text"`              // when, in words
	Opens     *time.Time     `json:"opens,omitempty"`   // next, in the window's zone or else in UTC
	IsOpen    bool           `json:"open"`              // now, in the window's zone or else in UTC
	Closes    *time.Time     `json:"closes,omitempty"`  // when, where it is open and ever closes
	Count     int            `json:"computers"`         // for which it is
	Problem   string         `json:"problem,omitempty"` // why it is never open
	Origin    string         `json:"origin"`            // id of the site that made it
	Site      string         `json:"site,omitempty"`    // its name; only that site changes the window
	FromAbove bool           `json:"from_above"`        // another site made it
	Version   string         `json:"version"`           // changes say which version they were made from
}

var columns = []store.Column[*Row]{
	{Name: "id", Value: func(w *Row) any { return w.ID }},
	{Name: "name", Value: func(w *Row) any { return w.Name }, Search: true},
	{Name: "repeat", Value: func(w *Row) any { return string(w.Repeat) }},
	{Name: "zone", Value: func(w *Row) any { return w.Zone }},
	{Name: "minutes", Kind: store.Number, Value: func(w *Row) any { return w.Minutes }},
	{Name: "computers", Kind: store.Number, Value: func(w *Row) any { return w.Count }},
	{Name: "origin", Value: func(w *Row) any { return w.Origin }},
	{Name: "site", Value: func(w *Row) any { return w.Site }, Search: true},
	{Name: "from_above", Kind: store.Flag, Value: func(w *Row) any { return w.FromAbove }},
	{Name: "open", Kind: store.Flag, Value: func(w *Row) any { return w.IsOpen }},
}

// Columns names what the list of windows can be filtered and sorted by.
func Columns() []string { return store.ColumnNames(columns) }

// List returns a page of the maintenance windows, by name, and how many fit the query.
func (r *Room) List(ctx context.Context, q store.Query) (page []*Row, total int, err error) {
	all, err := r.load(ctx)
	if err != nil {
		return nil, 0, err
	}
	rows, err := r.rows(ctx, all...)
	if err != nil {
		return nil, 0, err
	}
	return store.Select(q, rows, columns)
}

// Find returns the maintenance window with an id, or with a name that it alone bears.
func (r *Room) Find(ctx context.Context, name string) (*Row, error) {
	all, err := r.load(ctx)
	if err != nil {
		return nil, err
	}
	w, err := all.find(name)
	if err != nil {
		return nil, err
	}
	rows, err := r.rows(ctx, w)
	if err != nil {
		return nil, err
	}
	return rows[0], nil
}

func (all Set) find(name string) (*Window, error) {
	var found *Window
	for _, w := range all {
		switch {
		case w.Doc.ID == name:
			return w, nil
		case !strings.EqualFold(w.Body.Name, name):
		case found != nil:
			return nil, store.Invalid("several windows are called %q; give the id of one: %s of site %s, %s of site %s",
				name, found.Doc.ID, found.Doc.Origin, w.Doc.ID, w.Doc.Origin)
		default:
			found = w
		}
	}
	if found == nil {
		return nil, store.NotFound("window", name)
	}
	return found, nil
}

func (r *Room) row(w *Window) *Row {
	row := &Row{
		ID: w.Doc.ID, Window: w.Body.Window, Target: w.Body.Target, Text: describe(w.Body.Window), Origin: w.Doc.Origin,
		Version: w.Doc.Digest.String(),
	}
	if w.Err != nil {
		row.Problem = w.Err.Error()
		return row
	}
	zone := time.UTC
	if loc, err := time.LoadLocation(w.Body.Zone); err == nil {
		zone = loc
	}
	now := r.cfg.Now()
	if until, open := w.Body.Open(now, zone); open {
		if row.IsOpen = true; !schedule.Endless(now, until) {
			row.Closes = &until
		}
	}
	if start, _ := w.Body.Next(now, zone); !start.IsZero() {
		row.Opens = &start
	}
	return row
}

// count counts for how many computers windows are, in one pass over all of them.
func (r *Room) count(rows []*Row, all []*Window) {
	if len(all) == 0 {
		return
	}
	r.cfg.Computers.Look(func(v computers.View) {
		for _, m := range v.Members() {
			if !m.Retired.IsZero() {
				continue
			}
			c := pinned.Computer(m, false)
			for i, w := range all {
				if w.For(c) {
					rows[i].Count++
				}
			}
		}
	})
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
	lasts := strings.TrimSuffix((time.Duration(w.Minutes) * time.Minute).String(), "0s")
	if w.Minutes%60 == 0 {
		lasts = strings.TrimSuffix(lasts, "0m")
	}
	return fmt.Sprintf("%s at %s for %s, %s", text, w.Start, lasts, zone)
}

func (b *Body) check() error {
	b.Name = strings.TrimSpace(b.Name)
	if b.Target == nil {
		return authoring.Asked(b.Validate())
	}
	if len(b.Target.Unknown) > 0 {
		return store.Invalid("the target has parts that are not known here: %s", strings.Join(b.Target.Unknown, ", "))
	}
	if b.Target.NeedsIt {
		return store.Invalid("the target of a window cannot ask who needs an update")
	}
	if err := b.Validate(); err != nil {
		return authoring.Asked(err)
	}
	return authoring.Asked(b.Target.Validate())
}

// Create adds a maintenance window and returns its id.
func (r *Room) Create(ctx context.Context, body Body) (id string, err error) {
	if err := body.check(); err != nil {
		return "", err
	}
	if err := r.checkDates(&body, nil); err != nil {
		return "", err
	}
	all, err := r.load(ctx)
	if err != nil {
		return "", err
	}
	alone, err := all.free(body.Name, "")
	if err != nil {
		return "", err
	}
	doc, err := r.cfg.Sign(document.Window, r.cfg.NewID(document.Window), nil, body)
	if err != nil {
		return "", err
	}
	return doc.ID, r.cfg.Write(ctx, "create window "+body.Name, append([]store.Statement{alone}, store.Put(doc, "", store.Former{Absent: true})...)...)
}

// Change replaces a maintenance window. Version is the one that was seen; "" takes the present one.
func (r *Room) Change(ctx context.Context, name, version string, body Body) error {
	if err := body.check(); err != nil {
		return err
	}
	found, former, err := r.windowAt(ctx, name, version)
	if err != nil {
		return err
	}
	if err := r.checkDates(&body, &found.Body); err != nil {
		return err
	}
	doc, err := r.cfg.Sign(document.Window, found.Doc.ID, nil, body)
	if err != nil || doc.Digest == found.Doc.Digest && former.Digest == doc.Digest {
		return err
	}
	statements := store.Receive(doc, false, former)
	if !strings.EqualFold(body.Name, found.Body.Name) {
		all, err := r.load(ctx)
		if err != nil {
			return err
		}
		alone, err := all.free(body.Name, found.Doc.ID)
		if err != nil {
			return err
		}
		statements = append([]store.Statement{alone}, statements...)
	}
	return r.cfg.Write(ctx, "change window "+body.Name, statements...)
}

// Delete removes a maintenance window. Version is the one that was seen; "" takes the present one.
func (r *Room) Delete(ctx context.Context, name, version string) error {
	found, former, err := r.windowAt(ctx, name, version)
	if err != nil {
		return err
	}
	return r.cfg.Write(ctx, "delete window "+found.Body.Name, store.Remove(document.Window, found.Doc.ID, former)...)
}

func (r *Room) windowAt(ctx context.Context, name, version string) (*Window, store.Former, error) {
	all, err := r.load(ctx)
	if err != nil {
		return nil, store.Former{}, err
	}
	found, err := all.find(name)
	if err != nil {
		return nil, store.Former{}, err
	}
	if err := store.AllOwn(ctx, r.cfg.Reader, r.cfg.Site, found.Doc.Head); err != nil {
		return nil, store.Former{}, err
	}
	former := store.Former{Digest: found.Doc.Digest}
	if version != "" {
		if former.Digest, err = document.ParseDigest(version); err != nil {
			return nil, former, store.Invalid("version: %v", err)
		}
	}
	return found, former, nil
}

// free says whether a window may take a name: no other has it. The statement holds that true where the change is applied.
func (all Set) free(name, id string) (store.Statement, error) {
	for _, w := range all {
		if w.Doc.ID != id && strings.EqualFold(w.Body.Name, name) {
			return store.Statement{}, authoring.Taken{What: "window", Name: w.Body.Name, By: w.Doc.ID}
		}
	}
	return store.Statement{
		SQL: `UPDATE document SET digest = digest WHERE kind = 'window' AND id <> ? AND EXISTS (
			SELECT 1 FROM revision r WHERE r.digest = document.digest AND json_valid(CAST(r.body AS TEXT))
				AND json_extract(CAST(r.body AS TEXT), '$.name') = ? COLLATE NOCASE)`,
		Args: []any{id, name}, Want: store.NoRows,
	}, nil
}

// checkDates refuses a window that never opens again; one that was so before stays.
func (r *Room) checkDates(b, former *Body) error {
	if b.Until == "" || former != nil && b.Until == former.Until {
		return nil
	}
	// The furthest clocks behind are half a day behind.
	if start, _ := b.Next(r.cfg.Now().Add(-24*time.Hour), time.FixedZone("", -12*60*60)); start.IsZero() {
		return store.Invalid("until: the window does not open again before %s; give a later date, or none", b.Until)
	}
	return nil
}

// At is a window as a computer sees it.
type At struct {
	ID     string     `json:"id"`
	Name   string     `json:"name"`
	Text   string     `json:"text"` // when, in words
	IsOpen bool       `json:"open"`
	Opens  *time.Time `json:"opens,omitempty"` // next
}

// At says how the window stands for a computer in a time zone; nil: it is not known, and UTC counts.
func (w *Window) At(now time.Time, zone *time.Location) At {
	at := At{ID: w.Doc.ID, Name: w.Body.Name, Text: describe(w.Body.Window)}
	_, at.IsOpen = w.Body.Open(now, zone)
	if start, _ := w.Body.Next(now, zone); !start.IsZero() {
		at.Opens = &start
	}
	return at
}
