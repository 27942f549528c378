package compliance_test

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/RoaringBitmap/roaring/v2"

	"thatch/catalog"
	"thatch/catalog/document"
	"thatch/catalog/rule"
	"thatch/node/bulletins/bulletinstest"
	"thatch/node/computers"
	"thatch/node/computers/compliance"
	"thatch/node/store"
)

// The size of the aim: a page of compliance at 50,000 computers and 20,000 updates in under 20 ms.
const (
	benchComputers = 50_000
	benchUpdates   = 20_000
	benchProducts  = 40
)

// largeSite has 40 products of 500 updates; a computer runs three of them, and has about five in six of their updates.
func largeSite(b *testing.B) *site {
	b.Helper()
	s := newSite(b)
	const perProduct = benchUpdates / benchProducts
	for month := range perProduct / 5 {
		s.importMonth(b, month)
	}
	random := rand.New(rand.NewPCG(1, 2))
	builder := store.NewBuilder(store.Batch{Actor: "test", Reason: "computers", At: s.clock})
	for number := 1; number <= benchComputers; number++ {
		applicable, installed := roaring.New(), roaring.New()
		for _, product := range []int{number % 4, 4 + number%12, 16 + number%24} {
			for month := range perProduct / 5 {
				for k := range 5 {
					update := uint32(month*benchProducts*5 + product*5 + k + 1)
					applicable.Add(update)
					if random.IntN(6) > 0 {
						installed.Add(update)
					}
				}
			}
		}
		if err := builder.Add(rowsOf(b, number, applicable, installed)...); err != nil {
			b.Fatal(err)
		}
	}
	for _, batch := range builder.Batches() {
		if _, err := s.db.Write(b.Context(), batch); err != nil {
			b.Fatal(err)
		}
	}
	var err error
	if s.computers, err = computers.New(b.Context(), s.db, s.db, s.now); err != nil {
		b.Fatal(err)
	}
	s.gather(b)
	s.Room = compliance.New(s.computers, s.bulletins.Catalog())
	return s
}

func (s *site) importMonth(b *testing.B, month int) {
	b.Helper()
	file := fmt.Sprintf("%d-%s", 2010+month/12, []string{"Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"}[month%12])
	var docs []document.Document
	for product := range benchProducts {
		for k := range 5 {
			id, cve := fmt.Sprintf("u-%d-%d-%d", month, product, k), fmt.Sprintf("CVE-2019-%05d", month*25+k)
			u := catalog.Update{
				Name: id, Bulletin: fmt.Sprintf("b-%d-%d", month, k), Source: "msrc", Severity: catalog.Critical, Applicable: rule.Test("True"),
				CVEs: []string{cve}, Product: catalog.Product{Name: fmt.Sprint("Windows ", product)},
			}
			if month%3 == 2 {
				u.Supersedes = []string{fmt.Sprintf("u-%d-%d-%d", month-1, product, k)}
			}
			docs = append(docs, bulletinstest.Doc(b, document.Update, id, nil, u))
		}
	}
	for k := range 5 {
		docs = append(docs, bulletinstest.Doc(b, document.Bulletin, fmt.Sprintf("b-%d-%d", month, k), nil, catalog.Bulletin{
			Name: fmt.Sprintf("KB%05d", month*5+k), Source: "msrc", Severity: catalog.Critical,
			CVEs:  []catalog.CVE{{ID: fmt.Sprintf("CVE-2019-%05d", month*25+k), Exploited: k == 0}},
			Named: []catalog.NamedBy{{File: file, CVEs: 1}},
		}))
	}
	bulletinstest.Save(b, s.bulletins, "msrc", file, docs...)
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
	name := fmt.Sprintf("pc-%05d", number)
	return []store.Statement{
		{SQL: `INSERT INTO computer (number, id, name, platform, languages, machine, hardware, grp, simulated, certificate, enrolled,
			last_seen, version, idx) VALUES (?, ?, ?, 'windows', 'de-de', ?, ?, '', 1, '', '', '', 1, ?)`, Args: []any{number, name, name, name, name, store.Index{}}},
		{SQL: `INSERT INTO computer_sets (number, counter, base, digest, cursor_idx, cursor_pos, at, sets, idx)
			VALUES (?, 1, 0, x'00', 1000000, 0, '', ?, ?)`, Args: []any{number, sets, store.Index{}}},
	}
}

func BenchmarkPages(b *testing.B) {
	s := largeSite(b)
	q := store.Query{Sort: "missing", Descending: true, Limit: 100}
	pages := []struct {
		name string
		read func() (int, error)
	}{
		{"bulletins", func() (int, error) { _, n, err := s.Bulletins(b.Context(), q, false); return n, err }},
		{"updates", func() (int, error) { _, n, err := s.Updates(b.Context(), q, false); return n, err }},
		{"cves", func() (int, error) { _, n, err := s.CVEs(b.Context(), q, false); return n, err }},
		{"months", func() (int, error) { _, n, err := s.Months(b.Context(), q, false); return n, err }},
		{"computers", func() (int, error) { _, n, err := s.Computers(b.Context(), q, false, false); return n, err }},
	}
	for _, page := range pages {
		b.Run(page.name+"/first", func(b *testing.B) {
			for b.Loop() {
				s.Room = compliance.New(s.computers, s.bulletins.Catalog())
				if _, err := page.read(); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run(page.name, func(b *testing.B) {
			for b.Loop() {
				if n, err := page.read(); err != nil || n == 0 {
					b.Fatal(n, err)
				}
			}
		})
		b.Run(page.name+"/after-a-report", func(b *testing.B) {
			counter, number := uint64(1), uint32(1)
			for b.Loop() {
				b.StopTimer()
				rep := computers.Report{Base: counter, At: s.clock, Cursor: computers.Cursor{Index: 1_000_000}}
				if number = number%1000 + 1; counter%2 == 0 {
					rep.Installed.Add = []uint32{number}
				} else {
					rep.Installed.Remove = []uint32{number}
				}
				taken, err := s.computers.Report(b.Context(), "pc-00001", rep)
				if err != nil {
					b.Fatal(err)
				}
				counter = taken.Counter
				b.StartTimer()
				if _, err := page.read(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkStart(b *testing.B) {
	s := largeSite(b)
	for b.Loop() {
		if _, err := computers.New(b.Context(), s.db, s.db, s.now); err != nil {
			b.Fatal(err)
		}
	}
}
