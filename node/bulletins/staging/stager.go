package staging

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"thatch/catalog"
	"thatch/catalog/content"
	"thatch/catalog/document"
	"thatch/node/bulletins/holdings"
	"thatch/node/bulletins/live"
	"thatch/node/bulletins/staging/transit"
	"thatch/node/store"
)

// Topic is the topic of batches that change what is staged, failed or held.
const Topic = holdings.Topic

const parallel = 3

// Signer makes a document the site's own (see node/identity).
type Signer interface {
	Sign(doc *document.Document)
}

// Content keeps payload files (see catalog/content).
type Content interface {
	Download(ctx context.Context, req content.Request, progress content.Progress) (content.Info, error)
	Open(sha256 string) (*content.Reader, error)
	Stat(sha256 string) (content.Info, error)
	List() ([]content.Info, error)
}

// Sisters brings a payload here from another node of the site (see node/copies).
type Sisters func(ctx context.Context, sum string, size int64, progress content.Progress) (content.Info, error)

// Config is what staging needs.
type Config struct {
	Node     string // id of this node, which will hold the payloads
	Site     string // id of the site
	Reader   store.Reader
	Writer   store.Writer
	Signer   Signer
	Catalog  *live.Catalog
	Content  Content
	Settings func(ctx context.Context) (Settings, error)
	Sisters  Sisters // nil: there are no other nodes to ask
	Now      func() time.Time
	Log      *slog.Logger
}

// Stager downloads what is staged. It is safe for use by several goroutines; downloads of one payload are one.
type Stager struct {
	cfg     Config
	above   Above    // nil: vendors alone
	gaveUp  sync.Map // SHA-256 of pinned files that could not be fetched again: the next run tries, nobody asks for one
	transit transit.Files
	again   chan struct{}
	below   requests
}

