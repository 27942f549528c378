package wire_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"
	"pgregory.net/rapid"

	"thatch/catalog/document"
	"thatch/node/replicas/alike"
	"thatch/node/replicas/dataset"
	"thatch/replication/wire"
)

const asked = `{"type":"data","cursor":{"epoch":"0198c6f0"},"languages":["de"]}`

func likely(t interface {
	Helper()
	Fatal(...any)
}, n int,
) document.Document {
	t.Helper()
	doc, err := document.New(document.Update, fmt.Sprintf("msrc/KB50%05d/10739", n), nil,
		fmt.Appendf(nil, `{"name":"KB50%05d","title":"Security Update for Microsoft Excel 2016","product":{"id":"10739"},"cves":["CVE-2026-%d"]}`, n, n))
	if err != nil {
		t.Fatal(err)
	}
	return doc
}

// recalled answers with documents as the receiver has them.
func recalled(docs ...document.Document) wire.Recall {
	return func([]alike.Run) ([]document.Document, error) { return docs, nil }
}

// TestKnownPagesAreReadAsTheyWereWritten, against what is known and without, and one that is cut at any byte is none.
func TestKnownPagesAreReadAsTheyWereWritten(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := drawPage(t)
		for i := range p.Entries {
			if rapid.Bool().Draw(t, "text") { // an entry with a zero byte in it has the page written as for old readers
				p.Entries[i].Body = bytes.ReplaceAll(p.Entries[i].Body, []byte{0}, []byte{1})
				if e := &p.Entries[i]; e.Body != nil {
					doc, err := document.New(e.Kind, e.ID, e.Languages, e.Body)
					if err != nil {
						t.Fatal(err)
					}
					e.Digest = doc.Digest
				}
			}
		}
		var docs []document.Document
		for n := range rapid.IntRange(0, 3).Draw(t, "known") {
			docs = append(docs, likely(t, n))
			p.Known.Runs = append(p.Known.Runs, alike.Run{Last: [4]byte(docs[n].Digest[:]), Count: n + 1})
		}
		p.Known.Docs = docs
		var raw bytes.Buffer
		if err := p.EncodeKnown(&raw, []byte(asked)); err != nil {
			t.Fatal(err)
		}
		var named []alike.Run
		recall := func(runs []alike.Run) ([]document.Document, error) { named = runs; return docs, nil }
		read, err := wire.DecodeKnown(bytes.NewReader(raw.Bytes()), []byte(asked), recall)
		if err != nil || raw.Bytes()[0] == 2 && !slices.Equal(named, p.Known.Runs) {
			t.Fatalf("%v, %v", named, err)
		}
		byKey := func(a, b dataset.Entry) int { return b.Key().Compare(a.Key()) }
		want := &wire.Page{Header: p.Header, Entries: slices.Clone(p.Entries)}
		if raw.Bytes()[0] == 2 {
			slices.SortStableFunc(want.Entries, byKey)
		}
		if !reflect.DeepEqual(read, want) {
			t.Fatalf("%+v, want %+v", read, want)
		}
		at := rapid.IntRange(0, raw.Len()-1).Draw(t, "cut")
		cut, err := wire.DecodeKnown(bytes.NewReader(raw.Bytes()[:at]), []byte(asked), recall)
		if !errors.Is(err, wire.ErrPage) && !reflect.DeepEqual(cut, want) {
			t.Fatalf("cut after %d of %d bytes: %+v, %v", at, raw.Len(), cut, err)
		}
	})
}

// TestWhatIsNotKnownIsSaid: another body, another request, one document more or none have the page asked for again, and
// nothing of it is read.
func TestWhatIsNotKnownIsSaid(t *testing.T) {
	known := []document.Document{likely(t, 1), likely(t, 2)}
	fresh := likely(t, 3)
	p := &wire.Page{Header: wire.Header{Type: dataset.Data}, Known: wire.Known{Docs: known, Runs: []alike.Run{{Last: [4]byte(known[0].Digest[:]), Count: 2}}}}
	p.Entries = []dataset.Entry{{Head: fresh.Head, Body: fresh.Body, Size: len(fresh.Body)}}
	var raw, plain bytes.Buffer
	if err := errors.Join(p.EncodeKnown(&raw, []byte(asked)), p.Encode(&plain)); err != nil {
		t.Fatal(err)
	}
	if raw.Len() > plain.Len()*2/3 {
		t.Errorf("%d bytes against what is known, %d without", raw.Len(), plain.Len())
	}
	altered := known[1]
	altered.Body = bytes.Replace(altered.Body, []byte("Excel"), []byte("Excem"), 1)
	for what, recall := range map[string]wire.Recall{
		"an altered body":  recalled(known[0], altered),
		"one less":         recalled(known[0]),
		"one more":         recalled(known[0], known[1], fresh),
		"in another order": recalled(known[1], known[0]),
		"nothing":          recalled(),
		"what is not there": func([]alike.Run) ([]document.Document, error) {
			return nil, fmt.Errorf("%w: gone", alike.ErrNotKnown)
		},
	} {
		if read, err := wire.DecodeKnown(bytes.NewReader(raw.Bytes()), []byte(asked), recall); read != nil || !errors.Is(err, wire.ErrNotKnown) {
			t.Errorf("%s: %+v, %v", what, read, err)
		}
	}
	if read, err := wire.DecodeKnown(bytes.NewReader(raw.Bytes()), []byte(asked+" "), recalled(known...)); read != nil || !errors.Is(err, wire.ErrNotKnown) {
		t.Errorf("another request: %+v, %v", read, err)
	}
	if read, err := wire.DecodeKnown(&plain, []byte(asked), nil); err != nil || len(read.Entries) != 1 || !bytes.Equal(read.Entries[0].Body, fresh.Body) {
		t.Errorf("a page of a parent that knows no such thing: %+v, %v", read, err)
	}
}

