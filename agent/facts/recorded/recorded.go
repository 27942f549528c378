// Package recorded reads what administrators wrote down of a Windows computer that no agent reaches: the output of
// systeminfo in any language, encoding and format, hotfix lists, and facts as JSON.
package recorded

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"thatch/catalog/rule"
	"thatch/catalog/rule/memory"
	"thatch/catalog/windows"
)

// ErrNotRecorded says that a text is not what it was given as.
var ErrNotRecorded = errors.New("not a recorded host")

// Host is a recorded computer.
type Host struct {
	Name   string
	Facts  rule.Facts
	Notes  []string // what was read with a doubt, and how
	Locale string   // of the system, lower-case BCP 47: "en-us"; empty: not said
	record *memory.Host
}

// field is one label of systeminfo's output with its value and the lines below it.
type field struct {
	value string
	lines []string
}

// Read reads systeminfo's output or facts as JSON, and, where given, a hotfix list beside it.
func Read(host, hotfixes []byte) (*Host, error) {
	text, err := Decode(host)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrNotRecorded, err)
	}
	h, err := readHost(text)
	if err != nil {
		return nil, err
	}
	if hotfixes == nil {
		return h, nil
	}
	list, err := ReadHotfixes(hotfixes)
	if err != nil {
		return nil, fmt.Errorf("hotfix list: %w", err)
	}
	h.Facts.Hotfixes = together(h.Facts.Hotfixes, list)
	return h, nil
}

// together unites two lists of one computer; one complete list is enough.
func together(a, b *rule.Hotfixes) *rule.Hotfixes {
	if a == nil {
		return b
	}
	all := &rule.Hotfixes{KBs: append(slices.Clone(a.KBs), b.KBs...), Complete: a.Complete || b.Complete}
	slices.Sort(all.KBs)
	all.KBs = slices.Compact(all.KBs)
	return all
}

func readHost(text string) (*Host, error) {
	if strings.HasPrefix(strings.TrimSpace(text), "{") {
		return readFacts(text)
	}
	fields := readFields(text)
	at := slices.IndexFunc(fields, func(f field) bool { return osVersion(f.value) != nil })
	if at < 0 {
		return nil, fmt.Errorf("%w: no operating system version such as \"10.0.17763 N/A Build 17763\" is in it; give the output of systeminfo", ErrNotRecorded)
	}
	return newHost(fields, at)
}

// The order of systeminfo's fields is the same in every language; these stand so far from the version.
const (
	hostName      = -2
	osName        = -1
	configuration = 2
	systemType    = 11
	afterLocale   = 11 // from the system locale to the hotfixes
)

var (
	versionText = regexp.MustCompile(`(?:^|\s)(\d{1,2})\.(\d{1,2})\.(\d{3,5})(\D.*)$`)
	buildText   = regexp.MustCompile(`\d{3,5}`)
	packText    = regexp.MustCompile(`(?:^|\D)(\d)(?:\.\d)?(?:\D|$)`)
	archText    = regexp.MustCompile(`(?i)(?:^|[^a-z0-9])(x64|amd64|x86|arm64|arm|itanium|ia64)(?:[^a-z0-9]|$)`)
	localeText  = regexp.MustCompile(`(?i)^([a-z]{2,3}(?:-[a-z0-9]{2,8})*);`)
	kbText      = regexp.MustCompile(`(?i)(?:^|[^a-z0-9])(?:KB|Q)(\d{6,8})(?:\D|$)`)
	countText   = regexp.MustCompile(`\d+`)
	indexText   = regexp.MustCompile(`^\[\d+\]:\s*`)
)

// osVersion matches "6.1.7601 Service Pack 1 Build 7601": the build stands there twice. It returns the three numbers of
// the version and the text between.
func osVersion(value string) []string {
	found := versionText.FindStringSubmatch(value)
	if found == nil {
		return nil
	}
	for _, at := range buildText.FindAllStringIndex(found[4], -1) {
		if found[4][at[0]:at[1]] == found[3] {
			return []string{found[1], found[2], found[3], found[4][:at[0]]}
		}
	}
	return nil
}

func at(fields []field, i int) field {
	if i < 0 || i >= len(fields) {
		return field{}
	}
	return fields[i]
}

func newHost(fields []field, version int) (*Host, error) {
	h := &Host{Name: at(fields, version+hostName).value}
	sys := &rule.System{Platform: "windows", Name: at(fields, version+osName).value, Revision: -1}
	found := osVersion(fields[version].value)
	sys.Major, sys.Minor, sys.Build = number(found[0]), number(found[1]), number(found[2])
	if pack := packText.FindStringSubmatch(found[3]); pack != nil {
		sys.ServicePackMajor = number(pack[1])
	}
	sys.Architecture = architecture(fields, version)
	locale := slices.IndexFunc(fields, func(f field) bool { return localeText.MatchString(f.value) })
	if locale >= 0 {
		h.Locale = strings.ToLower(localeText.FindStringSubmatch(fields[locale].value)[1])
		sys.Languages = []string{h.Locale}
	}
	if sys.Architecture == "" && locale < 0 {
		return nil, fmt.Errorf("%w: it names Windows %s, but neither system type nor locale; give the whole output of systeminfo", ErrNotRecorded, fields[version].value)
	}
	kindOf(sys, at(fields, version+configuration).value)
	h.Facts.System = sys
	h.Facts.Hotfixes = h.hotfixes(fields, locale)
	return h, nil
}

