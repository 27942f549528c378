package staging_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"thatch/catalog"
	"thatch/catalog/content"
	"thatch/catalog/content/authenticode"
	"thatch/catalog/content/authenticode/authenticodetest"
	"thatch/catalog/document"
	"thatch/node/bulletins/bulletinstest"
	"thatch/node/bulletins/staging"
	"thatch/node/store"
)

// above is a site above: it serves the files p/SHA256 of a vendor, and every document of bulletinstest is its own.
type above struct {
	v     *vendor
	later *staging.Later // nil: the link stands
	left  bool           // it is the parent no more
	mu    sync.Mutex
	asked []string // names of files
}

func (a *above) Parent(context.Context) (string, error) {
	if a.left {
		return "", nil
	}
	return "Top", nil
}

func (a *above) Request(_ context.Context, payload document.Digest, f catalog.StagedFile) (content.Request, error) {
	if payload == (document.Digest{}) {
		return content.Request{}, errors.New("no document names the file")
	}
	a.mu.Lock()
	a.asked = append(a.asked, f.Name)
	a.mu.Unlock()
	if a.later != nil {
		return content.Request{}, a.later
	}
	return content.Request{
		URL: a.v.URL + "/p/" + f.SHA256, Name: f.Name, Size: f.Size, SHA256: f.SHA256, Client: http.DefaultClient,
		Refused: func(r *http.Response) error {
			return &staging.Later{Text: fmt.Sprintf("parent Top answered %d", r.StatusCode), After: time.Hour}
		},
	}, nil
}

// own signs as the site below.
type own struct{}

func (own) Sign(doc *document.Document) { doc.Sign("below", bulletinstest.Key) }

// newBelow is a bench of a site that is called "below".
func newBelow(t *testing.T) (*bench, *above) {
	b := newBench(t)
	a := &above{v: b.vendor}
	b.below(t, a, b.content)
	return b, a
}

func (b *bench) below(t *testing.T, a *above, held staging.Content) {
	t.Helper()
	b.Stager = staging.New(staging.Config{
		Node: "node-1", Site: "below", Reader: b.db, Writer: b.db, Signer: own{}, Catalog: b.room.Catalog(), Content: held,
		Log: slog.New(slog.DiscardHandler), Settings: func(context.Context) (staging.Settings, error) { return b.settings, nil },
	})
	b.Follow(a)
}

// staged makes the payload document of a package as the site above staged it, and has the parent serve its file.
func (b *bench) staged(t *testing.T, p document.Document, name string, body []byte) document.Document {
	t.Helper()
	s := sha256.Sum256(body)
	sum := hex.EncodeToString(s[:])
	b.vendor.set("p/"+sum, body)
	payload := bulletinstest.Doc(t, document.Payload, p.ID, p.Languages, catalog.Payload{
		Package: p.ID, PackageDigest: p.Digest, Files: []catalog.StagedFile{{Name: name, SHA256: sum, Size: int64(len(body))}},
	})
	bulletinstest.Signer{}.Sign(&payload)
	bulletinstest.Write(t, b.db, store.Put(payload, "", store.Former{})...)
	return payload
}

