// Package stock shows, checks and fills what a node holds of payload files: the list for people, the check of all, and
// pre-seeding from a disk.
package stock

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"thatch/catalog/content"
	"thatch/node/bulletins/holdings"
	"thatch/node/bulletins/staging"
	"thatch/node/store"
)

// Stock is the payload files of a node.
type Stock struct {
	content   *content.Store
	staging   *staging.Stager
	standings Standings
}

// Standings says how many copies there are in the site of each payload, by SHA-256 (see node/copies).
type Standings func(ctx context.Context) (map[string]holdings.Standing, error)

// New makes one.
func New(held *content.Store, stager *staging.Stager, standings Standings) *Stock {
	return &Stock{held, stager, standings}
}

// States of a payload file.
const (
	Held      = "held"
	Awaited   = "awaited"
	Elsewhere = "elsewhere" // other nodes of the site hold it
)

// Row is a payload file of the list.
type Row struct {
	SHA256  string    `json:"sha256"`
	Name    string    `json:"name"`    // "" no package names it any more
	Package string    `json:"package"` // document id, of one that names it
	State   string    `json:"state"`
	Size    int64     `json:"size"`
	Bytes   int64     `json:"bytes"` // here
	At      time.Time `json:"at,omitzero"`
	Needed  bool      `json:"needed"` // staged, pinned or added by hand; the others are removed after a month
	From    string    `json:"from,omitempty"`
	Why     string    `json:"why,omitempty"` // what it waits for
	holdings.Standing
}

var columns = []store.Column[*Row]{
	{Name: "sha256", Value: func(r *Row) any { return r.SHA256 }, Search: true},
	{Name: "name", Value: func(r *Row) any { return r.Name }, Search: true},
	{Name: "package", Value: func(r *Row) any { return r.Package }, Search: true},
	{Name: "state", Value: func(r *Row) any { return r.State }},
	{Name: "size", Kind: store.Number, Value: func(r *Row) any { return int(r.Size) }},
	{Name: "bytes", Kind: store.Number, Value: func(r *Row) any { return int(r.Bytes) }},
	{Name: "at", Kind: store.Time, Value: func(r *Row) any { return r.At.UTC().Format(time.RFC3339) }},
	{Name: "needed", Kind: store.Flag, Value: func(r *Row) any { return r.Needed }},
	{Name: "copies", Kind: store.Number, Value: func(r *Row) any { return r.Copies }},
	{Name: "copies_of", Kind: store.Number, Value: func(r *Row) any { return r.Of }},
	{Name: "short", Kind: store.Flag, Value: func(r *Row) any { return r.Copies < r.Of }},
	{Name: "nodes", Value: func(r *Row) any { return strings.Join(r.Nodes, ", ") }, Search: true},
	{Name: "from", Value: func(r *Row) any { return r.From }},
	{Name: "why", Value: func(r *Row) any { return r.Why }, Search: true},
}

// Columns names what the list can be filtered and sorted by.
func Columns() []string { return store.ColumnNames(columns) }

// List returns a page of the payload files that this node holds or awaits, or that another one holds, by name.
func (s *Stock) List(ctx context.Context, q store.Query) (page []*Row, total int, err error) {
	rows, err := s.rows(ctx)
	if err != nil {
		return nil, 0, err
	}
	return store.Select(q, rows, columns)
}

// Show finds a payload file by its SHA-256, or by the beginning of it (eight digits or more).
func (s *Stock) Show(ctx context.Context, sum string) (*Row, error) {
	rows, err := s.rows(ctx)
	if err != nil {
		return nil, err
	}
	var found []*Row
	for _, row := range rows {
		if len(sum) >= 8 && strings.HasPrefix(row.SHA256, strings.ToLower(sum)) {
			found = append(found, row)
		}
	}
	switch len(found) {
	case 0:
		return nil, store.NotFound("payload", sum)
	case 1:
		return found[0], nil
	}
	return nil, store.Conflicting("the SHA-256 of %d payloads begins with %s: give more of it", len(found), sum)
}