// TestKnownPagesThatAreNone holds what is read of a frame to its limits.
func TestKnownPagesThatAreNone(t *testing.T) {
	encoder, err := zstd.NewWriter(nil, zstd.WithEncoderDictRaw(1, []byte(asked)))
	if err != nil {
		t.Fatal(err)
	}
	var empty bytes.Buffer
	if err := (&wire.Page{Header: wire.Header{Type: dataset.Data}}).EncodeKnown(&empty, []byte(asked)); err != nil {
		t.Fatal(err)
	}
	before := empty.Bytes()[:6] // the version, no run, the sum of the request
	const header = "\x1b" + `{"version":2,"type":"data"}`
	read := func(inside string) error {
		raw := encoder.EncodeAll([]byte(inside), slices.Clone(before))
		_, err := wire.DecodeKnown(bytes.NewReader(raw), []byte(asked), recalled())
		return err
	}
	if err := read(header + "\x80"); err != nil {
		t.Fatalf("an empty page: %v", err)
	}
	if err := read(header + "\x04bulletin\x00site\x00de\x00b-1\x00\x00{}\x00\x80"); err != nil {
		t.Fatalf("one document: %v", err)
	}
	for what, inside := range map[string]string{
		"no header":                  "\x00",
		"no end":                     header,
		"no kind":                    header + "\x0cs\x00\x00b\x00\x00{}\x00\x80",
		"no id":                      header + "\x04bulletin\x00s\x00\x00\x00\x00{}\x00\x80",
		"a body without end":         header + "\x04bulletin\x00s\x00\x00b\x00\x00{}",
		"a body too large":           header + "\x04bulletin\x00s\x00\x00b\x00\x00" + strings.Repeat("x", document.MaxSize+1) + "\x00\x80",
		"an id too large":            header + "\x04bulletin\x00s\x00\x00" + strings.Repeat("x", 600) + "\x00\x00{}\x00\x80",
		"a signature too large":      header + "\x04bulletin\x00s\x00\x00b\x00\xff\xff\x01{}\x00\x80",
		"a signature that is not it": header + "\x44bulletin\x00s\x00\x00b\x00{}\x00\x80",
		"removed with a body":        header + "\x05bulletin\x00s\x00\x00b\x00\x00{}\x00\x80",
		"a digest that is cut":       header + "\x00bulletin\x00s\x00\x00b\x00\x00abc\x80",
		"more than a page may have":  header + strings.Repeat("\x04bulletin\x00s\x00\x00b\x00\x00"+strings.Repeat("x", 500_000)+"\x00", 40) + "\x80",
		"too many entries":           header + strings.Repeat("\x01bulletin\x00s\x00\x00b\x00\x00", wire.MaxEntries+1) + "\x80",
	} {
		if err := read(inside); !errors.Is(err, wire.ErrPage) {
			t.Errorf("%s: %v", what, err)
		}
	}
	for what, raw := range map[string]string{
		"too many runs": "\x02\xff\x01", "a run that is cut": "\x02\x01ab", "no sum": "\x02\x00abc",
	} {
		if _, err := wire.DecodeKnown(strings.NewReader(raw), []byte(asked), recalled()); !errors.Is(err, wire.ErrPage) {
			t.Errorf("%s: %v", what, err)
		}
	}
}

// FuzzKnownPage holds whatever is read as a page to what is written of it.
func FuzzKnownPage(f *testing.F) {
	doc := likely(f, 1)
	p := &wire.Page{Header: wire.Header{Type: dataset.Data}, Entries: []dataset.Entry{{Head: doc.Head, Body: doc.Body, Size: len(doc.Body)}}}
	var raw bytes.Buffer
	if err := p.EncodeKnown(&raw, []byte(asked)); err != nil {
		f.Fatal(err)
	}
	f.Add(raw.Bytes())
	f.Fuzz(func(t *testing.T, text []byte) {
		p, err := wire.DecodeKnown(bytes.NewReader(text), []byte(asked), recalled())
		if err != nil {
			return
		}
		var again bytes.Buffer
		if err := p.EncodeKnown(&again, []byte(asked)); err != nil {
			t.Fatal(err)
		}
		if read, err := wire.DecodeKnown(io.Reader(&again), []byte(asked), recalled()); err != nil || len(read.Entries) != len(p.Entries) {
			t.Fatalf("%+v, %v, want %+v", read, err, p)
		}
	})
}
