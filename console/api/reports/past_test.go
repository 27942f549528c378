package reports_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"thatch/catalog"
	"thatch/catalog/document"
	"thatch/catalog/rule"
	"thatch/console/api"
	"thatch/console/api/apitest"
	"thatch/console/api/client"
	"thatch/node"
	"thatch/node/bulletins/bulletinstest"
	"thatch/node/computers"
	"thatch/node/computers/history"
	"thatch/node/identity"
	"thatch/node/nodetest"
	"thatch/node/settings"
)

// past is a node whose clock stands at a whole hour and is moved by hand.
type past struct {
	*node.Node
	*client.Client
	clock *nodetest.Clock
	ids   map[string]string
}

func newPast(t *testing.T) *past {
	t.Helper()
	clock := nodetest.NewClock()
	clock.Move(clock.Now().Truncate(24 * time.Hour).Add(15 * time.Hour).Sub(clock.Now()))
	n := nodetest.NewWith(t, node.Config{Dir: t.TempDir(), Site: "Test", Languages: []string{"en"}, Now: clock.Now})
	nodetest.Run(t, n, map[string]http.Handler{"/": api.New(n, apitest.Routes(n)...)})
	p := &past{n, apitest.Local(t, n), clock, map[string]string{}}
	p.release(t, 1, catalog.Critical)
	p.release(t, 2, catalog.Low)
	p.report(t, "pc-1", computers.Report{Applicable: computers.Change{Add: []uint32{1, 2}}, Attempts: []computers.Attempt{
		{ID: "1", Number: 2, Policy: "gone", Started: n.Now(), Ended: n.Now(), Code: 1603},
	}})
	p.report(t, "pc-2", computers.Report{Installed: computers.Change{Add: []uint32{1, 2}}})
	return p
}

func (p *past) release(t *testing.T, number int, severity catalog.Severity) {
	t.Helper()
	id, cve := fmt.Sprint(number), fmt.Sprintf("CVE-2019-%04d", number)
	bulletinstest.Save(t, p.Bulletins, "sdp", "2019-0"+id,
		bulletinstest.Doc(t, document.Bulletin, "b"+id, nil, catalog.Bulletin{
			Name: "KB" + id, Title: "Title " + id, Source: "sdp", Severity: severity, Named: []catalog.NamedBy{{File: "2019-Feb", CVEs: 1}},
			CVEs: []catalog.CVE{{ID: cve, Title: "Hole " + id, Score: 7.8, Exploited: number == 1, Severity: severity}},
		}),
		bulletinstest.Doc(t, document.Update, "u"+id, nil, catalog.Update{
			Name: "Update " + id, Bulletin: "b" + id, Source: "sdp", Severity: severity, CVEs: []string{cve}, KB: "KB" + id,
			Product: catalog.Product{Name: "Windows 10"}, Rules: catalog.Rules{Applicable: rule.Test("True"), Installed: rule.Test("False")},
		}))
}

func (p *past) report(t *testing.T, name string, report computers.Report) {
	t.Helper()
	if p.ids[name] == "" {
		newcomer := computers.Newcomer{Name: name, MachineID: name, Hardware: name, Platform: "windows", Group: "berlin"}
		place, err := p.Computers.Place(t.Context(), newcomer)
		if err != nil {
			t.Fatal(err)
		}
		c, err := p.Computers.Enrol(t.Context(), newcomer, place, "serial "+name)
		if err != nil {
			t.Fatal(err)
		}
		p.ids[name] = c.ID
	} else {
		report.Base = 1
	}
	report.At, report.Cursor = p.Now(), computers.Cursor{Index: 1 << 40}
	if _, err := p.Computers.Report(t.Context(), p.ids[name], report); err != nil {
		t.Fatal(err)
	}
}

// dated is every list that can be had as of a past day, with what else is asked for.
var dated = []string{
	"/compliance/bulletins", "/compliance/updates", "/compliance/cves", "/compliance/months", "/compliance/computers", "/computer-groups",
	"/compliance/summary?of=bulletins", "/compliance/summary?of=updates", "/compliance/summary?of=cves", "/compliance/summary?of=computers",
	"/compliance/tree/sites", "/compliance/tree/sites?own=true", "/compliance/tree/bulletins", "/delivery/policies", "/delivery/updates",
	"/compliance/computers?missing=%3E0", "/compliance/bulletins?severity=Critical", "/compliance/updates?sort=-missing&limit=1",
}

