package msrc

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"golang.org/x/sync/errgroup"

	"thatch/catalog/importer"
	"thatch/catalog/importer/msrc/families"
)

// Live is where Microsoft publishes its documents: an index at /updates, each document at /cvrf/ID.
const Live = "https://api.msrc.microsoft.com/cvrf/v3.0"

// NoExclusions, given alone as Request.Exclude, leaves no product family out.
const NoExclusions = families.None

// importerVersion is part of every fingerprint: raise it when the same file would give other documents.
const importerVersion = "2"

const (
	headSize  = 32 << 10 // decompressed bytes that hold a document's id and revision
	indexSize = 16 << 20
	listing   = 2 // files looked at side by side
)

// Source reads Microsoft's security update documents (CVRF 1.1 XML). The zero value reads the live index with an HTTP
// client that honours the environment's proxies.
type Source struct {
	Client *http.Client // nil: the default one
	Base   string       // of the live service; empty: Live
	Limit  int64        // decompressed bytes of one document; 0: importer.DefaultLimit
}

var _ importer.Source = (*Source)(nil)

// Name implements importer.Source.
func (s *Source) Name() string { return Name }

func (s *Source) fetch() importer.Fetch {
	return importer.Fetch{Client: s.Client, Limit: s.Limit, Accept: "application/xml"}
}

func (s *Source) base() string { return strings.TrimRight(cmp.Or(s.Base, Live), "/") }

// Files implements importer.Source. A location is a document, plain or gzip; a folder with documents (*.xml, *.gz) in
// it or below it; an http(s) location of a document, of a page that links to documents, or of an index as the live
// service has it; empty: the live index. Of a file, all bytes as stored make the fingerprint, for a document can
// change without a new revision, and its head gives id and revision; of the index, only the revision does.
func (s *Source) Files(ctx context.Context, req importer.Request) ([]importer.File, error) {
	var files []importer.File
	var err error
	switch {
	case req.From == "":
		files, err = s.index(ctx, req, s.base()+"/updates")
	case importer.IsURL(req.From):
		files, err = s.location(ctx, req)
	default:
		var items []importer.Item
		if items, err = s.fetch().List(ctx, req.From, wanted); err == nil {
			files, err = s.describe(ctx, req, items)
		}
	}
	if err != nil {
		return nil, err
	}
	if len(files) == 0 {
		return nil, fmt.Errorf("%s: no CVRF documents (*.xml or *.gz) there", cmp.Or(req.From, s.base()))
	}
	slices.SortStableFunc(files, func(a, b importer.File) int {
		return cmp.Or(cmp.Compare(monthOrder(a.Name), monthOrder(b.Name)), cmp.Compare(a.Path, b.Path))
	})
	return files, nil
}

func wanted(name string) bool {
	lower := strings.ToLower(name)
	return strings.HasSuffix(lower, ".xml") || strings.HasSuffix(lower, ".gz") || strings.HasSuffix(lower, ".cvrf")
}

// monthOrder makes ids of documents sort by time.
func monthOrder(name string) string {
	if parts := docID.FindStringSubmatch(name); parts != nil {
		if i := slices.Index(months, parts[2]); i >= 0 {
			return fmt.Sprintf("%s-%02d%s", parts[1], i+1, parts[3])
		}
	}
	return "9999" + name
}

// describe reads of every item what a fingerprint needs.
func (s *Source) describe(ctx context.Context, req importer.Request, items []importer.Item) ([]importer.File, error) {
	files := make([]importer.File, len(items))
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(listing)
	for i, item := range items {
		group.Go(func() (err error) {
			files[i], err = s.describeItem(ctx, req, item)
			return err
		})
	}
	return files, group.Wait()
}

func (s *Source) describeItem(ctx context.Context, req importer.Request, item importer.Item) (importer.File, error) {
	fetch := s.fetch()
	f := importer.File{Name: item.Name, Path: item.Path, Size: item.Size, Open: func(ctx context.Context) (io.ReadCloser, error) {
		return fetch.Decompressed(ctx, item)
	}}
	version := item.Version
	if version == "" {
		digest, err := fetch.Digest(ctx, item)
		if err != nil { // said when it is opened, so that it keeps no other file from being read
			f.Open = func(context.Context) (io.ReadCloser, error) { return nil, err }
			return f, ctx.Err()
		}
		version = digest
	}
	// A head that cannot be read is no error here: parsing the file will say what is wrong with it.
	if head, err := fetch.Head(ctx, item, headSize); err == nil {
		if id, revision := readHead(ctx, head); id != "" {
			f.Name, f.Revision = id, revision
		}
	}
	f.Fingerprint = fingerprint(req, f.Revision, version)
	return f, ctx.Err()
}

func fingerprint(req importer.Request, revision, version string) string {
	languages := slices.Sorted(slices.Values(req.Languages))
	return importer.Fingerprint(revision, importerVersion, version, strings.Join(languages, ","), families.Exclude(req.Exclude).String())
}

// readHead finds id and revision in the first bytes of a document, normally cut off somewhere behind them.
func readHead(ctx context.Context, head []byte) (id, revision string) {
	d := newReading(ctx, bytes.NewReader(head), "", nil)
	defer d.s.Close()
	_ = d.document() // it is cut short; what was read until then counts
	if d.id == "" || d.current == "" {
		return "", ""
	}
	id, _ = documentID(d.id, d.released)
	return id, normalRevision(d.current)
}

