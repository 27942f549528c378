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
	rule.Architecture: "architecture", rule.ProductType: "kind of Windows", rule.Language: "language", rule.InstallationType: "installation",
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
	node := &ruleNode{Text: joins[r.Op], Detail: detail(r)}
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

// detail writes what a node compares: the sign of the comparison first, then names and values.
func detail(r *rule.Rule) string {
	var parts []string
	sign := signs[r.With["Comparison"]]
	if sign != "" {
		parts = append(parts, sign)
	}
	for _, name := range slices.Sorted(maps.Keys(r.With)) {
		value := r.With[name]
		switch {
		case name == "Comparison" && sign != "":
		case name == "Is" || name == rule.Text || name == "Because":
			parts = append(parts, value)
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