// New makes a stager.
func New(cfg Config) *Stager {
	if cfg.Log == nil {
		cfg.Log = slog.Default()
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	return &Stager{cfg: cfg, again: make(chan struct{}, 1)}
}

// Progress is how far a run is.
type Progress struct {
	Packages int    `json:"packages"` // done, well or badly
	Of       int    `json:"of"`
	Bytes    int64  `json:"bytes"`    // here
	OfBytes  int64  `json:"of_bytes"` // as far as sizes are known
	Current  string `json:"current,omitempty"`
}

// Result is what a run did.
type Result struct {
	Staged   int       `json:"staged"` // packages that are here now
	Failed   []Problem `json:"failed"` // packages that could not be had, or were refused
	Bulletin int       `json:"bulletins"`
	Bytes    int64     `json:"bytes"`
	Restored int       `json:"restored,omitempty"` // files that policies need and that were not here
}

// Problem names a package that is not here, and why.
type Problem struct {
	Package string `json:"package"` // document id
	Name    string `json:"name"`
	Reason  Reason `json:"reason"`
	Text    string `json:"text"`
}

// Stage makes the site stage bulletins, by document id, and has whatever failed of them tried again.
func (s *Stager) Stage(ctx context.Context, bulletins ...string) error {
	var statements []store.Statement
	err := s.cfg.Catalog.Read(ctx, func(v *live.View) error {
		for _, id := range bulletins {
			if v.Bulletin(id) == nil {
				return store.NotFound("bulletin", id)
			}
			if v.NeverOffered(id) {
				return store.Invalid("bulletin %s is never offered; offer it again first: thatch bulletins offer %s", v.Bulletin(id).Name, v.Bulletin(id).Name)
			}
			statements = append(statements, store.Statement{
				SQL:  `INSERT INTO staged (bulletin, since, actor) VALUES (?, ?, ?) ON CONFLICT (bulletin) DO NOTHING`,
				Args: []any{id, s.cfg.Now().UTC().Format(time.RFC3339), store.ActorOf(ctx)},
			})
			for _, u := range v.UpdatesOf(id) {
				for _, p := range v.PackagesOf(u.ID) {
					statements = append(statements, forgive(p.ID))
				}
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	s.transit.Hurry()
	return s.write(ctx, "stage bulletins", statements)
}

// Unstage makes the site stage bulletins no longer. What was downloaded stays until it is pruned; policies that pin it
// are not touched.
func (s *Stager) Unstage(ctx context.Context, bulletins ...string) error {
	var statements []store.Statement
	for _, id := range bulletins {
		statements = append(statements, store.Statement{SQL: `DELETE FROM staged WHERE bulletin = ?`, Args: []any{id}, Want: 1})
	}
	err := s.writeOne(ctx, "unstage bulletins", statements)
	if errors.Is(err, store.ErrConflict) {
		return store.Invalid("not all of these bulletins are staged; nothing was changed")
	}
	return err
}

func forgive(packageID string) store.Statement {
	return store.Statement{SQL: `DELETE FROM staging_failure WHERE package = ?`, Args: []any{packageID}}
}

// write writes statements in as many batches as they need.
func (s *Stager) write(ctx context.Context, reason string, statements []store.Statement) error {
	builder := store.NewBuilder(store.Batch{
		Actor: store.ActorOf(ctx), Reason: reason, At: s.cfg.Now().UTC(), Topics: []string{Topic, store.TopicDocuments},
	})
	for _, statement := range statements {
		if err := builder.Add(statement); err != nil {
			return err
		}
	}
	for _, batch := range builder.Batches() {
		applied, err := s.cfg.Writer.Write(ctx, batch)
		if err == nil {
			err = applied.Err()
		}
		if err != nil {
			return fmt.Errorf("%s: %w", reason, err)
		}
	}
	return nil
}

// plan is every package that matters of staged bulletins, is not here, and is wanted; smallest first, so that a large
// one holds up nothing.
func (s *Stager) plan(ctx context.Context, wanted func(PackageStatus) bool) (packages []*job, bulletins int, err error) {
	state, err := Load(ctx, s.cfg.Reader)
	if err != nil {
		return nil, 0, err
	}
	if len(state.Staged) == 0 {
		return nil, 0, nil // without having every change of the catalog read into memory, as during a first import
	}
	err = s.cfg.Catalog.Read(ctx, func(v *live.View) error {
		for id := range state.Staged {
			found := state.missing(v, id, wanted)
			for i := range found {
				packages = append(packages, &job{found[i], s.filesOf(&found[i]), v.AnyPayload(found[i].Package.ID)})
			}
			if len(found) > 0 {
				bulletins++
			}
		}
		return nil
	})
	slices.SortFunc(packages, func(a, b *job) int {
		return cmp.Or(cmp.Compare(a.size(), b.size()), cmp.Compare(a.Package.ID, b.Package.ID))
	})
	return packages, bulletins, err
}

// job is a package to stage.
type job struct {
	PackageStatus
	files []wanted
	held  *live.Payload // what staging learned of any revision of it
}

func (j *job) size() (size int64) {
	for i := range j.files {
		size += j.files[i].Size
	}
	return size
}

func (j *job) sums() []string {
	sums := make([]string, 0, len(j.files))
	for i := range j.files {
		sums = append(sums, j.files[i].sum())
	}
	return sums
}

// waits says whether a file of a package is not to be asked for yet.
func (s *Stager) waits(ps *PackageStatus) bool {
	now := s.cfg.Now()
	return slices.ContainsFunc(s.filesOf(ps), func(w wanted) bool { return s.transit.Waits(w.sum(), w.payload, now) })
}

// missing is the packages of a staged bulletin that should be here and are not.
func (s *State) missing(v *live.View, bulletin string, wanted func(PackageStatus) bool) []PackageStatus {
	var found []PackageStatus
	for _, u := range v.UpdatesOf(bulletin) {
		if u.Withdrawn || u.Detector {
			continue
		}
		for _, p := range v.PackagesOf(u.ID) {
			if ps := s.Package(v, p, true); ps.Matters && wanted(ps) {
				found = append(found, ps)
			}
		}
	}
	return found
}

// Outstanding says whether there is something to download that was not tried yet and need not wait.
func (s *Stager) Outstanding(ctx context.Context) (bool, error) {
	packages, _, err := s.plan(ctx, func(ps PackageStatus) bool { return ps.Status == Downloading })
	if err != nil {
		return false, err
	}
	lacking, err := s.lacking(ctx)
	if err != nil {
		return false, err
	}
	now, awaited, some := s.cfg.Now(), map[string]bool{}, false
	for _, j := range packages {
		some = some || !s.waits(&j.PackageStatus)
		for i := range j.files {
			awaited[j.files[i].sum()] = true
		}
	}
	for i := range lacking {
		sum := lacking[i].sum()
		_, tried := s.gaveUp.Load(sum)
		some = some || !tried && !s.transit.Waits(sum, lacking[i].payload, now)
		awaited[sum] = true
	}
	s.transit.Keep(awaited)
	return some, nil
}

// Run downloads everything that is staged or pinned and not here, until nothing of it is left that could be had: also what
// comes to be staged meanwhile. A package that cannot be had costs one line of the result. The error is that of the
// disk, the database, the settings or ctx; what was downloaded stays, and the next run goes on from there.
func (s *Stager) Run(ctx context.Context, progress func(Progress)) (Result, error) {
	r := &run{stager: s, tried: map[string]bool{}, tell: progress, result: Result{Failed: []Problem{}}}
	if r.tell == nil {
		r.tell = func(Progress) {}
	}
	settings, err := s.settings(ctx)
	if err != nil {
		return r.result, err
	}
	if r.fetcher, err = s.fetcher(ctx, settings); err != nil {
		return r.result, err
	}
	for {
		some, err := r.round(ctx)
		if err != nil {
			return r.result, err
		}
		if some {
			continue
		}
		if more, err := r.rest(ctx); err != nil || !more {
			r.result.Failed = append(r.result.Failed, r.waiting()...)
			return r.result, err
		}
	}
}

// round downloads what is to be downloaded now, and says whether there was something.
func (r *run) round(ctx context.Context) (some bool, err error) {
	packages, bulletins, err := r.stager.plan(ctx, r.wants)
	if err != nil {
		return false, err
	}
	r.result.Bulletin += bulletins
	if err := r.pass(ctx, packages); err != nil {
		return false, err
	}
	restored, err := r.restore(ctx)
	return restored || len(packages) > 0, err
}

// rest waits for what is on its way at the site above, and says whether there is something.
func (r *run) rest(ctx context.Context) (more bool, err error) {
	woken := r.stager.transit.Wake()
	next := r.stager.Next()
	wait := next.Sub(r.stager.cfg.Now())
	if next.IsZero() || wait > Soon || wait <= 0 && r.idle {
		return false, nil
	}
	r.idle = wait <= 0 // it was due, and the next round finds it or it is nobody's
	timer := time.NewTimer(max(wait, restLeast))
	defer timer.Stop()
	select {
	case <-timer.C:
		return true, nil
	case <-woken:
		return true, nil
	case <-ctx.Done():
		return false, context.Cause(ctx)
	}
}

// restLeast keeps a run from turning fast where what waited is nobody's any more.
const restLeast = 200 * time.Millisecond

// waiting are the files that a run leaves behind because they wait.
func (r *run) waiting() []Problem {
	var left []Problem
	_, files := r.stager.Awaited()
	for _, f := range files {
		told := slices.ContainsFunc(r.result.Failed, func(p Problem) bool { return p.Package == f.Package && p.Name == f.Name })
		if !f.Next.IsZero() && !told {
			left = append(left, Problem{f.Package, f.Name, Waits, f.Why})
		}
	}
	return left
}

func (s *Stager) settings(ctx context.Context) (Settings, error) {
	if s.cfg.Settings == nil {
		return Settings{}, nil
	}
	settings, err := s.cfg.Settings(ctx)
	if err != nil {
		return settings, fmt.Errorf("read the settings of downloads: %w", err)
	}
	return settings, nil
}

// run is one run's progress.
type run struct {
	stager  *Stager
	fetcher *fetcher
	tried   map[string]bool // packages, by id and digest; files by SHA-256
	idle    bool

	mu     sync.Mutex
	at     Progress
	tell   func(Progress)
	result Result
}

// wants lets every package through once that was not tried for good before.
func (r *run) wants(ps PackageStatus) bool {
	return (ps.Status == Downloading || ps.Reason == Unreachable) && !r.tried[tryOf(ps.Package)] && !r.stager.waits(&ps)
}

func tryOf(p *live.Package) string { return p.ID + p.Digest.String() }

// again has something tried again in this run, once it need not wait any more.
func (r *run) again(try string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.tried, try)
}

func (r *run) pass(ctx context.Context, packages []*job) error {
	r.update(func() {
		r.at.Of += len(packages)
		for _, j := range packages {
			r.at.OfBytes += j.size()
			r.tried[tryOf(j.Package)] = true
		}
	})
	for _, j := range packages {
		for i := range j.files {
			r.fetcher.expect(&j.files[i])
		}
	}
	return together(ctx, packages, r.one)
}

// together does something for several, a few at once, until one fails.
func together[T any](ctx context.Context, all []*T, do func(context.Context, *T) error) error {
	group, gctx := errgroup.WithContext(ctx)
	group.SetLimit(parallel)
	for _, one := range all {
		if gctx.Err() != nil {
			break
		}
		group.Go(func() error { return do(gctx, one) })
	}
	if err := group.Wait(); err != nil {
		return err
	}
	return context.Cause(ctx)
}

// one stages one package and records how it went.
func (r *run) one(ctx context.Context, j *job) error {
	p, s := j.Package, r.stager
	r.update(func() { r.at.Current = p.Name })
	staged, err := r.stage(ctx, j)
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	var failure *failed
	var later *Later
	switch {
	case err == nil:
		err = s.record(ctx, p, staged, r.fetcher.parent != "")
	case errors.As(err, &failure):
		err = s.recordFailure(ctx, p.ID, p.Digest, failure)
	case errors.As(err, &later):
		r.again(tryOf(p))
		return nil
	}
	if errors.Is(err, store.ErrConflict) {
		return nil // its documents changed meanwhile: the next pass or run looks at it anew
	}
	if err != nil {
		return fmt.Errorf("stage package %s: %w", p.Name, err)
	}
	s.transit.Forget(j.sums()...)
	r.update(func() {
		r.at.Packages++
		if failure != nil {
			r.result.Failed = append(r.result.Failed, Problem{p.ID, p.Name, failure.reason, failure.Error()})
			return
		}
		r.result.Staged++
		for _, f := range staged {
			r.result.Bytes += f.Size
		}
	})
	return nil
}

// stage brings in a package, where it is this site's to bring in.
func (r *run) stage(ctx context.Context, j *job) ([]catalog.StagedFile, error) {
	err := r.stager.foreignOnly(r.fetcher, &j.PackageStatus, j.held)
	if later := (*Later)(nil); errors.As(err, &later) {
		for i := range j.files {
			r.fetcher.postpone(&j.files[i], later)
		}
		return nil, err
	}
	return r.fetcher.fetch(ctx, j.Package.Name, j.files, func(bytes int64) { r.update(func() { r.at.Bytes += bytes }) })
}

func (r *run) update(change func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	change()
	r.tell(r.at)
}
