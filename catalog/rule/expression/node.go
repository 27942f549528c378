// Package expression is the shape of applicability rules: the tree, its JSON, the vocabulary of operators, and the
// check of a tree against it. What the operators mean is in package rule, under whose names others use all this.
package expression

import (
	"slices"
	"strings"
)

// Text is the key of With that holds the text of an element which the schemas write as content, not as attribute:
// Feature, Product, Component and the elements of metadata.
const Text = "Text"

// Update is the key of With of InstalledOnce that names the update asked about (the schemas leave it to the context;
// importers add it).
const Update = "Update"

// Node is one node of an expression tree.
//
// Its JSON is {"op":"And","with":{"Name":"value"},"rules":[...]}; keys of "with" are sorted, absent parts are left
// out, so equal trees have equal bytes.
type Node struct {
	Op    string            `json:"op"`
	With  map[string]string `json:"with,omitempty"`
	Rules []*Node           `json:"rules,omitempty"`
}

// Operators of our own, beside those of the schemas.
const (
	// Hotfix: the KB with["KB"] (digits) is installed, or one that supersedes it for product with["Product"] is.
	Hotfix = "Hotfix"
	// WindowsBuild compares the build: with["Comparison"] and with["Build"] ("17763"), and where with["Revision"] is
	// given also the revision, which may be unknown on recorded hosts.
	WindowsBuild = "WindowsBuild"
	// Architecture: the operating system's is with["Is"]: x86, x64, arm, arm64 or ia64.
	Architecture = "Architecture"
	// ProductType: with["Is"] is workstation, server (any) or domaincontroller.
	ProductType = "ProductType"
	// Language: the computer runs the language with["Is"] (BCP 47; a bare primary tag matches all its regions).
	Language = "Language"
	// InstallationType: with["Is"] is client, server or servercore.
	InstallationType = "InstallationType"
	// Prefer takes the answer of its first child that can tell.
	Prefer = "Prefer"
	// CannotTell never can; with["Because"] says why.
	CannotTell = "CannotTell"
)

// And is true when all rules are.
func And(rules ...*Node) *Node { return &Node{Op: "And", Rules: rules} }

// Or is true when one of the rules is.
func Or(rules ...*Node) *Node { return &Node{Op: "Or", Rules: rules} }

// Not turns true and false round.
func Not(r *Node) *Node { return &Node{Op: "Not", Rules: []*Node{r}} }

// Test makes a leaf from pairs of attribute name and value.
func Test(op string, pairs ...string) *Node {
	leaf := &Node{Op: op}
	if len(pairs) > 1 {
		leaf.With = make(map[string]string, len(pairs)/2)
	}
	for i := 0; i+1 < len(pairs); i += 2 {
		leaf.With[pairs[i]] = pairs[i+1]
	}
	return leaf
}

// Part returns the first child of a name, nil when there is none.
func (n *Node) Part(name string) *Node {
	if n == nil {
		return nil
	}
	i := slices.IndexFunc(n.Rules, func(child *Node) bool { return child != nil && child.Op == name })
	if i < 0 {
		return nil
	}
	return n.Rules[i]
}

// Content returns the text of the first child of a name, empty when there is none.
func (n *Node) Content(name string) string {
	child := n.Part(name)
	if child == nil {
		return ""
	}
	return strings.TrimSpace(child.With[Text])
}

// Contents returns the texts of all children of a name.
func (n *Node) Contents(name string) (texts []string) {
	for _, child := range n.Rules {
		if child != nil && child.Op == name {
			texts = append(texts, strings.TrimSpace(child.With[Text]))
		}
	}
	return texts
}

// Flag reads an attribute that is true or false, and false when it is not there.
func (n *Node) Flag(name string) bool {
	value, _ := ParseBool(n.With[name])
	return value
}
