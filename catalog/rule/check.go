package rule

import (
	"fmt"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"thatch/catalog/version"
)

// Problem is something in a rule that the schemas do not allow. Where it is evaluated, the node cannot tell.
type Problem struct {
	Path string // "And[1].RegSz", counted from 0
	Text string
}

// Error makes a problem usable as an error.
func (p Problem) Error() string { return p.Path + ": " + p.Text }

// Check names every problem of a rule: missing attributes and ones of the wrong form, the number of children,
// HKEY_LOOP_TARGET outside of a loop, and the limits of decoding. Operators and attributes that this version does not
// know are no problem; see Untold.
func Check(r *Rule) []Problem {
	c := &checker{}
	if r == nil {
		return []Problem{{Text: "there is no rule"}}
	}
	c.node(r, r.Op, 1, false)
	if c.nodes > MaxNodes {
		c.add(r.Op, "has %d nodes, at most %d are read", c.nodes, MaxNodes)
	}
	return c.problems
}

type checker struct {
	problems []Problem
	nodes    int
}

func (c *checker) add(path, format string, args ...any) {
	c.problems = append(c.problems, Problem{Path: path, Text: fmt.Sprintf(format, args...)})
}

func (c *checker) node(r *Rule, path string, depth int, loop bool) {
	c.nodes++
	if depth > MaxDepth {
		c.add(path, "is deeper than %d levels", MaxDepth)
		return
	}
	known := vocabulary[r.Op]
	if known != nil {
		if wrong := known.malformed(r); wrong != "" {
			c.add(path, "%s", wrong)
		}
		c.attributes(r, known, path, loop)
		c.meaning(r, path)
	} else if r.Op == "" {
		c.add(path, "names no operator")
	}
	for i, child := range r.Rules {
		if child == nil {
			c.add(fmt.Sprintf("%s[%d]", path, i), "is empty")
			continue
		}
		below := fmt.Sprintf("%s[%d].%s", path, i, child.Op)
		if known != nil && known.parts != nil {
			if !slices.Contains(known.parts, child.Op) {
				c.add(below, "is none of %s", strings.Join(known.parts, ", "))
			}
			c.data(child, below, depth+1)
			continue
		}
		c.node(child, below, depth+1, loop || r.Op == "RegKeyLoop")
	}
}

// data only counts: what metadata hold is checked by the tests that read them.
func (c *checker) data(r *Rule, path string, depth int) {
	c.nodes++
	if depth > MaxDepth {
		c.add(path, "is deeper than %d levels", MaxDepth)
		return
	}
	for _, child := range r.Rules {
		if child != nil {
			c.data(child, path+"."+child.Op, depth+1)
		}
	}
}

func (c *checker) attributes(r *Rule, known *operator, path string, loop bool) {
	for _, a := range known.attributes {
		text, has := r.With[a.name]
		if !has {
			continue
		}
		k := kinds[a.kind]
		if !k.fits(text) {
			c.add(path, "%s=%q is not %s", a.name, clip(text), k.name)
		}
		if a.kind == "hive" && text == loopTarget && !loop {
			c.add(path, "%s outside of RegKeyLoop", loopTarget)
		}
	}
}

// meaning checks what attributes say together.
func (c *checker) meaning(r *Rule, path string) {
	switch r.Op {
	case "WindowsVersion":
		for _, name := range []string{"MajorVersion", "MinorVersion", "BuildNumber", "ServicePackMajor", "ServicePackMinor", "SuiteMask", "ProductType"} {
			if _, has := r.With[name]; has {
				return
			}
		}
		c.add(path, "compares nothing")
	case "MsiFeatureInstalledForProduct", "MsiComponentInstalledForProduct":
		for _, part := range vocabulary[r.Op].parts {
			if len(texts(r, part)) == 0 {
				c.add(path, "names no %s", part)
			}
		}
	case "MsiPatchInstalled", "MsiPatchSuperseded", "MsiPatchInstallable", "MsiApplicationInstalled", "MsiApplicationSuperseded", "MsiApplicationInstallable":
		c.metadata(r, vocabulary[r.Op].parts[0], path)
	}
}

// metadata checks what the tests of Windows Installer items read of their metadata.
func (c *checker) metadata(r *Rule, name, path string) {
	metadata := part(r, name)
	if metadata == nil {
		c.add(path, "has no %s", name)
		return
	}
	if name == "MsiApplicationMetadata" {
		if !kinds["guid"].fits(content(metadata, "ProductCode")) {
			c.add(path, "its metadata have no ProductCode that is a GUID in braces")
		}
		if text := content(metadata, "ProductVersion"); text != "" && !isVersion(text) {
			c.add(path, "ProductVersion %q is not a version", clip(text))
		}
		return
	}
	found, bad := targets(r)
	if found == nil {
		c.add(path, "%s", strings.TrimPrefix(bad.why[0], "malformed rule: "))
	}
	for _, t := range found {
		version := part(t.rule, "TargetVersion")
		if !validated(t.rule, "TargetVersion") {
			continue
		}
		if text := version.With[Text]; !isVersion(text) {
			c.add(path, "TargetVersion %q is not a version", clip(text))
		}
		if text := version.With["ComparisonType"]; text != "" && text != "None" && !slices.Contains(scalars, text) {
			c.add(path, "ComparisonType=%q is not None or %s", clip(text), kinds["scalar"].name)
		}
	}
}

