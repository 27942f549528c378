package bulletins_test

import (
	"fmt"
	"testing"

	"thatch/catalog"
	"thatch/catalog/document"
	"thatch/catalog/rule"
	"thatch/node/bulletins"
	"thatch/node/bulletins/bulletinstest"
	"thatch/node/bulletins/live"
	"thatch/node/store"
)

// vast fills a room with 20,000 updates in 5,000 bulletins of 60 months.
func vast(b *testing.B) (*bulletins.Bulletins, *store.DB) {
	b.Helper()
	room, db := bulletinstest.Room(b)
	for month := range 60 {
		file := fmt.Sprintf("%d-%s", 2015+month/12, []string{"Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"}[month%12])
		var docs []document.Document
		for n := range 84 {
			kb := fmt.Sprint(3000000 + month*1000 + n)
			id := "msrc/KB" + kb
			body := catalog.Bulletin{Name: "KB" + kb, Source: "msrc", Vendor: "Microsoft", Severity: catalog.Critical, Named: []catalog.NamedBy{{File: file, CVEs: 3}}}
			for c := range 5 {
				body.CVEs = append(body.CVEs, catalog.CVE{ID: fmt.Sprintf("CVE-%d-%04d", 2015+month/12, month*50+n+c), Title: "A vulnerability of some component", Score: 7.5})
			}
			docs = append(docs, bulletinstest.Doc(b, document.Bulletin, id, nil, body))
			for p := range 4 {
				product := fmt.Sprint(10000 + n*4 + p)
				u := catalog.Update{
					Name: "KB" + kb, Bulletin: id, Source: "msrc", KB: kb, Product: catalog.Product{ID: product, Name: "Windows 10 Version 1809 for x64-based Systems"},
					Rules: catalog.Rules{Applicable: rule.Test(rule.Architecture, "Is", "x64"), Installed: rule.Test(rule.Hotfix, "KB", kb)},
				}
				if month > 0 {
					u.Supersedes = []string{fmt.Sprintf("msrc/KB%d/%s", 3000000+(month-1)*1000+n, product)}
				}
				docs = append(docs, bulletinstest.Doc(b, document.Update, id+"/"+product, nil, u))
			}
		}
		bulletinstest.Save(b, room, "msrc", file, docs...)
	}
	return room, db
}

func BenchmarkVastCatalog(b *testing.B) {
	room, db := vast(b)
	if _, _, err := room.List(b.Context(), store.Query{Limit: 100}); err != nil {
		b.Fatal(err)
	}
	b.Run("open", func(b *testing.B) {
		for b.Loop() {
			if err := live.New(db, nil).Read(b.Context(), func(*live.View) error { return nil }); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("bulletins", func(b *testing.B) {
		for b.Loop() {
			if _, _, err := room.List(b.Context(), store.Query{Limit: 100, Filter: map[string]string{"latest": "yes"}, Search: "kb30"}); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("updates", func(b *testing.B) {
		for b.Loop() {
			if _, _, err := room.Updates(b.Context(), store.Query{Limit: 100, Filter: map[string]string{"month": "2017-03"}}); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("show", func(b *testing.B) {
		for b.Loop() {
			if _, err := room.Show(b.Context(), "KB3005001"); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("nothing new for an agent", func(b *testing.B) {
		wanted := live.For("windows")
		for b.Loop() {
			err := room.Catalog().Read(b.Context(), func(v *live.View) error {
				v.Since(v.At, 500, wanted)
				return nil
			})
			if err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("one change", func(b *testing.B) {
		for n := 0; b.Loop(); n++ {
			bulletinstest.Save(b, room, "sdp", "f", bulletinstest.Doc(b, document.Update, "x", nil, catalog.Update{Name: fmt.Sprint(n), Source: "sdp"}))
			if err := room.Catalog().Read(b.Context(), func(*live.View) error { return nil }); err != nil {
				b.Fatal(err)
			}
		}
	})
}
