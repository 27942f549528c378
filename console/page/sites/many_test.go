package sites_test

import (
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"fmt"
	"runtime"
	"testing"
	"time"

	"github.com/google/uuid"

	"thatch/catalog/document"
	"thatch/catalog/federation"
	"thatch/node/store"
)

// grove gives a parent a tree of many sites below its child: each tells who it is, what it manages, and how it fares.
func grove(t testing.TB, parent, child site, many int) {
	t.Helper()
	child.Stop() // it would say that there are none of them
	_, key, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	batch := store.Batch{Actor: "test", Reason: "test", Topics: []string{store.TopicDocuments}}
	put := func(kind document.Kind, id string, body any) {
		text, err := json.Marshal(body)
		if err != nil {
			t.Fatal(err)
		}
		doc, err := document.New(kind, id, nil, text)
		if err != nil {
			t.Fatal(err)
		}
		doc.Sign(id, key)
		batch.Statements = append(batch.Statements, store.Put(doc, "", store.Former{})...)
	}
	above := child.Linked.Site().ID
	for i := range many {
		id := uuid.NewString()
		put(document.Site, id, federation.Site{Name: fmt.Sprintf("Branch %d <b>", i), Parent: above, Authority: []byte("none"), Version: "1"})
		put(document.LanguageAlert, id, federation.Alert{Languages: []string{"de", "en", fmt.Sprintf("x%c", 'a'+i%12)}, Computers: map[string]int{"ja": i}})
		put(document.Health, id, federation.Health{
			Version: "1", At: parent.Now().UTC().Format(time.RFC3339), Computers: 1600 + i, AlarmCount: 1,
			Alarms: []federation.Alarm{{Kind: "silent", Subject: above, Text: "<script>alert(1)</script> was not heard of", Since: parent.Now().UTC().Format(time.RFC3339)}},
		})
		if i%10 == 9 {
			above = id // the tree grows deeper
		}
	}
	applied, err := parent.Writer().Write(t.Context(), batch)
	if err = errors.Join(err, applied.Err()); err != nil {
		t.Fatal(err)
	}
}

// TestThirtySites: names and alarms of other sites are shown as text, and the pages stay small.
func TestThirtySites(t *testing.T) {
	parent, child := family(t)
	grove(t, parent, child, 30)
	page := parent.Get(t, "/hierarchy")
	page.Has(t, "Branch 0 &lt;b&gt;", "Branch 29 &lt;b&gt;", "1,629 computers", "1 alarm", "lacking: 29 computers run it")
	lacks(t, page, "Branch 0 <b>")
	if len(page.Body) > 100_000 {
		t.Errorf("the page of 32 sites has %d bytes", len(page.Body))
	}
	id := ""
	tree, err := parent.Sites.Tree(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for at, s := range tree.Sites {
		if s.Name == "Branch 7 <b>" {
			id = at
		}
	}
	one := parent.Get(t, "/sites/"+id)
	one.Has(t, "Branch 7 &lt;b&gt;", "a site below", "&lt;script&gt;alert(1)", "1,607")
	lacks(t, one, "<script>alert", "Shut it out", "Replicate now")
	parent.Get(t, "/replication").Has(t, "all children")
}

// BenchmarkPages makes each page of a parent of 32 sites.
func BenchmarkPages(b *testing.B) {
	parent, child := family(b)
	grove(b, parent, child, 30)
	for _, address := range []string{"/hierarchy", "/sites/" + child.Linked.Site().ID, "/replication", "/replication/runs", "/site", "/tasks", "/settings", "/alarms", "/audit"} {
		b.Run(address[1:4], func(b *testing.B) {
			size := 0
			for b.Loop() {
				size = len(parent.Get(b, address).Body)
			}
			b.ReportMetric(float64(size), "bytes")
			runtime.GC()
		})
	}
}
