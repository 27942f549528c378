//go:build unix

package agent

import (
	"context"
	"crypto/ed25519"
	"fmt"
	"syscall"
	"testing"
	"time"

	"thatch/agent/facts"
	"thatch/agent/rulebook"
	"thatch/agentapi"
	"thatch/catalog"
	"thatch/catalog/document"
	"thatch/catalog/rule"
	"thatch/catalog/rule/ruletest"
)

// measured is a computer whose facts are those of a real one.
type measured struct{ read *rule.Facts }

func (m measured) Read(context.Context) (*rule.Facts, error) { return m.read, nil }
func (m measured) Machine(context.Context) (facts.Machine, error) {
	return facts.Machine{ID: "machine-1"}, nil
}

// manyUpdates makes documents, half as HP writes them and half as they are made from Microsoft's documents.
func manyUpdates(b *testing.B, count int) []agentapi.NumberedUpdate {
	b.Helper()
	updates := make([]agentapi.NumberedUpdate, count)
	for i := range updates {
		body := catalog.Update{
			Name: fmt.Sprintf("update %d", i), Bulletin: fmt.Sprint("maker/", i/4), Source: "maker", Vendor: "A maker of computers",
			Title: "An update that mends what was found wanting", Product: catalog.Product{ID: fmt.Sprint(i % 40), Name: "Windows 10 Version 1809 for x64-based Systems"},
			CVEs: []string{fmt.Sprintf("CVE-2019-%04d", i%900), fmt.Sprintf("CVE-2019-%04d", i%800+900)},
		}
		if body.Applicable, body.Installed = ruletest.LikeHP(i); i%2 == 0 {
			body.Applicable, body.Installed = ruletest.LikeMSRC(i)
			body.KB = fmt.Sprint(4400000 + i)
			body.Supersedes = []string{fmt.Sprint("u", i-80)}
		}
		raw, err := catalog.Encode(body)
		if err != nil {
			b.Fatal(err)
		}
		doc, err := document.New(document.Update, fmt.Sprint("u", i), nil, raw)
		if err != nil {
			b.Fatal(err)
		}
		updates[i] = agentapi.NumberedUpdate{Number: uint32(i), Month: "2019-02", Document: doc}
	}
	return updates
}

// lookingAgent is an agent whose book holds 5,000 updates, in pages as a node sends them.
func lookingAgent(b *testing.B) *Agent {
	b.Helper()
	host := ruletest.HPComputer(b).Facts()
	host.Hotfixes = &rule.Hotfixes{KBs: []string{"4400001"}, Complete: true}
	a, err := Open(Config{Dir: b.TempDir(), Source: measured{host}})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		if err := a.Close(); err != nil {
			b.Error(err)
		}
	})
	const page = 500
	all := manyUpdates(b, 5000)
	for i := 0; i < len(all); i += page {
		var entries []rulebook.Entry
		for j := range all[i : i+page] {
			entries = append(entries, rulebook.NewEntry(&all[i+j]))
		}
		if err := a.rules.Apply(&rulebook.Page{Epoch: "e", Cursor: fmt.Sprint(i), Updates: entries}); err != nil {
			b.Fatal(err)
		}
	}
	return a
}

// BenchmarkArrive is what an agent does once in its life, and after that with what changes: it checks digest and signature
// of 5,000 updates in the pages of a node, and writes them down.
func BenchmarkArrive(b *testing.B) {
	public, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		b.Fatal(err)
	}
	all := manyUpdates(b, 5000)
	for i := range all {
		all[i].Document.Sign("site-1", private)
	}
	a, err := Open(Config{Dir: b.TempDir(), Source: measured{}})
	if err != nil {
		b.Fatal(err)
	}
	a.identity = &identity{Keys: document.Keyring{"site-1": public}}
	before := used(b)
	for b.Loop() {
		for i := 0; i < len(all); i += 500 {
			p := a.verifyPage(&agentapi.RulesResponse{Epoch: "e", Cursor: fmt.Sprint(i), Updates: all[i : i+500]})
			if p.Reset = i == 0; len(p.Updates) != 500 {
				b.Fatalf("%d of 500 are taken", len(p.Updates))
			}
			if err := a.rules.Apply(p); err != nil {
				b.Fatal(err)
			}
		}
	}
	b.ReportMetric(float64(used(b)-before)/float64(b.N), "cpu-ns/op")
	if err := a.Close(); err != nil {
		b.Fatal(err)
	}
}

// used is what this process used of the processors.
func used(b *testing.B) time.Duration {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		b.Fatal(err)
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

// BenchmarkLook is what a round does to judge 5,000 updates, with everything that it reads for that: by an agent that
// has just been started, and by one that goes on.
func BenchmarkLook(b *testing.B) {
	a := lookingAgent(b)
	look := func(b *testing.B) {
		read, err := a.read(b.Context())
		if err != nil {
			b.Fatal(err)
		}
		s, err := a.look(b.Context(), read)
		if err != nil {
			b.Fatal(err)
		}
		if sets, _ := s.Report(); len(sets.Applicable) == 0 || len(sets.Installed) == 0 || len(sets.Unknown) > 0 {
			b.Fatalf("%d updates are missing, %d installed, %d cannot be told", len(sets.Applicable), len(sets.Installed), len(sets.Unknown))
		}
	}
	b.Run("first", func(b *testing.B) {
		before := used(b)
		for b.Loop() {
			if err := a.rules.Close(); err != nil {
				b.Fatal(err)
			}
			var err error
			if a.rules, err = rulebook.Open(a.folder); err != nil {
				b.Fatal(err)
			}
			look(b)
		}
		b.ReportMetric(float64(used(b)-before)/float64(b.N), "cpu-ns/op")
	})
	b.Run("next", func(b *testing.B) {
		look(b)
		before := used(b)
		for b.Loop() {
			look(b)
		}
		b.ReportMetric(float64(used(b)-before)/float64(b.N), "cpu-ns/op")
	})
}
