package bulletins_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"thatch/catalog"
	"thatch/catalog/document"
	"thatch/catalog/rule"
	"thatch/node/bulletins"
	"thatch/node/bulletins/bulletinstest"
	"thatch/node/bulletins/live"
	"thatch/node/bulletins/staging"
	"thatch/node/store"
)

// sample fills a room with three bulletins: KB1 of January, KB2 of February that supersedes it, and a vendor's.
func sample(t testing.TB) (*bulletins.Bulletins, *store.DB) {
	room, db := bulletinstest.Room(t)
	x64 := rule.Test(rule.Architecture, "Is", "x64")
	doc := func(kind document.Kind, id string, body any) document.Document {
		return bulletinstest.Doc(t, kind, id, nil, body)
	}
	bulletinstest.Save(t, room, "msrc", "f",
		doc(document.Bulletin, "msrc/KB1000001", catalog.Bulletin{
			Name: "KB1000001", Source: "msrc", Vendor: "Microsoft", Title: "First", Severity: catalog.Critical,
			CVEs:  []catalog.CVE{{ID: "CVE-2019-0001", Severity: catalog.Critical, Score: 9.8, Exploited: true, Title: "Hole"}, {ID: "CVE-2019-0002", Severity: catalog.Low}},
			Named: []catalog.NamedBy{{File: "2019-Jan", CVEs: 2}},
		}),
		doc(document.Update, "msrc/KB1000001/1", catalog.Update{
			Name: "KB1000001", Bulletin: "msrc/KB1000001", Source: "msrc", KB: "1000001", Product: catalog.Product{ID: "1", Name: "Windows X"},
			Severity: catalog.Critical, CVEs: []string{"CVE-2019-0001", "CVE-2019-0002"}, Rules: catalog.Rules{NoRule: "nobody knows"},
			Relations: catalog.Relations{Supersedes: []string{"msrc/KB0999999/1"}},
		}),
		doc(document.Bulletin, "msrc/KB1000002", catalog.Bulletin{
			Name: "KB1000002", Source: "msrc", Vendor: "Microsoft", Title: "Second", Severity: catalog.Moderate,
			CVEs:  []catalog.CVE{{ID: "CVE-2019-0002", Severity: catalog.Moderate, Score: 5}},
			Named: []catalog.NamedBy{{File: "2019-Feb", CVEs: 1}},
		}),
		doc(document.Update, "msrc/KB1000002/1", catalog.Update{
			Name: "KB1000002", Bulletin: "msrc/KB1000002", Source: "msrc", KB: "1000002", Product: catalog.Product{ID: "1", Name: "Windows X"},
			Severity: catalog.Moderate, CVEs: []string{"CVE-2019-0002"}, Relations: catalog.Relations{Supersedes: []string{"msrc/KB1000001/1"}},
			Rules: catalog.Rules{Applicable: x64, Installed: rule.Not(x64)},
		}))
	bulletinstest.Save(t, room, "sdp", "g",
		doc(document.Bulletin, "sdp/B", catalog.Bulletin{Name: "sp1", Source: "sdp", Vendor: "HP", Title: "Driver", Severity: catalog.Important, Released: "2019-03-01T00:00:00Z"}),
		doc(document.Update, "sdp/U", catalog.Update{Name: "sp1", Bulletin: "sdp/B", Source: "sdp", Rules: catalog.Rules{Applicable: rule.And()}}),
		doc(document.Update, "sdp/D", catalog.Update{Name: "detector", Bulletin: "sdp/B", Source: "sdp", Detector: true, Rules: catalog.Rules{Applicable: rule.And()}}))
	return room, db
}

func names(rows []*bulletins.Row) string {
	var list []string
	for _, r := range rows {
		list = append(list, r.Name)
	}
	return strings.Join(list, " ")
}

