package expression

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

// form is what the text of an attribute looks like.
type form struct {
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

// The hives that rules may name.
const (
	LocalMachine = "HKEY_LOCAL_MACHINE"
	LoopTarget   = "HKEY_LOOP_TARGET"
)

var forms = map[string]form{
	"text":         {"text", func(string) bool { return true }},
	"bool":         {"true or false", func(text string) bool { _, ok := ParseBool(text); return ok }},
	"int":          {"a number", func(text string) bool { _, err := strconv.ParseInt(text, 10, 32); return err == nil }},
	"uint32":       {"a number from 0 to 4294967295", whole(32)},
	"uint64":       {"a number that is not negative", whole(63)},
	"csidl":        {"the number of a folder", whole(16)},
	"digits":       {"digits alone", matches(`^[0-9]{1,12}$`)},
	"scalar":       {"one of " + strings.Join(scalars, ", "), oneOf(scalars...)},
	"match":        {"one of " + strings.Join(matching, ", "), oneOf(matching...)},
	"quantifier":   {"Any, All or None", oneOf("Any", "All", "None")},
	"hive":         {LocalMachine + " or " + LoopTarget, oneOf(LocalMachine, LoopTarget)},
	"subkey":       {"a path of 1 to 255 characters", lengths(1, 255)},
	"path":         {"a path of 1 to 260 characters", lengths(1, 260)},
	"regtype":      {"a registry type", oneOf(regTypes...)},
	"guid":         {"a GUID in braces", matches(`^\{[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}\}$`)},
	"language":     {"a language tag", matches(`^[A-Za-z]{2,8}(-[A-Za-z0-9]{1,8})*$`)},
	"time":         {"a date and time", func(text string) bool { _, err := ParseTime(text); return err == nil }},
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

// ParseBool reads an xs:boolean.
func ParseBool(text string) (value, ok bool) {
	switch strings.TrimSpace(text) {
	case "true", "1":
		return true, true
	case "false", "0":
		return false, true
	}
	return false, false
}

// ParseTime reads an xs:dateTime; without a zone it is UTC.
func ParseTime(text string) (time.Time, error) {
	text = strings.TrimSpace(text)
	if t, err := time.Parse(time.RFC3339, text); err == nil {
		return t, nil
	}
	t, err := time.Parse("2006-01-02T15:04:05", text)
	if err != nil {
		return t, fmt.Errorf("time %q: not like 2006-01-02T15:04:05Z", Clip(text))
	}
	return t, nil
}

// Clip shortens what goes into reasons.
func Clip(text string) string {
	if len(text) > 120 {
		return strings.ToValidUTF8(text[:120], "") + "..."
	}
	return text
}
