package families_test

import (
	"testing"

	"thatch/catalog"
	"thatch/catalog/document"
	"thatch/console/api"
	"thatch/console/api/apitest"
	"thatch/console/api/families"
	"thatch/node"
	"thatch/node/bulletins/bulletinstest"
)

// save puts updates of a source into a node's catalog, each of a family and a product.
func save(t testing.TB, n *node.Node, source string, products ...catalog.Product) {
	t.Helper()
	docs := []document.Document{bulletinstest.Doc(t, document.Bulletin, source+"/b", nil, catalog.Bulletin{Source: source, Name: "B", Title: "B"})}
	for _, p := range products {
		docs = append(docs, bulletinstest.Doc(t, document.Update, source+"/b/"+p.Name, nil, catalog.Update{Source: source, Bulletin: source + "/b", Vendor: "V", Product: p}))
	}
	bulletinstest.Save(t, n.Bulletins, source, "f.xml", docs...)
}

func TestFamilies(t *testing.T) {
	n, c := apitest.Start(t)
	save(t, n, "msrc", catalog.Product{Name: "cbl-mariner 2.0 kernel", Family: "Mariner"}, catalog.Product{Name: "Windows 10", Family: "Windows"},
		catalog.Product{Name: "Windows 11", Family: "Windows"}, catalog.Product{Name: "Word", Family: "Microsoft Office"})
	save(t, n, "sdp", catalog.Product{Name: "Reader"}, catalog.Product{Name: "Office"})
	read := func(exclude string) map[string]int {
		t.Helper()
		address := "/catalog/families"
		var list api.List[families.Family]
		query := map[string][]string{}
		if exclude != "" {
			query["exclude"] = []string{exclude}
		}
		if err := c.Get(t.Context(), address, query, &list); err != nil {
			t.Fatal(err)
		}
		left := map[string]int{}
		for _, f := range list.Items {
			left[f.Source+" "+f.Family] = f.LeftOut
			if f.Family == "Windows" && (f.Products != 2 || f.Updates != 2) {
				t.Errorf("the family is %+v", f)
			}
		}
		return left
	}
	for _, tt := range []struct {
		exclude string
		want    map[string]int
	}{
		{"", map[string]int{"msrc Mariner": 1}},
		{"windows", map[string]int{"msrc Windows": 2}},
		{"Windows, Microsoft Office", map[string]int{"msrc Windows": 2, "msrc Microsoft Office": 1}},
		{"READER", map[string]int{"sdp ": 1}},
		{"v", map[string]int{"sdp ": 2}},
		{"none", nil},
	} {
		for family, left := range read(tt.exclude) {
			if left != tt.want[family] {
				t.Errorf("without %q, %d updates of %q are left out, want %d", tt.exclude, left, family, tt.want[family])
			}
		}
	}
}