func TestList(t *testing.T) {
	room, _ := sample(t)
	room.CountPolicies(func(context.Context, ...string) (map[string]int, error) { return map[string]int{"sdp/B": 3}, nil })
	filter := func(pairs ...string) map[string]string {
		m := map[string]string{}
		for i := 0; i < len(pairs); i += 2 {
			m[pairs[i]] = pairs[i+1]
		}
		return m
	}
	for _, c := range []struct {
		q     store.Query
		want  string
		total int
	}{
		{store.Query{}, "sp1 KB1000002 KB1000001", 3},
		{store.Query{Limit: 1, Offset: 1}, "KB1000002", 3},
		{store.Query{Filter: filter("latest", "yes")}, "sp1 KB1000002", 2},
		{store.Query{Filter: filter("superseded", "true")}, "KB1000001", 1},
		{store.Query{Filter: filter("exploited", "yes")}, "KB1000001", 1},
		{store.Query{Filter: filter("month", "2019-02")}, "KB1000002", 1},
		{store.Query{Filter: filter("month", ">2019-01")}, "sp1 KB1000002", 2},
		{store.Query{Filter: filter("vendor", "!microsoft")}, "sp1", 1},
		{store.Query{Filter: filter("source", "msrc,debian")}, "KB1000002 KB1000001", 2},
		{store.Query{Filter: filter("cve", "cve-2019-0002")}, "KB1000002 KB1000001", 2},
		{store.Query{Filter: filter("bulletin", "kb10*")}, "KB1000002 KB1000001", 2},
		{store.Query{Filter: filter("cves", ">1")}, "KB1000001", 1},
		{store.Query{Filter: filter("policies", "3")}, "sp1", 1},
		{store.Query{Filter: filter("severity", "critical,important")}, "sp1 KB1000001", 2},
		{store.Query{Search: "driver hp"}, "sp1", 1},
		{store.Query{Search: "0001"}, "KB1000001", 1},
		{store.Query{Sort: "severity", Descending: true}, "KB1000001 sp1 KB1000002", 3},
		{store.Query{Sort: "severity"}, "KB1000002 sp1 KB1000001", 3},
		{store.Query{Sort: "bulletin"}, "KB1000001 KB1000002 sp1", 3},
		{store.Query{Sort: "cves", Descending: true, Limit: 2}, "KB1000001 KB1000002", 3},
		{store.Query{Offset: 10}, "", 3},
	} {
		rows, total, err := room.List(t.Context(), c.q)
		if err != nil || names(rows) != c.want || total != c.total {
			t.Errorf("%+v: %q of %d, %v; want %q of %d", c.q, names(rows), total, err, c.want, c.total)
		}
	}
	for _, q := range []store.Query{{Sort: "colour"}, {Filter: filter("colour", "red")}} {
		if _, _, err := room.List(t.Context(), q); !errors.Is(err, store.ErrInvalid) || !strings.Contains(err.Error(), "custom_severity") {
			t.Errorf("%+v: %v; want the columns that there are", q, err)
		}
	}
	rows, _, err := room.List(t.Context(), store.Query{Filter: filter("bulletin", "sp1")})
	if err != nil || rows[0].Updates != 1 || rows[0].Policies != 3 || rows[0].Staged || rows[0].Month != "2019-03" {
		t.Errorf("row %+v, %v", rows[0], err)
	}
	if totals, err := room.Totals(t.Context(), "2019-02-28"); err != nil || totals != (bulletins.Totals{All: 3, InPolicies: 1, New: 1}) {
		t.Errorf("totals %+v, %v", totals, err)
	}
	groups, err := room.Groups(t.Context(), store.Query{Filter: filter("source", "msrc")}, "severity")
	if err != nil || fmt.Sprint(groups) != "[{Moderate 1} {Critical 1}]" {
		t.Errorf("groups %v, %v", groups, err)
	}
	if _, err := room.Groups(t.Context(), store.Query{}, "colour"); !errors.Is(err, store.ErrInvalid) {
		t.Errorf("groups by an unknown column: %v", err)
	}
}

func TestPolicyCountFails(t *testing.T) {
	room, _ := sample(t)
	id, err := room.Find(t.Context(), "sp1")
	if err != nil {
		t.Fatal(err)
	}
	room.CountNeeded(func(context.Context, ...string) (map[string]int, error) { return map[string]int{id: 7}, nil })
	if rows, total, err := room.List(t.Context(), store.Query{Filter: map[string]string{"needed": ">6"}}); err != nil || total != 1 || rows[0].Needed != 7 {
		t.Errorf("what 7 computers need: %v, %v", rows, err)
	}
	room.CountNeeded(func(context.Context, ...string) (map[string]int, error) { return nil, errors.New("computers are away") })
	if _, err := room.Rows(t.Context(), id); err == nil || !strings.Contains(err.Error(), "computers are away") {
		t.Errorf("rows without computers: %v", err)
	}
	room.CountNeeded(nil)
	room.CountPolicies(func(context.Context, ...string) (map[string]int, error) { return nil, errors.New("policies are away") })
	if _, _, err := room.List(t.Context(), store.Query{}); err == nil || !strings.Contains(err.Error(), "policies are away") {
		t.Errorf("list: %v", err)
	}
}

