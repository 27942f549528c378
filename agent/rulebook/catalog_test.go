package rulebook

import (
	"fmt"
	"testing"

	"thatch/agent/folder"
	"thatch/agentapi"
	"thatch/catalog"
	"thatch/catalog/document"
)

// What was decoded is what the book holds, whatever changed since: new, revised, removed, damaged, begun anew.
func TestDecodedFollowsTheBook(t *testing.T) {
	book, err := Open(folder.Folder{Dir: t.TempDir(), Step: func(string) {}})
	if err != nil {
		t.Fatal(err)
	}
	defer book.Close()
	doc := func(number uint32, body string) Entry {
		d, err := document.New(document.Update, fmt.Sprint("u", number), nil, []byte(body))
		if err != nil {
			t.Fatal(err)
		}
		return NewEntry(&agentapi.NumberedUpdate{Number: number, Month: "2019-02", Document: d})
	}
	for i, step := range []struct {
		page Page
		want string
	}{
		{Page{Updates: []Entry{doc(1, `{"name":"a"}`), doc(2, `{"name":"b"}`)}}, "1=a 2=b "},
		{Page{Updates: []Entry{doc(1, `{"name":"c"}`)}}, "2=b 1=c "},
		{Page{Updates: []Entry{doc(3, `{"name":7}`)}}, "2=b 1=c 3=! "},
		{Page{Removed: []uint32{2}}, "1=c 3=! "},
		{Page{Refused: map[uint32]string{1: "unsigned"}}, "3=! "},
		{Page{Reset: true, Updates: []Entry{doc(5, `{"name":"a"}`)}}, "5=a "},
		{Page{Reset: true}, ""},
	} {
		step.page.Epoch, step.page.Cursor = "e", fmt.Sprint(i)
		if err := book.Apply(&step.page); err != nil {
			t.Fatal(err)
		}
		for range 2 {
			if _, err := book.Catalog(); err != nil {
				t.Fatal(err)
			}
			got := ""
			if err := book.each(func(u *Entry) {
				name := u.Body.Name
				if u.Body.NoRule != "" {
					name = "!"
				}
				got += fmt.Sprintf("%d=%s ", u.Number, name)
			}); err != nil {
				t.Fatal(err)
			}
			if got != step.want {
				t.Errorf("step %d: %q, want %q", i, got, step.want)
			}
		}
	}
}

// Nothing is read or decoded again while the book stays as it is.
func TestDecodedOnce(t *testing.T) {
	book, err := Open(folder.Folder{Dir: t.TempDir(), Step: func(string) {}})
	if err != nil {
		t.Fatal(err)
	}
	raw, err := catalog.Encode(catalog.Update{Name: "a"})
	if err != nil {
		t.Fatal(err)
	}
	doc, err := document.New(document.Update, "u", nil, raw)
	if err != nil {
		t.Fatal(err)
	}
	if err := book.Apply(&Page{Epoch: "e", Cursor: "1", Updates: []Entry{NewEntry(&agentapi.NumberedUpdate{Number: 1, Document: doc})}}); err != nil {
		t.Fatal(err)
	}
	before, err := book.Catalog()
	if err != nil {
		t.Fatal(err)
	}
	if err := book.Close(); err != nil {
		t.Fatal(err)
	}
	if after, err := book.Catalog(); err != nil || after != before {
		t.Errorf("the book was read again: %v", err)
	}
}
