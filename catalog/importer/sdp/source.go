// Package sdp reads Software Distribution Packages: single .sdp files, folders of them with an update_manifest.json
// (SCUP v2), catalogs (SCUP v1 XML), and cabinets or zip archives of either.
package sdp

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"thatch/catalog/importer"
	"thatch/catalog/importer/sdp/markup"
)

// importerVersion is part of every fingerprint: raise it when the same file would give other documents.
const importerVersion = "1"

const (
	manifestName = "update_manifest.json"
	maxManifest  = 64 << 20 // bytes
	headSize     = 4 << 10  // bytes in which a catalog names its root element
)

// Source reads SDP packages and catalogs. The zero value uses an HTTP client that honours the environment's proxies.
type Source struct {
	Client *http.Client // nil: the default one
	Limit  int64        // unpacked bytes of one file; 0: importer.DefaultLimit
}

var (
	_ importer.Source = (*Source)(nil)
	_ importer.Joiner = (*Source)(nil)
)

// Name implements importer.Source.
func (s *Source) Name() string { return Name }

func (s *Source) fetch() importer.Fetch { return importer.Fetch{Client: s.Client, Limit: s.Limit} }

func (s *Source) limit() int64 {
	if s.Limit > 0 {
		return s.Limit
	}
	return importer.DefaultLimit
}

// Files implements importer.Source. A location is a file of any of the kinds, a folder with such files in it or below
// it, an http(s) location of a file, or one of a v2 folder (ending in "/", or naming its update_manifest.json), of
// which only the packages are fetched whose date in the manifest changed.
func (s *Source) Files(ctx context.Context, req importer.Request) ([]importer.File, error) {
	if req.From == "" {
		return nil, errors.New("SDP catalogs have many vendors: name a file, a folder or an http(s) location, such as a vendor's .cab")
	}
	if importer.IsURL(req.From) && (strings.HasSuffix(req.From, "/") || path.Base(req.From) == manifestName) {
		return s.manifest(ctx, req)
	}
	items, err := s.fetch().List(ctx, req.From, wanted)
	if err != nil {
		return nil, err
	}
	var files []importer.File
	for _, item := range items {
		file, err := s.describe(ctx, req, item, len(items) > 1)
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		if err != nil {
			file = unreadable(req, item, err)
		}
		if file.Name != "" {
			files = append(files, file)
		}
	}
	if len(files) == 0 {
		return nil, fmt.Errorf("%s: no SDP packages (*.sdp) and no catalogs (*.xml, *.cab, *.zip) there", req.From)
	}
	slices.SortStableFunc(files, func(a, b importer.File) int {
		return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.Path, b.Path))
	})
	return files, nil
}

// unreadable is a file of which not even a fingerprint can be made: the run will say so, and import the others.
func unreadable(req importer.Request, item importer.Item, why error) importer.File {
	return importer.File{
		Name: relative(req.From, item), Path: item.Path, Size: item.Size, Fingerprint: fingerprint(req, "", "unreadable: "+why.Error()),
		Open: func(context.Context) (io.ReadCloser, error) { return nil, why },
	}
}

func wanted(name string) bool {
	switch strings.ToLower(filepath.Ext(name)) {
	case ".sdp", ".xml", ".cab", ".zip":
		return true
	}
	return false
}

// describe makes a file of an item. In a folder, XML files that are no catalogs are none of ours (an empty name).
func (s *Source) describe(ctx context.Context, req importer.Request, item importer.Item, folder bool) (importer.File, error) {
	fetch := s.fetch()
	file := importer.File{Path: item.Path, Size: item.Size, Open: func(ctx context.Context) (io.ReadCloser, error) {
		return fetch.Decompressed(ctx, item)
	}}
	if strings.EqualFold(filepath.Ext(item.Name), ".sdp") {
		return s.describePackage(ctx, req, item, file)
	}
	if folder && strings.EqualFold(filepath.Ext(item.Name), ".xml") && s.another(ctx, item) {
		return importer.File{}, ctx.Err()
	}
	version := item.Version
	if version == "" {
		digest, err := fetch.Digest(ctx, item)
		if err != nil {
			return file, err
		}
		version = digest
	}
	file.Name, file.Guessed = relative(req.From, item), true
	file.Fingerprint = fingerprint(req, "", version)
	return file, nil
}