func (s *Stock) rows(ctx context.Context) ([]*Row, error) {
	held, err := s.content.List()
	if err != nil {
		return nil, err
	}
	known, err := s.staging.Known(ctx)
	if err != nil {
		return nil, err
	}
	standings, err := s.standings(ctx)
	if err != nil {
		return nil, err
	}
	rows := make([]*Row, 0, len(held))
	add := func(row Row) {
		if row.Standing = standings[row.SHA256]; row.Nodes == nil {
			row.Nodes = []string{}
		}
		rows = append(rows, &row)
	}
	here := make(map[string]bool, len(held))
	for _, info := range held {
		k := known[info.SHA256]
		here[info.SHA256] = true
		add(Row{
			SHA256: info.SHA256, Name: k.Name, Package: k.Package, State: Held, Size: info.Size, Bytes: info.Size, At: info.At, Needed: k.Needed,
		})
	}
	_, awaited := s.staging.Awaited()
	for i := range awaited {
		f := &awaited[i]
		if !here[f.SHA256] {
			here[f.SHA256] = true
			add(Row{
				SHA256: f.SHA256, Name: f.Name, Package: f.Package, State: Awaited, Size: f.Size, Bytes: f.Bytes, Needed: true, From: f.From, Why: f.Why,
			})
		}
	}
	for sum, standing := range standings {
		if k := known[sum]; !here[sum] && len(standing.Nodes) > 0 {
			add(Row{SHA256: sum, Name: k.Name, Package: k.Package, State: Elsewhere, Size: standing.Size, Needed: k.Needed})
		}
	}
	slices.SortFunc(rows, func(a, b *Row) int { return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.SHA256, b.SHA256)) })
	return rows, nil
}

// Progress hears how many bytes were read, of how many.
type Progress func(done, of int64, name string)

// Verified is the outcome of a check.
type Verified struct {
	Payloads int      `json:"payloads"` // that are as they were
	Bytes    int64    `json:"bytes"`    // of those
	Altered  []string `json:"altered"`  // SHA-256 of files that were altered on disk, and are in quarantine now
}

// Verify reads every payload file whole and holds it against its digest.
func (s *Stock) Verify(ctx context.Context, progress Progress) (Verified, error) {
	done := Verified{Altered: []string{}}
	held, err := s.content.List()
	if err != nil {
		return done, err
	}
	var of int64
	for _, info := range held {
		of += info.Size
	}
	var read int64
	for _, info := range held {
		progress(read, of, info.SHA256)
		err := s.content.Check(ctx, info.SHA256, nil)
		switch {
		case err == nil:
			done.Payloads++
			done.Bytes += info.Size
		case errors.Is(err, content.ErrAltered):
			done.Altered = append(done.Altered, info.SHA256)
		case !errors.Is(err, content.ErrNotHeld): // else it was removed meanwhile
			return done, err
		}
		read += info.Size
	}
	return done, nil
}

// Imported is the outcome of an import from a disk.
type Imported struct {
	Taken   int      `json:"taken"`
	Bytes   int64    `json:"bytes"` // of those taken
	Held    int      `json:"held"`  // were here already
	Unknown int      `json:"unknown"`
	Failed  []string `json:"failed"` // files that could not be read
}

// Import takes payload files from a folder on this machine, and from the folders below it, whatever they are called: those
// that a document of this site names, or all.
func (s *Stock) Import(ctx context.Context, folder string, all bool, progress Progress) (Imported, error) {
	done := Imported{Failed: []string{}}
	known, err := s.staging.Known(ctx)
	if err != nil {
		return done, err
	}
	files, of, err := filesIn(folder)
	if err != nil {
		return done, store.Invalid("import payloads: %v", err)
	}
	var read int64
	for _, f := range files {
		progress(read, of, filepath.Base(f.path))
		err := s.take(ctx, f, known, all, &done)
		switch {
		case ctx.Err() != nil:
			return done, context.Cause(ctx)
		case errors.Is(err, content.ErrDiskFull):
			return done, err
		case err != nil:
			done.Failed = append(done.Failed, fmt.Sprintf("%s: %v", f.path, err))
		}
		read += f.size
	}
	s.staging.Again()
	return done, nil
}