func TestShow(t *testing.T) {
	room, _ := sample(t)
	for _, name := range []string{"KB1000001", "kb1000001", "msrc/KB1000001"} {
		d, err := room.Show(t.Context(), name)
		if err != nil || d.ID != "msrc/KB1000001" || len(d.CVEList) != 2 || len(d.UpdateList) != 1 || d.Origin != bulletinstest.Site ||
			!slices.Equal(d.By, []string{"KB1000002"}) || len(d.Supersedes) != 0 {
			t.Errorf("%s: %+v, %v", name, d, err)
		}
		if u := d.UpdateList[0]; !u.Exploited || !u.Superseded || u.NoRule == "" || u.Status != staging.NoPackage || u.Month != "2019-01" {
			t.Errorf("update %+v", u)
		}
	}
	if _, err := room.Show(t.Context(), "KB7"); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("an unknown bulletin: %v", err)
	}
	bulletinstest.Save(t, room, "sdp", "h", bulletinstest.Doc(t, document.Bulletin, "sdp/B2", nil, catalog.Bulletin{Name: "SP1", Source: "sdp"}))
	if _, err := room.Show(t.Context(), "sp1"); !errors.Is(err, store.ErrInvalid) || !strings.Contains(err.Error(), "sdp/B2") {
		t.Errorf("a name that two bulletins bear: %v", err)
	}
	if d, err := room.Show(t.Context(), "sdp/B2"); err != nil || d.Name != "SP1" {
		t.Errorf("by its id: %+v, %v", d, err)
	}
}

func TestUpdates(t *testing.T) {
	room, _ := sample(t)
	for filter, want := range map[string]int{
		"": 4, "no_rule=yes": 1, "detector=yes": 1, "kb=1000002": 1, "superseded=yes": 1, "exploited=yes": 1,
		"status=no package": 4, "bulletin=sp1": 2, "number=<3": 2, "packages=0": 4,
	} {
		q := store.Query{}
		if name, value, ok := strings.Cut(filter, "="); ok {
			q.Filter = map[string]string{name: value}
		}
		rows, total, err := room.Updates(t.Context(), q)
		if err != nil || total != want || len(rows) != want {
			t.Errorf("%s: %d of %d, %v; want %d", filter, len(rows), total, err, want)
		}
	}
	d, err := room.ShowUpdate(t.Context(), "msrc/KB1000001/1")
	if err != nil {
		t.Fatal(err)
	}
	if len(d.SupersededBy) != 1 || !d.SupersededBy[0].Known || d.SupersededBy[0].Bulletin != "KB1000002" ||
		len(d.Supersedes) != 1 || d.Supersedes[0].Known || d.Rules.Applicable != nil {
		t.Errorf("%+v", d)
	}
	if d, err = room.ShowUpdate(t.Context(), "msrc/KB1000002/1"); err != nil || d.Rules.Applicable == nil || d.ProductID != "1" {
		t.Errorf("%+v, %v", d, err)
	}
	if _, err := room.ShowUpdate(t.Context(), "nothing"); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("an unknown update: %v", err)
	}
}

func TestCVEs(t *testing.T) {
	room, _ := sample(t)
	rows, total, err := room.CVEs(t.Context(), store.Query{Sort: "score", Descending: true})
	if err != nil || total != 2 || rows[0].ID != "CVE-2019-0001" || rows[0].Title != "Hole" {
		t.Fatalf("%+v of %d, %v", rows, total, err)
	}
	if second := rows[1]; second.Severity != catalog.Moderate || second.Updates != 2 || strings.Join(second.Bulletins, " ") != "KB1000001 KB1000002" {
		t.Errorf("gathered: %+v", second)
	}
	if rows, total, err = room.CVEs(t.Context(), store.Query{Filter: map[string]string{"exploited": "yes", "score": ">9"}}); err != nil || total != 1 {
		t.Errorf("%+v of %d, %v", rows, total, err)
	}
}

