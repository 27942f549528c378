package main

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"thatch/catalog"
	"thatch/catalog/document"
	told "thatch/catalog/federation"
	"thatch/console"
	"thatch/console/api"
	"thatch/console/api/links"
	"thatch/console/page/pagetest"
	"thatch/node"
	"thatch/node/bulletins/bulletinstest"
	"thatch/node/computers/history"
	"thatch/node/nodetest"
	"thatch/node/policies"
	"thatch/node/policies/windows"
	"thatch/node/sites/rules"
	"thatch/node/store"
	"thatch/replication"
	"thatch/replication/round"
	parents "thatch/replication/server"
	"thatch/schedule"
)

// What the console's pages have beside the computers and updates of largeSite.
const (
	pageGroups   = 40
	pagePolicies = 50 // of which attempts are counted
	pageDays     = 30
	pageOrders   = 40 // policies that order something
	pageSites    = 30
)

// BenchmarkConsole opens every page of the console on a large site, each several times, and tells the median, the longest
// and the size. Pages about one thing are opened for what another page links to.
func BenchmarkConsole(b *testing.B) {
	dir := kept(b, "console", func(dir string) {
		largeSite(b, dir)
		furnish(b, dir)
	})
	n, err := node.New(b.Context(), node.Config{Dir: dir, Listen: "127.0.0.1:0"})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		if err := n.Close(); err != nil {
			b.Error(err)
		}
	})
	link := replication.New(n)
	routes := api.New(n, append(console.Routes(n), links.Routes(n, link, round.New(n, link, parents.New(n)))...)...)
	nodetest.Run(b, n, map[string]http.Handler{"/": routes})
	for number := 1; number <= pageComputers; number++ {
		n.Computers.Seen(uint32(number), n.Now())
	}
	browser := pagetest.Open(n, routes, console.Areas()...)
	if err := n.Compliance.Prepare(b.Context()); err != nil {
		b.Fatal(err)
	}
	links := map[string]bool{}
	var later []string
	for _, area := range console.Areas() {
		for _, p := range area.Pages {
			if strings.Contains(p.Path, "{") {
				later = append(later, p.Path)
			} else {
				measurePage(b, browser, p.Path, p.Path, links)
				if p.List != nil && p.List.Past {
					measurePage(b, browser, p.Path+" of a past day", p.Path+"?as_of="+pastDay, links)
				}
			}
		}
	}
	slices.SortFunc(later, func(x, y string) int { return strings.Count(x, "{") - strings.Count(y, "{") })
	for _, path := range later {
		measurePage(b, browser, path, example(path, links), links)
	}
}

// furnish gives a large site what its console shows beside computers and updates.
func furnish(b *testing.B, dir string) {
	b.Helper()
	n, err := node.New(b.Context(), node.Config{Dir: dir, Listen: "127.0.0.1:0"})
	if err != nil {
		b.Fatal(err)
	}
	stop := nodetest.Run(b, n, nil)
	describe(b, n)
	order(b, n)
	plantTree(b, n)
	err = remember(b, n)
	stop()
	if err := errors.Join(err, n.Close()); err != nil {
		b.Fatal(err)
	}
}

// describe gives the computers groups and facts, and counts attempts of some policies.
func describe(b *testing.B, n *node.Node) {
	b.Helper()
	builder := store.NewBuilder(store.Batch{Actor: "test", Reason: "furnish", At: n.Now()})
	add := func(sql string, args ...any) {
		if err := builder.Add(store.Statement{SQL: sql, Args: args}); err != nil {
			b.Fatal(err)
		}
	}
	for number := 1; number <= pageComputers; number++ {
		name := computerName(number)
		facts := fmt.Sprintf(`{"name":%q,"domain":"example.net","addresses":["10.%d.%d.%d"],"manufacturer":"Maker","model":"Model %d","serial":"S%d","agent":"1.0",
			"system":{"platform":"windows","product":"Windows %d","build":17763,"revision":%d,"architecture":"x64","languages":["de-de"]},"hotfixes":["4487017"]}`,
			name, number>>16, number>>8&255, number&255, number%30, number, number%12, number%500)
		add(`INSERT INTO computer_facts (number, body, at, idx) VALUES (?, ?, '', ?)`, int64(number), []byte(facts), store.Index{})
		add(`UPDATE computer SET grp = ? WHERE number = ?`, fmt.Sprint("group ", number%pageGroups), int64(number))
	}
	for day := range pageDays {
		for policy := range pagePolicies {
			for k := range 10 {
				add(`INSERT INTO delivery (day, policy, upd, succeeded, failed, remained) VALUES (?, ?, ?, ?, ?, ?)`,
					n.Now().UTC().AddDate(0, 0, -day).Format(time.DateOnly), fmt.Sprint("policy ", policy), int64(policy*10+k+1), int64(90), int64(k), int64(1))
			}
		}
	}
	for _, batch := range builder.Batches() {
		if _, err := n.Writer().Write(b.Context(), batch); err != nil {
			b.Fatal(err)
		}
	}
}

