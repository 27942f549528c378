package recorded

import (
	"bytes"
	"fmt"
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/charmap"
	"golang.org/x/text/encoding/japanese"
	"golang.org/x/text/encoding/korean"
	"golang.org/x/text/encoding/simplifiedchinese"
	"golang.org/x/text/encoding/traditionalchinese"
	utf "golang.org/x/text/encoding/unicode"
)

// MaxSize is the largest recording read, in bytes.
const MaxSize = 8 << 20

// Decode turns what a Windows program wrote into text: UTF-16 with or without a byte order mark, UTF-8 with or without
// one, or one of the code pages that Windows uses, chosen by the language that the text names and by which reading
// gives letters rather than signs. Line ends become "\n".
func Decode(raw []byte) (string, error) {
	if len(raw) > MaxSize {
		return "", fmt.Errorf("%d bytes, at most %d are read; is this the right file?", len(raw), MaxSize)
	}
	text, err := decode(raw)
	if err != nil {
		return "", err
	}
	if strings.ContainsRune(text, 0) {
		return "", fmt.Errorf("this is no text: it holds zero bytes")
	}
	return strings.NewReplacer("\r\r\n", "\n", "\r\n", "\n", "\r", "\n").Replace(text), nil
}

func decode(raw []byte) (string, error) {
	switch {
	case bytes.HasPrefix(raw, []byte{0xef, 0xbb, 0xbf}):
		return strings.ToValidUTF8(string(raw[3:]), "\uFFFD"), nil
	case bytes.HasPrefix(raw, []byte{0xff, 0xfe}), bytes.HasPrefix(raw, []byte{0xfe, 0xff}):
		return wide(raw, utf.LittleEndian, utf.ExpectBOM)
	}
	even, odd := zeros(raw)
	switch {
	case odd > len(raw)/8 && even <= odd/8:
		return wide(raw, utf.LittleEndian, utf.IgnoreBOM)
	case even > len(raw)/8 && odd <= even/8:
		return wide(raw, utf.BigEndian, utf.IgnoreBOM)
	case utf8.Valid(raw):
		return string(raw), nil
	}
	return codePage(raw), nil
}

func wide(raw []byte, order utf.Endianness, mark utf.BOMPolicy) (string, error) {
	text, err := utf.UTF16(order, mark).NewDecoder().Bytes(raw)
	if err != nil {
		return "", fmt.Errorf("read as UTF-16: %w", err)
	}
	return strings.TrimPrefix(string(text), "\ufeff"), nil
}

func zeros(raw []byte) (even, odd int) {
	for i, b := range raw {
		switch {
		case b != 0:
		case i%2 == 0:
			even++
		default:
			odd++
		}
	}
	return even, odd
}

// pages are code pages by what their languages begin with, in the order of trial: the console's first.
var pages = []page{
	{"ru uk be bg sr mk kk ky tt mn", unicode.Cyrillic, []encoding.Encoding{charmap.CodePage866, charmap.Windows1251, charmap.CodePage855}},
	{"ja", unicode.Han, []encoding.Encoding{japanese.ShiftJIS}},
	{"zh-tw zh-hk zh-mo zh-hant", unicode.Han, []encoding.Encoding{traditionalchinese.Big5}},
	{"zh", unicode.Han, []encoding.Encoding{simplifiedchinese.GB18030}},
	{"ko", unicode.Hangul, []encoding.Encoding{korean.EUCKR}},
	{"pl cs sk hu ro hr sl bs sq", unicode.Latin, []encoding.Encoding{charmap.CodePage852, charmap.Windows1250}},
	{"el", unicode.Greek, []encoding.Encoding{charmap.Windows1253}},
	{"tr az", unicode.Latin, []encoding.Encoding{charmap.Windows1254}},
	{"he", unicode.Hebrew, []encoding.Encoding{charmap.CodePage862, charmap.Windows1255}},
	{"ar fa ur", unicode.Arabic, []encoding.Encoding{charmap.Windows1256}},
	{"th", unicode.Thai, []encoding.Encoding{charmap.Windows874}},
	{"vi", unicode.Latin, []encoding.Encoding{charmap.Windows1258}},
	{"lt lv et", unicode.Latin, []encoding.Encoding{charmap.Windows1257}},
	{"", unicode.Latin, []encoding.Encoding{charmap.CodePage850, charmap.Windows1252, charmap.CodePage437}},
}

var localeBytes = regexp.MustCompile(`(?i)(?:^|[\s",:])([a-z]{2,3}(?:-[a-z0-9]{2,8})*);`)

// codePage reads bytes that are neither UTF-8 nor UTF-16.
func codePage(raw []byte) string {
	language := ""
	if found := localeBytes.FindSubmatch(raw); found != nil {
		language = strings.ToLower(string(found[1]))
	}
	best, bestScore := "", -1<<30
	for _, p := range pages {
		if !p.speaks(language) {
			continue
		}
		for _, enc := range p.encodings {
			text, err := enc.NewDecoder().Bytes(raw)
			if err != nil {
				continue
			}
			if score := plausible(string(text), p.script); score > bestScore {
				best, bestScore = string(text), score
			}
		}
		break
	}
	return best
}

type page struct {
	languages string
	script    *unicode.RangeTable
	encodings []encoding.Encoding
}

// speaks says whether a language is one of the page's; the last of the pages speaks all.
func (p *page) speaks(language string) bool {
	if p.languages == "" {
		return true
	}
	for _, l := range strings.Fields(p.languages) {
		if language == l || strings.HasPrefix(language, l+"-") {
			return true
		}
	}
	return false
}

// plausible counts letters of the script for, and signs that nobody writes in labels against a reading. Letters that
// stand in a word with ASCII letters count more: a wrong code page tears words apart.
func plausible(text string, script *unicode.RangeTable) int {
	score := 0
	var before rune
	for _, r := range text {
		if r >= 0x80 {
			switch {
			case r == utf8.RuneError:
				score -= 20
			case unicode.Is(script, r) && unicode.IsLower(r) || !unicode.IsUpper(r) && unicode.Is(script, r):
				score += 3
			case unicode.Is(script, r):
				score++
				if unicode.IsLower(before) { // a capital inside of a word
					score -= 4
				}
			case r == '\u00ae' || r == '\u00a0' || r == '\u2019' || r == '\u2122': // Windows® Server, l’hôte
			case unicode.IsLetter(r):
				score -= 2
			default:
				score -= 5
			}
		}
		before = r
	}
	return score
}
