package rule

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

// operator is one entry of the vocabulary.
type operator struct {
	attributes  []attribute
	least, most int      // children that are rules
	parts       []string // names of children that are data, in any number
	// test answers for a node whose required attributes and number of children are right; nil: no facts can.
	test func(*Evaluator, *Rule) answer
}

type attribute struct {
	name     string
	kind     string // key of kinds
	required bool
}

// many is more children than a rule can have.
const many = MaxNodes

// Groups of attributes, as vocabulary lists them: "name:kind" or, when required, "name!kind".
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

// vocabulary is filled when the program starts: its tests reach back to it.
var vocabulary = map[string]*operator{}

func init() {
	logic()
	system()
	files()
	registry()
	installer()
	own()
}

func logic() {
	add("True", "", func(*Evaluator, *Rule) answer { return yes })
	add("False", "", func(*Evaluator, *Rule) answer { return no })
	add("And", "", and).children(1, many)
	add("Or", "", or).children(1, many)
	add("Not", "", not).children(1, 1)
	add("RegKeyLoop", keyOf+" TrueIf!quantifier", regKeyLoop).children(1, 1)
}

func system() {
	add("WindowsVersion", "Comparison:scalar MajorVersion:uint32 MinorVersion:uint32 BuildNumber:uint32 ServicePackMajor:uint32 ServicePackMinor:uint32 "+
		"SuiteMask:uint32 AllSuitesMustBePresent:bool ProductType:uint32", windowsVersion)
	add("WindowsLanguage", "Language!language", windowsLanguage)
	add("MuiInstalled", "", muiInstalled)
	add("MuiLanguageInstalled", "Language!language", muiLanguageInstalled)
	add("SystemMetric", compared+" Index!uint32 Value!int", systemMetric)
	add("Processor", "Architecture!uint32 Level:uint32 Revision:uint32", processor)
	add("NumberOfProcessors", compared+" Number!uint32", numberOfProcessors)
	add("ClusteredOS", "", clusteredOS)
	add("ClusterResourceOwner", valueOf+" Prefix:text Suffix:text", clusterResourceOwner)
	add("WmiQuery", "Namespace:text WqlQuery!text", wmiQuery)
	add("InstalledOnce", Update+"!text", installedOnce)
	add("GenericQuery", "Namespace!text Type!text Parameter!text Comparison:text Value:text", nil)
	for _, op := range []string{"WindowsDriverInstalled", "WindowsDriverSuperseded", "WindowsDriverInstallable"} {
		add(op, "", nil).data("WindowsDriverMetaData")
	}
}

func files() {
	for suffix, where := range map[string]string{"": folder, "PrependRegSz": prepended} {
		add("FileExists"+suffix, where+" "+existing, fileExists)
		add("FileVersion"+suffix, where+" "+compared+" Version!four", fileVersion)
		add("FileCreated"+suffix, where+" "+compared+" Created!time", fileCreated)
		add("FileModified"+suffix, where+" "+compared+" Modified!time", fileModified)
		add("FileSize"+suffix, where+" "+compared+" Size!uint64", fileSize)
	}
}

func registry() {
	add("RegKeyExists", keyOf, regKeyExists)
	add("RegValueExists", keyOf+" Value:text Type:regtype", regValueExists)
	add("RegDword", valueOf+" "+compared+" Data!uint32", regDword)
	add("RegSz", valueOf+" "+matched, regSz)
	add("RegExpandSz", valueOf+" "+matched, regExpandSz)
	add("RegSzToVersion", valueOf+" "+compared+" Data!version", regSzToVersion)
}

func installer() {
	add("MsiProductInstalled", "ProductCode!guid "+bounds, msiProductInstalled)
	add("MsiPatchInstalledForProduct", "PatchCode!guid ProductCode!guid "+bounds, msiPatchInstalledForProduct)
	add("MsiFeatureInstalledForProduct", "AllFeaturesRequired:bool AllProductsRequired:bool", msiFeatureInstalled).data("Feature", "Product")
	add("MsiComponentInstalledForProduct", "AllComponentsRequired:bool AllProductsRequired:bool", msiComponentInstalled).data("Component", "Product")
	for op, test := range map[string]func(*Evaluator, *Rule) answer{
		"MsiPatchInstalled": msiPatchInstalled, "MsiPatchSuperseded": msiPatchSuperseded, "MsiPatchInstallable": msiPatchInstallable,
	} {
		add(op, "", test).data("MsiPatchMetadata")
	}
	for op, test := range map[string]func(*Evaluator, *Rule) answer{
		"MsiApplicationInstalled": msiApplicationInstalled, "MsiApplicationSuperseded": msiApplicationSuperseded, "MsiApplicationInstallable": msiApplicationInstallable,
	} {
		add(op, "", test).data("MsiApplicationMetadata")
	}
}

func own() {
	add(Hotfix, "KB!digits Product:text", hotfix)
	add(WindowsBuild, compared+" Build!uint32 Revision:uint32", windowsBuild)
	add(Architecture, "Is!architecture", architecture)
	add(ProductType, "Is!producttype", productType)
	add(Language, "Is!language", language)
	add(InstallationType, "Is!installation", installationType)
	add(CannotTell, "Because!text", cannotTell)
	add(Prefer, "", prefer).children(1, many)
}

func add(op, attributes string, test func(*Evaluator, *Rule) answer) *operator {
	entry := &operator{test: test}
	for _, field := range strings.Fields(attributes) {
		at := strings.IndexAny(field, ":!")
		entry.attributes = append(entry.attributes, attribute{name: field[:at], kind: field[at+1:], required: field[at] == '!'})
	}
	vocabulary[op] = entry
	return entry
}

func (o *operator) children(least, most int) { o.least, o.most = least, most }

func (o *operator) data(parts ...string) { o.parts = parts }

// malformed says what keeps a node from being tested: an attribute that is not there, or the number of children.
func (o *operator) malformed(r *Rule) string {
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

// Untold lists, sorted, the operators in a rule that this version answers with cannot tell whatever the facts are:
// those it does not know, vendor extensions and driver rules.
func Untold(r *Rule) []string {
	var found []string
	walk(r, func(node *Rule) {
		if known := vocabulary[node.Op]; known == nil || known.test == nil {
			found = append(found, node.Op)
		}
	})
	slices.Sort(found)
	return slices.Compact(found)
}

// walk visits the nodes that stand where rules do, leaving out data. It goes no deeper than MaxDepth.
func walk(r *Rule, visit func(*Rule)) {
	var into func(*Rule, int)
	into = func(node *Rule, depth int) {
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
