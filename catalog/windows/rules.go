package windows

import (
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"

	"thatch/catalog/rule"
)

// Scope is what a product's name alone gives: whether it is there at all, and which Windows services it.
type Scope struct {
	Release    *Release   // nil: not a part of a Windows that this package knows
	Applicable *rule.Rule // nil together with Reason
	Windows    *rule.Rule // that the computer runs the release, whatever there is of components; nil without Release
	Reason     string     // why no rule can be made
}

// ScopeOf makes the rule by which a computer tells that it has a product: it runs that Windows, of that architecture
// and kind, and has the component. The rule is shared: it must not be changed.
func ScopeOf(name string) Scope { return scopes.of(name).scope }

// known is what a name gives.
type known struct {
	product Product
	scope   Scope
}

// scopeCache keeps what names give, for there are few names and many updates.
type scopeCache struct {
	mu  sync.Mutex
	all map[string]known
}

var scopes scopeCache

// maxScopes bounds the cache against files that invent names.
const maxScopes = 1 << 14

func (c *scopeCache) of(name string) known {
	c.mu.Lock()
	defer c.mu.Unlock()
	s, ok := c.all[name]
	if !ok {
		s.product = parse(name)
		s.scope = newScope(name, s.product)
		if c.all == nil || len(c.all) >= maxScopes {
			c.all = make(map[string]known)
		}
		c.all[name] = s
	}
	return s
}

func newScope(name string, p Product) Scope {
	if name == "" {
		return Scope{Reason: "the vendor's file does not name the product"}
	}
	if p.Release == nil {
		if lower := strings.ToLower(name); hasWords(lower, "for mac") || hasWords(lower, "mac os") || hasWords(lower, "for ios") || hasWords(lower, "for android") {
			return Scope{Applicable: rule.Test("False")} // no agent runs there
		}
		return otherScope(name)
	}
	s := Scope{Release: p.Release, Windows: rule.And(onRelease(p)...)}
	component, reason := componentRule(p)
	if reason != "" {
		component = rule.Test(rule.CannotTell, "Because", reason)
	}
	s.Applicable = s.Windows
	if component != nil {
		s.Applicable = rule.And(append(onRelease(p), component)...)
	}
	return s
}

// onRelease is true on computers that run the release. Client and server are told by product type, the installation
// without a desktop by installation type: one and the same computer matches one product only.
func onRelease(p Product) []*rule.Rule {
	r := p.Release
	build := rule.Test(rule.WindowsBuild, "Comparison", "EqualTo", "Build", strconv.Itoa(r.Build))
	if r.Build2 != 0 {
		build = rule.Or(build, rule.Test(rule.WindowsBuild, "Comparison", "EqualTo", "Build", strconv.Itoa(r.Build2)))
	}
	parts := []*rule.Rule{build, rule.Test(rule.Architecture, "Is", p.Architecture)}
	server := rule.Test(rule.ProductType, "Is", "server")
	if !r.Server {
		return append(parts, rule.Not(server))
	}
	parts = append(parts, server)
	core := rule.Test(rule.InstallationType, "Is", "servercore")
	switch {
	case r.Core:
	case p.Core:
		parts = append(parts, core)
	default:
		parts = append(parts, rule.Not(core))
	}
	return parts
}

var (
	explorer  = regexp.MustCompile(`^internet explorer (\d+)$`)
	framework = regexp.MustCompile(`^(?:microsoft )?\.net framework ([0-9a-z./ ]+)$`)
	pack      = regexp.MustCompile(` service pack \d+`)
)

// componentRule is the rule for a part of Windows: nil where every computer with that Windows has it, a reason where
// no fact tells.
func componentRule(p Product) (*rule.Rule, string) {
	name := strings.ToLower(p.Component)
	switch {
	case name == "", name == "adobe flash player", name == "microsoft xml core services 3.0", name == "microsoft xml core services 6.0",
		name == "microsoft edge", strings.HasPrefix(name, "microsoft edge (edgehtml"):
		return nil, ""
	}
	if found := explorer.FindStringSubmatch(name); found != nil {
		return explorerRule(found[1], p.Release), ""
	}
	if found := framework.FindStringSubmatch(name); found != nil {
		if r := frameworkRule(found[1]); r != nil {
			return r, ""
		}
	}
	return nil, "whether " + p.Component + " is there and how new it is, the vendor's file gives no fact to tell by"
}

