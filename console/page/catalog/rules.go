package catalog

import (
	"maps"
	"slices"
	"strings"
	"unicode"

	"thatch/catalog/rule"
)

// maxRuleNodes is how many nodes of its rules a page of an update shows: some vendors' have thousands.
const maxRuleNodes = 300

// ruleNode is a node of a rule as a page shows it.
type ruleNode struct {
	Text   string // in English, as the message catalog has it
	Detail string // what it compares, as the vendor wrote it
	Rules  []*ruleNode
	More   int // children that are not shown
}

// joins are the nodes that are said by how they join others.
var joins = map[string]string{
	"And": "all of these", "Or": "one of these", "Not": "none of these", "True": "always", "False": "never",
	rule.Prefer: "the first of these that can tell", rule.CannotTell: "cannot tell",
	rule.Hotfix: "this fix, or one that supersedes it, is installed", rule.WindowsBuild: "Windows build",
	"WindowsVersion": "Windows version", "WindowsLanguage": "language of Windows", "MuiLanguageInstalled": "language pack installed",
	"Processor": "processor", "NumberOfProcessors": "number of processors", "WmiQuery": "WMI query finds something",
	"InstalledOnce": "another update is installed", "RegKeyExists": "registry key exists", "RegValueExists": "registry value exists",
	"RegDword": "registry number", "RegSz": "registry text", "RegExpandSz": "registry text, expanded", "RegSzToVersion": "registry version",
	"RegKeyLoop": "for the registry keys below", "FileExists": "file exists", "FileVersion": "version of a file", "FileCreated": "file created",
	"FileModified": "file modified", "FileSize": "size of a file", "MsiProductInstalled": "MSI product installed",
	"MsiPatchInstalledForProduct": "MSI patch installed for a product",
	rule.Architecture:             "architecture", rule.ProductType: "kind of Windows", rule.Language: "language", rule.InstallationType: "installation",
}

// signs are how comparisons are written.
var signs = map[string]string{
	"EqualTo": "=", "LessThan": "<", "LessThanOrEqualTo": "≤", "GreaterThan": ">", "GreaterThanOrEqualTo": "≥",
}

// ruleTree makes a rule ready to be shown; left counts down the nodes that may still be.
func ruleTree(r *rule.Rule, left *int) *ruleNode {
	if r == nil || *left <= 0 {
		return nil
	}
	*left--
	op, prepended := strings.CutSuffix(r.Op, "PrependRegSz")
	node := &ruleNode{Text: joins[op], Detail: detail(r)}
	if prepended {
		node.Detail += " · PrependRegSz"
	}
	if node.Text == "" {
		node.Text = spaced(r.Op)
	}
	for _, child := range r.Rules {
		if below := ruleTree(child, left); below != nil {
			node.Rules = append(node.Rules, below)
		} else {
			node.More++
		}
	}
	return node
}

// compared are the attributes to which a comparison belongs.
var compared = []string{"Build", "Created", "Data", "MajorVersion", "Modified", "Number", "Size", "Value", "Version"}

// detail writes what a node compares: names and values, with the sign of the comparison between the two to which it
// belongs.
func detail(r *rule.Rule) string {
	var parts []string
	sign := signs[r.With["Comparison"]]
	for _, name := range slices.Sorted(maps.Keys(r.With)) {
		value := r.With[name]
		switch {
		case name == "Comparison" && sign != "":
		case name == "Is" || name == rule.Text || name == "Because":
			parts = append(parts, value)
		case sign != "" && slices.Contains(compared, name) && (name != "Value" || r.With["Data"] == ""):
			parts = append(parts, name+" "+sign+" "+value)
		default:
			parts = append(parts, name+" "+value)
		}
	}
	return strings.Join(parts, " · ")
}

// spaced takes the words of a name like "MsiProductInstalled" apart.
func spaced(op string) string {
	var b strings.Builder
	before := ' '
	for i, r := range op {
		if i > 0 && unicode.IsUpper(r) && unicode.IsLower(before) {
			b.WriteByte(' ')
		}
		before = r
		b.WriteRune(r)
	}
	return b.String()
}
