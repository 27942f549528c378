package expression

import (
	"bytes"
	"encoding/json"
	"slices"
)

// Append writes a rule as Encode does behind what is in buf, several times faster than encoding/json: an import writes
// thousands of them.
func Append(buf []byte, r *Node) []byte {
	if r == nil {
		return append(buf, "null"...)
	}
	buf = AppendText(append(buf, `{"op":`...), r.Op)
	if len(r.With) > 0 {
		var few [8]string
		keys := few[:0]
		for key := range r.With {
			keys = append(keys, key)
		}
		slices.Sort(keys)
		buf = append(buf, `,"with":`...)
		for i, key := range keys {
			buf = append(buf, before(i, '{'))
			buf = append(AppendText(buf, key), ':')
			buf = AppendText(buf, r.With[key])
		}
		buf = append(buf, '}')
	}
	if len(r.Rules) > 0 {
		buf = append(buf, `,"rules":`...)
		for i, child := range r.Rules {
			buf = Append(append(buf, before(i, '[')), child)
		}
		buf = append(buf, ']')
	}
	return append(buf, '}')
}

func before(i int, first byte) byte {
	if i == 0 {
		return first
	}
	return ','
}

// AppendText writes a text as encoding/json does where it leaves HTML alone. What is no plain ASCII is left to it.
func AppendText(buf []byte, text string) []byte {
	whole := len(buf)
	buf = append(buf, '"')
	start := 0
	for i := range len(text) {
		switch c := text[i]; {
		case c == '"' || c == '\\':
			buf = append(append(buf, text[start:i]...), '\\')
			start = i
		case c < ' ' || c >= 0x80:
			return appendOdd(buf[:whole], text)
		}
	}
	return append(append(buf, text[start:]...), '"')
}

func appendOdd(buf []byte, text string) []byte {
	var out bytes.Buffer
	enc := json.NewEncoder(&out)
	enc.SetEscapeHTML(false)
	_ = enc.Encode(text) // a text always encodes
	return append(buf, bytes.TrimSuffix(out.Bytes(), []byte("\n"))...)
}
