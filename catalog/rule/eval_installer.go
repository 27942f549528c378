package rule

import (
	"cmp"
	"slices"
	"strconv"
	"strings"

	"thatch/catalog/rule/expression"
	"thatch/catalog/version"
)

// product reads an installed product once.
func (e *Evaluator) product(code string) read[Product] {
	if e.facts.Installer == nil {
		return read[Product]{failed: unknown("the Windows Installer was not asked")}
	}
	code = strings.ToUpper(code)
	fact, has := e.products[code]
	if !has {
		p, installed, err := e.facts.Installer.Product(code)
		fact = asRead(p, installed, err, "product %s", code)
		e.products[code] = fact
	}
	if e.explaining() && !fact.unread() {
		e.saw("product %s: installed %v, version %s, language %d", code, fact.exists, fact.value.Version, fact.value.Language)
	}
	return fact
}

func msiProductInstalled(e *Evaluator, r *Rule) answer {
	p := e.product(r.With["ProductCode"])
	switch {
	case p.unread():
		return p.failed
	case !p.exists:
		return no
	}
	tests := [...]func() answer{
		func() answer { return bound(r, "VersionMin", "GreaterThan", p.value) },
		func() answer { return bound(r, "VersionMax", "LessThan", p.value) },
		func() answer {
			return given(r, "Language", func() answer { return numberOf(r, "Language", "EqualTo", int64(p.value.Language)) })
		},
	}
	return all(len(tests), func(i int) answer { return tests[i]() })
}

// bound tests one bound of a version, which counts in unless Exclude and its name says otherwise.
func bound(r *Rule, name, comparison string, p Product) answer {
	text, has := r.With[name]
	if !has {
		return yes
	}
	want, err := version.ParseDotted(text)
	if err != nil {
		return wrong(r, name)
	}
	have, err := version.ParseDotted(p.Version)
	if err != nil {
		return unknown("product %s: %s", p.Code, err)
	}
	if !r.Flag("Exclude" + name) {
		comparison += "OrEqualTo"
	}
	return holds(comparison, have.Compare(want))
}

func msiPatchInstalledForProduct(e *Evaluator, r *Rule) answer {
	if product := msiProductInstalled(e, r); product.is != True {
		return product
	}
	return e.patched(r.With["ProductCode"], r.With["PatchCode"])
}

func (e *Evaluator) patched(product, patch string) answer {
	if e.facts.Installer == nil {
		return unknown("the Windows Installer was not asked")
	}
	applied, err := e.facts.Installer.Patch(product, patch)
	if err != nil {
		return unread("patch "+patch+" of product "+product, err)
	}
	e.saw("patch %s of product %s: applied %v", patch, product, applied)
	return tell(applied)
}

func msiFeatureInstalled(e *Evaluator, r *Rule) answer {
	return e.parts(r, "Feature", "AllFeaturesRequired", func(product, feature string) (bool, error) {
		return e.facts.Installer.Feature(product, feature)
	})
}

func msiComponentInstalled(e *Evaluator, r *Rule) answer {
	return e.parts(r, "Component", "AllComponentsRequired", func(product, component string) (bool, error) {
		return e.facts.Installer.Component(product, component)
	})
}

// parts asks for any or all of the features or components, in any or all of the products.
func (e *Evaluator) parts(r *Rule, part, allParts string, has func(product, part string) (bool, error)) answer {
	products, parts := r.Contents("Product"), r.Contents(part)
	if len(products) == 0 || len(parts) == 0 {
		return unknown("malformed rule: %s names no Product or no %s", r.Op, part)
	}
	if e.facts.Installer == nil {
		return unknown("the Windows Installer was not asked")
	}
	return quantified(r.Flag("AllProductsRequired"), len(products), func(i int) answer {
		return quantified(r.Flag(allParts), len(parts), func(j int) answer {
			installed, err := has(products[i], parts[j])
			if err != nil {
				return unread(strings.ToLower(part)+" "+expression.Clip(parts[j])+" of product "+products[i], err)
			}
			return tell(installed)
		})
	})
}

func quantified(every bool, n int, test func(int) answer) answer {
	if every {
		return all(n, test)
	}
	return some(n, test)
}

// application returns the product that an item's metadata are about.
func (e *Evaluator) application(r *Rule) (p read[Product], metadata *Rule) {
	metadata = r.Part("MsiApplicationMetadata")
	code := metadata.Content("ProductCode")
	if code == "" {
		return read[Product]{failed: unknown("malformed rule: %s has no MsiApplicationMetadata with a ProductCode", r.Op)}, nil
	}
	return e.product(code), metadata
}

func msiApplicationInstalled(e *Evaluator, r *Rule) answer {
	p, _ := e.application(r)
	if p.unread() {
		return p.failed
	}
	return tell(p.exists)
}

func msiApplicationInstallable(e *Evaluator, r *Rule) answer {
	return msiApplicationInstalled(e, r).not()
}

