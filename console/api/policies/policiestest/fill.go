// Package policiestest fills a node with something to order, for tests.
package policiestest

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"testing"

	"thatch/catalog"
	"thatch/catalog/document"
	"thatch/catalog/rule"
	"thatch/node"
	"thatch/node/bulletins/bulletinstest"
	"thatch/node/computers"
	"thatch/node/store"
)

// Evil is a text of a vendor that must never reach a browser as markup.
const Evil = `<script>alert(1)</script>`

// Fill gives a node the bulletins KB1, staged, with the updates u1 and u2, and KB2, not staged; and the computers pc-1 to
// pc-N, of which the odd ones are in the group berlin and run German, the even ones in the group paris and run English. All
// of them miss u1; the even ones have installed u2, and the others miss it.
func Fill(t testing.TB, n *node.Node, count int) {
	t.Helper()
	packages := catalogOf(t, n)
	statements := []store.Statement{{SQL: `INSERT INTO staged (bulletin, since, actor) VALUES ('b1', '', 'test')`}}
	for i, pack := range packages {
		content := fmt.Appendf(nil, "payload %d", i)
		sum := sha256.Sum256(content)
		digest := hex.EncodeToString(sum[:])
		if _, err := n.Content.Put(t.Context(), digest, bytes.NewReader(content)); err != nil {
			t.Fatal(err)
		}
		payload := bulletinstest.Doc(t, document.Payload, pack.ID, nil, catalog.Payload{
			Package: pack.ID, PackageDigest: pack.Digest, Files: []catalog.StagedFile{{Name: "a.exe", SHA256: digest, Size: int64(len(content))}},
		})
		n.Identity.Sign(&payload)
		statements = append(statements, store.Put(payload, "", store.Former{})...)
		statements = append(statements, store.Statement{
			SQL: `INSERT INTO holding (sha256, node, size) VALUES (?, 'n', 7) ON CONFLICT DO NOTHING`, Args: []any{sum[:]},
		})
	}
	bulletinstest.Write(t, n.Writer(), statements...)
	for i := 1; i <= count; i++ {
		enrol(t, n, i)
	}
}

func catalogOf(t testing.TB, n *node.Node) (packages []document.Document) {
	t.Helper()
	docs := []document.Document{
		bulletinstest.Doc(t, document.Bulletin, "b1", nil, catalog.Bulletin{
			Name: "KB1", Title: "Cumulative " + Evil, Source: "sdp", Severity: catalog.Critical, Released: "2026-11-10",
		}),
		bulletinstest.Doc(t, document.Bulletin, "b2", nil, catalog.Bulletin{Name: "KB2", Title: "Another", Source: "sdp"}),
	}
	for _, id := range []string{"u1", "u2"} {
		pack := bulletinstest.Doc(t, document.Package, "p-"+id, nil, catalog.Package{
			Update: id, Name: "p-" + id, Files: []catalog.File{{Name: "a.exe", SHA256: fileOf(id)}},
			Installer: catalog.Installer{Type: catalog.EXE, File: "a.exe", Arguments: "/quiet"},
		})
		packages = append(packages, pack)
		docs = append(docs, bulletinstest.Doc(t, document.Update, id, nil, catalog.Update{
			Name: "Update " + id + " " + Evil, Bulletin: "b1", Source: "sdp", Product: catalog.Product{Name: "Windows 10"}, Rules: catalog.Rules{Applicable: rule.Test("True")},
		}), pack)
	}
	bulletinstest.Save(t, n.Bulletins, "sdp", "file", docs...)
	return packages
}

func fileOf(id string) string {
	sum := sha256.Sum256(fmt.Appendf(nil, "payload %d", map[string]int{"u1": 0, "u2": 1}[id]))
	return hex.EncodeToString(sum[:])
}

func enrol(t testing.TB, n *node.Node, i int) {
	t.Helper()
	group, language := "berlin", "de-de"
	says := computers.Report{At: n.Now(), Cursor: computers.Cursor{Index: 1 << 40}, Applicable: computers.Change{Add: []uint32{1, 2}}}
	if i%2 == 0 {
		group, language = "paris", "en-us"
		says.Applicable, says.Installed = computers.Change{Add: []uint32{1}}, computers.Change{Add: []uint32{2}}
	}
	name := fmt.Sprintf("pc-%d", i)
	newcomer := computers.Newcomer{Name: name, MachineID: name, Hardware: name, Platform: "windows", Languages: []string{language}, Group: group}
	place, err := n.Computers.Place(t.Context(), newcomer)
	if err != nil {
		t.Fatal(err)
	}
	c, err := n.Computers.Enrol(t.Context(), newcomer, place, "serial "+name)
	if err != nil {
		t.Fatal(err)
	}
	says.Facts = &computers.Facts{Name: name, System: rule.System{Platform: "windows", Product: "Windows 10", ProductType: 1, Languages: []string{language}}}
	if _, err := n.Computers.Report(t.Context(), c.ID, says); err != nil {
		t.Fatal(err)
	}
}
