package catalog_test

import (
	"testing"

	"thatch/catalog"
	"thatch/catalog/rule"
)

// TestUpdateKeepsItsBytes: digests and signatures are over a body's bytes, so the order and the names of its fields never
// change, however the type groups them. Written by hand.
func TestUpdateKeepsItsBytes(t *testing.T) {
	u := catalog.Update{
		Name: "n", Bulletin: "b", Source: "s", Vendor: "v", Title: "t", KB: "4012212",
		Product: catalog.Product{ID: "p", Name: "pn", Family: "f"}, Severity: "Critical", CVEs: []string{"CVE-2017-0143"},
		Nature:    catalog.Nature{Class: "c", Restart: "always", FixedBuild: "10.0.1.2", URL: "https://x"},
		Relations: catalog.Relations{Supersedes: []string{"o"}, Bundles: []string{"i"}},
		Withdrawn: true, Detector: true,
		Rules: catalog.Rules{Applicable: rule.Test("True"), Installed: rule.Test("False"), Superseded: rule.Test("True"), NoRule: "none"},
	}
	const before = `{"name":"n","bulletin":"b","source":"s","vendor":"v","title":"t","kb":"4012212",` +
		`"product":{"id":"p","name":"pn","family":"f"},"severity":"Critical","cves":["CVE-2017-0143"],` +
		`"class":"c","restart":"always","fixed_build":"10.0.1.2","url":"https://x","supersedes":["o"],`
	const after = `"bundles":["i"],"withdrawn":true,"detector":true,"applicable":{"op":"True"},"installed":{"op":"False"},` +
		`"superseded":{"op":"True"},"no_rule":"none"`
	same := func(want string) {
		t.Helper()
		if got, err := catalog.Encode(u); err != nil || string(got) != want {
			t.Errorf("%s, %v\nwant %s", got, err, want)
		}
		if got, err := catalog.Decode[catalog.Update]([]byte(want)); err != nil || got.URL != u.URL || got.Bundles[0] != "i" || got.NoRule != u.NoRule {
			t.Errorf("read again: %+v, %v", got, err)
		}
	}
	same(before + after + `}`)
	u.Prerequisites = [][]string{{"a", "b"}}
	u.Texts = []catalog.Text{{Language: "de", Title: "T", Description: "D"}}
	same(before + `"prerequisites":[["a","b"]],` + after + `,"texts":[{"language":"de","title":"T","description":"D"}]}`)
}