var zone = regexp.MustCompile(`(\.\d+)?(Z|[+-]00:?00)?$`)

// normalRevision makes dates of revision comparable as text: one without a zone is UTC.
func normalRevision(date string) string { return zone.ReplaceAllString(strings.TrimSpace(date), "") }

// Parse implements importer.Source. Parts come in the order of their KB numbers once the whole document was read.
func (s *Source) Parse(ctx context.Context, req importer.Request, file importer.File, emit func(importer.Part) error, warn func(importer.Warning)) (string, error) {
	stream, err := file.Open(ctx)
	if err != nil {
		return "", err
	}
	defer stream.Close()
	d, err := read(ctx, stream, file.Name, families.Exclude(req.Exclude))
	if err != nil {
		return "", err
	}
	var encoded writer
	for _, kb := range d.articles() {
		p := d.partOf(kb, d.kbs[kb])
		encoded = p.encode(encoded[:0])
		if err := emit(importer.Part{Source: Name, File: d.id, Key: "KB" + kb, Body: bytes.Clone(encoded)}); err != nil {
			return d.id, err
		}
	}
	d.odd.tell(warn)
	return d.id, nil
}

// indexEntry is one month of the index.
type indexEntry struct {
	ID                 string
	CurrentReleaseDate string
	InitialReleaseDate string
}

var errNoIndex = errors.New("not an index of security updates (JSON with a list \"value\")")

func (s *Source) index(ctx context.Context, req importer.Request, location string) ([]importer.File, error) {
	fetch := s.fetch()
	fetch.Accept = "application/json"
	stream, err := fetch.Get(ctx, location)
	if err != nil {
		return nil, err
	}
	defer stream.Close()
	var answer struct{ Value []indexEntry }
	if err := json.NewDecoder(io.LimitReader(stream, indexSize)).Decode(&answer); err != nil {
		return nil, fmt.Errorf("%s: %w: %w", location, errNoIndex, err)
	}
	if answer.Value == nil {
		return nil, fmt.Errorf("%s: %w", location, errNoIndex)
	}
	base := strings.TrimSuffix(strings.TrimRight(location, "/"), "/updates")
	files := make([]importer.File, 0, len(answer.Value))
	for _, e := range answer.Value {
		if e.ID == "" {
			continue
		}
		files = append(files, s.monthly(req, base, e))
	}
	return files, nil
}

func (s *Source) monthly(req importer.Request, base string, e indexEntry) importer.File {
	fetch := s.fetch()
	location := base + "/cvrf/" + url.PathEscape(e.ID)
	item := importer.Item{Name: e.ID, Path: location, Size: -1, Open: func(ctx context.Context) (io.ReadCloser, error) {
		return fetch.Get(ctx, location)
	}}
	name, _ := documentID(e.ID, e.InitialReleaseDate)
	revision := normalRevision(e.CurrentReleaseDate)
	return importer.File{
		Name: name, Path: location, Size: -1, Revision: revision, Fingerprint: fingerprint(req, revision, "index"),
		Open: func(ctx context.Context) (io.ReadCloser, error) { return fetch.Decompressed(ctx, item) },
	}
}

// location finds out what an http(s) location is by its first bytes.
func (s *Source) location(ctx context.Context, req importer.Request) ([]importer.File, error) {
	fetch := s.fetch()
	fetch.Accept = "application/xml, */*;q=0.1"
	items, err := fetch.List(ctx, req.From, wanted)
	if err != nil {
		return nil, err
	}
	head, err := fetch.Head(ctx, items[0], headSize)
	if err != nil {
		return nil, err
	}
	start := strings.ToLower(strings.TrimLeft(strings.TrimPrefix(string(head), "\ufeff"), " \t\r\n"))
	switch {
	case strings.HasPrefix(start, "{"):
		return s.index(ctx, req, req.From)
	case strings.HasPrefix(start, "<!doctype html"), strings.HasPrefix(start, "<html"), strings.HasPrefix(start, "<pre"):
		linked, err := s.links(ctx, req.From, items[0])
		if err != nil {
			return nil, err
		}
		return s.describe(ctx, req, linked)
	}
	return s.describe(ctx, req, items)
}

var href = regexp.MustCompile(`(?i)href\s*=\s*["']([^"']+)["']`)

// links lists the documents that a page links to, in the page's own folder or below it.
func (s *Source) links(ctx context.Context, from string, page importer.Item) ([]importer.Item, error) {
	stream, err := s.fetch().Decompressed(ctx, page)
	if err != nil {
		return nil, err
	}
	defer stream.Close()
	raw, err := io.ReadAll(io.LimitReader(stream, indexSize))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", page.Path, err)
	}
	base, err := url.Parse(from)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", page.Path, err)
	}
	folder := base.Path[:strings.LastIndexByte(base.Path, '/')+1]
	var items []importer.Item
	for _, found := range href.FindAllStringSubmatch(string(raw), -1) {
		link, err := base.Parse(found[1])
		if err != nil || link.Host != base.Host || link.Scheme != base.Scheme || !strings.HasPrefix(link.Path, folder) || !wanted(link.Path) {
			continue
		}
		link.Fragment = ""
		more, err := s.fetch().List(ctx, link.String(), wanted)
		if err != nil {
			return nil, err
		}
		items = append(items, more...)
	}
	return items, nil
}