type found struct {
	path string
	size int64
}

// filesIn lists the regular files below a folder. Links are not followed.
func filesIn(folder string) (files []found, bytes int64, err error) {
	if !filepath.IsAbs(folder) {
		return nil, 0, fmt.Errorf("%s is no absolute path", folder)
	}
	err = filepath.WalkDir(folder, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.Type().IsRegular() {
			return err
		}
		info, err := entry.Info()
		if err == nil {
			files = append(files, found{path, info.Size()})
			bytes += info.Size()
		}
		return err
	})
	return files, bytes, err
}

func (s *Stock) take(ctx context.Context, f found, known map[string]staging.Known, all bool, done *Imported) error {
	file, err := os.Open(f.path)
	if err != nil {
		return err
	}
	defer file.Close()
	hash := sha256.New()
	if _, err := io.Copy(hash, contextReader{ctx, file}); err != nil {
		return err
	}
	sum := hex.EncodeToString(hash.Sum(nil))
	if s.content.Has(sum) {
		done.Held++
		return nil
	}
	if _, named := known[sum]; !named && !all {
		done.Unknown++
		return nil
	}
	if _, err := file.Seek(0, io.SeekStart); err != nil {
		return err
	}
	info, err := s.content.Put(ctx, sum, file)
	if err == nil {
		done.Taken++
		done.Bytes += info.Size
	}
	return err
}

// contextReader ends with its context.
type contextReader struct {
	ctx context.Context
	io.Reader
}

// Read implements io.Reader.
func (r contextReader) Read(p []byte) (int, error) {
	if r.ctx.Err() != nil {
		return 0, context.Cause(r.ctx)
	}
	return r.Reader.Read(p)
}

// Exported is the outcome of an export to a disk.
type Exported struct {
	Files int   `json:"files"`
	Bytes int64 `json:"bytes"`
}

// Export copies the payload files that this site needs to a folder of this machine, those alone that matter to some
// languages (nil: all), each under its SHA-256. What is there already stays.
func (s *Stock) Export(ctx context.Context, folder string, languages []string, progress Progress) (Exported, error) {
	var done Exported
	if !filepath.IsAbs(folder) {
		return done, store.Invalid("export payloads: %s is no absolute path", folder)
	}
	if err := os.MkdirAll(folder, 0o750); err != nil {
		return done, store.Invalid("export payloads: %v", err)
	}
	known, err := s.staging.Known(ctx)
	if err != nil {
		return done, err
	}
	held, err := s.content.List()
	if err != nil {
		return done, err
	}
	held = slices.DeleteFunc(held, func(info content.Info) bool {
		k := known[info.SHA256]
		return !k.Needed || languages != nil && !k.Matters(languages)
	})
	var of int64
	for _, info := range held {
		of += info.Size
	}
	var passed int64
	for _, info := range held {
		progress(passed, of, known[info.SHA256].Name)
		passed += info.Size
		path := filepath.Join(folder, info.SHA256)
		if there, err := os.Stat(path); err != nil || there.Size() != info.Size {
			err := s.content.CopyTo(ctx, info.SHA256, path)
			if errors.Is(err, content.ErrNotHeld) {
				continue // removed meanwhile
			}
			if err != nil {
				return done, fmt.Errorf("export %s: %w", strings.TrimSpace(known[info.SHA256].Name), err)
			}
		}
		done.Files++
		done.Bytes += info.Size
	}
	return done, nil
}
