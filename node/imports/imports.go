// Package imports has vendors' catalogs imported: what is imported from where and when, as tasks.
package imports

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"thatch/catalog/content"
	"thatch/catalog/importer"
	"thatch/catalog/importer/all"
	"thatch/node/bulletins"
	"thatch/node/settings"
	"thatch/node/store"
	"thatch/node/tasks"
	"thatch/node/uploads"
)

// Config is what the room needs.
type Config struct {
	Tasks     *tasks.Room
	Settings  *settings.Room
	Bulletins *bulletins.Bulletins
	Languages func(ctx context.Context) ([]string, error) // that the site manages
	Uploads   uploads.Folder                              // of vendor files that operators sent
	Scratch   string                                      // folder for what an import holds on disk for a while
	Now       func() time.Time
}

// Room is safe for use by several goroutines.
type Room struct{ cfg Config }

// New opens the room, and registers the tasks of its sources.
func New(cfg Config) *Room {
	r := &Room{cfg}
	cfg.Tasks.Register(r.kind())
	return r
}

// Kind is the kind of the tasks that import catalogs; the task of a source is called Task(source).
const Kind = "catalog-import"

// maxWarnings is how many warnings the result of a run holds; it counts all of them by kind.
const maxWarnings = 300

// Task names the task of a source.
func Task(source string) string { return Kind + "-" + source }

// Import says what to import.
type Import struct {
	Source  string   `json:"source"`
	From    string   `json:"from,omitempty"`   // file, folder or http(s) location
	All     []string `json:"all,omitempty"`    // where there is no From: several locations, one after the other; none: the vendor's own
	Exclude []string `json:"exclude,omitzero"` // product families to leave out; absent: those of the site's settings
}

// locations are where to import from.
func (what Import) locations() []string {
	if what.From != "" || len(what.All) == 0 {
		return []string{what.From}
	}
	return what.All
}

// Imported is the result of an import: what the run did, and what the catalog then holds of the source.
type Imported struct {
	Source string `json:"source"`
	importer.Result
	bulletins.SourceCounts
}

// Names are the names of the sources that this program knows.
func Names() []string {
	var names []string
	for _, source := range all.Sources(nil) {
		names = append(names, source.Name())
	}
	return names
}

func noSource(name string) error {
	return store.Invalid("there is no source %.60q; there are %s", name, strings.Join(Names(), " and "))
}

// kind imports the catalog of one source. Two runs of one source never work at once. What comes from a file or a folder
// is read by the node where it was asked for, on whose disk it is; what comes from the vendor, by the leader.
func (r *Room) kind() tasks.Kind {
	kind := tasks.Kind{
		Name: Kind, Text: "Import a vendor's catalog", Resume: true,
		Key: func(params json.RawMessage) string {
			var what Import
			if err := json.Unmarshal(params, &what); err != nil {
				return ""
			}
			return what.Source
		},
		Here: func(params json.RawMessage) bool {
			var what Import
			return json.Unmarshal(params, &what) == nil && slices.ContainsFunc(what.locations(), func(from string) bool {
				return from != "" && !importer.IsURL(from)
			})
		},
		Do: r.do,
	}
	for _, name := range Names() {
		params, err := json.Marshal(Import{Source: name})
		if err != nil {
			continue // a text always encodes
		}
		kind.Tasks = append(kind.Tasks, tasks.Task{Name: Task(name), Params: params, Schedule: "23 4 * * *"})
	}
	return kind
}

func (r *Room) do(ctx context.Context, job *tasks.Job) (any, error) {
	var what Import
	if err := job.Decode(&what); err != nil {
		return nil, err
	}
	source, req, err := r.request(ctx, what)
	if err != nil {
		return nil, err
	}
	done := Imported{Source: what.Source}
	for i, from := range what.locations() {
		if i > 0 && ctx.Err() != nil {
			break
		}
		req.From = from
		result, failed := importer.Run(ctx, source, r.cfg.Bulletins.Sink(), req, func(p importer.Progress) {
			job.Progress(tasks.Progress{Done: int64(p.Done), Total: int64(p.Files), Unit: "files", Text: p.Current})
		})
		err = errors.Join(err, failed)
		done.add(result, i == 0)
	}
	for _, w := range done.Warnings {
		if w.Failed {
			job.Log("%s %s: %s", w.File, w.Element, w.Text)
		}
	}
	if ctx.Err() != nil {
		return done, err
	}
	for _, from := range what.locations() {
		err = errors.Join(err, r.cfg.Uploads.Done(from))
	}
	counts, failed := r.cfg.Bulletins.CountSource(ctx, what.Source)
	done.SourceCounts = counts
	return done, cmp.Or(err, failed)
}

// add adds what one location brought.
func (done *Imported) add(r importer.Result, first bool) {
	if first {
		done.Result = r
	} else {
		done.Files += r.Files
		done.Skipped += r.Skipped
		done.Failed += r.Failed
		done.Changed += r.Changed
		done.Bytes += r.Bytes
		done.Warnings = append(done.Warnings, r.Warnings...)
		for kind, times := range r.Counts {
			done.Counts[kind] += times
		}
		done.EndedAt = r.EndedAt
	}
	if len(done.Warnings) > maxWarnings {
		done.Warnings = done.Warnings[:maxWarnings]
	}
}

