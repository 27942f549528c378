package counting

import (
	"bytes"
	"encoding/json"
	"strings"

	"thatch/node/bulletins/live"
)

// update is what counts of an update.
type update struct {
	kb, product string
	article     string   // its KB article, or its id where it has none
	supersedes  []string // articles, once for each update that it supersedes
	ruled       bool
}

// readUpdate reads a body as catalog.Encode writes it, without decoding it.
func readUpdate(id string, body []byte) update {
	// The rules come last, this one first, and may name anything. Quotes are many: looking for what follows one is quick.
	body, _, ruled := bytes.Cut(body, []byte(`applicable":{`))
	if !ruled {
		body, _, _ = bytes.Cut(body, []byte(`"installed":{`))
		body, _, _ = bytes.Cut(body, []byte(`"superseded":{`))
	}
	u := update{ruled: ruled, kb: text(body, `"kb":`)}
	if u.kb != "" {
		u.product = text(body, `"product":{"id":`)
	}
	u.article = article(u.kb, id)
	if list, ok := after(body, `supersedes":`); ok {
		for _, id := range texts(list) {
			u.supersedes = append(u.supersedes, article(live.KBOf(id), id))
		}
	}
	return u
}

// after returns what follows the beginning of a field in a body as catalog.Encode writes it. The quotes of a beginning
// cannot be inside a JSON text, where they would be escaped.
func after(body []byte, beginning string) ([]byte, bool) {
	_, rest, found := bytes.Cut(body, []byte(beginning))
	return rest, found
}

// text is the text that follows the beginning of a field, "" where there is none.
func text(body []byte, beginning string) string {
	rest, _ := after(body, beginning)
	value, _, _ := bytes.Cut(rest[min(1, len(rest)):], []byte(`"`))
	if bytes.IndexByte(value, '\\') < 0 {
		return string(value)
	}
	var escaped string
	if json.NewDecoder(bytes.NewReader(rest)).Decode(&escaped) != nil {
		return ""
	}
	return escaped
}

// texts reads the list of texts that a JSON text begins with. None: it is not as it was encoded; whoever reads the
// document says so.
func texts(raw []byte) (list []string) {
	inside, _, whole := bytes.Cut(raw, []byte(`"]`))
	// A text may begin with a bracket: then the quote before it opens that text, and an even number of them is before it.
	whole = whole && bytes.Count(inside, []byte(`"`))%2 == 1
	if whole && bytes.IndexByte(inside, '\\') < 0 && bytes.HasPrefix(inside, []byte(`["`)) {
		return strings.Split(string(inside[2:]), `","`)
	}
	if json.NewDecoder(bytes.NewReader(raw)).Decode(&list) != nil {
		return nil
	}
	return list
}

func article(kb, id string) string {
	if kb != "" {
		return "KB" + kb
	}
	return id
}
