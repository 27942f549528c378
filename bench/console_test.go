package main

import (
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"thatch/console"
	"thatch/console/api"
	"thatch/console/api/links"
	"thatch/console/page/pagetest"
	"thatch/node"
	"thatch/node/nodetest"
	"thatch/node/store"
	"thatch/replication"
	"thatch/replication/round"
	parents "thatch/replication/server"
)

// What the console's pages have beside the computers and updates of largeSite.
const (
	pageGroups   = 40
	pagePolicies = 50 // of which attempts are counted
	pageDays     = 30
)

// BenchmarkConsole opens every page of the console on a large site, each several times, and tells the median, the longest
// and the size. Pages about one thing are opened for what another page links to.
func BenchmarkConsole(b *testing.B) {
	dir := largeSite(b)
	furnish(b, dir)
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
			}
		}
	}
	slices.SortFunc(later, func(x, y string) int { return strings.Count(x, "{") - strings.Count(y, "{") })
	for _, path := range later {
		measurePage(b, browser, path, example(path, links), links)
	}
}

// furnish gives the computers groups and facts, and counts attempts of some policies.
func furnish(b *testing.B, dir string) {
	b.Helper()
	n, err := node.New(b.Context(), node.Config{Dir: dir, Listen: "127.0.0.1:0"})
	if err != nil {
		b.Fatal(err)
	}
	defer n.Close()
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

func measurePage(b *testing.B, browser *pagetest.Browser, name, address string, links map[string]bool) {
	b.Helper()
	var taken []time.Duration
	size, status := 0, 0
	for range pageTimes {
		if address == "" {
			break
		}
		began := time.Now()
		answer := browser.Get(b, address)
		taken = append(taken, time.Since(began))
		if size, status = len(answer.Body), answer.Status; status >= http.StatusInternalServerError {
			b.Errorf("%s: %d", address, status)
		}
		for _, link := range hrefs.FindAllStringSubmatch(answer.Body, -1) {
			links[strings.ReplaceAll(link[1], "&amp;", "&")] = true
		}
	}
	b.Run(strings.ReplaceAll(name, "/", "|"), func(b *testing.B) {
		if len(taken) > 0 {
			b.ReportMetric(float64(median(taken)), "p50-ns")
			b.ReportMetric(float64(slices.Max(taken[1:])), "max-ns")
		}
		b.ReportMetric(float64(size), "size-B")
		b.ReportMetric(float64(status), "status")
	})
}