// request makes the request of a run from what was asked for and the site's settings.
func (r *Room) request(ctx context.Context, what Import) (importer.Source, importer.Request, error) {
	req := importer.Request{Source: what.Source, Exclude: what.Exclude, At: r.cfg.Now().UTC(), Scratch: r.cfg.Scratch}
	values, err := r.cfg.Settings.All(ctx)
	if err != nil {
		return nil, req, err
	}
	if req.Exclude == nil {
		req.Exclude = settings.ExcludedFamilies.In(values)
	}
	if req.Languages, err = r.cfg.Languages(ctx); err != nil {
		return nil, req, fmt.Errorf("read the managed languages: %w", err)
	}
	client, err := content.Client(Client(values))
	if err != nil {
		return nil, req, fmt.Errorf("settings of downloads: %w", err)
	}
	sources := all.Sources(client)
	at := slices.IndexFunc(sources, func(s importer.Source) bool { return s.Name() == what.Source })
	if at < 0 {
		return nil, req, noSource(what.Source)
	}
	return sources[at], req, nil
}

// Client says how vendors are reached.
func Client(values settings.Values) content.ClientConfig {
	return content.ClientConfig{
		Proxy: settings.Proxy.In(values), NoProxy: settings.NoProxy.In(values), CA: []byte(settings.Authorities.In(values)),
	}
}

// Upload takes in a vendor file of a source and imports it. Name is what it is called where it comes from.
func (r *Room) Upload(ctx context.Context, source, name string, content io.Reader) (run string, err error) {
	path, err := r.cfg.Uploads.Take(source, name, content)
	if err != nil {
		return "", err
	}
	run, err = r.Start(ctx, Import{Source: source, From: path})
	if err != nil {
		err = errors.Join(err, r.cfg.Uploads.Done(path))
	}
	return run, err
}

// Start starts an import and names its run.
func (r *Room) Start(ctx context.Context, what Import) (run string, err error) {
	if !slices.Contains(Names(), what.Source) {
		return "", noSource(what.Source)
	}
	return r.cfg.Tasks.Run(ctx, Kind, what)
}

// Source is a source with how its catalog is imported.
type Source struct {
	Name     string     `json:"source"`
	From     []string   `json:"from"` // locations; none: the vendor's own
	Exclude  []string   `json:"exclude"`
	Inherits bool       `json:"exclude_inherited"` // the product families left out are those of the site's settings
	Schedule string     `json:"schedule"`
	Enabled  bool       `json:"enabled"`
	Files    int        `json:"files"` // vendor files imported whole
	Last     *tasks.Run `json:"last,omitempty"`
	Version  int        `json:"version"`
}

// List lists the sources.
func (r *Room) List(ctx context.Context) ([]Source, error) {
	values, err := r.cfg.Settings.All(ctx)
	if err != nil {
		return nil, err
	}
	list := []Source{}
	for _, name := range Names() {
		task, err := r.cfg.Tasks.Task(ctx, Task(name))
		if err != nil {
			return nil, err
		}
		var what Import
		if err := json.Unmarshal(task.Params, &what); err != nil {
			return nil, fmt.Errorf("parameters of task %s: %w", task.Name, err)
		}
		s := Source{
			Name: name, From: what.All, Exclude: what.Exclude, Schedule: task.Schedule, Enabled: task.Enabled,
			Version: task.Version, Inherits: what.Exclude == nil,
		}
		if s.From == nil {
			s.From = []string{}
		}
		if s.Inherits {
			s.Exclude = settings.ExcludedFamilies.In(values)
		}
		known, err := r.cfg.Bulletins.Sink().Known(ctx, name)
		if err != nil {
			return nil, err
		}
		for _, fingerprint := range known {
			if importer.Whole(fingerprint) {
				s.Files++
			}
		}
		if s.Last, err = r.last(ctx, name); err != nil {
			return nil, err
		}
		list = append(list, s)
	}
	return list, nil
}

// last is the last run of a source, by its task or by hand.
func (r *Room) last(ctx context.Context, source string) (*tasks.Run, error) {
	runs, _, err := r.cfg.Tasks.Runs(ctx, store.Query{Filter: map[string]string{"kind": Kind}, Limit: 100})
	for i := range runs {
		var what Import
		if json.Unmarshal(runs[i].Params, &what) == nil && what.Source == source {
			runs[i].Result, runs[i].Lines = nil, nil
			return &runs[i], err
		}
	}
	return nil, err
}

// Change is what can be changed of a source; nil leaves a part as it is.
type Change struct {
	From     []string `json:"from,omitempty"`            // locations
	Own      bool     `json:"vendor,omitempty"`          // the vendor's own location instead
	Exclude  []string `json:"exclude,omitzero"`          // none: [], absent: as it is
	Inherit  bool     `json:"inherit_exclude,omitempty"` // leave out what the site's settings say
	Schedule *string  `json:"schedule,omitempty"`
	Enabled  *bool    `json:"enabled,omitempty"`
	Version  int      `json:"version,omitempty"` // that the change was made from; 0: any
}

// Change changes how a source is imported.
func (r *Room) Change(ctx context.Context, name string, change Change) error {
	if !slices.Contains(Names(), name) {
		return store.NotFound("source", name)
	}
	task, err := r.cfg.Tasks.Task(ctx, Task(name))
	if err != nil {
		return err
	}
	var what Import
	if err := json.Unmarshal(task.Params, &what); err != nil {
		return fmt.Errorf("parameters of task %s: %w", task.Name, err)
	}
	if change.From != nil || change.Own {
		what.From, what.All = "", change.From
	}
	if change.Exclude != nil || change.Inherit {
		what.Exclude = change.Exclude
	}
	if change.Schedule != nil {
		task.Schedule = *change.Schedule
	}
	if change.Enabled != nil {
		task.Enabled = *change.Enabled
	}
	if task.Params, err = json.Marshal(what); err != nil {
		return fmt.Errorf("encode the parameters of %s: %w", task.Name, err)
	}
	if change.Version != 0 {
		task.Version = change.Version
	}
	_, err = r.cfg.Tasks.Change(ctx, task)
	return err
}
