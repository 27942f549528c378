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

// Rule is one node of an expression tree.
//
// Its JSON is {"op":"And","with":{"Name":"value"},"rules":[...]}; keys of "with" are sorted, absent parts are left
// out, so equal trees have equal bytes.
type Rule struct {
	Op    string            `json:"op"`
	With  map[string]string `json:"with,omitempty"`
	Rules []*Rule           `json:"rules,omitempty"`
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
func And(rules ...*Rule) *Rule { return &Rule{Op: "And", Rules: rules} }

// Or is true when one of the rules is.
func Or(rules ...*Rule) *Rule { return &Rule{Op: "Or", Rules: rules} }

// Not turns true and false round.
func Not(r *Rule) *Rule { return &Rule{Op: "Not", Rules: []*Rule{r}} }

// Test makes a leaf from pairs of attribute name and value.
func Test(op string, pairs ...string) *Rule {
	leaf := &Rule{Op: op}
	if len(pairs) > 1 {
		leaf.With = make(map[string]string, len(pairs)/2)
	}
	for i := 0; i+1 < len(pairs); i += 2 {
		leaf.With[pairs[i]] = pairs[i+1]
	}
	return leaf
}