// order makes packages and payloads of the newest bulletins, policies of them, windows, replication rules and runs.
func order(b *testing.B, n *node.Node) {
	b.Helper()
	must := func(err error) {
		b.Helper()
		if err != nil {
			b.Fatal(err)
		}
	}
	content := []byte("payload")
	sum := sha256.Sum256(content)
	digest := hex.EncodeToString(sum[:])
	_, err := n.Content.Put(b.Context(), digest, bytes.NewReader(content))
	must(err)
	month := pageMonths - 1
	var docs []document.Document
	for product := range pageProducts {
		for k := range 5 {
			id := fmt.Sprintf("p-%d-%d-%d", month, product, k)
			docs = append(docs, bulletinstest.Doc(b, document.Package, id, nil, catalog.Package{
				Update: fmt.Sprintf("u-%d-%d-%d", month, product, k), Name: id,
				Files: []catalog.File{{Name: "a.bin", SHA256: digest, URL: "https://vendor.example/a.bin"}}, Installer: catalog.Installer{Type: catalog.EXE, File: "a.bin"},
			}))
		}
	}
	bulletinstest.Save(b, n.Bulletins, "msrc", "packages", docs...)
	var ids []string
	for k := range 5 {
		ids = append(ids, fmt.Sprintf("b-%d-%d", month, k))
	}
	must(n.Staging.Stage(b.Context(), ids...))
	run, err := n.StartStaging(b.Context())
	must(err)
	_, err = n.Tasks.Wait(b.Context(), run)
	must(err)
	for i := range pageOrders {
		_, err := n.Policies.Create(b.Context(), policies.Draft{Name: fmt.Sprint("Policy ", i), Bulletins: ids[i%5 : i%5+1], Local: i%2 == 0})
		must(err)
		if i < pageOrders/2 {
			_, err = n.Windows.Create(b.Context(), windows.Body{Window: schedule.Window{Name: fmt.Sprint("Window ", i), Repeat: schedule.Daily, Start: "22:00", Minutes: 240}})
			must(err)
			_, err = n.Sites.CreateRule(b.Context(), rules.Rule{Name: fmt.Sprint("Rule ", i), Type: "data", Enabled: true, Mode: rules.Differential, Verify: 10})
			must(err)
			run, err := n.Tasks.Run(b.Context(), "housekeeping", nil)
			must(err)
			_, err = n.Tasks.Wait(b.Context(), run)
			must(err)
		}
	}
}