// rows are those of a list, without what is not kept.
func (p *past) rows(t *testing.T, path, day string) (rows []map[string]any, list api.List[map[string]any]) {
	t.Helper()
	path, raw, _ := strings.Cut(path, "?")
	query, err := url.ParseQuery(raw)
	if err != nil {
		t.Fatal(err)
	}
	if day != "" {
		query.Set("as_of", day)
	}
	if err := p.Get(t.Context(), path, query, &list); err != nil {
		t.Fatal(path, err)
	}
	for _, row := range list.Items {
		for _, name := range []string{"age_seconds", "told", "heard"} {
			delete(row, name)
		}
		if strings.HasSuffix(path, "/computers") {
			delete(row, "version")
			delete(row, "node") // by which it was last heard is not kept of past days
		}
	}
	return list.Items, list
}

func (p *past) due(t *testing.T) string {
	t.Helper()
	if _, err := p.Past.Due(t.Context()); err != nil {
		t.Fatal(err)
	}
	days, err := p.Past.Days(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var list []string
	for _, d := range days {
		list = append(list, d.Day)
	}
	return strings.Join(list, " ")
}

// What a report said when a day was over is what it says as of that day, whatever happened since.
func TestReportsAsOfAPastDay(t *testing.T) {
	p := newPast(t)
	if _, err := p.RollUps.Tell(t.Context()); err != nil {
		t.Fatal(err)
	}
	day := p.Now().Format(time.DateOnly)
	if kept := p.due(t); kept != "" {
		t.Fatalf("%s are kept, and the first day is not over", kept)
	}
	p.clock.Move(9 * time.Hour) // midnight
	said := map[string][]map[string]any{}
	for _, path := range dated {
		said[path], _ = p.rows(t, path, "")
		if len(said[path]) == 0 {
			t.Fatalf("%s says nothing", path)
		}
	}
	if kept := p.due(t); kept != day {
		t.Fatalf("%q are kept, want %s", kept, day)
	}
	p.clock.Move(6 * time.Hour)
	p.release(t, 3, catalog.Critical)
	p.report(t, "pc-1", computers.Report{Applicable: computers.Change{Remove: []uint32{1}}, Installed: computers.Change{Add: []uint32{1}}, Attempts: []computers.Attempt{
		{ID: "2", Number: 2, Policy: "gone", Started: p.Now(), Ended: p.Now(), Code: 1603},
	}})
	p.report(t, "pc-3", computers.Report{Applicable: computers.Change{Add: []uint32{1, 2, 3}}})
	if _, err := p.RollUps.Tell(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, path := range dated {
		got, list := p.rows(t, path, day)
		if !reflect.DeepEqual(got, said[path]) {
			t.Errorf("%s as of %s:\n%s\nand then it said\n%s", path, day, plain(got), plain(said[path]))
		}
		if list.AsOf != day || !list.Taken.Equal(p.clock.Now().Add(-6*time.Hour)) {
			t.Errorf("%s is said to be of %s, taken %s", path, list.AsOf, list.Taken)
		}
		if now, list := p.rows(t, path, ""); reflect.DeepEqual(now, said[path]) && !strings.Contains(path, "/months") && !strings.Contains(path, "severity") || list.AsOf != "" {
			t.Errorf("%s is what it was, as of %q", path, list.AsOf)
		}
	}
	var days api.List[history.Day]
	if err := p.Get(t.Context(), "/compliance/days", nil, &days); err != nil || len(days.Items) != 1 {
		t.Fatalf("%+v, %v", days, err)
	}
	if got, want := days.Items[0].Totals, (history.Totals{
		Computers: 2, Complete: 1, Attention: 1, Exploited: 1, Installed: 2, Missing: 2, Percent: days.Items[0].Percent, Bulletins: 2, CVEs: 2, InTheWild: 1,
	}); got != want || *got.Percent != 50 {
		t.Errorf("the day is summed up as %+v", got)
	}
}

func plain(rows []map[string]any) string {
	text, err := json.MarshalIndent(rows, "", " ")
	return fmt.Sprint(string(text), err)
}

func TestDaysWithoutFigures(t *testing.T) {
	p := newPast(t)
	first := p.Now()
	p.clock.Move(24 * time.Hour)
	p.due(t)
	day := func(after int) string { return first.AddDate(0, 0, after).Format(time.DateOnly) }
	refused := func(path string, status int, words ...string) {
		t.Helper()
		path, raw, _ := strings.Cut(path, "?")
		query, _ := url.ParseQuery(raw)
		var e *client.Error
		if err := p.Get(t.Context(), path, query, nil); !errors.As(err, &e) || e.Status != status ||
			slices.ContainsFunc(words, func(word string) bool { return !strings.Contains(e.Text, word) }) {
			t.Errorf("%s?%s: %v, want %d with %q", path, raw, err, status, words)
		}
	}
	for _, path := range dated {
		path, raw, _ := strings.Cut(path, "?")
		refused(path+"?"+raw+"&as_of="+day(-3), 404, "the nearest day", day(0))
	}
	refused("/delivery?as_of="+day(7), 404, "the nearest day", day(0))
	refused("/compliance/bulletins?as_of=yesterday", 400, "as_of", "no day")
	refused("/compliance/bulletins?all=true&as_of="+day(0), 400, "superseded")
	refused("/compliance/tree/sites?bulletin=b1&as_of="+day(0), 400, "tree/bulletins")
	refused("/compliance/tree/bulletins?of=elsewhere&as_of="+day(0), 404, "elsewhere")
	refused("/compliance/updates/1/computers?as_of="+day(0), 400, "no parameter")
	refused("/compliance/computers?percent=many&as_of="+day(0), 400, "percent")

	p.clock.Move(3 * 24 * time.Hour) // no node ran: the latest day that is over is made up for
	if kept, want := p.due(t), day(0)+" "+day(3); kept != want {
		t.Errorf("%s are kept, want %s", kept, want)
	}
	if kept := p.due(t); kept != day(0)+" "+day(3) {
		t.Errorf("asked again, %s are kept", kept)
	}
	p.set(t, settings.TimeZone.Name, "Asia/Tokyo") // 15:00 is midnight there
	if kept := p.due(t); !strings.HasSuffix(kept, " "+day(4)) {
		t.Errorf("in Tokyo %s are kept", kept)
	}
	p.set(t, settings.KeepFiguresDays.Name, 1)
	if kept := p.due(t); kept != day(4) {
		t.Errorf("for one day %s are kept", kept)
	}
	p.set(t, settings.KeepFiguresDays.Name, 0)
	p.clock.Move(24 * time.Hour)
	if kept := p.due(t); kept != "" {
		t.Errorf("nothing is to be kept, and %s are", kept)
	}
	refused("/compliance/bulletins?as_of="+day(0), 404, "any other day")
}

func (p *past) set(t *testing.T, name string, value any) {
	t.Helper()
	raw, err := json.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	is, err := p.Settings.Get(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.Settings.Set(t.Context(), name, raw, is.Version); err != nil {
		t.Fatal(err)
	}
}

// A limited operator sees of past days what is theirs, as of now.
func TestPastDaysOfAPart(t *testing.T) {
	p := newPast(t)
	p.clock.Move(24 * time.Hour)
	day := p.due(t)
	who := identity.Operator{Name: "bo", Scope: identity.Viewer, Part: identity.Part{Groups: []string{"paris"}}}
	server := api.New(p.Node, apitest.Routes(p.Node)...)
	answer, _, err := server.Ask(t.Context(), who, api.Request{Method: "GET", Path: "/compliance/computers", Query: url.Values{"as_of": {day}}})
	if text, _ := json.Marshal(answer); err != nil || !strings.Contains(string(text), `"total":0`) {
		t.Errorf("an operator for paris sees %s, %v", text, err)
	}
}
