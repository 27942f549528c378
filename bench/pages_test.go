package main

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/RoaringBitmap/roaring/v2"

	"thatch/catalog"
	"thatch/catalog/document"
	"thatch/catalog/rule"
	"thatch/console/api"
	"thatch/console/api/apitest"
	"thatch/console/api/client"
	"thatch/console/api/reports"
	"thatch/node"
	"thatch/node/bulletins/bulletinstest"
	"thatch/node/bulletins/live"
	"thatch/node/computers"
	"thatch/node/computers/compliance"
	"thatch/node/nodetest"
	"thatch/node/store"
)

// The size of the aim: a page of compliance at 50,000 computers and 20,000 updates in under 20 ms. There are 40 products
// of 500 updates in 100 months; a computer runs three of them, and has about five in six of their updates.
const (
	pageComputers = 50_000
	pageMonths    = 100
	pageProducts  = 40
	pageUpdates   = pageMonths * pageProducts * 5
)

var pageKinds = []string{"bulletins", "updates", "cves", "months", "computers"}

// kept is a folder of what takes minutes to make. Where THATCH_BENCH names a folder, it is made there once, and used again as
// long as that stands.
func kept(b *testing.B, name string, fill func(dir string)) (dir string) {
	b.Helper()
	root := os.Getenv("THATCH_BENCH")
	if root == "" {
		dir = b.TempDir()
		fill(dir)
		return dir
	}
	dir = filepath.Join(root, name)
	if _, err := os.Stat(dir); err == nil {
		b.Log("used again:", dir)
		return dir
	}
	if err := os.MkdirAll(root, 0o700); err != nil {
		b.Fatal(err)
	}
	fresh, err := os.MkdirTemp(root, name+"-")
	if err != nil {
		b.Fatal(err)
	}
	if fill(fresh); b.Failed() {
		return fresh
	}
	if err := os.Rename(fresh, dir); err != nil {
		b.Fatal(err)
	}
	return dir
}

// largeSite has a folder be that of a node with that many computers, written through its quorum.
func largeSite(b *testing.B, dir string) {
	b.Helper()
	n, err := node.New(b.Context(), node.Config{Dir: dir, Listen: "127.0.0.1:0", Site: "Large", Languages: []string{"en"}})
	if err != nil {
		b.Fatal(err)
	}
	defer n.Close()
	for month := range pageMonths {
		importMonth(b, n, month)
	}
	random := rand.New(rand.NewPCG(1, 2))
	builder := store.NewBuilder(store.Batch{Actor: "test", Reason: "computers", At: n.Now()})
	for number := 1; number <= pageComputers; number++ {
		applicable, installed := roaring.New(), roaring.New()
		for _, product := range productsOf(number) {
			for at := range pageMonths * 5 {
				if update := updateNumber(at/5, product, at%5); random.IntN(6) > 0 {
					installed.Add(update)
				} else {
					applicable.Add(update)
				}
			}
		}
		if err := builder.Add(rowsOf(b, number, applicable, installed)...); err != nil {
			b.Fatal(err)
		}
	}
	for _, batch := range builder.Batches() {
		if _, err := n.Writer().Write(b.Context(), batch); err != nil {
			b.Fatal(err)
		}
	}
}

func productsOf(computer int) []int { return []int{computer % 4, 4 + computer%12, 16 + computer%24} }

func updateNumber(month, product, k int) uint32 {
	return uint32(month*pageProducts*5 + product*5 + k + 1)
}

func importMonth(b *testing.B, n *node.Node, month int) {
	b.Helper()
	file := time.Date(2010+month/12, time.Month(1+month%12), 1, 0, 0, 0, 0, time.UTC).Format("2006-Jan")
	var docs []document.Document
	for product := range pageProducts {
		for k := range 5 {
			id := fmt.Sprintf("u-%d-%d-%d", month, product, k)
			u := catalog.Update{
				Name: id, Bulletin: fmt.Sprintf("b-%d-%d", month, k), Source: "msrc", Severity: catalog.Critical, Rules: catalog.Rules{Applicable: rule.Test("True")},
				Product: catalog.Product{Name: fmt.Sprint("Windows ", product)},
			}
			// A CVE is in some products, and an update repairs several.
			for _, spread := range []int{1, 2, 3} {
				u.CVEs = append(u.CVEs, cveOf(month, k, spread, product))
			}
			if month%3 == 2 {
				u.Supersedes = []string{fmt.Sprintf("u-%d-%d-%d", month-1, product, k)}
			}
			docs = append(docs, bulletinstest.Doc(b, document.Update, id, nil, u))
		}
	}
	for k := range 5 {
		body := catalog.Bulletin{
			Name: fmt.Sprintf("KB%05d", month*5+k), Source: "msrc", Severity: catalog.Critical, Named: []catalog.NamedBy{{File: file, CVEs: 1}},
		}
		for _, spread := range []int{1, 2, 3} {
			for part := range spread {
				body.CVEs = append(body.CVEs, catalog.CVE{ID: cveOf(month, k, spread, part), Exploited: k == 0})
			}
		}
		docs = append(docs, bulletinstest.Doc(b, document.Bulletin, fmt.Sprintf("b-%d-%d", month, k), nil, body))
	}
	bulletinstest.Save(b, n.Bulletins, "msrc", file, docs...)
}