func number(digits string) int {
	n, _ := strconv.Atoi(digits) // a handful of digits, by the expressions above
	return n
}

func architecture(fields []field, version int) string {
	names := map[string]string{
		"x64": windows.X64, "amd64": windows.X64, "x86": windows.X86, "arm64": windows.ARM64, "arm": windows.ARM,
		"itanium": windows.IA64, "ia64": windows.IA64,
	}
	// The type stands before the processors, which are listed; else in its place; else wherever it is.
	places := []int{version + systemType}
	if i := slices.IndexFunc(fields[version:], func(f field) bool { return len(f.lines) > 0 && indexText.MatchString(f.lines[0]) }); i > 0 {
		places = []int{version + i - 1, version + systemType}
	}
	for i := version + configuration; i < len(fields); i++ {
		places = append(places, i)
	}
	for _, i := range places {
		if found := archText.FindStringSubmatch(at(fields, i).value); found != nil {
			return names[strings.ToLower(found[1])]
		}
	}
	return ""
}

// kindOf tells client from server, and names the product. A server's recording does not say whether it has a desktop:
// one with a desktop is assumed, except of releases that have none; both get the same updates.
func kindOf(sys *rule.System, configured string) {
	server := strings.Contains(strings.ToLower(sys.Name), "server") || strings.Contains(strings.ToLower(configured), "server")
	sys.ProductType, sys.InstallationType = 1, "client"
	if server || controller(configured) {
		server, sys.ProductType, sys.InstallationType = true, 3, "server"
	}
	if controller(configured) {
		sys.ProductType = 2
	}
	release := windows.Find(sys.Major, sys.Minor, sys.Build, server)
	if release == nil {
		return
	}
	if release.Core {
		sys.InstallationType = "servercore"
	}
	if sys.Architecture != "" {
		sys.Product = release.NameOn(sys.Architecture, release.Core)
	}
}

// controllers are what a domain controller's configuration says in languages whose word for server differs from it.
var controllers = []string{
	"domain controller", "domänencontroller", "domeincontroller", "controlador de dom", "contrôleur de domaine", "contrôleur domaine",
	"controller di dominio", "controller dominio", "kontroler domeny", "контроллер домена", "контролер домену", "域控制器", "網域控制站",
	"ドメイン コントローラー", "ドメイン コントローラ", "도메인 컨트롤러", "řadič domény", "tartományvezérlő", "etki alanı denetleyicisi", "domænecontroller",
	"domänkontrollant", "domenekontroller",
}

func controller(configured string) bool {
	lower := strings.ToLower(configured)
	return slices.ContainsFunc(controllers, func(word string) bool { return strings.Contains(lower, word) })
}

// hotfixes reads the list. Where it names none, the field is found by its place; nil: it is not there.
func (h *Host) hotfixes(fields []field, locale int) *rule.Hotfixes {
	i := slices.IndexFunc(fields, func(f field) bool { return len(kbsOf(f.lines)) > 0 })
	if i < 0 && locale >= 0 {
		i = locale + afterLocale
		if i >= len(fields) || strings.HasPrefix(fields[i-1].value, ":") {
			i = -1
		}
	}
	if i < 0 {
		h.Notes = append(h.Notes, "no hotfix list is in the recording: verdicts that rest on hotfixes cannot tell")
		return nil
	}
	f := fields[i]
	list := &rule.Hotfixes{KBs: []string{}, Complete: true}
	list.KBs = append(list.KBs, kbsOf(f.lines)...)
	announced := 0
	if n := countText.FindString(f.value); n != "" {
		announced = number(n)
	}
	listed := 0
	for _, line := range f.lines {
		if indexText.MatchString(line) && kbText.MatchString(line) || isOther(line) {
			listed++
		}
	}
	if listed < announced {
		list.Complete = false
		h.Notes = append(h.Notes, fmt.Sprintf("the hotfix list is cut short: %d are announced and %d are there; others may be installed", announced, listed))
	}
	slices.Sort(list.KBs)
	list.KBs = slices.Compact(list.KBs)
	return list
}

// isOther matches whole entries that are no KB, as old systems list: "[01]: File 1".
func isOther(line string) bool {
	rest := indexText.ReplaceAllString(line, "")
	return rest != line && rest != "" && !kbText.MatchString(line)
}

func kbsOf(lines []string) []string {
	var kbs []string
	for _, line := range lines {
		for _, found := range kbText.FindAllStringSubmatch(line, -1) {
			kbs = append(kbs, found[1])
		}
	}
	return kbs
}