// msiApplicationSuperseded is true when the metadata name an upgrade code and a version, and a related product is
// newer. Metadata without them name nothing that could supersede the application.
func msiApplicationSuperseded(e *Evaluator, r *Rule) answer {
	p, metadata := e.application(r)
	if p.unread() {
		return p.failed
	}
	upgrade, text := metadata.Content("UpgradeCode"), metadata.Content("ProductVersion")
	if p.exists || upgrade == "" || text == "" {
		return no
	}
	want, err := version.ParseDotted(text)
	if err != nil {
		return unknown("malformed rule: %s", err)
	}
	related, err := e.facts.Installer.Related(upgrade)
	if err != nil {
		return unread("products of upgrade code "+upgrade, err)
	}
	return some(len(related), func(i int) answer {
		have, err := version.ParseDotted(related[i].Version)
		if err != nil {
			return unknown("product %s: %s", related[i].Code, err)
		}
		return tell(have.Compare(want) > 0)
	})
}

// targets reads the products that a patch is for.
func targets(r *Rule) (all []expression.Target, bad answer) {
	all, wrong := r.Targets()
	if wrong != "" {
		return nil, unknown("malformed rule: %s %s", r.Op, wrong)
	}
	return all, answer{}
}

// msiPatchInstalled is true when the patch is on every one of its products that is installed and that it fits, and on
// one at least.
func msiPatchInstalled(e *Evaluator, r *Rule) answer {
	found, bad := targets(r)
	if found == nil {
		return bad
	}
	on := some(len(found), func(i int) answer { return e.patchOn(found[i]) })
	return both(on, msiPatchInstallable(e, r).not())
}

// msiPatchInstallable is true when one of its products is installed, in a version and language that it fits, without
// the patch.
func msiPatchInstallable(e *Evaluator, r *Rule) answer {
	return e.someTarget(r, func(order int) bool { return order == 0 })
}

// msiPatchSuperseded is true when one of its products is installed without the patch, in a version that is past it.
// Whether a newer patch of the same family is applied is left to the Windows Installer, which applies them in order.
func msiPatchSuperseded(e *Evaluator, r *Rule) answer {
	return both(e.someTarget(r, func(order int) bool { return order > 0 }), msiPatchInstallable(e, r).not())
}

// someTarget asks for a product that is installed, lacks the patch, and whose version stands to the patch's in a
// certain order: -1 older than it wants, 0 fitting, 1 newer.
func (e *Evaluator) someTarget(r *Rule, fits func(order int) bool) answer {
	found, bad := targets(r)
	if found == nil {
		return bad
	}
	return some(len(found), func(i int) answer {
		p := e.product(found[i].Code)
		switch {
		case p.unread():
			return p.failed
		case !p.exists:
			return no
		}
		order, bad, ok := e.against(found[i].Node, p.value)
		switch {
		case !ok:
			return bad
		case !fits(order):
			return no
		}
		return e.patchOn(found[i]).not()
	})
}

func (e *Evaluator) patchOn(t expression.Target) answer {
	p := e.product(t.Code)
	switch {
	case p.unread():
		return p.failed
	case !p.exists:
		return no
	}
	return e.patched(t.Code, t.Patch)
}

// against says how an installed product stands to a TargetProduct. One of another language or upgrade code is -1: the
// patch is not for it.
func (e *Evaluator) against(t *Rule, p Product) (order int, bad answer, ok bool) {
	if t.Validated("TargetLanguage") {
		want, err := strconv.Atoi(t.Content("TargetLanguage"))
		if err == nil && want != 0 && want != p.Language {
			return -1, bad, true
		}
	}
	if t.Validated("UpgradeCode") {
		related, err := e.facts.Installer.Related(t.Content("UpgradeCode"))
		if err != nil {
			return 0, unread("products of upgrade code "+t.Content("UpgradeCode"), err), false
		}
		if !slices.ContainsFunc(related, func(r Product) bool { return strings.EqualFold(r.Code, p.Code) }) {
			return -1, bad, true
		}
	}
	if !t.Validated("TargetVersion") {
		return 0, bad, true
	}
	return versionAgainst(t.Part("TargetVersion"), p)
}

// versionAgainst compares as many parts as ComparisonFilter says, in the way that ComparisonType says.
func versionAgainst(t *Rule, p Product) (order int, bad answer, ok bool) {
	want, err := version.ParseDotted(t.With[Text])
	if err != nil {
		return 0, unknown("malformed rule: %s", err), false
	}
	have, err := version.ParseDotted(p.Version)
	if err != nil {
		return 0, unknown("product %s: %s", p.Code, err), false
	}
	parts := map[string]int{"Major": 1, "MajorMinor": 2, "MajorMinorUpdate": 3}[t.With["ComparisonFilter"]]
	comparison := t.With["ComparisonType"]
	if parts == 0 || comparison == "" || comparison == "None" {
		return 0, bad, true
	}
	order = slices.Compare(have[:parts], want[:parts])
	switch fits := holds(comparison, order); fits.is {
	case Unknown:
		return 0, fits, false
	case True:
		return 0, bad, true
	}
	return cmp.Or(order, -1), bad, true
}
