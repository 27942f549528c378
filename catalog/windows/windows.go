// Package windows knows the releases of Windows: how Microsoft's security documents name them, and by which build,
// kind and architecture a computer tells that it runs one.
package windows

import (
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// Release is one line of Windows that is serviced by itself.
type Release struct {
	Name   string // without architecture: "Windows 10 Version 1803", "Windows Server 2019"
	Major  int
	Minor  int
	Build  int
	Build2 int  // a second build of the same release, 0: none (Server 2008 became 6003 in 2019)
	Server bool // a server product type
	Core   bool // exists without a desktop only
}

// releases holds every release since Windows XP. Clients and servers may share a build.
var releases = []Release{
	{Name: "Windows XP Service Pack 3", Major: 5, Minor: 1, Build: 2600},
	{Name: "Windows Vista Service Pack 2", Major: 6, Build: 6002, Build2: 6003},
	{Name: "Windows Vista Service Pack 1", Major: 6, Build: 6001},
	{Name: "Windows 7", Major: 6, Minor: 1, Build: 7600},
	{Name: "Windows 7 Service Pack 1", Major: 6, Minor: 1, Build: 7601},
	{Name: "Windows 8", Major: 6, Minor: 2, Build: 9200},
	{Name: "Windows 8.1", Major: 6, Minor: 3, Build: 9600},
	{Name: "Windows 10", Major: 10, Build: 10240},
	{Name: "Windows 10 Version 1511", Major: 10, Build: 10586},
	{Name: "Windows 10 Version 1607", Major: 10, Build: 14393},
	{Name: "Windows 10 Version 1703", Major: 10, Build: 15063},
	{Name: "Windows 10 Version 1709", Major: 10, Build: 16299},
	{Name: "Windows 10 Version 1803", Major: 10, Build: 17134},
	{Name: "Windows 10 Version 1809", Major: 10, Build: 17763},
	{Name: "Windows 10 Version 1903", Major: 10, Build: 18362},
	{Name: "Windows 10 Version 1909", Major: 10, Build: 18363},
	{Name: "Windows 10 Version 2004", Major: 10, Build: 19041},
	{Name: "Windows 10 Version 20H2", Major: 10, Build: 19042},
	{Name: "Windows 10 Version 21H1", Major: 10, Build: 19043},
	{Name: "Windows 10 Version 21H2", Major: 10, Build: 19044},
	{Name: "Windows 10 Version 22H2", Major: 10, Build: 19045},
	{Name: "Windows 11 version 21H2", Major: 10, Build: 22000},
	{Name: "Windows 11 Version 22H2", Major: 10, Build: 22621},
	{Name: "Windows 11 Version 23H2", Major: 10, Build: 22631},
	{Name: "Windows 11 Version 24H2", Major: 10, Build: 26100},
	{Name: "Windows 11 Version 25H2", Major: 10, Build: 26200},
	{Name: "Windows 11 Version 26H1", Major: 10, Build: 28000},
	{Name: "Windows Server 2003 Service Pack 2", Major: 5, Minor: 2, Build: 3790, Server: true},
	{Name: "Windows Server 2008", Major: 6, Build: 6001, Server: true},
	{Name: "Windows Server 2008 Service Pack 2", Major: 6, Build: 6002, Build2: 6003, Server: true},
	{Name: "Windows Server 2008 R2", Major: 6, Minor: 1, Build: 7600, Server: true},
	{Name: "Windows Server 2008 R2 Service Pack 1", Major: 6, Minor: 1, Build: 7601, Server: true},
	{Name: "Windows Server 2012", Major: 6, Minor: 2, Build: 9200, Server: true},
	{Name: "Windows Server 2012 R2", Major: 6, Minor: 3, Build: 9600, Server: true},
	{Name: "Windows Server 2016", Major: 10, Build: 14393, Server: true},
	{Name: "Windows Server, version 1709", Major: 10, Build: 16299, Server: true, Core: true},
	{Name: "Windows Server, version 1803", Major: 10, Build: 17134, Server: true, Core: true},
	{Name: "Windows Server 2019", Major: 10, Build: 17763, Server: true},
	{Name: "Windows Server, version 1903", Major: 10, Build: 18362, Server: true, Core: true},
	{Name: "Windows Server, version 1909", Major: 10, Build: 18363, Server: true, Core: true},
	{Name: "Windows Server, version 2004", Major: 10, Build: 19041, Server: true, Core: true},
	{Name: "Windows Server, version 20H2", Major: 10, Build: 19042, Server: true, Core: true},
	{Name: "Windows Server 2022", Major: 10, Build: 20348, Server: true},
	{Name: "Windows Server 2022, 23H2 Edition", Major: 10, Build: 25398, Server: true, Core: true},
	{Name: "Windows Server 2025", Major: 10, Build: 26100, Server: true},
}

var byName = func() map[string]*Release {
	all := make(map[string]*Release, len(releases)+4)
	for i := range releases {
		all[strings.ToLower(releases[i].Name)] = &releases[i]
	}
	for alias, name := range map[string]string{
		"windows 10 version 1507":                "windows 10",
		"windows 11":                             "windows 11 version 21h2",
		"windows rt":                             "windows 8",
		"windows rt 8.1":                         "windows 8.1",
		"windows server, version 21h2":           "windows server 2022",
		"windows server 2022 23h2 edition":       "windows server 2022, 23h2 edition",
		"windows server, version 23h2":           "windows server 2022, 23h2 edition",
		"windows server 2008 r2 x64":             "windows server 2008 r2",
		"windows server version 1709":            "windows server, version 1709",
		"windows server version 1803":            "windows server, version 1803",
		"windows server version 1903":            "windows server, version 1903",
		"windows server version 1909":            "windows server, version 1909",
		"windows server version 2004":            "windows server, version 2004",
		"windows server version 20h2":            "windows server, version 20h2",
		"windows xp professional service pack 3": "windows xp service pack 3",
	} {
		all[alias] = all[name]
	}
	return all
}()

// Architectures as catalog/rule names them.
const (
	X86   = "x86"
	X64   = "x64"
	ARM   = "arm"
	ARM64 = "arm64"
	IA64  = "ia64"
)

// Product is what the name of a vendor's product says.
type Product struct {
	Component    string   // "Adobe Flash Player"; empty: Windows itself
	Release      *Release // nil: not a Windows that this package knows
	Architecture string
	Core         bool // the installation without a desktop
}

var (
	spaces       = regexp.MustCompile(`\s+`)
	coreSuffix   = regexp.MustCompile(`(?i)\s*\(server core installation\)\s*$`)
	architecture = regexp.MustCompile(`(?i)\s*\b(?:for )?(32-bit|x86-based|x64-based|x64|arm64-based|itanium-based)(?: systems?| edition)?\b`)
	onWindows    = regexp.MustCompile(`(?i)^(.*\S)\s+(?:when installed )?on (windows (?:xp|vista|\d|rt|server).*)$`)
)

// Tidy folds runs of white space: the vendor's names differ in nothing else between documents.
func Tidy(name string) string {
	if !strings.ContainsAny(name, "\t\r\n\f\v") && !strings.Contains(name, "  ") {
		return strings.TrimSpace(name)
	}
	return strings.TrimSpace(spaces.ReplaceAllString(name, " "))
}

// Parse reads a product's name: "Windows 10 Version 1803 for x64-based Systems", "Internet Explorer 11 on Windows
// Server 2012 R2", "Windows Server 2019  (Server Core installation)". A name of something else has neither release
// nor component. Answers are kept, for there are few names and many updates.
func Parse(name string) Product { return scopes.of(name).product }

func parse(name string) Product {
	name = Tidy(name)
	var p Product
	lower := strings.ToLower(name) // most names are told by it, without the expressions
	if strings.Contains(lower, "on windows") {
		if parts := onWindows.FindStringSubmatch(name); parts != nil {
			p.Component, name = parts[1], parts[2]
		}
	}
	if strings.HasSuffix(name, ")") {
		if bare := coreSuffix.ReplaceAllString(name, ""); bare != name {
			p.Core, name = true, bare
		}
	}
	if strings.Contains(lower, "32-bit") || strings.Contains(lower, "x64") || strings.Contains(lower, "-based") {
		name, p.Architecture = withoutArchitecture(name)
	}
	p.Release = byName[strings.ToLower(name)]
	if p.Release == nil {
		return Product{Component: p.Component}
	}
	if p.Architecture == "" {
		p.Architecture = defaultArchitecture(name, p.Release)
	}
	p.Core = p.Core || p.Release.Core
	return p
}

// withoutArchitecture is a name without the architecture that it names, and that.
func withoutArchitecture(name string) (rest, named string) {
	found := architecture.FindStringSubmatch(name)
	if found == nil {
		return name, ""
	}
	return Tidy(architecture.ReplaceAllString(name, "")), archNames[strings.ToLower(found[1])]
}

var archNames = map[string]string{
	"32-bit": X86, "x86-based": X86, "x64-based": X64, "x64": X64, "arm64-based": ARM64, "itanium-based": IA64,
}

func defaultArchitecture(name string, r *Release) string {
	switch {
	case strings.HasPrefix(strings.ToLower(name), "windows rt"):
		return ARM
	case r.Server && r.Build >= 7600:
		return X64
	}
	return X86
}

// Runs says whether a release is what a computer with this build, product type (workstation or not) is.
func (r *Release) Runs(major, minor, build int, server bool) bool {
	if r.Server != server || r.Major != major || r.Minor != minor {
		return false
	}
	return r.Build == build || r.Build2 == build && build != 0
}

// Find returns the release of a computer, nil when it is not known.
func Find(major, minor, build int, server bool) *Release {
	for i := range releases {
		if releases[i].Runs(major, minor, build, server) {
			return &releases[i]
		}
	}
	return nil
}

// Name writes the vendor's name of a release on an architecture: "Windows 10 Version 1803 for x64-based Systems",
// "Windows Server 2019 (Server Core installation)".
func (r *Release) NameOn(arch string, core bool) string {
	name := r.Name
	switch {
	case arch == ARM && r.Build == 9600:
		name = "Windows RT 8.1"
	case arch == ARM && r.Build == 9200:
		name = "Windows RT"
	case r.Server && r.Build >= 9200: // one architecture
	case archTexts[arch] != "":
		base, pack, _ := strings.Cut(name, " Service Pack ")
		name = base + " for " + archTexts[arch]
		if pack != "" {
			name += " Service Pack " + pack
		}
	}
	if core || r.Core {
		name += " (Server Core installation)"
	}
	return name
}

var archTexts = map[string]string{
	X86: "32-bit Systems", X64: "x64-based Systems", ARM64: "ARM64-based Systems", IA64: "Itanium-Based Systems",
}

// serviced holds the builds that are serviced as one: they share revision numbers, and a newer one is switched on by
// an enablement package.
var serviced = [][]int{{18362, 18363}, {19041, 19042, 19043, 19044, 19045}, {22621, 22631}, {26100, 26200}}

// Revision reads the revision of a fixed build: 590 of "10.0.17134.590", where 17134 is the release's own build or one
// that is serviced with it. It is false of other texts, and of releases before Windows 10: their security-only updates
// raise no common revision.
func (r *Release) Revision(fixedBuild string) (revision int, ok bool) {
	rest, ok := strings.CutPrefix(fixedBuild, "10.0.")
	if !ok || r.Major < 10 {
		return 0, false
	}
	build, revised, _ := strings.Cut(rest, ".")
	b, err := strconv.Atoi(build)
	if err != nil || !r.servicedWith(b) {
		return 0, false
	}
	revision, err = strconv.Atoi(revised)
	return revision, err == nil && revision > 0
}

// OwnBuild says whether Revision can read a fixed build.
func (r *Release) OwnBuild(fixedBuild string) bool {
	_, ok := r.Revision(fixedBuild)
	return ok
}

func (r *Release) servicedWith(build int) bool {
	if r.Build == build {
		return true
	}
	for _, family := range serviced {
		if slices.Contains(family, r.Build) {
			return slices.Contains(family, build)
		}
	}
	return false
}