// kind is a form of attributes.
type kind struct {
	name string // as an error names it
	fits func(string) bool
}

func matches(pattern string) func(string) bool { return regexp.MustCompile(pattern).MatchString }

func oneOf(texts ...string) func(string) bool {
	return func(text string) bool { return slices.Contains(texts, text) }
}

func whole(bits int) func(string) bool {
	return func(text string) bool {
		_, err := strconv.ParseUint(text, 10, bits)
		return err == nil
	}
}

func lengths(least, most int) func(string) bool {
	return func(text string) bool {
		n := utf8.RuneCountInString(text)
		return n >= least && n <= most
	}
}

var (
	scalars  = []string{"LessThan", "LessThanOrEqualTo", "EqualTo", "GreaterThanOrEqualTo", "GreaterThan"}
	matching = []string{"EqualTo", "BeginsWith", "Contains", "EndsWith"}
	regTypes = []string{"REG_BINARY", "REG_DWORD", "REG_EXPAND_SZ", "REG_MULTI_SZ", "REG_QWORD", "REG_SZ", "REG_FULL_RESOURCE_DESCRIPTOR"}
)

const (
	localMachine = "HKEY_LOCAL_MACHINE"
	loopTarget   = "HKEY_LOOP_TARGET"
)

var kinds = map[string]kind{
	"text":         {"text", func(string) bool { return true }},
	"bool":         {"true or false", func(text string) bool { _, ok := parseBool(text); return ok }},
	"int":          {"a number", func(text string) bool { _, err := strconv.ParseInt(text, 10, 32); return err == nil }},
	"uint32":       {"a number from 0 to 4294967295", whole(32)},
	"uint64":       {"a number that is not negative", whole(63)},
	"csidl":        {"the number of a folder", whole(16)},
	"digits":       {"digits alone", matches(`^[0-9]{1,12}$`)},
	"scalar":       {"one of " + strings.Join(scalars, ", "), oneOf(scalars...)},
	"match":        {"one of " + strings.Join(matching, ", "), oneOf(matching...)},
	"quantifier":   {"Any, All or None", oneOf("Any", "All", "None")},
	"hive":         {localMachine + " or " + loopTarget, oneOf(localMachine, loopTarget)},
	"subkey":       {"a path of 1 to 255 characters", lengths(1, 255)},
	"path":         {"a path of 1 to 260 characters", lengths(1, 260)},
	"regtype":      {"a registry type", oneOf(regTypes...)},
	"guid":         {"a GUID in braces", matches(`^\{[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}\}$`)},
	"language":     {"a language tag", matches(`^[A-Za-z]{2,8}(-[A-Za-z0-9]{1,8})*$`)},
	"time":         {"a date and time", func(text string) bool { _, err := parseTime(text); return err == nil }},
	"version":      {"a version of one to four numbers", func(text string) bool { return strings.Count(text, ".") < 4 && isVersion(text) }},
	"four":         {"a version of four numbers up to 65535", isFileVersion},
	"architecture": {"x86, x64, arm, arm64 or ia64", oneOf("x86", "x64", "arm", "arm64", "ia64")},
	"producttype":  {"workstation, server or domaincontroller", oneOf("workstation", "server", "domaincontroller")},
	"installation": {"client, server or servercore", oneOf("client", "server", "servercore")},
}

func isVersion(text string) bool {
	_, err := version.ParseDotted(text)
	return err == nil
}

func isFileVersion(text string) bool {
	d, err := version.ParseDotted(text)
	if err != nil || strings.Count(text, ".") != 3 {
		return false
	}
	for _, part := range d {
		if part > math.MaxUint16 {
			return false
		}
	}
	return true
}

// parseBool reads an xs:boolean.
func parseBool(text string) (value, ok bool) {
	switch strings.TrimSpace(text) {
	case "true", "1":
		return true, true
	case "false", "0":
		return false, true
	}
	return false, false
}

// parseTime reads an xs:dateTime; without a zone it is UTC.
func parseTime(text string) (time.Time, error) {
	text = strings.TrimSpace(text)
	if t, err := time.Parse(time.RFC3339, text); err == nil {
		return t, nil
	}
	t, err := time.Parse("2006-01-02T15:04:05", text)
	if err != nil {
		return t, fmt.Errorf("time %q: not like 2006-01-02T15:04:05Z", clip(text))
	}
	return t, nil
}

// clip shortens what goes into reasons.
func clip(text string) string {
	if len(text) > 120 {
		return strings.ToValidUTF8(text[:120], "") + "..."
	}
	return text
}
