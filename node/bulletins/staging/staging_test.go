package staging_test

import (
	"context"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"thatch/catalog"
	"thatch/catalog/content"
	"thatch/catalog/content/authenticode"
	"thatch/catalog/content/authenticode/authenticodetest"
	"thatch/catalog/document"
	"thatch/node/bulletins"
	"thatch/node/bulletins/bulletinstest"
	"thatch/node/bulletins/live"
	"thatch/node/bulletins/staging"
	"thatch/node/store"
)

// vendor hosts files, and misbehaves where told.
type vendor struct {
	*httptest.Server
	mu     sync.Mutex
	files  map[string][]byte
	status map[string]int // answers with this status
	cut    map[string]int // closes the connection after so many bytes, once
	gets   map[string]int
}

func newVendor(t *testing.T) *vendor {
	v := &vendor{files: map[string][]byte{}, status: map[string]int{}, cut: map[string]int{}, gets: map[string]int{}}
	v.Server = httptest.NewServer(v)
	t.Cleanup(v.Close)
	return v
}

func (v *vendor) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	name := strings.TrimPrefix(r.URL.Path, "/")
	v.mu.Lock()
	v.gets[name]++
	body, here := v.files[name]
	status, cut := v.status[name], v.cut[name]
	delete(v.cut, name)
	v.mu.Unlock()
	switch {
	case status != 0:
		w.WriteHeader(status)
	case !here:
		http.NotFound(w, r)
	case cut > 0:
		w.Header().Set("Content-Length", fmt.Sprint(len(body)))
		w.Header().Set("Accept-Ranges", "bytes")
		w.Header().Set("ETag", `"1"`)
		_, _ = w.Write(body[:cut])
		panic(http.ErrAbortHandler)
	default:
		w.Header().Set("ETag", `"1"`)
		http.ServeContent(w, r, name, time.Time{}, strings.NewReader(string(body)))
	}
}

func (v *vendor) set(name string, body []byte) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.files[name] = body
}

func (v *vendor) file(name string) catalog.File {
	body := v.files[name]
	sum := sha256.Sum256(body)
	return catalog.File{Name: name, Size: int64(len(body)), SHA256: hex.EncodeToString(sum[:]), URL: v.URL + "/" + name}
}

// bench is everything that staging works on.
type bench struct {
	*staging.Stager
	room     *bulletins.Bulletins
	db       *store.DB
	vendor   *vendor
	content  *content.Store
	dir      string
	settings staging.Settings
	sisters  staging.Sisters
}

func newBench(t *testing.T) *bench {
	room, db := bulletinstest.Room(t)
	b := &bench{room: room, db: db, vendor: newVendor(t), dir: t.TempDir(), settings: staging.Settings{AllowUnsafe: true}}
	b.open(t)
	return b
}

// open starts the node's half anew, as after a crash.
func (b *bench) open(t *testing.T) {
	var err error
	if b.content, err = content.Open(b.dir, content.Options{Attempts: 2, Backoff: time.Millisecond}); err != nil {
		t.Fatal(err)
	}
	b.room = bulletinstest.On(b.db, b.db)
	b.Stager = staging.New(staging.Config{
		Node: "node-1", Reader: b.db, Writer: b.db, Signer: bulletinstest.Signer{}, Catalog: b.room.Catalog(),
		Content: b.content, Log: slog.New(slog.DiscardHandler),
		Settings: func(context.Context) (staging.Settings, error) { return b.settings, nil }, Sisters: b.sisters,
	})
}

func bulletin(t *testing.T, id string) document.Document {
	return bulletinstest.Doc(t, document.Bulletin, id, nil, catalog.Bulletin{Name: id, Source: "sdp"})
}

func update(t *testing.T, id, of string) document.Document {
	return bulletinstest.Doc(t, document.Update, id, nil, catalog.Update{Name: id, Bulletin: of, Source: "sdp"})
}

func pack(t *testing.T, id, of string, languages []string, files ...catalog.File) document.Document {
	return bulletinstest.Doc(t, document.Package, id, languages, catalog.Package{
		Update: of, Name: id, Files: files, Installer: catalog.Installer{Type: catalog.MSI, File: "a.msi"},
	})
}

