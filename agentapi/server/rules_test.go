package server

import (
	"encoding/json"
	"reflect"
	"testing"

	"thatch/agentapi"
	"thatch/catalog/document"
	"thatch/node/store"
)

// A page kept encoded gets the keys of the moment in which it is asked for.
func TestKeysJoinEncodedPages(t *testing.T) {
	key, err := document.New(document.SigningKey, "site-1", nil, []byte(`{"a":"}"}`))
	if err != nil {
		t.Fatal(err)
	}
	one := []document.Document{key}
	for _, page := range []agentapi.RulesResponse{
		{Epoch: "e", Cursor: "5.2"},
		{Epoch: "e", Cursor: "5.2", More: true, Reset: true, Removed: []uint32{7, 9}, Updates: []agentapi.NumberedUpdate{{Number: 3, Month: "2019-02"}}},
	} {
		raw, err := json.Marshal(page)
		if err != nil {
			t.Fatal(err)
		}
		kept := string(raw)
		for _, of := range [][]document.Document{nil, one} {
			text, err := json.Marshal(of)
			if err != nil {
				t.Fatal(err)
			}
			joined := withKeys(raw, &keys{docs: of, text: text})
			page.Keys = of
			want, err := json.Marshal(page)
			if err != nil {
				t.Fatal(err)
			}
			var got, wanted agentapi.RulesResponse
			if json.Unmarshal(joined, &got) != nil || json.Unmarshal(want, &wanted) != nil || !reflect.DeepEqual(got, wanted) {
				t.Errorf("%s\nwant %s", joined, want)
			}
		}
		if string(raw) != kept {
			t.Error("the page that is kept was changed")
		}
	}
}

func TestPagesOfAnEarlierCatalogGo(t *testing.T) {
	p := newPages()
	early := pageKey{platform: "windows", changed: store.Sequence{Index: 4}}
	late := pageKey{platform: "windows", changed: store.Sequence{Index: 5}}
	p.put(early, json.RawMessage("1"))
	if _, ok := p.get(late); ok {
		t.Error("a page of another catalog")
	}
	p.put(late, json.RawMessage("2"))
	if _, ok := p.get(early); ok {
		t.Error("a page of the earlier catalog is kept")
	}
	if raw, ok := p.get(late); !ok || string(raw) != "2" {
		t.Errorf("%s, %v", raw, ok)
	}
}
