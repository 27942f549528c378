package copies_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"thatch/catalog"
	"thatch/catalog/content"
	"thatch/catalog/document"
	"thatch/node"
	"thatch/node/bulletins/bulletinstest"
	"thatch/node/bulletins/holdings"
	"thatch/node/copies"
	"thatch/node/folder"
	"thatch/node/nodetest"
	"thatch/node/settings"
	"thatch/node/store"
)

// bench is a site whose catalog names payloads that somebody added by hand.
type bench struct {
	*nodetest.Site
	t    *testing.T
	sums map[string]string // by text
}

func newBench(t *testing.T, cfg nodetest.SiteConfig, texts ...string) *bench {
	t.Helper()
	if testing.Short() {
		t.Skip("several nodes in one process: not in short runs")
	}
	b := &bench{nodetest.NewSiteWith(t, cfg), t, map[string]string{}}
	docs := []document.Document{
		bulletinstest.Doc(t, document.Bulletin, "b", nil, catalog.Bulletin{Name: "KB1", Source: "sdp"}),
		bulletinstest.Doc(t, document.Update, "u", nil, catalog.Update{Name: "u", Bulletin: "b", Source: "sdp"}),
	}
	for i, text := range texts {
		info, err := b.Node(0).Content.Put(t.Context(), "", strings.NewReader(text))
		if err != nil {
			t.Fatal(err)
		}
		b.sums[text] = info.SHA256
		docs = append(docs, bulletinstest.Doc(t, document.Package, fmt.Sprint("p", i), nil, catalog.Package{
			Name: fmt.Sprint("p", i), Update: "u", Files: []catalog.File{{Name: fmt.Sprint("p", i, ".bin"), Size: info.Size, SHA256: info.SHA256}},
		}))
	}
	bulletinstest.Save(t, b.Leader().Bulletins, "sdp", "catalog", docs...)
	return b
}

// hold has the site agree that a node holds payloads.
func (b *bench) hold(i int, texts ...string) {
	b.t.Helper()
	var statements []store.Statement
	for _, text := range texts {
		statements = append(statements, holdings.Add(b.sums[text], b.ID(i), int64(len(text))))
	}
	applied, err := b.Leader().Writer().Write(b.t.Context(), store.Batch{
		Actor: "task test", Reason: "hold payloads", Topics: []string{holdings.Topic}, Statements: statements,
	})
	if err = errors.Join(err, applied.Err()); err != nil {
		b.t.Fatal(err)
	}
}

// path is where a node has a payload on disk.
func (b *bench) path(i int, text string) string {
	sum := b.sums[text]
	return filepath.Join(b.Dir(i), folder.ContentFolder, "payloads", sum[:2], sum)
}

// settle waits until exactly some nodes hold a payload, on disk and on record.
func (b *bench) settle(text string, nodes ...int) {
	b.t.Helper()
	var want []string
	for _, i := range nodes {
		want = append(want, b.ID(i))
	}
	slices.Sort(want)
	b.Until(fmt.Sprintf("nodes %v hold %.20q", nodes, text), func() error {
		file, err := holdings.Of(b.t.Context(), b.Leader().Reader(), b.sums[text])
		if err != nil {
			return err
		}
		if !slices.Equal(file.Nodes, want) {
			return fmt.Errorf("on record are %v", file.Nodes)
		}
		for i := range b.count() {
			n := b.Node(i)
			if n == nil {
				continue
			}
			read, err := readAll(n, b.sums[text])
			if holds := slices.Contains(nodes, i); holds && (err != nil || read != text) || !holds && !errors.Is(err, content.ErrNotHeld) {
				return fmt.Errorf("node %d gives %d bytes, %v", i, len(read), err)
			}
		}
		return nil
	})
}

func (b *bench) count() int { return len(b.Nodes()) }

