package sdp

import (
	"fmt"
	"slices"
	"strings"

	"thatch/catalog/importer/sdp/markup"
	"thatch/catalog/rule"
)

// groups are the rules of a package or of one of its items; nil: the group is not there.
type groups struct {
	installable, installed, superseded *rule.Rule
}

// groupsOf reads the rule groups under an element: at package level, or in an item's ApplicabilityRules.
func (p *pack) groupsOf(parent *markup.Element, where string) groups {
	metadata := parent.Kid("Metadata")
	read := func(name string) *rule.Rule {
		group := parent.Kid(name)
		if group == nil {
			return nil
		}
		at := where + name
		switch len(group.Kids) {
		case 0:
			p.warn("rule-missing", at, "the group holds no rule; it counts as missing")
			return nil
		case 1:
		default:
			p.warn("rule-several", at, fmt.Sprintf("the group holds %d rules where one is allowed; all of them must hold", len(group.Kids)))
		}
		var rules []*rule.Rule
		for _, kid := range group.Kids {
			rules = append(rules, p.rule(kid, metadata, at))
		}
		return allOf(rules...)
	}
	return groups{installable: read("IsInstallable"), installed: read("IsInstalled"), superseded: read("IsSuperseded")}
}

func constant(value bool) *rule.Rule {
	if value {
		return rule.Test("True")
	}
	return rule.Test("False")
}

// rule translates one rule element: local names and attributes as they are.
func (p *pack) rule(e, metadata *markup.Element, at string) *rule.Rule {
	node := &rule.Rule{Op: e.Name, With: attributes(e)}
	switch e.Space {
	case markup.LAR, markup.BAR, markup.MSIAR, markup.Driver:
	default:
		// Under its bare name it could be taken for a rule that it is not.
		node.Op = "{" + e.Space + "}" + e.Name
		kind := "unknown-rule"
		if strings.Contains(e.Space, "CorporatePublishing/") {
			kind = "wrong-namespace"
		}
		p.warn(kind, at, fmt.Sprintf("<%.60s> of namespace %.120q is no known rule; computers will not be able to tell", e.Name, e.Space))
	}
	for _, kid := range e.Kids {
		if e.Space == markup.MSIAR || e.Space == markup.Driver {
			node.Rules = append(node.Rules, data(kid)) // Feature, Product, Component
			continue
		}
		node.Rules = append(node.Rules, p.rule(kid, metadata, at+"/"+e.Name))
	}
	if wanted := metadataOf(e); wanted != "" {
		for _, kid := range metadata.Children() {
			if kid.Name == wanted {
				node.Rules = append(node.Rules, data(kid))
			}
		}
	}
	if e.Name == "InstalledOnce" {
		node.With = with(node.With, rule.Update, updateID(p.id))
	}
	return node
}

// metadataOf names the metadata that a rule without attributes reads.
func metadataOf(e *markup.Element) string {
	switch {
	case e.Space == markup.MSIAR && strings.HasPrefix(e.Name, "MsiApplication"):
		return "MsiApplicationMetadata"
	case e.Space == markup.MSIAR && strings.HasPrefix(e.Name, "MsiPatch") && e.Name != "MsiPatchInstalledForProduct":
		return "MsiPatchMetadata"
	case e.Space == markup.Driver:
		return "WindowsDriverMetaData"
	}
	return ""
}

// data keeps an element that is no rule, whole.
func data(e *markup.Element) *rule.Rule {
	node := &rule.Rule{Op: e.Name, With: attributes(e)}
	if e.Text != "" {
		node.With = with(node.With, rule.Text, e.Text)
	}
	for _, kid := range e.Kids {
		node.Rules = append(node.Rules, data(kid))
	}
	return node
}

func attributes(e *markup.Element) map[string]string {
	var found map[string]string
	for _, a := range e.Attrs {
		if a.Name.Space == "" && a.Name.Local != "xmlns" {
			found = with(found, a.Name.Local, a.Value)
		}
	}
	return found
}

func with(m map[string]string, key, value string) map[string]string {
	if m == nil {
		m = map[string]string{}
	}
	m[key] = value
	return m
}

// allOf and anyOf join rules; what is always true or false falls out.

