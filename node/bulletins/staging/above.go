package staging

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"thatch/catalog"
	"thatch/catalog/content"
	"thatch/catalog/document"
	"thatch/node/bulletins/live"
)

// Where the payloads of documents come from that the site above made or passed on. What this site's own documents name
// comes from the vendor.
const (
	FromParent           = "parent"
	FromVendor           = "vendor"
	FromParentThenVendor = "parent-then-vendor"
)

// Above is the site above as a source of payloads.
type Above interface {
	// Parent names the site above; "" there is none.
	Parent(ctx context.Context) (string, error)
	// Request makes the request for a payload file that a payload document names. An error that is a *Later says why it
	// cannot be asked for now; so does Refused of the request for what the parent answers.
	Request(ctx context.Context, payload document.Digest, file catalog.StagedFile) (content.Request, error)
}

// Follow has payloads come from a site above. Call it before anything is downloaded.
func (s *Stager) Follow(above Above) { s.above = above }

// Again has what waits be asked for again: the site above can be reached.
func (s *Stager) Again() {
	s.gaveUp.Clear()
	s.transit.Hurry()
	select {
	case s.again <- struct{}{}:
	default: // told already
	}
}

// Asked tells that there may be something to download again, see Again.
func (s *Stager) Asked() <-chan struct{} { return s.again }

// Next is when a file that waits is to be asked for again, zero where none does.
func (s *Stager) Next() time.Time { return s.transit.Next() }

// Waits before the site above is asked again.
const (
	unreachableAgain = time.Minute
	wrongAgain       = 10 * time.Minute
	unnamedAgain     = time.Hour // something else starts it: the document arrives
)

// wanted is a file to bring in, and the payload document that names it.
type wanted struct {
	catalog.File
	pack    string          // document id
	payload document.Digest // zero: none
	foreign bool            // another site made the payload document
}

// sum is what the file is known by while it is awaited.
func (w *wanted) sum() string {
	switch {
	case w.SHA256 != "":
		return strings.ToLower(w.SHA256)
	case w.SHA1 != "":
		return "sha1-" + strings.ToLower(w.SHA1)
	}
	return w.pack + "/" + w.Name
}

// foreign says whether a document comes from a site above.
func (s *Stager) foreign(origin string) bool { return s.above != nil && origin != s.cfg.Site }

// filesOf are the files of a package, each as its payload document says that it is, where there is one.
func (s *Stager) filesOf(ps *PackageStatus) []wanted {
	files := make([]wanted, 0, len(ps.Package.Files))
	for _, f := range ps.Package.Files {
		w := wanted{File: f, pack: ps.Package.ID}
		if p := ps.Payload; p != nil && s.foreign(p.Origin) {
			w.payload, w.foreign = p.Digest, true
			for _, staged := range p.Files {
				if strings.EqualFold(staged.Name, f.Name) {
					w.SHA256, w.Size = staged.SHA256, staged.Size
				}
			}
		}
		files = append(files, w)
	}
	return files
}

// foreignOnly says why a package of another site cannot be staged before that site has staged it, nil where it can.
func (s *Stager) foreignOnly(f *fetcher, ps *PackageStatus, held *live.Payload) error {
	switch {
	case f.parent == "" || !s.foreign(ps.Package.Origin) || ps.Payload != nil:
		return nil
	case held != nil && s.foreign(held.Origin):
		return &Later{Text: fmt.Sprintf("the sites above have staged another revision of %s; it comes when they stage this one", ps.Package.Name), After: unnamedAgain}
	case f.source == FromParent:
		return &Later{Text: fmt.Sprintf("parent %s has not staged %s: stage its bulletin there, or let this site ask vendors: thatch settings set staging.source %s",
			f.parent, ps.Package.Name, FromParentThenVendor), After: unnamedAgain}
	}
	return nil
}

// bring brings one file in: from another node of the site, from the site above or from its vendor.
func (f *fetcher) bring(ctx context.Context, w *wanted, arrived func(int64)) (content.Info, error) {
	if info, err := f.fromSister(ctx, w, arrived); err == nil || ctx.Err() != nil || errors.Is(err, content.ErrDiskFull) {
		return info, err
	}
	if f.parent == "" || !w.foreign || f.source == FromVendor {
		return f.file(ctx, &w.File, arrived)
	}
	info, err := f.fromAbove(ctx, w, arrived)
	var later *Later
	coming := errors.As(err, &later) && later.After <= Soon
	if err == nil || coming || ctx.Err() != nil || errors.Is(err, content.ErrDiskFull) || f.source != FromParentThenVendor || w.URL == "" {
		return info, err
	}
	info, vendors := f.file(ctx, &w.File, arrived)
	if vendors != nil && later != nil && !errors.Is(vendors, content.ErrDiskFull) && ctx.Err() == nil {
		return info, &Later{Text: later.Text + "; " + vendors.Error(), After: later.After}
	}
	return info, vendors
}

// errElsewhere says that no other node is asked for a file.
var errElsewhere = errors.New("it is not to be had from another node")

// fromSister asks the other nodes of the site for what is not here.
func (f *fetcher) fromSister(ctx context.Context, w *wanted, arrived func(int64)) (content.Info, error) {
	if f.sisters == nil || w.SHA256 == "" {
		return content.Info{}, errElsewhere
	}
	if _, err := f.content.Stat(w.SHA256); err == nil {
		return content.Info{}, errElsewhere
	}
	var came int64
	info, err := f.sisters(ctx, w.SHA256, w.Size, bytesArrived(func(bytes int64) {
		came += bytes
		arrived(bytes)
	}))
	if err != nil {
		arrived(-came) // whoever is asked next counts them again
	}
	return info, err
}

// fromAbove asks the site above for what is not here: it may have come from a disk.
func (f *fetcher) fromAbove(ctx context.Context, w *wanted, arrived func(int64)) (content.Info, error) {
	if held, err := f.content.Open(w.SHA256); err == nil {
		defer held.Close()
		arrived(held.Size())
		return content.Info{SHA256: held.SHA256(), Size: held.Size()}, nil
	}
	req, err := f.above.Request(ctx, w.payload, catalog.StagedFile{Name: w.Name, SHA256: w.SHA256, Size: w.Size})
	if err != nil {
		return content.Info{}, err
	}
	info, err := f.content.Download(ctx, req, bytesArrived(arrived))
	var later *Later
	switch {
	case err == nil, ctx.Err() != nil, errors.Is(err, content.ErrDiskFull), errors.As(err, &later):
		return info, err
	case errors.Is(err, content.ErrTooLarge):
		return info, fail(TooLarge, "%w", err)
	case errors.Is(err, content.ErrDigest), errors.Is(err, content.ErrSize):
		return info, &Later{Text: fmt.Sprintf("parent %s sent something else than %s: %v", f.parent, w.Name, err), After: wrongAgain}
	}
	return info, &Later{Text: fmt.Sprintf("%s did not come from parent %s: %v", w.Name, f.parent, err), After: unreachableAgain}
}

// bytesArrived turns a download's progress into the bytes that came since it was told last. An attempt that begins anew
// takes bytes back.
func bytesArrived(arrived func(int64)) content.Progress {
	before := int64(0)
	return func(done, _ int64) {
		arrived(done - before)
		before = done
	}
}
