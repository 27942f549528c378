// Package rule holds applicability rules: an expression tree with a stable JSON encoding, and its evaluation against
// the facts of a computer with three answers: true, false, and cannot tell.
//
// The tree covers the vocabulary of the Software Distribution Package schemas (lar:, bar: and msiar: of
// http://schemas.microsoft.com/wsus/2005/04/CorporatePublishing/), under the local names of their elements and
// attributes, and the operators of our own listed beside them. An operator that this version does not know survives
// decoding and encoding, and evaluates to cannot tell.
//
// Importers turn an element of a rule into a node in one way: local name to Op, attributes to With, text content to
// With[Text], child elements to Rules. So <msiar:Feature>Word</msiar:Feature> is {"op":"Feature","with":{"Text":"Word"}}.
// What the schemas leave to the context they add: the item's metadata (MsiPatchMetadata, MsiApplicationMetadata,
// WindowsDriverMetaData) become a child of each node that reads them, and InstalledOnce names its update in
// With[Update].
package rule

import "thatch/catalog/rule/expression"

// Rule is one node of an expression tree.
//
// Its JSON is {"op":"And","with":{"Name":"value"},"rules":[...]}; keys of "with" are sorted, absent parts are left
// out, so equal trees have equal bytes.
type Rule = expression.Node

// Problem is something in a rule that the schemas do not allow.
type Problem = expression.Problem

// Limits of a rule that is decoded.
const (
	MaxDepth = expression.MaxDepth
	MaxNodes = expression.MaxNodes
)

// Keys of With that importers add; see the package.
const (
	Text   = expression.Text
	Update = expression.Update
)

// Operators of our own, beside those of the schemas.
const (
	// Hotfix: the KB with["KB"] (digits) is installed, or one that supersedes it for product with["Product"] is.
	Hotfix = expression.Hotfix
	// WindowsBuild compares the build: with["Comparison"] and with["Build"] ("17763"), and where with["Revision"] is
	// given also the revision, which may be unknown on recorded hosts.
	WindowsBuild = expression.WindowsBuild
	// Architecture: the operating system's is with["Is"]: x86, x64, arm, arm64 or ia64.
	Architecture = expression.Architecture
	// ProductType: with["Is"] is workstation, server (any) or domaincontroller.
	ProductType = expression.ProductType
	// Language: the computer runs the language with["Is"] (BCP 47; a bare primary tag matches all its regions).
	Language = expression.Language
	// InstallationType: with["Is"] is client, server or servercore.
	InstallationType = expression.InstallationType
	// Prefer takes the answer of its first child that can tell.
	Prefer = expression.Prefer
	// CannotTell never can; with["Because"] says why.
	CannotTell = expression.CannotTell
)

// And is true when all rules are.
func And(rules ...*Rule) *Rule { return expression.And(rules...) }

// Or is true when one of the rules is.
func Or(rules ...*Rule) *Rule { return expression.Or(rules...) }

// Not turns true and false round.
func Not(r *Rule) *Rule { return expression.Not(r) }

// Test makes a leaf from pairs of attribute name and value.
func Test(op string, pairs ...string) *Rule { return expression.Test(op, pairs...) }

// Check names every problem of a rule: missing attributes and ones of the wrong form, the number of children,
// HKEY_LOOP_TARGET outside of a loop, and the limits of decoding. Operators and attributes that this version does not
// know are no problem; see Untold.
func Check(r *Rule) []Problem { return expression.Check(r) }

// Decode reads the JSON of one rule, whole or not at all. Wherever a rule is part of a larger value it is decoded as
// safely by encoding/json itself.
func Decode(data []byte) (*Rule, error) { return expression.Decode(data) }

// Encode writes a rule. Equal rules have equal bytes, and so has what is decoded and encoded again.
func Encode(r *Rule) ([]byte, error) { return expression.Encode(r) }

// Append writes a rule as Encode does behind what is in buf.
func Append(buf []byte, r *Rule) []byte { return expression.Append(buf, r) }

// AppendText writes a text as JSON behind what is in buf, as Append writes those of rules.
func AppendText(buf []byte, text string) []byte { return expression.AppendText(buf, text) }

// Operators lists every operator that this version knows, sorted.
func Operators() []string { return expression.Operators() }