func severities(t *testing.T, room *bulletins.Bulletins) string {
	t.Helper()
	rows, _, err := room.Severities(t.Context(), store.Query{})
	if err != nil {
		t.Fatal(err)
	}
	var list []string
	for _, r := range rows {
		list = append(list, fmt.Sprintf("%s=%d(%d)", r.Name, r.Order, r.Bulletins))
	}
	return strings.Join(list, " ")
}

func TestSeverities(t *testing.T) {
	room, db := sample(t)
	ctx := t.Context()
	make := func(name string, order *int) string {
		t.Helper()
		id, err := room.CreateSeverity(ctx, name, order)
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(id, bulletinstest.Site) {
			t.Errorf("id %q does not hold the site's", id)
		}
		return id
	}
	low := 1
	make("Urgent", nil)
	make("Later", &low)
	top := make("Now", nil)
	if got := severities(t, room); got != "Now=20(0) Urgent=10(0) Later=1(0)" {
		t.Errorf("severities: %s", got)
	}
	if _, err := room.CreateSeverity(ctx, "NOW", nil); !errors.Is(err, store.ErrConflict) || !strings.Contains(err.Error(), `"Now" already`) {
		t.Errorf("a severity that is there: %v", err)
	}
	for _, bad := range []string{"", "  ", "none", strings.Repeat("x", 101)} {
		if _, err := room.CreateSeverity(ctx, bad, nil); !errors.Is(err, store.ErrInvalid) {
			t.Errorf("a severity called %q: %v", bad, err)
		}
	}
	if err := room.AssignSeverity(ctx, "now", "KB1000001", "sp1"); err != nil {
		t.Fatal(err)
	}
	index := db.Applied()
	if err := room.AssignSeverity(ctx, "Now", "KB1000001"); err != nil || db.Applied() != index {
		t.Errorf("assigning what is assigned wrote something: %v", err)
	}
	rows, _, err := room.List(ctx, store.Query{Filter: map[string]string{"custom_severity": "Now"}})
	if err != nil || names(rows) != "sp1 KB1000001" || rows[1].Severity != catalog.Critical {
		t.Errorf("assigned: %+v, %v", rows, err)
	}
	rows, _, err = room.List(ctx, store.Query{Sort: "custom_severity", Descending: true})
	if err != nil || names(rows) != "sp1 KB1000001 KB1000002" {
		t.Errorf("by custom severity: %s, %v", names(rows), err)
	}
	// All or none.
	if err := room.AssignSeverity(ctx, "Later", "KB1000002", "KB404"); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("an unknown bulletin: %v", err)
	}
	if err := room.AssignSeverity(ctx, "Mild", "KB1000002"); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("an unknown severity: %v", err)
	}
	if got := severities(t, room); got != "Now=20(2) Urgent=10(0) Later=1(0)" {
		t.Errorf("severities: %s", got)
	}

	newName, order := "At once", 99
	if err := room.ChangeSeverity(ctx, "Now", "", &newName, nil); err != nil {
		t.Fatal(err)
	}
	if err := room.ChangeSeverity(ctx, top, "", nil, &order); err != nil {
		t.Fatal(err)
	}
	same := "At Once"
	if err := room.ChangeSeverity(ctx, top, "", &same, nil); err != nil {
		t.Errorf("another spelling of its own name: %v", err)
	}
	taken := "urgent"
	if err := room.ChangeSeverity(ctx, top, "", &taken, nil); !errors.Is(err, store.ErrConflict) {
		t.Errorf("a name that another has: %v", err)
	}

	// A form made from an old version is a conflict.
	seen, _, err := room.Severities(ctx, store.Query{})
	if err != nil {
		t.Fatal(err)
	}
	first, second := 50, 60
	if err := room.ChangeSeverity(ctx, top, seen[0].Version, nil, &first); err != nil {
		t.Fatal(err)
	}
	if err := room.ChangeSeverity(ctx, top, seen[0].Version, nil, &second); !errors.Is(err, store.ErrConflict) {
		t.Errorf("a change from an old version: %v", err)
	}
	if err := room.ChangeSeverity(ctx, top, "no digest", nil, &second); !errors.Is(err, store.ErrInvalid) {
		t.Errorf("a version that is none: %v", err)
	}

	if err := room.DeleteSeverity(ctx, "At once", "", ""); !errors.Is(err, store.ErrInvalid) {
		t.Errorf("deleting one in use: %v", err)
	}
	if err := room.DeleteSeverity(ctx, "At once", "", "At once"); !errors.Is(err, store.ErrInvalid) {
		t.Errorf("reassigning to the one that goes: %v", err)
	}
	if err := room.DeleteSeverity(ctx, "At once", "", "Later"); err != nil {
		t.Fatal(err)
	}
	if err := room.AssignSeverity(ctx, "none", "sp1", "KB1000002"); err != nil {
		t.Fatal(err)
	}
	if got := severities(t, room); got != "Urgent=10(0) Later=1(1)" {
		t.Errorf("severities: %s", got)
	}
	if err := room.DeleteSeverity(ctx, "Later", "", "none"); err != nil {
		t.Fatal(err)
	}
	if err := room.DeleteSeverity(ctx, "Later", "", ""); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("deleting what is gone: %v", err)
	}
	checkSigned(t, db, document.Severity, document.Assignment)
}

