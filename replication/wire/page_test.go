package wire_test

import (
	"bytes"
	"errors"
	"reflect"
	"testing"

	"github.com/klauspost/compress/zstd"
	"pgregory.net/rapid"

	"thatch/catalog/document"
	"thatch/node/replicas/dataset"
	"thatch/replication/wire"
)

// drawPage makes a page of entries of every sort.
func drawPage(t *rapid.T) *wire.Page {
	p := &wire.Page{Header: wire.Header{Type: dataset.Data, More: rapid.Bool().Draw(t, "more")}}
	for range rapid.IntRange(0, 8).Draw(t, "entries") {
		id, body := rapid.StringMatching(`[a-z:]{1,20}`).Draw(t, "id"), rapid.SliceOfN(rapid.Byte(), 0, 200).Draw(t, "body")
		e := dataset.Entry{Head: document.Head{Kind: document.Package, ID: id}}
		switch rapid.SampledFrom([]string{"removed", "head", "whole"}).Draw(t, "sort") {
		case "removed":
			e.Removed = true
		case "head":
			doc, err := document.New(e.Kind, id, []string{"de"}, body)
			if err != nil {
				t.Fatal(err)
			}
			e.Head, e.Size = doc.Head, len(body)
			e.Signature = rapid.SliceOfN(rapid.Byte(), 1, 80).Draw(t, "signature")
		default:
			doc, err := document.New(e.Kind, id, []string{"de", "fr"}, body)
			if err != nil {
				t.Fatal(err)
			}
			e.Head, e.Body, e.Size = doc.Head, body, len(body)
			e.Origin, e.Signature = "site", rapid.SliceOfN(rapid.Byte(), 1, 80).Draw(t, "signature")
			e.Held = rapid.Bool().Draw(t, "held")
		}
		p.Entries = append(p.Entries, e)
	}
	return p
}

// TestPagesAreReadAsTheyWereWritten, and a page that is cut at any byte is none.
func TestPagesAreReadAsTheyWereWritten(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := drawPage(t)
		var raw bytes.Buffer
		if err := p.Encode(&raw); err != nil {
			t.Fatal(err)
		}
		read, err := wire.DecodePage(bytes.NewReader(raw.Bytes()))
		if err != nil || !reflect.DeepEqual(read, p) {
			t.Fatalf("%+v, %v, want %+v", read, err, p)
		}
		at := rapid.IntRange(0, raw.Len()-1).Draw(t, "cut")
		if cut, err := wire.DecodePage(bytes.NewReader(raw.Bytes()[:at])); !errors.Is(err, wire.ErrPage) && !reflect.DeepEqual(cut, p) {
			t.Fatalf("cut after %d of %d bytes: %+v, %v", at, raw.Len(), cut, err)
		}
	})
}

// packed is what a page is before it is compressed, length by length.
func packed(t *testing.T, texts ...string) []byte {
	t.Helper()
	encoder, err := zstd.NewWriter(nil)
	if err != nil {
		t.Fatal(err)
	}
	var raw []byte
	for _, text := range texts {
		raw = append(append(raw, byte(len(text))), text...)
	}
	return encoder.EncodeAll(append(raw, 0), nil)
}

func TestPagesThatAreNone(t *testing.T) {
	const header = `{"version":1,"type":"data"}`
	if p, err := wire.DecodePage(bytes.NewReader(packed(t, header))); err != nil || len(p.Entries) != 0 {
		t.Fatalf("an empty page: %+v, %v", p, err)
	}
	for what, texts := range map[string][]string{
		"another version":          {`{"version":9}`},
		"no header":                {},
		"neither body nor digest":  {header, `{"k":"bulletin","i":"b"}`},
		"a body that is not there": {header, `{"k":"bulletin","i":"b","b":5}`},
		"a body below nothing":     {header, `{"k":"bulletin","i":"b","b":-1}`},
		"a body too large":         {header, `{"k":"bulletin","i":"b","b":9999999}`},
		"a signature not there":    {header, `{"k":"bulletin","i":"b","b":0,"s":64}`},
		"a signature below":        {header, `{"k":"bulletin","i":"b","b":0,"s":-1}`},
		"a signature too large":    {header, `{"k":"bulletin","i":"b","b":0,"s":99999}`},
		"removed with a body":      {header, `{"k":"bulletin","i":"b","r":true,"b":0}`},
		"no JSON":                  {header, `{`},
	} {
		if p, err := wire.DecodePage(bytes.NewReader(packed(t, texts...))); !errors.Is(err, wire.ErrPage) {
			t.Errorf("%s: %+v, %v", what, p, err)
		}
	}
}

// FuzzPage holds whatever is read as a page to what is written of it.
func FuzzPage(f *testing.F) {
	var raw bytes.Buffer
	if err := (&wire.Page{Header: wire.Header{Type: dataset.Data}}).Encode(&raw); err != nil {
		f.Fatal(err)
	}
	f.Add(raw.Bytes())
	f.Fuzz(func(t *testing.T, text []byte) {
		p, err := wire.DecodePage(bytes.NewReader(text))
		if err != nil {
			return
		}
		var again bytes.Buffer
		if err := p.Encode(&again); err != nil {
			t.Fatal(err)
		}
		if read, err := wire.DecodePage(&again); err != nil || !reflect.DeepEqual(read, p) {
			t.Fatalf("%+v, %v, want %+v", read, err, p)
		}
	})
}
