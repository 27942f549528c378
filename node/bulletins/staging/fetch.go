package staging

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"path"
	"strings"
	"time"

	"thatch/catalog"
	"thatch/catalog/content"
	"thatch/catalog/content/authenticode"
	"thatch/catalog/document"
	"thatch/node/bulletins/holdings"
	"thatch/node/bulletins/live"
	"thatch/node/bulletins/staging/transit"
	"thatch/node/store"
)

// Settings are the site's settings of downloads.
type Settings struct {
	Client      content.ClientConfig
	AllowUnsafe bool   // take payloads whose Authenticode signature is missing or not trusted
	Source      string // FromParent (where it is empty too), FromVendor, FromParentThenVendor
	Trust       authenticode.Trust
}

// failed is why a package could not be staged, for reasons that lie in it or in its vendor.
type failed struct {
	reason Reason
	err    error
}

func (f *failed) Error() string { return f.err.Error() }

func fail(reason Reason, format string, args ...any) error {
	return &failed{reason, fmt.Errorf(format, args...)}
}

// fetcher brings packages in under the settings of one run.
type fetcher struct {
	content  Content
	client   *http.Client
	verifier *authenticode.Verifier // nil: signatures are not asked for
	above    Above
	sisters  Sisters
	parent   string // name of the site above, "" there is none
	source   string // see Settings
	transit  *transit.Files
	now      func() time.Time
}

func (s *Stager) fetcher(ctx context.Context, settings Settings) (*fetcher, error) {
	client, err := content.Client(settings.Client)
	if err != nil {
		return nil, fmt.Errorf("settings of downloads: %w", err)
	}
	f := &fetcher{
		content: s.cfg.Content, client: client, above: s.above, sisters: s.cfg.Sisters, source: cmp.Or(settings.Source, FromParent),
		transit: &s.transit, now: s.cfg.Now,
	}
	if f.above != nil {
		if f.parent, err = f.above.Parent(ctx); err != nil {
			return nil, err
		}
	}
	if !settings.AllowUnsafe {
		if f.verifier, err = authenticode.New(settings.Trust, s.cfg.Now); err != nil {
			return nil, fmt.Errorf("settings of downloads: %w", err)
		}
	}
	return f, nil
}

// fetch brings in and judges every file of a package. Arrived hears of bytes as they come.
func (f *fetcher) fetch(ctx context.Context, name string, files []wanted, arrived func(bytes int64)) ([]catalog.StagedFile, error) {
	if len(files) == 0 {
		return nil, fail(Location, "package %s names no file", name)
	}
	staged := make([]catalog.StagedFile, 0, len(files))
	var waits error
	for i := range files {
		info, err := f.tracked(ctx, &files[i], arrived)
		if later := (*Later)(nil); errors.As(err, &later) {
			waits = err
			continue // the others may come meanwhile
		}
		if err != nil {
			return nil, err
		}
		one := catalog.StagedFile{Name: files[i].Name, SHA256: info.SHA256, Size: info.Size}
		if one.Signer, err = f.judge(one); err != nil {
			return nil, err
		}
		staged = append(staged, one)
	}
	return staged, waits
}

// expect keeps that a file is awaited, and from whom.
func (f *fetcher) expect(w *wanted) {
	f.transit.Change(w.sum(), func(at *transit.File) {
		at.Name, at.Package, at.Size, at.From = w.Name, w.pack, w.Size, ""
		if w.foreign && f.source != FromVendor {
			at.From = f.parent
		}
	})
}

// postpone keeps what a file waits for, and until when.
func (f *fetcher) postpone(w *wanted, later *Later) {
	f.transit.Change(w.sum(), func(at *transit.File) {
		at.Why, at.Payload, at.Next = later.Text, w.payload, f.now().Add(max(later.After, time.Second))
	})
}

// tracked brings a file in and keeps how far it is.
func (f *fetcher) tracked(ctx context.Context, w *wanted, arrived func(bytes int64)) (content.Info, error) {
	f.expect(w)
	sum := w.sum()
	f.transit.Change(sum, func(at *transit.File) { at.Why, at.Next = "", time.Time{} })
	var done int64
	info, err := f.bring(ctx, w, func(bytes int64) {
		done += bytes
		f.transit.Progress(sum, done)
		arrived(bytes)
	})
	if later := (*Later)(nil); errors.As(err, &later) {
		f.postpone(w, later)
	}
	return info, err
}

// file brings one file in, or finds that it is here already.
func (f *fetcher) file(ctx context.Context, file *catalog.File, arrived func(bytes int64)) (content.Info, error) {
	if file.URL == "" {
		info, err := f.content.Stat(file.SHA256)
		if file.SHA256 == "" || err != nil {
			return info, fail(Location, "file %s is not held here and its package names no address; where it was added by hand, it was "+
				"taken away or found damaged since: remove the package, and add it again with its file", file.Name)
		}
		arrived(info.Size)
		return info, nil
	}
	at, err := url.Parse(file.URL)
	if err != nil || at.Host == "" || at.Scheme != "http" && at.Scheme != "https" {
		return content.Info{}, fail(Location, "file %s: %.200q is no http or https address", file.Name, file.URL)
	}
	info, err := f.content.Download(ctx, content.Request{
		URL: file.URL, Name: file.Name, Size: file.Size, SHA1: file.SHA1, SHA256: file.SHA256, Client: f.client,
	}, bytesArrived(arrived))
	if err != nil {
		return info, judgeDownload(ctx, file, err)
	}
	return info, nil
}

