// Package reasons keeps why updates cannot be told on a computer.
package reasons

import (
	"encoding/json"
	"fmt"
	"slices"

	"github.com/RoaringBitmap/roaring/v2"
)

// Max is the length of one reason, in bytes.
const Max = 2_000

// Reasons say why an update is unknown on a computer. Many updates share one text, so they are kept by text.
type Reasons map[string][]uint32

const (
	maxReasons   = 128 << 10 // bytes of all reasons of one computer
	reasonLeft   = "more reasons than are kept; the agent's log has all"
	reasonAbsent = "the agent gave no reason"
)

// Of returns the reason of one update.
func (r Reasons) Of(number uint32) string {
	for text, numbers := range r {
		if slices.Contains(numbers, number) {
			return text
		}
	}
	return reasonAbsent
}

// ByUpdate turns the reasons round.
func (r Reasons) ByUpdate() map[uint32]string {
	all := make(map[uint32]string)
	for text, numbers := range r {
		for _, number := range numbers {
			all[number] = text
		}
	}
	return all
}

// After returns the reasons of exactly the unknown updates: the new text where there is one, else the former.
func (r Reasons) After(news map[uint32]string, unknown *roaring.Bitmap) Reasons {
	former, next, size := r.ByUpdate(), make(Reasons), 0
	unknown.Iterate(func(number uint32) bool {
		text, ok := news[number]
		if !ok {
			text, ok = former[number]
		}
		if !ok {
			text = reasonAbsent
		}
		text = Clip(text, Max)
		if _, known := next[text]; !known {
			if size+len(text) > maxReasons {
				text = reasonLeft
			}
			size += len(text)
		}
		next[text] = append(next[text], number)
		return true
	})
	return next
}

// Encode writes the reasons, nil where there are none.
func (r Reasons) Encode() ([]byte, error) {
	if len(r) == 0 {
		return nil, nil
	}
	return json.Marshal(r)
}

// Decode reads what Encode wrote.
func Decode(blob []byte) (Reasons, error) {
	reasons := make(Reasons)
	if len(blob) == 0 {
		return reasons, nil
	}
	if err := json.Unmarshal(blob, &reasons); err != nil {
		return nil, fmt.Errorf("decode reasons: %w", err)
	}
	return reasons, nil
}

// Clip cuts a text to a number of bytes without cutting a character.
func Clip(text string, most int) string {
	if len(text) <= most {
		return text
	}
	for most > 0 && text[most]&0xC0 == 0x80 {
		most--
	}
	return text[:most]
}
