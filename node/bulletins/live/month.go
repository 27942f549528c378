package live

import (
	"strings"
	"time"

	"thatch/catalog"
)

// Month is the month of a bulletin, "2019-02": that of the vendor file that names it for the most vulnerabilities, the
// earliest of equals, because files are revised later and name newer bulletins. Where no vendor file bears a month it
// is that of the release, and "" where there is none either.
func Month(named []catalog.NamedBy, released string) string {
	best, most := "", 0
	for _, n := range named {
		month := fileMonth(n.File)
		if month == "" {
			continue
		}
		if best == "" || n.CVEs > most || n.CVEs == most && month < best {
			best, most = month, n.CVEs
		}
	}
	if best == "" && len(released) >= 7 {
		if _, err := time.Parse("2006-01", released[:7]); err == nil {
			return released[:7]
		}
	}
	return best
}

// fileMonth reads "2019-Feb", in any case and with anything behind it, as "2019-02".
func fileMonth(file string) string {
	if len(file) < 8 {
		return ""
	}
	// time.Parse wants "Feb".
	name := file[:5] + strings.ToUpper(file[5:6]) + strings.ToLower(file[6:8])
	month, err := time.Parse("2006-Jan", name)
	if err != nil {
		return ""
	}
	return month.Format("2006-01")
}

// KBOf is the KB article in the document id of an update, "msrc/KB4487017/11568", "" where there is none: supersedence
// may name updates that are not in the catalog.
func KBOf(id string) string {
	parts := strings.Split(id, "/")
	if len(parts) < 2 {
		return ""
	}
	kb, ok := strings.CutPrefix(parts[1], "KB")
	if !ok || kb == "" || strings.Trim(kb, "0123456789") != "" {
		return ""
	}
	return kb
}