// another says that a file is XML of another kind. A web page is not: it stands where a catalog should have been.
func (s *Source) another(ctx context.Context, item importer.Item) bool {
	head, err := s.fetch().Head(ctx, item, headSize)
	if err != nil {
		return false
	}
	_, err = markup.NewSplitter(bytes.NewReader(head))
	root := markup.RootError{}
	return errors.As(err, &root) && !strings.EqualFold(root.Name, "html")
}

// describePackage reads a package file, which is small: its bytes are the fingerprint, its date the revision.
func (s *Source) describePackage(ctx context.Context, req importer.Request, item importer.Item, file importer.File) (importer.File, error) {
	stream, err := s.fetch().Decompressed(ctx, item)
	if err != nil {
		return file, err
	}
	defer stream.Close()
	content, err := io.ReadAll(io.LimitReader(stream, markup.MaxPackage+1))
	if err != nil {
		return file, fmt.Errorf("read %s: %w", item.Path, err)
	}
	sum := sha256.Sum256(content)
	file.Revision = createdOf(content)
	file.Fingerprint = fingerprint(req, file.Revision, hex.EncodeToString(sum[:]))
	// A file named by its package is that package's file wherever it lies; others go by their place.
	file.Name, file.Guessed = relative(req.From, item), true
	if id, ok := guid(strings.TrimSuffix(item.Name, filepath.Ext(item.Name))); ok {
		file.Name, file.Guessed = id+".sdp", false
	}
	return file, nil
}

func relative(from string, item importer.Item) string {
	if name, err := filepath.Rel(from, item.Path); err == nil && name != "." && !strings.HasPrefix(name, "..") && !importer.IsURL(from) {
		return filepath.ToSlash(name)
	}
	return item.Name
}

func fingerprint(req importer.Request, revision, version string) string {
	var excluded []string
	for name := range exclusions(req.Exclude) {
		excluded = append(excluded, name)
	}
	slices.Sort(excluded)
	return importer.Fingerprint(revision, importerVersion, version, strings.Join(excluded, ","))
}

// manifest lists a v2 folder that is reached over HTTP.
func (s *Source) manifest(ctx context.Context, req importer.Request) ([]importer.File, error) {
	base := strings.TrimSuffix(req.From, manifestName)
	fetch := s.fetch()
	stream, err := fetch.Get(ctx, base+manifestName)
	if err != nil {
		return nil, err
	}
	defer stream.Close()
	entries, err := readManifest(stream)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", base+manifestName, err)
	}
	var files []importer.File
	for _, entry := range entries {
		location := base + entry.name + ".sdp"
		files = append(files, importer.File{
			Name: entry.id + ".sdp", Path: location, Size: -1, Revision: entry.created,
			Fingerprint: fingerprint(req, entry.created, location),
			Open: func(ctx context.Context) (io.ReadCloser, error) {
				return fetch.Decompressed(ctx, importer.Item{Name: entry.id + ".sdp", Path: location, Open: func(ctx context.Context) (io.ReadCloser, error) {
					return fetch.Get(ctx, location)
				}})
			},
		})
	}
	return files, nil
}

// entry is one line of a manifest.
type entry struct {
	id      string
	name    string // as it is written, for servers that tell cases apart
	created string
}

// readManifest reads {"PackageID":"CreationDate", ...}, sorted by id. One malformed line makes it no manifest: a
// package that is missing there would go unnoticed.
func readManifest(r io.Reader) ([]entry, error) {
	content, err := io.ReadAll(io.LimitReader(r, maxManifest+1))
	if err != nil {
		return nil, err
	}
	if len(content) > maxManifest {
		return nil, fmt.Errorf("manifest: %w: more than %d bytes", importer.ErrTooLarge, maxManifest)
	}
	var dates map[string]string
	if err := json.Unmarshal([]byte(strings.TrimPrefix(string(content), "\ufeff")), &dates); err != nil {
		return nil, fmt.Errorf("manifest: want an object of PackageID and CreationDate: %w", err)
	}
	entries := make([]entry, 0, len(dates))
	for text, date := range dates {
		id, ok := guid(text)
		created, dated := parseDate(date)
		if !ok || !dated {
			return nil, fmt.Errorf("manifest: %.60q: %.60q is no PackageID with its CreationDate", text, date)
		}
		entries = append(entries, entry{id: id, name: strings.Trim(strings.TrimSpace(text), "{}"), created: created})
	}
	slices.SortFunc(entries, func(a, b entry) int { return cmp.Compare(a.id, b.id) })
	return entries, nil
}
