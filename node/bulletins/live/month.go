package live

import (
	"strings"
	"time"

	"thatch/catalog"
	"thatch/catalog/supersedence"
)

// month is the month of a bulletin, "2019-02": see supersedence.MonthFrom. Where no vendor file bears a month it is that
// of the release, and "" where there is none either.
func month(b catalog.Bulletin) string {
	if m := supersedence.MonthFrom(b.Named); m != 0 || len(b.Released) < 7 {
		return m.String()
	}
	if _, err := time.Parse("2006-01", b.Released[:7]); err != nil {
		return ""
	}
	return b.Released[:7]
}

// KBOf is the KB article in the document id of an update, "msrc/KB4487017/11568", "" where there is none: supersedence
// may name updates that are not in the catalog.
func KBOf(id string) string {
	_, rest, _ := strings.Cut(id, "/")
	second, _, _ := strings.Cut(rest, "/")
	kb, ok := strings.CutPrefix(second, "KB")
	if !ok || kb == "" || strings.Trim(kb, "0123456789") != "" {
		return ""
	}
	return kb
}