func cveOf(month, k, spread, product int) string {
	return fmt.Sprintf("CVE-%d-%05d", 2010+month/12, ((month%12*5+k)*4+spread)*4+product%spread)
}

// rowsOf are the rows of a computer that reported once.
func rowsOf(b *testing.B, number int, applicable, installed *roaring.Bitmap) []store.Statement {
	b.Helper()
	var sets []byte
	for _, set := range []*roaring.Bitmap{applicable, installed, roaring.New()} {
		set.RunOptimize()
		raw, err := set.ToBytes()
		if err != nil {
			b.Fatal(err)
		}
		sets = append(binary.LittleEndian.AppendUint32(sets, uint32(len(raw))), raw...)
	}
	name := computerName(number)
	return []store.Statement{
		{SQL: `INSERT INTO computer (number, id, name, platform, languages, machine, hardware, grp, simulated, certificate, enrolled,
			last_seen, version, idx) VALUES (?, ?, ?, 'windows', 'de-de', ?, ?, '', 1, '', '', '', 1, ?)`, Args: []any{number, name, name, name, name, store.Index{}}},
		{SQL: `INSERT INTO computer_sets (number, counter, base, digest, cursor_idx, cursor_pos, at, sets, idx)
			VALUES (?, 1, 0, x'00', 1000000, 0, '', ?, ?)`, Args: []any{number, sets, store.Index{}}},
	}
}

func computerName(number int) string { return fmt.Sprintf("pc-%05d", number) }

// reporting are agents as far as they report.
type reporting struct {
	*node.Node
	random   *rand.Rand
	counters map[int]uint64
	missing  map[[2]int]bool // computer, update: turned over by the last report
}

// report has a computer say that five updates, drawn by it, are installed, or missing again.
func (r *reporting) report(b *testing.B, number int, draw func(product, k int) uint32) (send func()) {
	rep := computers.Report{Base: max(1, r.counters[number]), At: r.Now(), Cursor: computers.Cursor{Index: 1_000_000}}
	products := productsOf(number)
	for k := range 5 {
		update := draw(products[k%3], k)
		pair := [2]int{number, int(update)}
		if r.missing[pair] = !r.missing[pair]; r.missing[pair] {
			rep.Installed.Remove, rep.Applicable.Add = append(rep.Installed.Remove, update), append(rep.Applicable.Add, update)
		} else {
			rep.Installed.Add, rep.Applicable.Remove = append(rep.Installed.Add, update), append(rep.Applicable.Remove, update)
		}
	}
	r.counters[number] = rep.Base + 1
	return func() {
		if taken, err := r.Computers.Report(b.Context(), computerName(number), rep); err != nil || taken.Resend {
			b.Errorf("report of computer %d: %+v, %v", number, taken, err)
		}
	}
}

func (r *reporting) anywhere(product, k int) uint32 {
	return updateNumber(r.random.IntN(pageMonths), product, k)
}

func (r *reporting) newest(product, k int) uint32 { return updateNumber(pageMonths-1, product, k) }

// reports has computers report at once.
func (r *reporting) reports(b *testing.B, count int, draw func(product, k int) uint32) {
	b.Helper()
	var sending sync.WaitGroup
	for _, at := range r.random.Perm(pageComputers)[:count] {
		sending.Go(r.report(b, at+1, draw))
	}
	sending.Wait()
}

// BenchmarkPages reads pages of 100 rows of a large site through its node's API, sorted by what is missing, each kind
// under every circumstance, and tells the median and the longest.
func BenchmarkPages(b *testing.B) {
	dir := kept(b, "large", func(dir string) { largeSite(b, dir) })
	n, c := startLarge(b, dir)
	measureFirst(b, c)
	for number := 1; number <= pageComputers; number++ {
		n.Computers.Seen(uint32(number), n.Now()) // all have asked for orders since the start
	}
	measureTelling(b, measurePages(b, n, c))
}

// measureTelling has the site write its roll-ups: nothing new, and what some reports changed. Everything is told by then.
func measureTelling(b *testing.B, r *reporting) {
	b.Helper()
	round := func() (time.Duration, int) {
		began := time.Now()
		changed, err := r.RollUps.Tell(b.Context())
		if err != nil {
			b.Fatal(err)
		}
		return time.Since(began), changed
	}
	round()
	for _, variant := range []struct {
		name  string
		count int
		do    func()
	}{
		{"", 10, func() {}},
		{"/after-a-report", 10, func() { r.reports(b, 1, r.anywhere) }},
		{"/after-1000-of-the-newest", 5, func() { r.reports(b, 1000, r.newest) }},
		{"/after-1000-of-any", 5, func() { r.reports(b, 1000, r.anywhere) }},
	} {
		var taken []time.Duration
		documents := 0
		for range variant.count {
			variant.do()
			spent, changed := round()
			taken, documents = append(taken, spent), documents+changed
		}
		b.Run("tell"+variant.name, func(b *testing.B) {
			b.ReportMetric(float64(median(taken)), "p50-ns")
			b.ReportMetric(float64(slices.Max(taken)), "max-ns")
			b.ReportMetric(float64(documents)/float64(variant.count), "documents")
		})
	}
}