// plantTree has other sites tell of themselves, three deep, with figures of every tenth bulletin.
func plantTree(b *testing.B, n *node.Node) {
	b.Helper()
	_, key, err := ed25519.GenerateKey(nil)
	if err != nil {
		b.Fatal(err)
	}
	builder := store.NewBuilder(store.Batch{Actor: "test", Reason: "sites", Topics: []string{store.TopicDocuments}, At: n.Now()})
	put := func(site string, kind document.Kind, id string, body any) {
		text, err := json.Marshal(body)
		if err != nil {
			b.Fatal(err)
		}
		doc, err := document.New(kind, id, nil, text)
		if err != nil {
			b.Fatal(err)
		}
		doc.Sign(site, key)
		if err := builder.Add(store.Put(doc, "", store.Former{})...); err != nil {
			b.Fatal(err)
		}
	}
	above := n.Site().ID
	for i := range pageSites {
		id := uuid.NewString()
		put(id, document.Site, id, told.Site{Name: fmt.Sprint("Branch ", i), Parent: above, Authority: []byte("none"), Version: "1"})
		put(id, document.LanguageAlert, id, told.Alert{Languages: []string{"de", "en"}, Computers: map[string]int{"de": 100}})
		put(id, document.Health, id, told.Health{Version: "1", At: n.Now().UTC().Format(time.RFC3339), Computers: 1600, AlarmCount: 1, Alarms: []told.Alarm{
			{Kind: "silent", Subject: above, Text: "a child was not heard of", Since: n.Now().UTC().Format(time.RFC3339)},
		}})
		for month := 0; month < pageMonths; month += 2 {
			for k := range 5 {
				bulletin := fmt.Sprintf("b-%d-%d", month, k)
				put(id, document.RollUp, told.RollUpID(id, bulletin), told.RollUp{
					Bulletin: bulletin, Counts: told.Counts{Applicable: 1600, Installed: 1500, Missing: 100}, Updates: []told.UpdateCounts{},
				})
			}
		}
		if i%10 == 9 {
			above = id // the tree grows deeper
		}
	}
	for _, batch := range builder.Batches() {
		applied, err := n.Writer().Write(b.Context(), batch)
		if err = errors.Join(err, applied.Err()); err != nil {
			b.Fatal(err)
		}
	}
}

// remember keeps a past day.
func remember(b *testing.B, n *node.Node) error {
	all, err := n.Compliance.All(b.Context(), n.Now().AddDate(0, 0, -1))
	if err != nil {
		return err
	}
	day := history.Day{Day: pastDay, Taken: n.Now(), Totals: history.Sum(all)}
	_, err = n.Past.Keep(b.Context(), day, history.Of(all))
	return err
}

// pastDay is a day of which reports are opened too.
const pastDay = "2026-01-31"

var (
	hrefs       = regexp.MustCompile(`href="(/[^"?#]*)`)
	placeholder = regexp.MustCompile(`\\\{[a-z]+\\\}`)
)

// example is the first link to a page of one thing, "" none. What another page calls by name is nobody's id.
func example(path string, links map[string]bool) string {
	pattern := regexp.MustCompile("^" + placeholder.ReplaceAllString(regexp.QuoteMeta(path), "[^/]+") + "$")
	known := map[string]bool{}
	for _, area := range console.Areas() {
		for _, p := range area.Pages {
			known[p.Path] = true
		}
	}
	var found []string
	for link := range links {
		if pattern.MatchString(link) && !known[link] {
			found = append(found, link)
		}
	}
	if len(found) == 0 {
		return ""
	}
	return slices.Min(found)
}

const pageTimes = 9

// measurePage opens a page once, checked, for what a first reader of a language pays, and then measures it unchecked.
func measurePage(b *testing.B, browser *pagetest.Browser, name, address string, links map[string]bool) {
	b.Helper()
	var taken []time.Duration
	var answer pagetest.Answer
	var spent time.Duration
	if address != "" {
		answer = browser.Get(b, address)
		for _, link := range hrefs.FindAllStringSubmatch(answer.Body, -1) {
			links[strings.ReplaceAll(link[1], "&amp;", "&")] = true
		}
		before, _ := usageOf(os.Getpid()) // 0 where it cannot be told
		for range pageTimes {
			began := time.Now()
			w := httptest.NewRecorder()
			browser.ServeHTTP(w, httptest.NewRequestWithContext(b.Context(), http.MethodGet, address, nil))
			taken = append(taken, time.Since(began))
			if w.Code != answer.Status || w.Code >= http.StatusInternalServerError {
				b.Errorf("%s: %d, then %d", address, answer.Status, w.Code)
			}
		}
		after, _ := usageOf(os.Getpid())
		spent = after.cpu - before.cpu
	}
	b.Run(strings.ReplaceAll(name, "/", "|"), func(b *testing.B) {
		if len(taken) > 0 {
			b.ReportMetric(float64(median(taken)), "p50-ns")
			b.ReportMetric(float64(slices.Max(taken)), "max-ns")
			b.ReportMetric(float64(spent)/pageTimes, "cpu-ns")
		}
		b.ReportMetric(float64(len(answer.Body)), "size-B")
		b.ReportMetric(float64(answer.Status), "status")
	})
}
