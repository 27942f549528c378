package msrc

import (
	"strconv"
	"strings"

	"thatch/catalog"
	"thatch/catalog/rule"
	"thatch/catalog/windows"
)

// rules are those of one update; reason says why there are none.
type rules struct {
	applicable, installed *rule.Rule
	reason                string
}

// rulesFor makes the rules of a KB article on a product.
//
// Applicable: the product is there (see windows.ScopeOf). Installed: where the fixed build is a revision of that very
// Windows, the computer's own revision tells; otherwise, and where the revision is not known, the hotfix list does.
// Both hold on that Windows alone: a newer one is of a later build too, and has none of an older one's updates. Whether
// a component is there is not asked for being installed, for its update comes with others of that Windows.
//
// A hotpatch is for computers that are enrolled for them, which no fact tells.
func rulesFor(kb string, product catalog.Product, class, fixedBuild string) rules {
	scope := windows.ScopeOf(product.Name)
	if scope.Applicable == nil {
		return rules{reason: scope.Reason}
	}
	r := rules{applicable: scope.Applicable, installed: rule.Test(rule.Hotfix, "KB", kb, "Product", product.ID)}
	if strings.Contains(class, "hotpatch") {
		r.applicable = rule.And(r.applicable, rule.Test(rule.CannotTell, "Because", "whether the computer is enrolled for hotpatching is not known"))
	}
	if scope.Release == nil {
		return r
	}
	if revision, ok := scope.Release.Revision(fixedBuild); ok {
		build := rule.Test(rule.WindowsBuild, "Comparison", "GreaterThanOrEqualTo", "Build", strconv.Itoa(scope.Release.Build), "Revision", strconv.Itoa(revision))
		r.installed = &rule.Rule{Op: rule.Prefer, Rules: []*rule.Rule{build, r.installed}}
	}
	r.installed = rule.And(scope.Windows, r.installed)
	return r
}