func (b *bench) text(t *testing.T, update string) string {
	t.Helper()
	state, err := b.Load(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return b.statusIn(t, state, update).Text
}

// TestWhatNobodyAboveStaged waits and says for what; a vendor is asked only where that is allowed, and by the document that
// comes from above later the bytes here count.
func TestWhatNobodyAboveStaged(t *testing.T) {
	b, a := newBelow(t)
	body := []byte("the vendor's")
	b.vendor.set("a.msi", body)
	p := pack(t, "P1", "U1", nil, b.vendor.file("a.msi"))
	bulletinstest.Save(t, b.room, "sdp", "catalog", bulletin(t, "B1"), update(t, "U1", "B1"), p)
	b.stage(t, "B1")
	got := b.run(t)
	if got.Staged != 0 || len(got.Failed) != 1 || got.Failed[0].Reason != staging.Waits || b.vendor.gets["a.msi"] != 0 || len(a.asked) != 0 {
		t.Fatalf("%+v, vendor asked %d times, parent for %q", got, b.vendor.gets["a.msi"], a.asked)
	}
	if text := b.text(t, "U1"); !strings.Contains(text, "parent Top has not staged P1") || !strings.Contains(text, "staging.source parent-then-vendor") {
		t.Errorf("said %q", text)
	}
	b.wantOutstanding(t, false)
	b.staged(t, p, "a.msi", body)
	b.wantOutstanding(t, true) // the document arrived
	if got := b.run(t); got.Staged != 1 || len(a.asked) != 1 {
		t.Errorf("%+v, parent asked for %q", got, a.asked)
	}
	b.want(t, "U1", staging.Ready, "")
	if payload := b.status(t, "U1").Packages[0].Payload; payload.Origin != bulletinstest.Site {
		t.Errorf("the payload document is %s's now", payload.Origin)
	}
}

// TestWhatAFormerParentStaged is staged anew from the vendor, once there is another revision of it.
func TestWhatAFormerParentStaged(t *testing.T) {
	b, a := newBelow(t)
	former := pack(t, "P1", "U1", nil, catalog.File{Name: "a.msi", SHA1: strings.Repeat("0", 40)})
	b.vendor.set("a.msi", []byte("another"))
	p := pack(t, "P1", "U1", nil, b.vendor.file("a.msi"))
	bulletinstest.Save(t, b.room, "sdp", "catalog", bulletin(t, "B1"), update(t, "U1", "B1"), p)
	b.staged(t, former, "a.msi", []byte("what it was"))
	b.stage(t, "B1")
	if got := b.run(t); got.Staged != 0 || len(got.Failed) != 1 || got.Failed[0].Reason != staging.Waits {
		t.Errorf("under the parent: %+v", got)
	}
	a.left = true
	b.stage(t, "B1")
	if got := b.run(t); got.Staged != 1 {
		t.Errorf("%+v", got)
	}
	b.want(t, "U1", staging.Ready, "")
}

func TestParentThenVendor(t *testing.T) {
	b, a := newBelow(t)
	b.settings.Source = staging.FromParentThenVendor
	body := []byte("the vendor's")
	b.vendor.set("a.msi", body)
	b.vendor.set("b.msi", []byte("another"))
	p := pack(t, "P1", "U1", nil, b.vendor.file("a.msi"))
	bulletinstest.Save(t, b.room, "sdp", "catalog", bulletin(t, "B1"), update(t, "U1", "B1"), p, update(t, "U2", "B1"), pack(t, "P2", "U2", nil, b.vendor.file("b.msi")))
	b.staged(t, p, "a.msi", body)
	a.later = &staging.Later{Text: "no link", After: time.Hour}
	b.stage(t, "B1")
	if got := b.run(t); got.Staged != 2 || len(a.asked) != 1 || b.vendor.gets["a.msi"] != 1 {
		t.Errorf("%+v, parent asked for %q", got, a.asked)
	}
	if payload := b.status(t, "U2").Packages[0].Payload; payload == nil || payload.Origin != "below" {
		t.Errorf("what this site staged first: %+v", payload)
	}
}

// TestTheLinkIsDown says so, tries no vendor, and goes on at once when the link stands.
func TestTheLinkIsDown(t *testing.T) {
	b, a := newBelow(t)
	p := pack(t, "P1", "U1", nil, catalog.File{Name: "a.msi", SHA1: strings.Repeat("0", 40), URL: b.vendor.URL + "/a.msi"})
	bulletinstest.Save(t, b.room, "sdp", "catalog", bulletin(t, "B1"), update(t, "U1", "B1"), p)
	b.staged(t, p, "a.msi", []byte(strings.Repeat("x", 20_000)))
	a.later = &staging.Later{Text: "there is no link to parent Top", After: time.Hour}
	b.stage(t, "B1")
	b.run(t)
	if text := b.text(t, "U1"); text != "awaited from parent Top: 0 of 1 files, 0 of 20 kB; there is no link to parent Top" {
		t.Errorf("said %q", text)
	}
	b.wantOutstanding(t, false)
	if next := b.Next(); next.Before(time.Now().Add(50 * time.Minute)) {
		t.Errorf("asked again at %v", next)
	}
	a.later = nil
	b.Again()
	<-b.Asked()
	b.wantOutstanding(t, true)
	b.run(t)
	b.want(t, "U1", staging.Ready, "")
	if sum, files := b.Awaited(); sum != nil || len(files) != 0 || b.vendor.gets["a.msi"] != 0 {
		t.Errorf("awaited %+v, %+v", sum, files)
	}
}

// fullDisk has no room for a while.
type fullDisk struct {
	staging.Content
	full bool
}

func (f *fullDisk) Download(ctx context.Context, req content.Request, p content.Progress) (content.Info, error) {
	if f.full {
		return content.Info{}, fmt.Errorf("download %s: %w", req.Name, content.ErrDiskFull)
	}
	return f.Content.Download(ctx, req, p)
}

// TestAFullDiskBelow ends the run with the reason, records no failure of the package, and the next run goes on.
func TestAFullDiskBelow(t *testing.T) {
	b, a := newBelow(t)
	b.settings.Source = staging.FromParentThenVendor // which helps nobody here
	disk := &fullDisk{b.content, true}
	b.below(t, a, disk)
	body := []byte("payload")
	b.vendor.set("a.msi", body)
	p := pack(t, "P1", "U1", nil, b.vendor.file("a.msi"))
	bulletinstest.Save(t, b.room, "sdp", "catalog", bulletin(t, "B1"), update(t, "U1", "B1"), p)
	b.staged(t, p, "a.msi", body)
	b.stage(t, "B1")
	if got, err := b.Run(t.Context(), nil); !errors.Is(err, content.ErrDiskFull) {
		t.Fatalf("%+v, %v", got, err)
	}
	b.want(t, "U1", staging.Downloading, "")
	disk.full = false
	if got := b.run(t); got.Staged != 1 {
		t.Errorf("%+v", got)
	}
}

// TestOwnTrustBelow judges what comes from above by this site's own trust, for what is staged and for what policies pin.
func TestOwnTrustBelow(t *testing.T) {
	b, _ := newBelow(t)
	signer := authenticodetest.Signer(t, authenticodetest.Authority(t, "Root"), "Stranger")
	body := signer.Sign(t, authenticodetest.Program("hello"))
	b.settings = staging.Settings{Trust: authenticode.Trust{Roots: authenticodetest.Authority(t, "Other").PEM()}}
	p := pack(t, "P1", "U1", nil, catalog.File{Name: "a.exe", SHA1: strings.Repeat("0", 40)})
	bulletinstest.Save(t, b.room, "sdp", "catalog", bulletin(t, "B1"), update(t, "U1", "B1"), p)
	payload := b.staged(t, p, "a.exe", body)
	bulletinstest.Write(t, b.db, store.Pin("policy-1", p.Digest, true), store.Pin("policy-1", payload.Digest, true))
	if got := b.run(t); len(got.Failed) != 1 || got.Failed[0].Reason != staging.Untrusted || got.Restored != 0 {
		t.Fatalf("pinned: %+v", got)
	}
	b.want(t, "U1", staging.Refused, "Stranger")
	b.wantOutstanding(t, false)
	if err := b.Reconcile(t.Context()); err != nil {
		t.Fatal(err)
	}
	b.want(t, "U1", staging.Refused, "Stranger") // also after a restart
	b.stage(t, "B1")
	if got := b.run(t); len(got.Failed) != 1 || got.Failed[0].Reason != staging.Untrusted {
		t.Fatalf("staged: %+v", got)
	}
	mistrusted := func() int {
		t.Helper()
		n, first, err := staging.Mistrusted(t.Context(), b.db, "below")
		if err != nil || n > 0 && (first.Package != p.ID || !strings.Contains(first.Detail, "Stranger")) {
			t.Fatalf("%d, %+v, %v", n, first, err)
		}
		return n
	}
	if n := mistrusted(); n != 1 {
		t.Errorf("%d packages whose payloads another site took are not trusted here", n)
	}
	b.settings.Trust.Fingerprints = []string{authenticode.Fingerprint(signer.Cert)}
	b.stage(t, "B1")
	b.run(t)
	b.want(t, "U1", staging.Ready, "")
	if n := mistrusted(); n != 0 {
		t.Errorf("trusted now, and %d are not", n)
	}
}

// TestWhatPoliciesNeed fetches what policies pin that are on, in managed languages; what no policy pins any more is pruned.
func TestWhatPoliciesNeed(t *testing.T) {
	b, a := newBelow(t)
	docs := []document.Document{bulletin(t, "B1")}
	pins := map[string][]store.Statement{}
	var after []func() document.Document
	for name, language := range map[string]string{"on": "de", "off": "de", "french": "fr", "unknown": "de"} {
		p := pack(t, "P-"+name, "U-"+name, []string{language}, catalog.File{Name: name + ".msi", SHA1: strings.Repeat("0", 40)})
		docs = append(docs, update(t, "U-"+name, "B1"), p)
		after = append(after, func() document.Document {
			payload := b.staged(t, p, name+".msi", []byte("payload "+name))
			pins[name] = []store.Statement{store.Pin("policy-"+name, p.Digest, true), store.Pin("policy-"+name, payload.Digest, true)}
			return payload
		})
	}
	bulletinstest.Save(t, b.room, "sdp", "catalog", docs...)
	for _, do := range after {
		do()
	}
	state := func(name string, enabled, local bool) {
		t.Helper()
		bulletinstest.Write(t, b.db, store.Statement{
			SQL: `INSERT INTO policy_state (policy, enabled, paused, local) VALUES (?, ?, 0, ?)
				ON CONFLICT (policy) DO UPDATE SET enabled = excluded.enabled, local = excluded.local`,
			Args: []any{"policy-" + name, enabled, local},
		})
	}
	here := func(name string, enabled bool) {
		t.Helper()
		bulletinstest.Write(t, b.db, store.Statement{
			SQL: `INSERT INTO policy (id, name, enabled, paused, version, created, created_by, changed, idx) VALUES (?1, ?1, ?2, 0, 1, '', '', '', 1)
				ON CONFLICT (id) DO UPDATE SET enabled = excluded.enabled`,
			Args: []any{"policy-" + name, enabled},
		})
	}
	for name, statements := range pins {
		bulletinstest.Write(t, b.db, statements...)
		if name != "unknown" {
			state(name, name != "off", false)
		}
	}
	want := func(names string) {
		t.Helper()
		if got := b.run(t); len(got.Failed) != 0 {
			t.Errorf("%+v", got)
		}
		var held []string
		for _, name := range []string{"french", "off", "on", "unknown"} {
			s := sha256.Sum256([]byte("payload " + name))
			if b.content.Has(hex.EncodeToString(s[:])) {
				held = append(held, name)
			}
		}
		if got := strings.Join(held, " "); got != names {
			t.Errorf("held %q, want %q", got, names)
		}
	}
	want("on unknown")
	b.want(t, "U-on", staging.Ready, "")
	here("off", false)
	state("off", true, true)
	b.wantOutstanding(t, false) // this site switched it off, as it may
	state("off", true, false)
	b.wantOutstanding(t, true) // it may no more: the policy is in force
	want("off on unknown")
	if len(a.asked) != 3 {
		t.Errorf("asked for %q", a.asked)
	}
	bulletinstest.Write(t, b.db, store.Statement{SQL: `DELETE FROM pin WHERE policy = 'policy-on'`})
	if pruned, err := b.Prune(t.Context(), b.content, time.Now().Add(time.Hour)); err != nil || pruned.Payloads != 1 {
		t.Errorf("pruned %+v, %v", pruned, err)
	}
	want("off unknown")
}

// TestRefusedRevisions asks for no revision again that was refused, though policies pin two of one package.
func TestRefusedRevisions(t *testing.T) {
	b, a := newBelow(t)
	root := authenticodetest.Authority(t, "Root")
	b.settings = staging.Settings{Trust: authenticode.Trust{Roots: authenticodetest.Authority(t, "Other").PEM()}}
	for _, revision := range []string{"one", "two"} {
		body := authenticodetest.Signer(t, root, "Stranger").Sign(t, authenticodetest.Program(revision))
		p := pack(t, "P1", "U1", nil, catalog.File{Name: revision + ".exe", SHA1: strings.Repeat("0", 40)})
		bulletinstest.Save(t, b.room, "sdp", "catalog", bulletin(t, "B1"), update(t, "U1", "B1"), p)
		s := sha256.Sum256(body)
		sum := hex.EncodeToString(s[:])
		b.vendor.set("p/"+sum, body)
		payload := bulletinstest.Doc(t, document.Payload, p.ID, nil, catalog.Payload{
			Package: p.ID, PackageDigest: p.Digest, Files: []catalog.StagedFile{{Name: revision + ".exe", SHA256: sum, Size: int64(len(body))}},
		})
		bulletinstest.Signer{}.Sign(&payload)
		bulletinstest.Write(t, b.db, store.Hold(payload), store.Pin("policy-1", p.Digest, true), store.Pin("policy-1", payload.Digest, true))
	}
	if got := b.run(t); len(got.Failed) != 2 || got.Failed[0].Reason != staging.Untrusted || got.Failed[1].Reason != staging.Untrusted {
		t.Fatalf("%+v", got)
	}
	asked := len(a.asked)
	for range 2 {
		b.below(t, a, b.content) // a start of the node
		b.wantOutstanding(t, false)
		if got := b.run(t); len(got.Failed) != 0 || len(a.asked) != asked {
			t.Errorf("again: %+v, asked %q", got, a.asked)
		}
	}
	b.stage(t, "B1") // forgives both
	if got := b.run(t); len(got.Failed) != 2 {
		t.Errorf("after staging again: %+v", got)
	}
}

// TestDigestsInCapitals keeps what a site above, or a hand, wrote in capitals: it is the same file.
func TestDigestsInCapitals(t *testing.T) {
	b, _ := newBelow(t)
	hand, err := b.content.Put(t.Context(), "", strings.NewReader("added by hand"))
	if err != nil {
		t.Fatal(err)
	}
	p := pack(t, "P1", "U1", nil, catalog.File{Name: "a.msi", SHA1: strings.Repeat("0", 40)})
	bulletinstest.Save(t, b.room, "sdp", "catalog", bulletin(t, "B1"), update(t, "U1", "B1"), p, update(t, "U2", "B1"),
		pack(t, "P2", "U2", nil, catalog.File{Name: "hand.msi", SHA256: strings.ToUpper(hand.SHA256)}))
	body := []byte("staged above")
	s := sha256.Sum256(body)
	sum := hex.EncodeToString(s[:])
	b.vendor.set("p/"+sum, body)
	payload := bulletinstest.Doc(t, document.Payload, p.ID, nil, catalog.Payload{
		Package: p.ID, PackageDigest: p.Digest, Files: []catalog.StagedFile{{Name: "a.msi", SHA256: strings.ToUpper(sum), Size: int64(len(body))}},
	})
	bulletinstest.Signer{}.Sign(&payload)
	bulletinstest.Write(t, b.db, store.Put(payload, "", store.Former{})...)
	b.stage(t, "B1")
	if got := b.run(t); got.Staged != 1 { // the other would have to be staged above
		t.Fatalf("%+v", got)
	}
	if pruned, err := b.Prune(t.Context(), b.content, time.Now().Add(time.Hour)); err != nil || pruned.Payloads != 0 {
		t.Errorf("%+v, %v: they are needed", pruned, err)
	}
	b.want(t, "U1", staging.Ready, "")
}

// TestFromADiskFirst asks nobody for what is here already, and believes nothing that is damaged.
func TestFromADiskFirst(t *testing.T) {
	b, a := newBelow(t)
	a.later = &staging.Later{Text: "no link", After: time.Hour}
	p := pack(t, "P1", "U1", nil, catalog.File{Name: "a.msi", SHA1: strings.Repeat("0", 40)})
	bulletinstest.Save(t, b.room, "sdp", "catalog", bulletin(t, "B1"), update(t, "U1", "B1"), p)
	payload := b.staged(t, p, "a.msi", []byte("payload"))
	bulletinstest.Write(t, b.db, store.Pin("policy-1", p.Digest, true), store.Pin("policy-1", payload.Digest, true))
	info, err := b.content.Put(t.Context(), "", strings.NewReader("payload"))
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(b.dir, "payloads", info.SHA256[:2], info.SHA256)
	if err := os.WriteFile(path, []byte("pAyload"), 0o600); err != nil {
		t.Fatal(err)
	}
	if got := b.run(t); got.Restored != 0 || len(a.asked) != 1 {
		t.Errorf("damaged: %+v, asked for %q", got, a.asked)
	}
	if _, err := b.content.Put(t.Context(), "", strings.NewReader("payload")); err != nil {
		t.Fatal(err)
	}
	b.Again()
	if got := b.run(t); got.Restored != 1 || len(a.asked) != 1 {
		t.Errorf("%+v, asked for %q", got, a.asked)
	}
	b.want(t, "U1", staging.Ready, "")
}

// TestBringRefuses what is no file of the document, and says that the node does not serve yet.
func TestBringRefuses(t *testing.T) {
	b, _ := newBelow(t)
	p := pack(t, "P1", "U1", nil, catalog.File{Name: "a.msi", SHA1: strings.Repeat("0", 40)})
	bulletinstest.Save(t, b.room, "sdp", "catalog", bulletin(t, "B1"), update(t, "U1", "B1"), p)
	payload := b.staged(t, p, "a.msi", []byte("payload"))
	if err := b.Bring(t.Context(), payload, strings.Repeat("0", 64)); !errors.Is(err, store.ErrInvalid) {
		t.Errorf("another file: %v", err)
	}
	if err := b.Bring(t.Context(), p, strings.Repeat("0", 64)); err == nil {
		t.Error("a document of another kind")
	}
	s := sha256.Sum256([]byte("payload"))
	sum := hex.EncodeToString(s[:])
	var later *staging.Later
	if err := b.Bring(t.Context(), payload, sum); !errors.As(err, &later) {
		t.Errorf("before Serve: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	served := make(chan error)
	go func() { served <- b.Serve(ctx) }()
	for !b.content.Has(sum) {
		if err := b.Bring(t.Context(), payload, sum); err != nil && !errors.As(err, &later) {
			t.Fatal(err)
		}
	}
	if !b.holds(t, sum) {
		t.Error("it is here, and the site does not know")
	}
	cancel()
	if err := <-served; err != nil {
		t.Fatal(err)
	}
	if err := b.Bring(t.Context(), payload, strings.ToUpper(sum)); !errors.As(err, &later) {
		t.Errorf("after Serve: %v", err)
	}
}

// TestOwnTrustAndSitesBelow hands on what a site below asks for and this site's own trust refuses, and counts it as held for
// its own computers neither before nor after it was judged.
func TestOwnTrustAndSitesBelow(t *testing.T) {
	b, _ := newBelow(t)
	body := authenticodetest.Signer(t, authenticodetest.Authority(t, "Root"), "Stranger").Sign(t, authenticodetest.Program("hello"))
	b.settings = staging.Settings{Trust: authenticode.Trust{Roots: authenticodetest.Authority(t, "Other").PEM()}}
	p := pack(t, "P1", "U1", nil, catalog.File{Name: "a.exe", SHA1: strings.Repeat("0", 40)})
	bulletinstest.Save(t, b.room, "sdp", "catalog", bulletin(t, "B1"), update(t, "U1", "B1"), p)
	payload := b.staged(t, p, "a.exe", body)
	ctx, cancel := context.WithCancel(t.Context())
	served := make(chan error)
	go func() { served <- b.Serve(ctx) }()
	s := sha256.Sum256(body)
	sum := hex.EncodeToString(s[:])
	bring := func() {
		t.Helper()
		for {
			err := b.Bring(t.Context(), payload, sum)
			var later *staging.Later
			if err == nil {
				break
			}
			if !errors.As(err, &later) {
				t.Fatal(err)
			}
		}
		if !b.content.Has(sum) || b.holds(t, sum) {
			t.Errorf("here %v, held for this site's own computers %v", b.content.Has(sum), b.holds(t, sum))
		}
	}
	bring()
	bulletinstest.Write(t, b.db, store.Pin("policy-1", p.Digest, true), store.Pin("policy-1", payload.Digest, true))
	if got := b.run(t); len(got.Failed) != 1 || got.Failed[0].Reason != staging.Untrusted {
		t.Fatalf("%+v", got)
	}
	bring()
	b.want(t, "U1", staging.Refused, "Stranger")
	cancel()
	if err := <-served; err != nil {
		t.Fatal(err)
	}
}
