package policies_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"sync"
	"testing"
	"time"

	"thatch/catalog"
	"thatch/catalog/document"
	"thatch/catalog/rule"
	"thatch/node/bulletins"
	"thatch/node/bulletins/bulletinstest"
	"thatch/node/bulletins/live"
	"thatch/node/computers"
	"thatch/node/policies"
	"thatch/node/policies/authoring"
	"thatch/node/policies/windows"
	"thatch/node/store"
)

// site is the rooms that policies need, with a small catalog: bulletin "KB1" with updates u1 (packages in English,
// German and neutral), u2 (one neutral package), u3 (no package); bulletin "KB2" with u4 (in French alone).
type site struct {
	*policies.Room
	windows   *windows.Room
	bulletins *bulletins.Bulletins
	computers *computers.Room
	db        *store.DB
	writer    store.Writer
	mu        sync.Mutex
	clock     time.Time
	asks      bool // policies are approved
}

func newSite(t testing.TB) *site {
	t.Helper()
	s := &site{clock: bulletinstest.At}
	_, s.db = bulletinstest.Room(t)
	s.writer = s.db
	t.Cleanup(s.open(t))
	s.catalog(t, "one")
	for _, id := range []string{"b1", "b2"} {
		s.sql(t, `INSERT INTO staged (bulletin, since, actor) VALUES (?, '', 'test')`, id)
	}
	for _, id := range []string{"u1-en", "u1-de", "u1-neutral", "u2-neutral"} {
		s.stage(t, id)
	}
	return s
}

// open makes the rooms on the database, as a start of a node does. They work until stop is called.
func (s *site) open(t testing.TB) (stop func()) {
	t.Helper()
	s.bulletins = bulletinstest.On(s.db, s.writer)
	var err error
	if s.computers, err = computers.New(context.Background(), s.db, s.writer, s.now); err != nil {
		t.Fatal(err)
	}
	author := authoring.Author{Site: bulletinstest.Site, Writer: s.writer, Signer: bulletinstest.Signer{}, Now: s.now}
	s.Room = policies.New(policies.Config{
		Author: author, Reader: s.db, Bulletins: s.bulletins, Computers: s.computers,
		Approval: func(context.Context) (bool, error) { return s.asks, nil },
	})
	s.windows = windows.Open(windows.Config{Author: author, Reader: s.db, Computers: s.computers})
	ctx, cancel := context.WithCancel(context.Background())
	ticker := time.NewTicker(time.Millisecond)
	var running sync.WaitGroup
	running.Go(func() { s.computers.Gatherer().Run(ctx, ticker.C) })
	return func() {
		cancel()
		ticker.Stop()
		running.Wait()
	}
}

func (s *site) now() time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.clock
}

func (s *site) wait(d time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.clock = s.clock.Add(d)
}

func (s *site) sql(t testing.TB, text string, args ...any) {
	t.Helper()
	bulletinstest.Write(t, s.writer, store.Statement{SQL: text, Args: args})
}

// catalog imports the sample catalog; another edition changes the title of u1 alone.
func (s *site) catalog(t testing.TB, edition string) {
	t.Helper()
	s.catalogOf(t, edition, func(string, *catalog.Update) bool { return true })
}

