package catalog_test

import (
	"fmt"
	"testing"

	"thatch/catalog"
	"thatch/catalog/document"
	"thatch/catalog/rule"
	"thatch/node/bulletins/bulletinstest"
)

// BenchmarkPages opens pages over 2,500 bulletins with 20,000 updates.
func BenchmarkPages(b *testing.B) {
	browser := open(b)
	for file := range 25 {
		var docs []document.Document
		for i := range 100 {
			id := fmt.Sprintf("v/B%d-%d", file, i)
			cve := fmt.Sprintf("CVE-20%02d-%04d", file, i)
			docs = append(docs, bulletinstest.Doc(b, document.Bulletin, id, nil, catalog.Bulletin{
				Name: id[2:], Source: "msrc", Vendor: "Vendor", Severity: catalog.Critical, Title: "Security update for a product of some name",
				Released: fmt.Sprintf("20%02d-%02d-10", file, i%12+1), CVEs: []catalog.CVE{{ID: cve, Score: 7.5, Severity: catalog.Critical}},
			}))
			for u := range 8 {
				docs = append(docs, bulletinstest.Doc(b, document.Update, fmt.Sprintf("%s/%d", id, u), nil, catalog.Update{
					Name: id[2:], Bulletin: id, Source: "msrc", Product: catalog.Product{Name: fmt.Sprint("Product ", u)}, CVEs: []string{cve},
					Rules: catalog.Rules{Applicable: rule.Test("True")},
				}))
			}
		}
		bulletinstest.Save(b, browser.Node.Bulletins, "msrc", fmt.Sprint("f", file), docs...)
	}
	for _, address := range []string{"/bulletins", "/bulletins?needed=%3E0", "/bulletins/v%2FB1-1", "/updates", "/updates/v%2FB1-1%2F1", "/cves", "/cves/CVE-2001-0001"} {
		b.Run(address, func(b *testing.B) {
			size := 0
			for range b.N {
				answer := browser.Get(b, address)
				if answer.Status != 200 {
					b.Fatal(answer.Body)
				}
				size = len(answer.Body)
			}
			b.ReportMetric(float64(size)/1000, "kB")
		})
	}
}