func allOf(rules ...*rule.Rule) *rule.Rule { return join(rule.And, "True", "False", rules) }

func anyOf(rules ...*rule.Rule) *rule.Rule { return join(rule.Or, "False", "True", rules) }

func join(op func(...*rule.Rule) *rule.Rule, nothing, everything string, rules []*rule.Rule) *rule.Rule {
	var kept []*rule.Rule
	for _, r := range rules {
		if r.Op == everything {
			return r
		}
		if r.Op != nothing {
			kept = append(kept, r)
		}
	}
	switch len(kept) {
	case 0:
		return rule.Test(nothing)
	case 1:
		return kept[0]
	}
	return op(kept...)
}

func not(r *rule.Rule) *rule.Rule {
	switch r.Op {
	case "True":
		return constant(false)
	case "False":
		return constant(true)
	}
	return rule.Not(r)
}

// item is what its own rules say of an InstallableItem; none is nil.
type item struct {
	groups
	languages string // joined; items of the same languages belong together
}

// combined makes the rules of the update from those of the package and of its items.
//
// Installable: the package and at least one item are. Installed: every installable item is, and at least one; items
// of different languages are alternatives, one language's are enough. Superseded: as for installed. The package's own
// IsInstalled is wanted too.
func combined(pack groups, items []item) groups {
	own := groups{installable: pack.installable, installed: pack.installed}
	if own.installable == nil {
		own.installable = constant(true)
	}
	if len(items) == 0 {
		return own
	}
	var can []*rule.Rule
	for i := range items {
		can = append(can, items[i].installable)
	}
	out := groups{
		installable: allOf(own.installable, anyOf(can...)),
		installed:   satisfied(items, func(i *item) *rule.Rule { return i.installed }),
		superseded:  satisfied(items, func(i *item) *rule.Rule { return i.superseded }),
	}
	if own.installed != nil {
		out.installed = allOf(own.installed, out.installed)
	}
	if out.superseded.Op == "False" {
		out.superseded = nil
	}
	return out
}

// satisfied says that the items are what is asked, in one language and where they can be.
func satisfied(items []item, ask func(*item) *rule.Rule) *rule.Rule {
	var neutral []item
	byLanguage := map[string][]item{}
	var order []string
	for _, i := range items {
		if i.languages == "" {
			neutral = append(neutral, i)
			continue
		}
		if byLanguage[i.languages] == nil {
			order = append(order, i.languages)
		}
		byLanguage[i.languages] = append(byLanguage[i.languages], i)
	}
	slices.Sort(order)
	var alternatives []*rule.Rule
	for _, language := range order {
		alternatives = append(alternatives, together(byLanguage[language], ask))
	}
	switch {
	case len(alternatives) == 0:
		return together(neutral, ask)
	case len(neutral) == 0:
		return anyOf(alternatives...)
	}
	return allOf(each(neutral, ask), anyOf(alternatives...))
}

func together(items []item, ask func(*item) *rule.Rule) *rule.Rule {
	if len(items) == 1 {
		return ask(&items[0])
	}
	var some []*rule.Rule
	for i := range items {
		some = append(some, ask(&items[i]))
	}
	return allOf(each(items, ask), anyOf(some...))
}

// each says that every item that can be installed is what is asked.
func each(items []item, ask func(*item) *rule.Rule) *rule.Rule {
	var rules []*rule.Rule
	for i := range items {
		rules = append(rules, anyOf(not(items[i].installable), ask(&items[i])))
	}
	return allOf(rules...)
}

// tooLarge says why a rule cannot be read back, "" when it can.
func tooLarge(r *rule.Rule) string {
	nodes := 0
	var deep func(*rule.Rule, int) int
	deep = func(r *rule.Rule, depth int) int {
		nodes++
		deepest := depth
		for _, child := range r.Rules {
			if nodes > rule.MaxNodes || depth > rule.MaxDepth {
				break
			}
			deepest = max(deepest, deep(child, depth+1))
		}
		return deepest
	}
	if r == nil {
		return ""
	}
	if depth := deep(r, 1); depth > rule.MaxDepth || nodes > rule.MaxNodes {
		return fmt.Sprintf("its rules have more than %d nodes or %d levels", rule.MaxNodes, rule.MaxDepth)
	}
	return ""
}