// checkSigned verifies all documents of kinds.
func checkSigned(t *testing.T, db *store.DB, kinds ...document.Kind) {
	t.Helper()
	ring := document.Keyring{bulletinstest.Site: bulletinstest.Public()}
	err := db.View(t.Context(), func(tx *sql.Tx) error {
		for _, kind := range kinds {
			docs, err := store.Documents(t.Context(), tx, kind, "", 1000)
			if err != nil {
				return err
			}
			for i := range docs {
				if err := ring.Verify(&docs[i].Document); err != nil {
					t.Error(err)
				}
			}
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

func TestPackagesByHand(t *testing.T) {
	room, db := sample(t)
	ctx := t.Context()
	sum := strings.Repeat("ab", 32)
	held := func(digest string) bool { return digest == strings.Repeat("cd", 32) }
	good := bulletins.NewPackage{Update: "msrc/KB1000002/1", Files: []catalog.File{{URL: "https://vendor.example/dir/a.msi", SHA256: strings.ToUpper(sum)}}, Languages: []string{"DE"}}
	id, err := room.AddPackage(ctx, good, held)
	if err != nil {
		t.Fatal(err)
	}
	d, err := room.ShowPackage(ctx, id)
	if err != nil || d.Name != "a.msi" || !d.ByHand || !slices.Equal(d.Languages, []string{"de"}) || d.Run.Type != catalog.MSI ||
		d.FileList[0].SHA256 != sum || d.Bulletin != "KB1000002" || d.Status != staging.NotStaged || !d.Matters || len(d.Run.Codes) == 0 {
		t.Errorf("%+v, %v", d, err)
	}
	checkSigned(t, db, document.Package)
	if rows, total, err := room.Packages(ctx, store.Query{Filter: map[string]string{"by_hand": "yes", "language": "de"}}); err != nil || total != 1 {
		t.Errorf("%+v, %v", rows, err)
	}
	if u, err := room.ShowUpdate(ctx, "msrc/KB1000002/1"); err != nil || u.Packages != 1 || len(u.PackageList) != 1 || u.Status != staging.NotStaged {
		t.Errorf("its update: %+v, %v", u, err)
	}
	here := good
	here.Files = []catalog.File{{Name: "setup.exe", SHA256: strings.Repeat("cd", 32)}, {Name: "data.cab", SHA256: strings.Repeat("cd", 32)}}
	here.Run, here.Languages, here.Codes = "setup.exe", nil, []catalog.ReturnCode{{Code: 0, Result: catalog.Succeeded}}
	if _, err := room.AddPackage(ctx, here, held); err != nil {
		t.Errorf("files that are held: %v", err)
	}
	for name, change := range map[string]func(*bulletins.NewPackage){
		"update":        func(p *bulletins.NewPackage) { p.Update = "nothing" },
		"detector":      func(p *bulletins.NewPackage) { p.Update = "sdp/D" },
		"no file":       func(p *bulletins.NewPackage) { p.Files = nil },
		"no digest":     func(p *bulletins.NewPackage) { p.Files[0].SHA256 = "" },
		"short digest":  func(p *bulletins.NewPackage) { p.Files[0].SHA256 = "abcd" },
		"sha1":          func(p *bulletins.NewPackage) { p.Files[0].SHA1 = "xyz" },
		"address":       func(p *bulletins.NewPackage) { p.Files[0].URL = "file:///etc/passwd" },
		"not held":      func(p *bulletins.NewPackage) { p.Files[0].URL, p.Files[0].Name = "", "a.msi" },
		"name":          func(p *bulletins.NewPackage) { p.Files[0].Name = "../a.msi" },
		"device name":   func(p *bulletins.NewPackage) { p.Files[0].Name = "c:a.msi" },
		"size":          func(p *bulletins.NewPackage) { p.Files[0].Size = -1 },
		"twice":         func(p *bulletins.NewPackage) { p.Files = append(p.Files, p.Files[0]) },
		"language":      func(p *bulletins.NewPackage) { p.Languages = []string{"not a language"} },
		"run":           func(p *bulletins.NewPackage) { p.Run = "b.msi" },
		"type":          func(p *bulletins.NewPackage) { p.Type = "deb" },
		"type by name":  func(p *bulletins.NewPackage) { p.Files[0].Name = "a.zip" },
		"name from URL": func(p *bulletins.NewPackage) { p.Files[0].URL = "https://vendor.example/" },
	} {
		bad := good
		bad.Files = slices.Clone(good.Files)
		change(&bad)
		if _, err := room.AddPackage(ctx, bad, held); !errors.Is(err, store.ErrInvalid) && !errors.Is(err, store.ErrNotFound) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := room.RemovePackage(ctx, id, strings.Repeat("00", 32)); !errors.Is(err, store.ErrInvalid) {
		t.Errorf("removing a version that is none: %v", err)
	}
	if err := room.RemovePackage(ctx, id, strings.Repeat("11", 32)); !errors.Is(err, store.ErrConflict) {
		t.Errorf("removing an old version: %v", err)
	}
	if err := room.RemovePackage(ctx, id, d.Version); err != nil {
		t.Fatal(err)
	}
	if err := room.RemovePackage(ctx, id, ""); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("removing twice: %v", err)
	}
	bulletinstest.Save(t, room, "sdp", "p", bulletinstest.Doc(t, document.Package, "sdp/P", nil, catalog.Package{Update: "sdp/U", Name: "vendor's"}))
	if err := room.RemovePackage(ctx, "sdp/P", ""); !errors.Is(err, store.ErrInvalid) {
		t.Errorf("removing a vendor's: %v", err)
	}
}

func TestEvaluateAsOf(t *testing.T) {
	room, _ := sample(t)
	facts := &rule.Facts{System: &rule.System{Platform: "windows", Architecture: "x64"}}
	now, err := room.Evaluate(t.Context(), facts, bulletinstest.At, false)
	if err != nil || now.AsOf != "2019-03-06" {
		t.Fatalf("%+v, %v", now, err)
	}
	missing := func(all bool) string {
		result, err := room.Evaluate(t.Context(), facts, bulletinstest.At.AddDate(1, 0, 0), all)
		if err != nil {
			t.Fatal(err)
		}
		var list []string
		for _, m := range result.Missing {
			list = append(list, m.Update)
		}
		return strings.Join(list, " ")
	}
	if got := missing(false); got != "msrc/KB1000002/1" {
		t.Errorf("missing %q", got)
	}
}

func TestNumbersStay(t *testing.T) {
	room, db := sample(t)
	before := numbers(t, room)
	bulletinstest.Save(t, room, "msrc", "f")
	bulletinstest.Save(t, room, "sdp", "new", bulletinstest.Doc(t, document.Update, "sdp/new", nil, catalog.Update{Name: "new", Source: "sdp"}))
	for id, number := range numbers(t, room) {
		if was, known := before[id]; known && was != number {
			t.Errorf("%s: %d, was %d", id, number, was)
		}
		for other, taken := range before {
			if taken == number && other != id {
				t.Errorf("%s has the number that %s had", id, other)
			}
		}
	}
	if n := count(t, db, "software_update"); n != 5 {
		t.Errorf("%d numbers, want 5", n)
	}
	err := room.Catalog().Read(t.Context(), func(v *live.View) error {
		if v.UpdateByID("msrc/KB1000001/1") != nil {
			t.Error("a withdrawn update is still there")
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}