const explorerKey = `SOFTWARE\Microsoft\Internet Explorer`

// explorerRule: Internet Explorer is a part of Windows, and from Windows 8.1 on there is one version of it. Before,
// the registry tells which; without a registry, the one that was last supported on that Windows is taken.
func explorerRule(version string, r *Release) *rule.Rule {
	only := map[int]string{9600: "11"}
	last := map[int]string{6002: "9", 7601: "11", 9200: "10"}
	if r.Major >= 10 || only[r.Build] == version {
		return nil
	}
	value := "svcVersion"
	if n, _ := strconv.Atoi(version); n < 10 {
		value = "Version"
	}
	have := rule.Test("RegSz", "Key", "HKEY_LOCAL_MACHINE", "Subkey", explorerKey, "Value", value, "Comparison", "BeginsWith", "Data", version+".")
	if last[r.Build] == version {
		return &rule.Rule{Op: rule.Prefer, Rules: []*rule.Rule{have, {Op: "True"}}}
	}
	return have
}

const frameworkKey = `SOFTWARE\Microsoft\NET Framework Setup\NDP\`

// frameworkReleases holds the lowest Release number of every version 4.x, ascending.
var frameworkReleases = []struct {
	version string
	release int
}{
	{"4.5", 378389},
	{"4.5.1", 378675},
	{"4.5.2", 379893},
	{"4.6", 393295},
	{"4.6.1", 394254},
	{"4.6.2", 394802},
	{"4.7", 460798},
	{"4.7.1", 461308},
	{"4.7.2", 461808},
	{"4.8", 528040},
	{"4.8.1", 533320},
}

// frameworkRule reads "3.5 AND 4.7.2", "4.6/4.6.1/4.6.2", "2.0 Service Pack 2". An update for two of them asks for the
// version 4, for that is the one whose number it follows; the older one is an optional part that it brings along.
func frameworkRule(versions string) *rule.Rule {
	versions = pack.ReplaceAllString(versions, "")
	if _, newer, both := strings.Cut(versions, " and "); both {
		versions = newer
	}
	var any []*rule.Rule
	for version := range strings.SplitSeq(versions, "/") {
		r := oneFramework(strings.TrimSpace(version))
		if r == nil {
			return nil
		}
		any = append(any, r)
	}
	if len(any) == 1 {
		return any[0]
	}
	return rule.Or(any...)
}

func oneFramework(version string) *rule.Rule {
	old := map[string]string{"2.0": "v2.0.50727", "3.0": "v3.0", "3.5": "v3.5", "3.5.1": "v3.5"}
	if key := old[version]; key != "" {
		return frameworkDword(key, "Install", "EqualTo", 1)
	}
	i := slices.IndexFunc(frameworkReleases, func(f struct {
		version string
		release int
	},
	) bool {
		return f.version == version
	})
	if i < 0 {
		return nil
	}
	atLeast := frameworkDword(`v4\Full`, "Release", "GreaterThanOrEqualTo", frameworkReleases[i].release)
	if i+1 == len(frameworkReleases) {
		return atLeast
	}
	return rule.And(atLeast, frameworkDword(`v4\Full`, "Release", "LessThan", frameworkReleases[i+1].release))
}

func frameworkDword(key, value, comparison string, data int) *rule.Rule {
	return rule.Test("RegDword", "Key", "HKEY_LOCAL_MACHINE", "Subkey", frameworkKey+key, "Value", value, "Comparison", comparison, "Data", strconv.Itoa(data))
}

// hasWords says whether words occur in text, not as part of longer ones.
func hasWords(text, words string) bool {
	for from := 0; ; {
		i := strings.Index(text[from:], words)
		if i < 0 {
			return false
		}
		i += from
		before := i == 0 || !isWord(text[i-1])
		after := i+len(words) == len(text) || !isWord(text[i+len(words)])
		if before && after {
			return true
		}
		from = i + 1
	}
}

func isWord(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= '0' && c <= '9'
}
