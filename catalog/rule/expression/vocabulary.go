package expression

import (
	"slices"
	"strings"
)

// Operator is one entry of the vocabulary.
type Operator struct {
	attributes  []attribute
	least, most int      // children that are rules
	parts       []string // names of children that are data, in any number
}

type attribute struct {
	name     string
	form     string // key of forms
	required bool
}

// many is more children than a rule can have.
const many = MaxNodes

// Groups of attributes, as vocabulary lists them: "name:form" or, when required, "name!form".
const (
	keyOf     = "Key!hive Subkey!subkey RegType32:bool"
	valueOf   = keyOf + " Value!text"
	compared  = "Comparison!scalar"
	matched   = "Comparison!match Data!text"
	folder    = "Path!path Csidl:csidl"
	prepended = valueOf + " Path!path"
	existing  = "Version:four Created:time Modified:time Size:uint64 Language:uint32"
	bounds    = "VersionMin:version VersionMax:version ExcludeVersionMin:bool ExcludeVersionMax:bool Language:int"
)

var vocabulary = map[string]*Operator{}

// Of returns the entry of an operator, nil when this version does not know it.
func Of(op string) *Operator { return vocabulary[op] }

func init() {
	logic()
	system()
	files()
	registry()
	installer()
	own()
}

func logic() {
	add("True", "")
	add("False", "")
	add("And", "").children(1, many)
	add("Or", "").children(1, many)
	add("Not", "").children(1, 1)
	add("RegKeyLoop", keyOf+" TrueIf!quantifier").children(1, 1)
}

func system() {
	add("WindowsVersion", "Comparison:scalar MajorVersion:uint32 MinorVersion:uint32 BuildNumber:uint32 ServicePackMajor:uint32 ServicePackMinor:uint32 "+
		"SuiteMask:uint32 AllSuitesMustBePresent:bool ProductType:uint32")
	add("WindowsLanguage", "Language!language")
	add("MuiInstalled", "")
	add("MuiLanguageInstalled", "Language!language")
	add("SystemMetric", compared+" Index!uint32 Value!int")
	add("Processor", "Architecture!uint32 Level:uint32 Revision:uint32")
	add("NumberOfProcessors", compared+" Number!uint32")
	add("ClusteredOS", "")
	add("ClusterResourceOwner", valueOf+" Prefix:text Suffix:text")
	add("WmiQuery", "Namespace:text WqlQuery!text")
	add("InstalledOnce", Update+"!text")
	add("GenericQuery", "Namespace!text Type!text Parameter!text Comparison:text Value:text")
	for _, op := range []string{"WindowsDriverInstalled", "WindowsDriverSuperseded", "WindowsDriverInstallable"} {
		add(op, "").data("WindowsDriverMetaData")
	}
}

func files() {
	for suffix, where := range map[string]string{"": folder, "PrependRegSz": prepended} {
		add("FileExists"+suffix, where+" "+existing)
		add("FileVersion"+suffix, where+" "+compared+" Version!four")
		add("FileCreated"+suffix, where+" "+compared+" Created!time")
		add("FileModified"+suffix, where+" "+compared+" Modified!time")
		add("FileSize"+suffix, where+" "+compared+" Size!uint64")
	}
}

func registry() {
	add("RegKeyExists", keyOf)
	add("RegValueExists", keyOf+" Value:text Type:regtype")
	add("RegDword", valueOf+" "+compared+" Data!uint32")
	add("RegSz", valueOf+" "+matched)
	add("RegExpandSz", valueOf+" "+matched)
	add("RegSzToVersion", valueOf+" "+compared+" Data!version")
}

func installer() {
	add("MsiProductInstalled", "ProductCode!guid "+bounds)
	add("MsiPatchInstalledForProduct", "PatchCode!guid ProductCode!guid "+bounds)
	add("MsiFeatureInstalledForProduct", "AllFeaturesRequired:bool AllProductsRequired:bool").data("Feature", "Product")
	add("MsiComponentInstalledForProduct", "AllComponentsRequired:bool AllProductsRequired:bool").data("Component", "Product")
	for _, op := range []string{"MsiPatchInstalled", "MsiPatchSuperseded", "MsiPatchInstallable"} {
		add(op, "").data("MsiPatchMetadata")
	}
	for _, op := range []string{"MsiApplicationInstalled", "MsiApplicationSuperseded", "MsiApplicationInstallable"} {
		add(op, "").data("MsiApplicationMetadata")
	}
}

func own() {
	add(Hotfix, "KB!digits Product:text")
	add(WindowsBuild, compared+" Build!uint32 Revision:uint32")
	add(Architecture, "Is!architecture")
	add(ProductType, "Is!producttype")
	add(Language, "Is!language")
	add(InstallationType, "Is!installation")
	add(CannotTell, "Because!text")
	add(Prefer, "").children(1, many)
}

func add(op, attributes string) *Operator {
	entry := &Operator{}
	for _, field := range strings.Fields(attributes) {
		at := strings.IndexAny(field, ":!")
		entry.attributes = append(entry.attributes, attribute{name: field[:at], form: field[at+1:], required: field[at] == '!'})
	}
	vocabulary[op] = entry
	return entry
}

func (o *Operator) children(least, most int) { o.least, o.most = least, most }

func (o *Operator) data(parts ...string) { o.parts = parts }

// Malformed says what keeps a node from being tested: an attribute that is not there, or the number of children.
func (o *Operator) Malformed(r *Node) string {
	for i := range o.attributes {
		if a := &o.attributes[i]; a.required {
			if _, has := r.With[a.name]; !has {
				return "has no " + a.name
			}
		}
	}
	if o.parts != nil {
		return ""
	}
	switch n := len(r.Rules); {
	case n < o.least:
		return "has no rule in it"
	case n > o.most && o.most == 0:
		return "has rules in it"
	case n > o.most:
		return "has more than one rule in it"
	}
	return ""
}

// Operators lists every operator that this version knows, sorted.
func Operators() []string {
	all := make([]string, 0, len(vocabulary))
	for op := range vocabulary {
		all = append(all, op)
	}
	slices.Sort(all)
	return all
}

// Walk visits the nodes that stand where rules do, leaving out data. It goes no deeper than MaxDepth.
func Walk(r *Node, visit func(*Node)) {
	var into func(*Node, int)
	into = func(node *Node, depth int) {
		if node == nil || depth > MaxDepth {
			return
		}
		visit(node)
		known := vocabulary[node.Op]
		for _, child := range node.Rules {
			if known != nil && child != nil && slices.Contains(known.parts, child.Op) {
				continue
			}
			into(child, depth+1)
		}
	}
	into(r, 1)
}
