package msrc

import (
	"cmp"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"thatch/catalog"
)

var (
	vulnID     = regexp.MustCompile(`^(CVE-\d{4}-\d{4,}|ADV\d{6})$`)
	numbers    = regexp.MustCompile(`\b(?i:KB)?([0-9]{6,8})\b`)
	digitRuns  = regexp.MustCompile(`[0-9]+`)
	bulletinID = regexp.MustCompile(`(?i)\bMS\d\d-\d{3}\b`)
	dottedAny  = regexp.MustCompile(`\d+(\.\d+)+`)
	docID      = regexp.MustCompile(`^(\d{4})-([A-Za-z]{3})(-[0-9A-Za-z-]+)?$`)
	productID  = regexp.MustCompile(`^[0-9A-Za-z._-]{1,64}$`)
	guid       = regexp.MustCompile(`^[0-9a-fA-F]{8}-[0-9a-fA-F-]{27}$`)
	months     = []string{"Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"}
)

// kbOf reads a KB number, with or without its prefix; other texts are empty.
func kbOf(text string) string {
	if len(text) > 2 && strings.EqualFold(text[:2], "KB") {
		text = text[2:]
	}
	if len(text) < 6 || len(text) > 8 {
		return ""
	}
	for i := range len(text) {
		if text[i] < '0' || text[i] > '9' {
			return ""
		}
	}
	return text
}

// superseded is what a Supercedence text says.
type superseded struct {
	kbs   []string // distinct, in order; the KB itself may be among them
	kinds []string // irregularities

	joined string // kbs with semicolons between
}

// readSupercedence extracts the KB numbers of a Supercedence text: lists with semicolons, commas or markup between,
// with bulletin ids in front, the word None, version numbers, numbers cut short.
func readSupercedence(text string) superseded {
	var s superseded
	note := func(kind string, when bool) {
		if when {
			s.kinds = append(s.kinds, kind)
		}
	}
	note("supercedence-bulletin-id", bulletinID.MatchString(text))
	note("supercedence-markup", strings.ContainsAny(text, "<>"))
	note("supercedence-none", strings.EqualFold(text, "none"))
	for _, found := range numbers.FindAllStringSubmatch(text, -1) {
		if !slices.Contains(s.kbs, found[1]) {
			s.kbs = append(s.kbs, found[1])
		}
	}
	rest := bulletinID.ReplaceAllString(text, " ")
	note("supercedence-version", dottedAny.MatchString(rest))
	truncated := false
	for _, run := range digitRuns.FindAllString(dottedAny.ReplaceAllString(rest, " "), -1) {
		truncated = truncated || len(run) < 6 || len(run) > 8
	}
	note("supercedence-truncated", truncated)
	note("supercedence-list", len(s.kbs) > 1)
	note("supercedence-unread", len(s.kbs) == 0 && len(s.kinds) == 0)
	s.joined = strings.Join(s.kbs, ";")
	return s
}

// documentID normalises the vendor's id of a document to "2018-Feb", with a suffix for extra documents: "2018-FEB",
// "2017-May-B", and "Oct-OOB", whose year only the release date tells. Odd says that it had to be changed.
func documentID(id, released string) (normal string, odd bool) {
	parts := docID.FindStringSubmatch(id)
	if parts == nil {
		year := strings.SplitN(released, "-", 2)[0]
		if len(year) == 4 {
			parts = docID.FindStringSubmatch(year + "-" + id)
		}
	}
	if parts == nil {
		return id, true
	}
	month := strings.ToUpper(parts[2][:1]) + strings.ToLower(parts[2][1:])
	if !slices.Contains(months, month) {
		return id, true
	}
	normal = parts[1] + "-" + month + parts[3]
	return normal, normal != id
}

// link is a URL as it was checked, before anybody is shown it.
type link struct {
	url   string // empty: not usable
	kind  string // what is odd about it
	asked string // the KB that a search link asks for
}

func readURL(text string) link {
	if text == "" {
		return link{kind: "url-empty"}
	}
	parsed, err := url.Parse(text)
	if err != nil || parsed.Scheme != "https" && parsed.Scheme != "http" ||
		!strings.Contains(parsed.Hostname(), ".") || guid.MatchString(parsed.Hostname()) || parsed.User != nil {
		return link{kind: "url-invalid"}
	}
	return link{url: parsed.String(), asked: kbOf(parsed.Query().Get("q"))}
}

func readSeverity(text string) (s catalog.Severity, known bool) {
	switch s := catalog.Severity(text); s {
	case catalog.Critical, catalog.Important, catalog.Moderate, catalog.Low, catalog.None, catalog.Unspecified:
		return s, true
	}
	return catalog.Unspecified, false
}

func readRestart(text string) (r catalog.Restart, kind string) {
	switch strings.ToLower(text) {
	case "yes":
		return catalog.RestartAlways, ""
	case "maybe":
		return catalog.RestartMaybe, ""
	case "no":
		return catalog.RestartNever, ""
	case "":
		return "", "restart-empty"
	}
	return "", "restart-unknown"
}

// normalClass folds the spellings of a SubType: lower case without spaces; the word None is none.
func normalClass(text string) string {
	class := strings.Map(func(r rune) rune {
		if r == ' ' || r == '-' || r == '\t' || r == '\u00a0' {
			return -1
		}
		return r
	}, strings.ToLower(text))
	if class == "none" {
		return ""
	}
	return class
}

// spelled is how most documents write the classes whose spelling varies.
var spelled = map[string]string{
	"securityhotpatchupdate": "Security Hotpatch Update",
	"azurehotpatch":          "Azure Hotpatch",
	"servicingstackupdate":   "Servicing Stack Update",
}

// isDotted says whether a text is a version of two to four numbers with dots between.
func isDotted(text string) bool {
	dots, digits := 0, 0
	for i := range len(text) {
		switch c := text[i]; {
		case c >= '0' && c <= '9':
			digits++
		case c == '.' && digits > 0:
			dots, digits = dots+1, 0
		default:
			return false
		}
	}
	return digits > 0 && dots >= 1 && dots <= 3
}

// fixedBuildKind names what is odd about a FixedBuild.
func fixedBuildKind(text string) string {
	switch {
	case isDotted(text):
		return ""
	case strings.ContainsAny(text, ";,"):
		return "fixedbuild-several"
	}
	return "fixedbuild-no-version"
}

// compareBuilds orders FixedBuild texts: those that are no version come before those that are.
func compareBuilds(a, b string) int {
	switch av, bv := isDotted(a), isDotted(b); {
	case av && !bv:
		return 1
	case bv && !av:
		return -1
	case !av:
		return cmp.Compare(b, a)
	}
	as, bs := strings.Split(a, "."), strings.Split(b, ".")
	for i := range max(len(as), len(bs)) {
		if c := cmp.Compare(number(as, i), number(bs, i)); c != 0 {
			return c
		}
	}
	return 0
}

func number(parts []string, i int) uint64 {
	if i >= len(parts) {
		return 0
	}
	n, _ := strconv.ParseUint(parts[i], 10, 64) // digits alone; one too long for 64 bits counts as the greatest
	return n
}

func compareRestart(a, b string) int { return cmp.Compare(restartRank[a], restartRank[b]) }

var restartRank = map[string]int{string(catalog.RestartNever): 1, string(catalog.RestartMaybe): 2, string(catalog.RestartAlways): 3}