func (b *bench) run(t *testing.T) staging.Result {
	t.Helper()
	result, err := b.Run(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	return result
}

func (b *bench) status(t *testing.T, update string) staging.UpdateStatus {
	t.Helper()
	state, err := staging.Load(t.Context(), b.db)
	if err != nil {
		t.Fatal(err)
	}
	return b.statusIn(t, state, update)
}

func (b *bench) statusIn(t *testing.T, state *staging.State, update string) (us staging.UpdateStatus) {
	t.Helper()
	err := b.room.Catalog().Read(t.Context(), func(v *live.View) error {
		u := v.UpdateByID(update)
		if u == nil {
			return store.NotFound("update", update)
		}
		us = state.Update(v, u)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return us
}

func (b *bench) want(t *testing.T, update string, status staging.Status, text string) {
	t.Helper()
	got := b.status(t, update)
	if got.Status != status || !strings.Contains(got.Text, text) {
		t.Errorf("%s is %q (%q), want %q with %q", update, got.Status, got.Text, status, text)
	}
}

func (b *bench) stage(t *testing.T, ids ...string) {
	t.Helper()
	if err := b.Stage(t.Context(), ids...); err != nil {
		t.Fatal(err)
	}
}

func TestStageByLanguage(t *testing.T) {
	b := newBench(t)
	for _, name := range []string{"a.msi", "a-de.msi", "a-fr.msi", "b.exe"} {
		b.vendor.set(name, []byte("payload of "+name))
	}
	bulletinstest.Save(t, b.room, "sdp", "catalog", bulletin(t, "B1"), update(t, "U1", "B1"), update(t, "U2", "B1"), update(t, "U3", "B1"),
		update(t, "U4", "B1"),
		pack(t, "P-en", "U1", []string{"en"}, b.vendor.file("a.msi")), pack(t, "P-de", "U1", []string{"de"}, b.vendor.file("a-de.msi")),
		pack(t, "P-fr", "U1", []string{"fr"}, b.vendor.file("a-fr.msi")), pack(t, "P-neutral", "U2", nil, b.vendor.file("b.exe")),
		pack(t, "P-fr-only", "U3", []string{"fr"}, b.vendor.file("a-fr.msi")))
	b.want(t, "U1", staging.NotStaged, "")
	b.stage(t, "B1")
	b.want(t, "U1", staging.Downloading, "")
	if got := b.run(t); got.Staged != 3 || len(got.Failed) != 0 {
		t.Errorf("result %+v, want 3 staged", got)
	}
	b.want(t, "U1", staging.Ready, "")
	b.want(t, "U2", staging.Ready, "")
	b.want(t, "U3", staging.NoPackage, "managed language (de, en)")
	b.want(t, "U4", staging.NoPackage, "names no package")
	if b.vendor.gets["a-fr.msi"] != 0 {
		t.Error("a payload in a language that is not managed was downloaded")
	}
	rows, _, err := b.room.List(t.Context(), store.Query{})
	if err != nil || rows[0].Updates != 4 || rows[0].Downloaded != 2 || !rows[0].Staged {
		t.Errorf("row %+v, %v; want 4 updates, 2 downloaded", rows[0], err)
	}
	ready, not, err := b.room.ReadyUpdates(t.Context(), "B1")
	if err != nil || len(ready) != 2 || len(ready[0].Packages) != 2 || len(not) != 2 || not[0].Blocks || not[1].Blocks {
		t.Errorf("ready %+v, not %+v, %v", ready, not, err)
	}
	if alarms, err := b.room.Alarms(t.Context(), "B1"); err != nil || len(alarms) != 2 {
		t.Errorf("alarms %+v, %v", alarms, err)
	}

	// A language that is added fetches what was left out, and nothing again.
	bulletinstest.Write(t, b.db, store.Statement{SQL: `INSERT INTO language (tag, since) VALUES ('fr', '')`})
	b.want(t, "U1", staging.Downloading, "")
	if got := b.run(t); got.Staged != 2 {
		t.Errorf("after French: %+v, want 2 staged", got)
	}
	b.want(t, "U1", staging.Ready, "")
	b.want(t, "U3", staging.Ready, "")
	if b.vendor.gets["a.msi"] != 1 || b.vendor.gets["a-fr.msi"] != 1 {
		t.Errorf("downloads: %v", b.vendor.gets)
	}
	if got := b.run(t); got.Staged != 0 {
		t.Errorf("a run with nothing to do staged %d", got.Staged)
	}
}

func TestStageFailures(t *testing.T) {
	b := newBench(t)
	for _, name := range []string{"good.msi", "gone.msi", "wrong.msi", "cut.msi", "busy.msi"} {
		b.vendor.set(name, []byte(strings.Repeat(name, 1000)))
	}
	docs := []document.Document{bulletin(t, "B1")}
	add := func(name string, file catalog.File) {
		docs = append(docs, update(t, name, "B1"), pack(t, "P-"+name, name, nil, file))
	}
	for _, name := range []string{"good.msi", "gone.msi", "wrong.msi", "cut.msi", "busy.msi"} {
		add(name, b.vendor.file(name))
	}
	nowhere := b.vendor.file("good.msi")
	nowhere.URL, nowhere.SHA256 = "", strings.Repeat("ab", 32)
	add("nowhere", nowhere)
	ftp := b.vendor.file("good.msi")
	ftp.URL, ftp.SHA256 = "ftp://example.com/x", strings.Repeat("ac", 32)
	add("ftp", ftp)
	naked := b.vendor.file("good.msi")
	naked.SHA256 = ""
	add("naked", naked)
	bulletinstest.Save(t, b.room, "sdp", "catalog", docs...)
	delete(b.vendor.files, "gone.msi")
	b.vendor.set("wrong.msi", []byte(strings.Repeat("WRONG.msi", 1000)))
	b.vendor.cut["cut.msi"] = 4000
	b.vendor.status["busy.msi"] = http.StatusServiceUnavailable
	b.stage(t, "B1")
	if got := b.run(t); got.Staged != 2 || len(got.Failed) != 6 {
		t.Errorf("result %+v, want 2 staged, 6 failed", got)
	}
	b.want(t, "good.msi", staging.Ready, "")
	b.want(t, "cut.msi", staging.Ready, "")
	b.want(t, "gone.msi", staging.Failed, "does not host gone.msi any more")
	b.want(t, "wrong.msi", staging.Failed, "not what the catalog describes")
	b.want(t, "busy.msi", staging.Failed, "could not be downloaded")
	b.want(t, "nowhere", staging.Failed, "no address")
	b.want(t, "ftp", staging.Failed, "no http or https address")
	b.want(t, "naked", staging.Failed, "no digest")
	_, not, err := b.room.ReadyUpdates(t.Context(), "B1")
	if err != nil || len(not) != 6 || !not[0].Blocks {
		t.Errorf("not ready: %+v, %v", not, err)
	}

	// A run by itself asks again only where nobody answered; a request asks for all.
	gets := b.vendor.gets["gone.msi"]
	b.vendor.status = map[string]int{}
	if got := b.run(t); got.Staged != 1 {
		t.Errorf("second run: %+v, want the one that did not answer", got)
	}
	b.want(t, "busy.msi", staging.Ready, "")
	if b.vendor.gets["gone.msi"] != gets {
		t.Error("what the vendor no longer hosts was asked for again without request")
	}
	b.vendor.set("gone.msi", []byte(strings.Repeat("gone.msi", 1000)))
	b.stage(t, "B1")
	if got := b.run(t); got.Staged != 1 || len(got.Failed) != 4 {
		t.Errorf("retry: %+v, want 1 staged and 4 failed", got)
	}
	b.want(t, "gone.msi", staging.Ready, "")
}

func TestStageSHA1Alone(t *testing.T) {
	b := newBench(t)
	b.vendor.set("old.msi", []byte("an old payload"))
	file := b.vendor.file("old.msi")
	sum := sha1.Sum([]byte("an old payload"))
	want := file.SHA256
	file.SHA1, file.SHA256 = hex.EncodeToString(sum[:]), ""
	bulletinstest.Save(t, b.room, "sdp", "catalog", bulletin(t, "B1"), update(t, "U1", "B1"), pack(t, "P1", "U1", nil, file))
	b.stage(t, "B1")
	b.run(t)
	us := b.status(t, "U1")
	if us.Status != staging.Ready || us.Packages[0].Payload.Files[0].SHA256 != want {
		t.Fatalf("status %+v, want it pinned by SHA-256 %s", us, want)
	}
	if got, now := us.Packages[0].Payload.PackageDigest, us.Packages[0].Package.Digest; got != now {
		t.Errorf("the payload pins package %s, not %s", got, now)
	}
}

func TestStageSignatures(t *testing.T) {
	b := newBench(t)
	root := authenticodetest.Authority(t, "Good Root")
	good := authenticodetest.Signer(t, root, "Good Vendor").Sign(t, authenticodetest.Program("hello"))
	other := authenticodetest.Signer(t, authenticodetest.Authority(t, "Other Root"), "Stranger")
	stranger := other.Sign(t, authenticodetest.Program("hello"))
	tampered := append([]byte(nil), good...)
	tampered[len(tampered)/4] ^= 1
	docs := []document.Document{bulletin(t, "B1")}
	for name, body := range map[string][]byte{
		"good.exe": good, "stranger.exe": stranger, "tampered.exe": tampered, "unsigned.exe": authenticodetest.Program("hello"),
		"text.exe": []byte("no program at all"), "data.bin": []byte("a format without signatures"),
	} {
		b.vendor.set(name, body)
		docs = append(docs, update(t, name, "B1"), pack(t, "P-"+name, name, nil, b.vendor.file(name)))
	}
	bulletinstest.Save(t, b.room, "sdp", "catalog", docs...)
	b.settings = staging.Settings{Trust: authenticode.Trust{Roots: root.PEM()}}
	b.stage(t, "B1")
	if got := b.run(t); got.Staged != 2 || len(got.Failed) != 4 {
		t.Errorf("result %+v", got)
	}
	b.want(t, "good.exe", staging.Ready, "")
	b.want(t, "data.bin", staging.Ready, "")
	b.want(t, "stranger.exe", staging.Refused, "Stranger")
	for _, name := range []string{"tampered.exe", "unsigned.exe", "text.exe"} {
		b.want(t, name, staging.Refused, "refused")
	}
	if signer := b.status(t, "good.exe").Packages[0].Payload.Files[0].Signer; signer == nil || !strings.Contains(signer.Subject, "Good Vendor") {
		t.Errorf("signer %+v", signer)
	}

	// Whoever trusts the stranger after all stages again; what is here is not downloaded again.
	b.settings.Trust.Fingerprints = []string{authenticode.Fingerprint(other.Cert)}
	b.stage(t, "B1")
	b.run(t)
	b.want(t, "stranger.exe", staging.Ready, "")
	b.want(t, "tampered.exe", staging.Refused, "refused")
	if gets := b.vendor.gets["stranger.exe"]; gets != 1 {
		t.Errorf("what is held was downloaded %d times", gets)
	}
}

func TestNewRevisionIsStagedAgain(t *testing.T) {
	b := newBench(t)
	b.vendor.set("a.msi", []byte("one"))
	bulletinstest.Save(t, b.room, "sdp", "catalog", bulletin(t, "B1"), update(t, "U1", "B1"), pack(t, "P1", "U1", nil, b.vendor.file("a.msi")))
	b.stage(t, "B1")
	b.run(t)
	b.want(t, "U1", staging.Ready, "")
	first := b.status(t, "U1").Packages[0].Payload.Files[0].SHA256
	b.vendor.set("a.msi", []byte("two, revised"))
	bulletinstest.Save(t, b.room, "sdp", "catalog", bulletin(t, "B1"), update(t, "U1", "B1"), pack(t, "P1", "U1", nil, b.vendor.file("a.msi")))
	b.want(t, "U1", staging.Downloading, "")
	if more, err := b.Outstanding(t.Context()); !more || err != nil {
		t.Errorf("outstanding %v, %v", more, err)
	}
	b.run(t)
	b.want(t, "U1", staging.Ready, "")
	if second := b.status(t, "U1").Packages[0].Payload.Files[0].SHA256; second == first || !b.content.Has(first) {
		t.Error("the payload of the new revision is the old one, or the old one is gone")
	}
}

// cancelling is a Content that pulls the plug after a number of downloads.
type cancelling struct {
	staging.Content
	left   atomic.Int64
	cancel context.CancelCauseFunc
}

var errPlug = errors.New("the plug was pulled")

func (c *cancelling) Download(ctx context.Context, req content.Request, p content.Progress) (content.Info, error) {
	info, err := c.Content.Download(ctx, req, p)
	if err == nil && c.left.Add(-1) <= 0 {
		c.cancel(errPlug)
	}
	return info, err
}

func TestStageCutAndResumed(t *testing.T) {
	b := newBench(t)
	docs := []document.Document{bulletin(t, "B1")}
	const many = 8
	for i := range many {
		name := fmt.Sprintf("f%d.msi", i)
		b.vendor.set(name, []byte(strings.Repeat(name, 100*(i+1))))
		docs = append(docs, update(t, name, "B1"), pack(t, "P-"+name, name, nil, b.vendor.file(name)))
	}
	bulletinstest.Save(t, b.room, "sdp", "catalog", docs...)
	b.stage(t, "B1")
	runs := 0
	for ; runs < 500; runs++ {
		ctx, cancel := context.WithCancelCause(t.Context())
		b.open(t)
		plug := &cancelling{Content: b.content, cancel: cancel}
		plug.left.Store(2)
		cut := staging.New(staging.Config{
			Node: "node-1", Reader: b.db, Writer: b.db, Signer: bulletinstest.Signer{}, Catalog: b.room.Catalog(),
			Content: plug, Settings: func(context.Context) (staging.Settings, error) { return b.settings, nil },
		})
		_, err := cut.Run(ctx, nil)
		cancel(nil)
		if err == nil {
			break
		}
		if !errors.Is(err, errPlug) {
			t.Fatal(err)
		}
	}
	if runs < 2 {
		t.Fatalf("%d runs were cut: this test cuts nothing", runs)
	}
	for i := range many {
		name := fmt.Sprintf("f%d.msi", i)
		b.want(t, name, staging.Ready, "")
	}
}

func TestHoldingsFollowTheDisk(t *testing.T) {
	b := newBench(t)
	b.vendor.set("a.msi", []byte("payload"))
	bulletinstest.Save(t, b.room, "sdp", "catalog", bulletin(t, "B1"), update(t, "U1", "B1"), pack(t, "P1", "U1", nil, b.vendor.file("a.msi")))
	b.stage(t, "B1")
	b.run(t)
	sum := b.vendor.file("a.msi").SHA256
	path := filepath.Join(b.dir, "payloads", sum[:2], sum)
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	b.open(t)
	if err := b.Reconcile(t.Context()); err != nil {
		t.Fatal(err)
	}
	b.want(t, "U1", staging.Downloading, "")
	if err := os.WriteFile(path, []byte("payload"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := b.Reconcile(t.Context()); err != nil {
		t.Fatal(err)
	}
	b.want(t, "U1", staging.Ready, "")
	if err := b.Lost(t.Context(), sum); err != nil {
		t.Fatal(err)
	}
	b.want(t, "U1", staging.Downloading, "")
	index := b.db.Applied()
	b.run(t)
	b.want(t, "U1", staging.Ready, "")
	if b.db.Applied() != index+1 || b.vendor.gets["a.msi"] != 1 {
		t.Errorf("%d batches, %d downloads for a payload that is on disk", b.db.Applied()-index, b.vendor.gets["a.msi"])
	}
}

func TestStageUnknownAndUnstage(t *testing.T) {
	b := newBench(t)
	bulletinstest.Save(t, b.room, "sdp", "catalog", bulletin(t, "B1"), bulletin(t, "B2"))
	if err := b.Stage(t.Context(), "B1", "nothing"); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("staging an unknown bulletin: %v", err)
	}
	b.stage(t, "B1")
	b.stage(t, "B1")
	if err := b.Unstage(t.Context(), "B1", "B2"); !errors.Is(err, store.ErrInvalid) {
		t.Errorf("unstaging what is not staged: %v", err)
	}
	rows, _, err := b.room.List(t.Context(), store.Query{Filter: map[string]string{"staged": "yes"}})
	if err != nil || len(rows) != 1 || rows[0].ID != "B1" {
		t.Errorf("staged: %+v, %v: one bulletin of two, and what failed changed nothing", rows, err)
	}
	if err := b.Unstage(t.Context(), "B1"); err != nil {
		t.Error(err)
	}
}

func TestPrune(t *testing.T) {
	b := newBench(t)
	for _, name := range []string{"staged.msi", "unstaged.msi", "pinned.msi"} {
		b.vendor.set(name, []byte("payload of "+name))
	}
	hand, err := b.content.Put(t.Context(), "", strings.NewReader("added by hand"))
	if err != nil {
		t.Fatal(err)
	}
	var docs []document.Document
	for _, name := range []string{"staged", "unstaged", "pinned"} {
		docs = append(docs, bulletin(t, "B-"+name), update(t, "U-"+name, "B-"+name), pack(t, "P-"+name, "U-"+name, nil, b.vendor.file(name+".msi")))
	}
	docs = append(docs, pack(t, "P-hand", "U-unstaged", nil, catalog.File{Name: "hand.msi", SHA256: hand.SHA256}))
	bulletinstest.Save(t, b.room, "sdp", "catalog", docs...)
	b.stage(t, "B-staged", "B-unstaged", "B-pinned")
	if got := b.run(t); got.Staged != 4 {
		t.Fatalf("%+v", got)
	}
	payload := b.status(t, "U-pinned").Packages[0].Payload
	bulletinstest.Write(t, b.db, store.Pin("policy-1", payload.Digest, true))
	if err := b.Unstage(t.Context(), "B-unstaged", "B-pinned"); err != nil {
		t.Fatal(err)
	}
	// The package of the pinned payload is revised; what the policy pins is its former payload.
	b.vendor.set("pinned.msi", []byte("another payload"))
	docs[8] = pack(t, "P-pinned", "U-pinned", nil, b.vendor.file("pinned.msi"))
	bulletinstest.Save(t, b.room, "sdp", "catalog", docs...)

	pruned, err := b.Prune(t.Context(), b.content, time.Now().Add(-time.Hour))
	if err != nil || pruned.Payloads != 0 {
		t.Errorf("what was asked for within the hour: %+v, %v", pruned, err)
	}
	pruned, err = b.Prune(t.Context(), b.content, time.Now().Add(time.Hour))
	if err != nil || pruned.Payloads != 1 {
		t.Errorf("pruned %+v, %v; want the unstaged payload alone", pruned, err)
	}
	for sum, want := range map[string]bool{payload.Files[0].SHA256: true, hand.SHA256: true, b.vendor.file("staged.msi").SHA256: true, b.vendor.file("unstaged.msi").SHA256: false} {
		if b.content.Has(sum) != want {
			t.Errorf("payload %s held: %v, want %v", sum, !want, want)
		}
	}
	b.want(t, "U-staged", staging.Ready, "")
	b.want(t, "U-unstaged", staging.NotStaged, "")
	b.stage(t, "B-unstaged")
	b.run(t)
	b.want(t, "U-unstaged", staging.Ready, "")
}

// TestSistersAreAskedFirst: what another node of the site has does not come from the vendor, and what was added by hand at another
// node comes at all; where no sister has it, or one gives half of it, the vendor is asked, and bytes count once.
func TestSistersAreAskedFirst(t *testing.T) {
	b := newBench(t)
	sister := map[string]string{"a.msi": "a sister has it", "hand.msi": "added by hand elsewhere"}
	b.sisters = func(ctx context.Context, sum string, size int64, progress content.Progress) (content.Info, error) {
		for _, text := range sister {
			if hash := sha256.Sum256([]byte(text)); hex.EncodeToString(hash[:]) == sum {
				progress(size, size)
				return b.content.Put(ctx, sum, strings.NewReader(text))
			}
		}
		progress(size/2, size)
		return content.Info{}, errors.New("half of it came")
	}
	b.open(t)
	b.vendor.set("a.msi", []byte(sister["a.msi"]))
	b.vendor.set("b.msi", []byte("the vendor alone has it"))
	hand := sha256.Sum256([]byte(sister["hand.msi"]))
	bulletinstest.Save(t, b.room, "sdp", "catalog", bulletin(t, "B1"),
		update(t, "U1", "B1"), pack(t, "P1", "U1", nil, b.vendor.file("a.msi")),
		update(t, "U2", "B1"), pack(t, "P2", "U2", nil, b.vendor.file("b.msi")),
		update(t, "U3", "B1"), pack(t, "P3", "U3", nil, catalog.File{Name: "hand.msi", Size: int64(len(sister["hand.msi"])), SHA256: hex.EncodeToString(hand[:])}))
	b.stage(t, "B1")
	var last staging.Progress
	if _, err := b.Run(t.Context(), func(p staging.Progress) { last = p }); err != nil {
		t.Fatal(err)
	}
	for _, u := range []string{"U1", "U2", "U3"} {
		b.want(t, u, staging.Ready, "")
	}
	if b.vendor.gets["a.msi"] != 0 || b.vendor.gets["b.msi"] != 1 {
		t.Errorf("the vendor was asked: %v", b.vendor.gets)
	}
	if last.Bytes != last.OfBytes || last.Bytes == 0 {
		t.Errorf("%+v", last)
	}
}
