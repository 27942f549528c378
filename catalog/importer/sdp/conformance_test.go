package sdp_test

import (
	"strings"
	"testing"

	"thatch/catalog/importer"
	"thatch/catalog/importer/cab/cabtest"
	"thatch/catalog/importer/importertest"
	"thatch/catalog/importer/sdp"
)

func TestConformance(t *testing.T) {
	v2 := func(packages ...string) (files []cabtest.File) {
		for i, one := range packages {
			files = append(files, member(`V2\`+id(i+1)+".sdp", one))
		}
		return files
	}
	cabinet := func(packages ...string) []byte {
		return cabtest.Write(v2(packages...), cabtest.Options{Method: 1})
	}
	newer := func(n int, title string) string {
		return sample(n, "2019-01-01", "2020-01-01", "Thing ", title+" ")
	}
	importertest.TestSource(t, importertest.SourceFixture{
		New: func() importer.Source { return &sdp.Source{} },
		Trees: []importertest.Tree{
			{"V2/" + id(1) + ".sdp": []byte(sample(1))},
			{"catalog.xml": []byte(catalogText(sample(1, "2019-01-01", "2018-01-01", "Thing 1", "Older"), sample(2), sample(3)))},
			{"vendor.cab": cabinet(newer(1, "Newer"), sample(2), sample(4, ">A4<", ">A1<"))},
			{"deep/down/other.zip": []byte(zipped(t, v2(sample(5), sample(6, ">A6<", ">A5<"))...))},
		},
		Revised: map[int]importertest.Tree{
			1: {"catalog.xml": []byte(catalogText(sample(2)))},
			2: {"vendor.cab": cabinet(newer(1, "Newest"))},
			3: {"deep/down/other.zip": []byte(zipped(t, v2(sample(6))...))},
		},
		Main: func(tree importertest.Tree) string {
			for name := range tree {
				if strings.Contains(name, ".") {
					return name
				}
			}
			return ""
		},
	})
}
