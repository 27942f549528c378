package rule

import (
	"cmp"
	"slices"
)

// hotfix asks what the catalog knows. A KB that is not found can only be told as missing when the list of installed
// ones is whole.
func hotfix(e *Evaluator, r *Rule) answer {
	installed := e.facts.Hotfixes
	if installed == nil {
		return unknown("the installed hotfixes are not known")
	}
	kb := r.With["KB"]
	by, ok, err := e.satisfied(kb, r.With["Product"], installed)
	switch {
	case err != nil:
		return unread("KB"+kb, err)
	case ok:
		e.saw("satisfied by KB%s", by)
		return yes
	case !installed.Complete:
		return unknown("KB%s is not among the hotfixes that are known, and the list is not complete", kb)
	}
	if e.explaining() {
		e.saw("none of %d installed hotfixes satisfies it", len(installed.KBs))
	}
	return no
}

func (e *Evaluator) satisfied(kb, product string, installed *Hotfixes) (by string, ok bool, err error) {
	if e.knowledge == nil {
		return kb, slices.Contains(installed.KBs, kb), nil
	}
	return e.knowledge.Satisfied(kb, product, installed)
}

func windowsBuild(e *Evaluator, r *Rule) answer {
	s, final, ok := e.windows()
	if !ok {
		return final
	}
	build, bad, ok := number(r, "Build")
	if !ok {
		return bad
	}
	if e.explaining() {
		e.saw("the build is %d, its revision %d", s.Build, s.Revision)
	}
	if s.Build == 0 {
		return unknown("the Windows build is not known")
	}
	order := cmp.Compare(int64(s.Build), build)
	if _, given := r.With["Revision"]; given && order == 0 {
		revision, bad, ok := number(r, "Revision")
		switch {
		case !ok:
			return bad
		case s.Revision < 0:
			return unknown("the revision of Windows build %d is not known", s.Build)
		}
		order = cmp.Compare(int64(s.Revision), revision)
	}
	return holds(r.With["Comparison"], order)
}

func architecture(e *Evaluator, r *Rule) answer { return e.isArchitecture(r.With["Is"]) }

func productType(e *Evaluator, r *Rule) answer {
	s, final, ok := e.windows()
	switch {
	case !ok:
		return final
	case s.ProductType == 0:
		return unknown("whether it is a workstation or a server is not known")
	}
	e.saw("the product type is %d", s.ProductType)
	switch r.With["Is"] {
	case "workstation":
		return tell(s.ProductType == 1)
	case "domaincontroller":
		return tell(s.ProductType == 2)
	case "server":
		return tell(s.ProductType == 2 || s.ProductType == 3)
	}
	return wrong(r, "Is")
}

func language(e *Evaluator, r *Rule) answer { return e.hasLanguage(r.With["Is"]) }

func installationType(e *Evaluator, r *Rule) answer {
	s, final, ok := e.windows()
	switch {
	case !ok:
		return final
	case s.InstallationType == "":
		return unknown("the installation type is not known")
	}
	e.saw("the installation type is %s", s.InstallationType)
	return tell(s.InstallationType == r.With["Is"])
}