// measureFirst asks for every kind at once in the moment in which the node begins to answer.
func measureFirst(b *testing.B, c *client.Client) {
	b.Helper()
	taken := make([]time.Duration, len(pageKinds))
	var asking sync.WaitGroup
	for at, kind := range pageKinds {
		asking.Go(func() { taken[at] = page(b, c, kind) })
	}
	asking.Wait()
	for at, kind := range pageKinds {
		tell(b, kind+"/first", taken[at:at+1])
	}
}

func measurePages(b *testing.B, n *node.Node, c *client.Client) *reporting {
	b.Helper()
	r := &reporting{n, rand.New(rand.NewPCG(3, 4)), map[int]uint64{}, map[[2]int]bool{}}
	for _, kind := range pageKinds {
		for _, variant := range []struct {
			name  string
			count int
			do    func()
		}{
			{"", 30, func() {}},
			{"/after-a-report", 30, func() { r.reports(b, 1, r.anywhere) }},
			{"/after-1000-of-the-newest", 8, func() { r.reports(b, 1000, r.newest) }},
			{"/after-1000-of-any", 8, func() { r.reports(b, 1000, r.anywhere) }},
		} {
			var taken []time.Duration
			for range variant.count {
				variant.do()
				taken = append(taken, page(b, c, kind))
			}
			tell(b, kind+variant.name, taken)
		}
	}
	return r
}

func tell(b *testing.B, name string, taken []time.Duration) {
	b.Run(name, func(b *testing.B) {
		b.ReportMetric(float64(median(taken)), "p50-ns")
		b.ReportMetric(float64(slices.Max(taken)), "max-ns")
		b.ReportMetric(float64(len(taken)), "pages")
	})
}

func page(b *testing.B, c *client.Client, kind string) time.Duration {
	b.Helper()
	var list api.List[map[string]any]
	began := time.Now()
	err := c.Get(b.Context(), "/compliance/"+kind, url.Values{"sort": {"-missing"}, "limit": {"100"}}, &list)
	if err != nil || len(list.Items) != 100 {
		b.Fatalf("page of %s: %d rows, %v", kind, len(list.Items), err)
	}
	return time.Since(began)
}

// startLarge starts a node on the folder, and tells what that takes, and what preparing takes by itself.
func startLarge(b *testing.B, dir string) (*node.Node, *client.Client) {
	b.Helper()
	began := time.Now()
	n, err := node.New(b.Context(), node.Config{Dir: dir, Listen: "127.0.0.1:0"})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		if err := n.Close(); err != nil {
			b.Error(err)
		}
	})
	tell(b, "start", []time.Duration{time.Since(began)})
	began = time.Now()
	if err := n.Bulletins.Catalog().Read(b.Context(), func(*live.View) error { return nil }); err != nil {
		b.Fatal(err)
	}
	tell(b, "catalog", []time.Duration{time.Since(began)})
	measurePreparing(b, n)
	nodetest.Run(b, n, map[string]http.Handler{"/": api.New(n, reports.Routes(n)...)})
	return n, apitest.Local(b, n)
}

func measurePreparing(b *testing.B, n *node.Node) {
	b.Helper()
	var taken []time.Duration
	var grown int64
	began, err := usageOf(os.Getpid())
	if err != nil {
		b.Skipf("skipped: the use of a process cannot be told here: %v", err)
	}
	const times = 3
	for range times {
		room, before := compliance.New(n.Computers, n.Bulletins.Catalog()), heap()
		began := time.Now()
		if err := room.Prepare(b.Context()); err != nil {
			b.Fatal(err)
		}
		taken, grown = append(taken, time.Since(began)), heap()-before
		runtime.KeepAlive(room)
	}
	ended, err := usageOf(os.Getpid())
	if err != nil {
		b.Fatal(err)
	}
	b.Run("prepare", func(b *testing.B) {
		b.ReportMetric(float64(ended.cpu-began.cpu)/times, "cpu-ns")
		b.ReportMetric(float64(median(taken)), "p50-ns")
		b.ReportMetric(float64(slices.Max(taken)), "max-ns")
		b.ReportMetric(float64(heap()), "heap-B") // of everything
		b.ReportMetric(float64(grown), "counts-B")
	})
}

func heap() int64 {
	runtime.GC()
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return int64(stats.HeapAlloc)
}