// judgeDownload tells a failure of this package from one of the node.
func judgeDownload(ctx context.Context, file *catalog.File, err error) error {
	switch {
	case ctx.Err() != nil, errors.Is(err, content.ErrDiskFull):
		return err
	case errors.Is(err, content.ErrGone):
		return fail(Gone, "the vendor does not host %s any more (%w); stage the bulletin again to retry", file.Name, err)
	case errors.Is(err, content.ErrDigest), errors.Is(err, content.ErrSize):
		return fail(Digest, "what the vendor sent as %s is not what the catalog describes: %w", file.Name, err)
	case errors.Is(err, content.ErrNoDigest), errors.Is(err, content.ErrBadDigest):
		return fail(Location, "the catalog names no digest of %s to hold it against: %w", file.Name, err)
	case errors.Is(err, content.ErrTooLarge):
		return fail(TooLarge, "%w", err)
	}
	return fail(Unreachable, "%s could not be downloaded: %w", file.Name, err)
}

// signed are the endings of files that must carry an Authenticode signature.
var signed = map[string]bool{".msi": true, ".msp": true, ".exe": true, ".cab": true}

// judge checks the signature of a file that is here. A format that carries none has no signer and is fine: its digest
// is what holds it.
func (f *fetcher) judge(file catalog.StagedFile) (*catalog.Signer, error) {
	if f.verifier == nil {
		return nil, nil
	}
	reader, err := f.content.Open(file.SHA256)
	if err != nil {
		return nil, err
	}
	defer reader.Close()
	signer, err := f.verifier.Verify(reader, reader.Size(), file.Name)
	switch {
	case err == nil:
		return &signer, nil
	case errors.Is(err, authenticode.ErrFormat) && !signed[strings.ToLower(path.Ext(file.Name))]:
		return nil, nil
	case errors.Is(err, authenticode.ErrUntrusted):
		return nil, fail(Untrusted, "refused: %w; add its signer to the trust list if it is to be trusted, and stage the bulletin again", err)
	case errors.Is(err, authenticode.ErrUnsigned), errors.Is(err, authenticode.ErrTampered), errors.Is(err, authenticode.ErrFormat):
		return nil, fail(Unsigned, "refused: %w", err)
	}
	return nil, err
}

// record writes the payload document of a package, if it is another than before, and that this node holds its files. What a
// site above learned of it stands.
func (s *Stager) record(ctx context.Context, p *live.Package, files []catalog.StagedFile, child bool) error {
	body, err := catalog.Encode(catalog.Payload{Package: p.ID, PackageDigest: p.Digest, Files: files})
	if err != nil {
		return err
	}
	doc, err := document.New(document.Payload, p.ID, p.Languages, body)
	if err != nil {
		return err
	}
	former := store.Former{Absent: true}
	s.cfg.Signer.Sign(&doc)
	foreign := false
	err = s.cfg.Catalog.Read(ctx, func(v *live.View) error {
		if held := v.AnyPayload(p.ID); held != nil {
			former, foreign = store.Former{Digest: held.Digest}, child && held.Origin != doc.Origin
		}
		return nil
	})
	if err != nil {
		return err
	}
	statements := []store.Statement{forgive(p.ID)}
	for _, file := range files {
		statements = append(statements, s.holds(file.SHA256, file.Size))
	}
	if former.Digest != doc.Digest && !foreign {
		statements = append(store.Put(doc, "", former), statements...)
	}
	return s.writeOne(ctx, "stage package "+p.Name, statements)
}

func (s *Stager) holds(sha256 string, size int64) store.Statement {
	return holdings.Add(sha256, s.cfg.Node, size)
}

// recordFailure keeps why a package is not here. That the vendor does not answer is kept too, for people, and tried
// again by the next run. What is kept of former revisions goes, but for those that policies pin.
func (s *Stager) recordFailure(ctx context.Context, id string, digest document.Digest, f *failed) error {
	s.cfg.Log.Warn("a package could not be staged", "package", id, "reason", string(f.reason), "error", f.err)
	return s.writeOne(ctx, "record that a package cannot be staged", []store.Statement{{
		SQL:  `DELETE FROM staging_failure WHERE package = ? AND digest <> ? AND NOT EXISTS (SELECT 1 FROM pin WHERE pin.digest = staging_failure.digest)`,
		Args: []any{id, digest[:]},
	}, {
		SQL: `INSERT INTO staging_failure (package, digest, reason, detail, at) VALUES (?, ?, ?, ?, ?)
ON CONFLICT (package, digest) DO UPDATE SET reason = excluded.reason, detail = excluded.detail, at = excluded.at`,
		Args: []any{id, digest[:], string(f.reason), f.Error(), s.cfg.Now().UTC().Format(time.RFC3339)},
	}})
}

// writeOne writes statements that belong together.
func (s *Stager) writeOne(ctx context.Context, reason string, statements []store.Statement) error {
	applied, err := s.cfg.Writer.Write(ctx, store.Batch{
		Actor: store.ActorOf(ctx), Reason: reason, At: s.cfg.Now().UTC(), Topics: []string{Topic, store.TopicDocuments},
		Statements: statements,
	})
	if err != nil {
		return err
	}
	return applied.Err()
}