func readAll(n *node.Node, sum string) (string, error) {
	reader, err := n.Content.Open(sum)
	if err != nil {
		return "", err
	}
	defer reader.Close()
	text := make([]byte, reader.Size())
	_, err = reader.ReadAt(text, 0)
	return string(text), err
}

// What one node holds comes to all of them. What is lost on a disk comes again, also where it was lost while the node was
// stopped; and what a sister has that was altered comes from another one.
func TestAllNodesHoldAll(t *testing.T) {
	small, large := "small", strings.Repeat("large ", 100_000)
	b := newBench(t, nodetest.SiteConfig{}, small, large)
	b.hold(0, small, large)
	b.settle(small, 0, 1, 2)
	b.settle(large, 0, 1, 2)

	lost := b.Follower()
	b.Stop(lost)
	if err := os.RemoveAll(filepath.Join(b.Dir(lost), folder.ContentFolder)); err != nil {
		t.Fatal(err)
	}
	others := slices.DeleteFunc([]int{0, 1, 2}, func(i int) bool { return i == lost })
	altered := others[0]
	if err := os.WriteFile(b.path(altered, large), []byte(strings.Repeat("wrong ", 100_000)), 0o600); err != nil {
		t.Fatal(err)
	}
	b.Start(lost)
	b.settle(small, 0, 1, 2)
	b.settle(large, 0, 1, 2)
}

// set sets how many copies there are to be, and wakes those who keep them.
func (b *bench) set(number int) {
	b.t.Helper()
	if _, err := b.Leader().Settings.Set(b.t.Context(), settings.Copies.Name, json.RawMessage(strconv.Itoa(number)), -1); err != nil {
		b.t.Fatal(err)
	}
}

// placed waits until exactly those nodes hold each payload that are to hold it.
func (b *bench) placed(number int) {
	b.t.Helper()
	for text, sum := range b.sums {
		ids := copies.Placed(sum, number, b.Leader().Sisters().Fellows())
		var nodes []int
		for i := range b.count() {
			if slices.Contains(ids, b.ID(i)) {
				nodes = append(nodes, i)
			}
		}
		b.settle(text, nodes...)
	}
}

// The number of copies is kept when it changes, when a node comes to be without a vote, and when one is removed.
func TestTheNumberOfCopiesIsKept(t *testing.T) {
	clock := nodetest.NewClock()
	texts := []string{"one", "two", "three", "four", "five", "six"}
	b := newBench(t, nodetest.SiteConfig{Config: node.Config{Now: clock.Now}}, texts...)
	b.hold(0, texts...)
	b.placed(0)
	b.set(2) // too many copies stay for a day
	b.placed(0)
	clock.Move(25 * time.Hour)
	b.set(1)
	b.placed(1)
	b.set(2)
	b.placed(2)

	if _, err := b.Leader().Sisters().SetVotes(t.Context(), b.ID(2), false); err != nil {
		t.Fatal(err)
	}
	for text, sum := range b.sums {
		b.Until("a node without a vote holds all", func() error {
			if file, err := holdings.Of(t.Context(), b.Leader().Reader(), sum); err != nil || !file.On(b.ID(2)) {
				return fmt.Errorf("%s: %v, %v", text, file.Nodes, err)
			}
			return nil
		})
	}
	removed := b.ID(2)
	if _, err := b.Leader().Sisters().Remove(t.Context(), removed, "gone"); err != nil {
		t.Fatal(err)
	}
	files, err := holdings.Read(t.Context(), b.Leader().Reader())
	if err != nil || slices.ContainsFunc(files, func(f holdings.File) bool { return f.On(removed) }) {
		t.Errorf("what is left of a removed node: %v, %v", files, err)
	}
	for _, text := range texts {
		b.Until("both that are left hold all", func() error {
			file, err := holdings.Of(t.Context(), b.Leader().Reader(), b.sums[text])
			if err != nil || len(file.Nodes) != 2 {
				return fmt.Errorf("%s: %v, %v", text, file.Nodes, err)
			}
			return nil
		})
	}
}