// catalogOf imports the sample catalog with updates as edit leaves them; those of which it answers false are not in it.
func (s *site) catalogOf(t testing.TB, edition string, edit func(id string, u *catalog.Update) bool) {
	t.Helper()
	docs := []document.Document{}
	for _, name := range []string{"1", "2", "3"} {
		docs = append(docs, bulletinstest.Doc(t, document.Bulletin, "b"+name, nil, catalog.Bulletin{Name: "KB" + name, Source: "sdp"}))
	}
	update := func(id, bulletin, title string, packages ...document.Document) {
		u := catalog.Update{
			Name: "Update " + id, Bulletin: bulletin, Source: "sdp", Title: title, Product: catalog.Product{Name: "Windows"},
			Rules: catalog.Rules{Applicable: rule.Test("True")},
		}
		if edit(id, &u) {
			docs = append(append(docs, bulletinstest.Doc(t, document.Update, id, nil, u)), packages...)
		}
	}
	pack := func(id, of string, languages ...string) document.Document {
		return bulletinstest.Doc(t, document.Package, id, languages, catalog.Package{
			Update: of, Name: id, Files: []catalog.File{{Name: id + ".msi"}}, Installer: catalog.Installer{Type: catalog.MSI, File: id + ".msi"},
		})
	}
	update("u1", "b1", edition, pack("u1-en", "u1", "en"), pack("u1-de", "u1", "de"), pack("u1-neutral", "u1"))
	update("u2", "b1", "same", pack("u2-neutral", "u2"))
	update("u3", "b1", "same")
	update("u4", "b2", "same", pack("u4-fr", "u4", "fr"))
	bulletinstest.Save(t, s.bulletins, "sdp", "file", docs...)
}

// fileOf is the SHA-256 of a package's payload file.
func fileOf(id string) string {
	sum := sha256.Sum256([]byte(id))
	return hex.EncodeToString(sum[:])
}

// stage makes the payload document of a package, and has the site hold its file.
func (s *site) stage(t testing.TB, id string) {
	t.Helper()
	var pack *live.Package
	if err := s.bulletins.Catalog().Read(t.Context(), func(v *live.View) error {
		pack = v.Package(id)
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	payload := bulletinstest.Doc(t, document.Payload, id, pack.Languages, catalog.Payload{
		Package: id, PackageDigest: pack.Digest, Files: []catalog.StagedFile{{Name: id + ".msi", SHA256: fileOf(id), Size: 1}},
	})
	bulletinstest.Signer{}.Sign(&payload)
	bulletinstest.Write(t, s.writer, store.Put(payload, "", store.Former{})...)
	s.hold(t, id)
}

func (s *site) hold(t testing.TB, id string) {
	t.Helper()
	sum := sha256.Sum256([]byte(id))
	s.sql(t, `INSERT INTO holding (sha256, node, size) VALUES (?, 'node', 1)`, sum[:])
}

// number of an update.
func (s *site) number(t testing.TB, id string) uint32 {
	t.Helper()
	var number uint32
	if err := s.bulletins.Catalog().Read(t.Context(), func(v *live.View) error {
		number = v.UpdateByID(id).Number
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	return number
}

// computer enrols a computer that reports what is applicable and what is installed.
func (s *site) computer(t testing.TB, name, language string, applicable, installed []uint32) computers.Computer {
	t.Helper()
	n := computers.Newcomer{Name: name, MachineID: name, Hardware: "hw-" + name, Platform: "windows", Languages: []string{language}}
	place, err := s.computers.Place(t.Context(), n)
	if err != nil {
		t.Fatal(err)
	}
	c, err := s.computers.Enrol(t.Context(), n, place, name)
	if err != nil {
		t.Fatal(err)
	}
	s.report(t, c.ID, computers.Report{
		Applicable: computers.Change{Add: applicable}, Installed: computers.Change{Add: installed},
		Facts: &computers.Facts{Name: name, System: rule.System{Platform: "windows", ProductType: 1, Languages: []string{language}}},
	})
	return c
}

func (s *site) report(t testing.TB, id string, rep computers.Report) {
	t.Helper()
	s.wait(time.Second)
	rep.At = s.now()
	taken, err := s.computers.Report(t.Context(), id, rep)
	if err != nil || taken.Resend {
		t.Fatalf("report: %+v, %v", taken, err)
	}
}

func (s *site) create(t testing.TB, d policies.Draft) policies.Created {
	t.Helper()
	created, err := s.Create(t.Context(), d)
	if err != nil {
		t.Fatal(err)
	}
	return created
}

func (s *site) assigned(t testing.TB, computer string) policies.Assigned {
	t.Helper()
	a, err := s.Assigned(t.Context(), computer, "")
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func alwaysTrue() *rule.Rule { return rule.Test("True") }

func decode(body []byte, into any) error { return json.Unmarshal(body, into) }
