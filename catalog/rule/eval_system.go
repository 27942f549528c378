package rule

import (
	"cmp"
	"slices"
	"strings"

	"thatch/catalog/rule/expression"
)

// windows returns the operating system for a rule that only Windows can satisfy.
func (e *Evaluator) windows() (s *System, final answer, ok bool) {
	s = e.facts.System
	switch {
	case s == nil || s.Platform == "":
		return nil, unknown("the operating system is not known"), false
	case s.Platform != "windows":
		e.saw("the platform is %s", s.Platform)
		return nil, no, false
	}
	return s, answer{}, true
}

// windowsVersion judges as VerifyVersionInfo does: major, minor and service pack are one number of which the first
// part that differs decides; the build is compared beside them; suites and product type are tested.
func windowsVersion(e *Evaluator, r *Rule) answer {
	s, final, ok := e.windows()
	if !ok {
		return final
	}
	if s.Major == 0 {
		return unknown("the Windows version is not known")
	}
	if e.explaining() {
		e.saw("Windows %d.%d.%d, service pack %d.%d, product type %d, suites %#x",
			s.Major, s.Minor, s.Build, s.ServicePackMajor, s.ServicePackMinor, s.ProductType, s.SuiteMask)
	}
	comparison, given := r.With["Comparison"]
	if !given {
		comparison = "EqualTo"
	}
	tests := [...]func() answer{
		func() answer { return versionHolds(s, r, comparison) },
		func() answer { return buildHolds(s, r, comparison) },
		func() answer { return suitesHold(s, r) },
		func() answer { return productTypeHolds(s, r) },
	}
	if len(r.With) == 0 || len(r.With) == 1 && given {
		return unknown("malformed rule: WindowsVersion compares nothing")
	}
	return all(len(tests), func(i int) answer { return tests[i]() })
}

func versionHolds(s *System, r *Rule, comparison string) answer {
	asked := false
	for _, field := range [...]struct {
		name string
		have int
	}{{"MajorVersion", s.Major}, {"MinorVersion", s.Minor}, {"ServicePackMajor", s.ServicePackMajor}, {"ServicePackMinor", s.ServicePackMinor}} {
		if _, given := r.With[field.name]; !given {
			continue
		}
		want, bad, ok := number(r, field.name)
		if !ok {
			return bad
		}
		asked = true
		if order := cmp.Compare(int64(field.have), want); order != 0 {
			return holds(comparison, order)
		}
	}
	if !asked {
		return yes
	}
	return holds(comparison, 0)
}

func buildHolds(s *System, r *Rule, comparison string) answer {
	if _, given := r.With["BuildNumber"]; !given {
		return yes
	}
	want, bad, ok := number(r, "BuildNumber")
	if !ok {
		return bad
	}
	return holds(comparison, cmp.Compare(int64(s.Build), want))
}

func suitesHold(s *System, r *Rule) answer {
	if _, given := r.With["SuiteMask"]; !given {
		return yes
	}
	mask, bad, ok := number(r, "SuiteMask")
	if !ok {
		return bad
	}
	common := int64(s.SuiteMask) & mask
	if r.Flag("AllSuitesMustBePresent") {
		return tell(common == mask)
	}
	return tell(common != 0)
}

func productTypeHolds(s *System, r *Rule) answer {
	if _, given := r.With["ProductType"]; !given {
		return yes
	}
	want, bad, ok := number(r, "ProductType")
	switch {
	case !ok:
		return bad
	case s.ProductType == 0:
		return unknown("whether it is a workstation or a server is not known")
	}
	return tell(int64(s.ProductType) == want)
}

// languages returns the user interface languages, default first.
func (e *Evaluator) languages() (tags []string, final answer, ok bool) {
	if e.facts.System == nil || len(e.facts.System.Languages) == 0 {
		return nil, unknown("the languages of the computer are not known"), false
	}
	if e.explaining() {
		e.saw("languages %s", strings.Join(e.facts.System.Languages, ", "))
	}
	return e.facts.System.Languages, answer{}, true
}

// speaks says whether a computer's language is the one asked for, or a region of it.
func speaks(have, want string) bool {
	have, want = strings.ToLower(have), strings.ToLower(want)
	return have == want || strings.HasPrefix(have, want+"-")
}

// windowsLanguage is about Windows that was made in one language; with MUI the schemas have another rule.
func windowsLanguage(e *Evaluator, r *Rule) answer {
	s, final, ok := e.windows()
	if !ok {
		return final
	}
	if s.MUI {
		e.saw("MUI is installed")
		return no
	}
	tags, final, ok := e.languages()
	if !ok {
		return final
	}
	return tell(speaks(tags[0], r.With["Language"]))
}

func muiInstalled(e *Evaluator, _ *Rule) answer {
	s, final, ok := e.windows()
	if !ok {
		return final
	}
	return tell(s.MUI)
}

func muiLanguageInstalled(e *Evaluator, r *Rule) answer {
	s, final, ok := e.windows()
	if !ok {
		return final
	}
	if !s.MUI {
		e.saw("MUI is not installed")
		return no
	}
	return e.hasLanguage(r.With["Language"])
}

func (e *Evaluator) hasLanguage(want string) answer {
	tags, final, ok := e.languages()
	if !ok {
		return final
	}
	return tell(slices.ContainsFunc(tags, func(have string) bool { return speaks(have, want) }))
}

func systemMetric(e *Evaluator, r *Rule) answer {
	index, bad, ok := number(r, "Index")
	if !ok {
		return bad
	}
	want, bad, ok := number(r, "Value")
	if !ok {
		return bad
	}
	if e.facts.Metrics == nil {
		return unknown("the system metrics were not read")
	}
	have, err := e.facts.Metrics.Metric(int(index))
	if err != nil {
		return unread("system metric "+r.With["Index"], err)
	}
	e.saw("system metric %d is %d", index, have)
	return holds(r.With["Comparison"], cmp.Compare(int64(have), want))
}

var processors = map[int64]string{0: "x86", 5: "arm", 6: "ia64", 9: "x64", 12: "arm64"}

func processor(e *Evaluator, r *Rule) answer {
	want, bad, ok := number(r, "Architecture")
	if !ok {
		return bad
	}
	same := e.isArchitecture(processors[want])
	for _, name := range []string{"Level", "Revision"} {
		if _, given := r.With[name]; given && same.is == True {
			return unknown("the %s of the processor is not read", strings.ToLower(name))
		}
	}
	return same
}

func (e *Evaluator) isArchitecture(want string) answer {
	s := e.facts.System
	if s == nil || s.Architecture == "" {
		return unknown("the architecture is not known")
	}
	if e.explaining() {
		e.saw("the architecture is %s", s.Architecture)
	}
	return tell(s.Architecture == want)
}

func numberOfProcessors(e *Evaluator, r *Rule) answer {
	want, bad, ok := number(r, "Number")
	switch {
	case !ok:
		return bad
	case e.facts.System == nil || e.facts.System.Processors == 0:
		return unknown("the number of processors is not known")
	}
	e.saw("%d processors", e.facts.System.Processors)
	return holds(r.With["Comparison"], cmp.Compare(int64(e.facts.System.Processors), want))
}

func clusteredOS(e *Evaluator, _ *Rule) answer {
	s, final, ok := e.windows()
	switch {
	case !ok:
		return final
	case s.ProductType == 1:
		e.saw("workstations are in no cluster")
		return no
	case e.facts.Cluster == nil:
		return unknown("whether the computer is in a cluster was not read")
	}
	member, err := e.facts.Cluster.Clustered()
	if err != nil {
		return unread("membership in a cluster", err)
	}
	return tell(member)
}

func clusterResourceOwner(e *Evaluator, r *Rule) answer {
	if member := clusteredOS(e, r); member.is != True {
		return member
	}
	name, final, ok := e.foundText(r, "REG_SZ")
	if !ok {
		return final
	}
	resource := r.With["Prefix"] + name + r.With["Suffix"]
	owns, err := e.facts.Cluster.Owns(resource)
	if err != nil {
		return unread("owner of cluster resource "+expression.Clip(resource), err)
	}
	return tell(owns)
}

// defaultNamespace is where WMI looks when a rule names none.
const defaultNamespace = `root\cimv2`

func wmiQuery(e *Evaluator, r *Rule) answer {
	if e.facts.WMI == nil {
		return unknown("WMI was not read")
	}
	key := queryName{r.With["Namespace"], r.With["WqlQuery"]}
	if key.namespace == "" {
		key.namespace = defaultNamespace
	}
	fact, has := e.queries[key]
	if !has {
		rows, err := e.facts.WMI.Query(key.namespace, key.wql)
		fact = asRead(struct{}{}, rows, err, "WMI query %q in %s", expression.Clip(key.wql), key.namespace)
		e.queries[key] = fact
	}
	if fact.unread() {
		return fact.failed
	}
	return tell(fact.exists)
}

func installedOnce(e *Evaluator, r *Rule) answer {
	if e.facts.History == nil {
		return unknown("what the agent installed before is not known")
	}
	done, err := e.facts.History.Once(r.With[Update])
	if err != nil {
		return unread("history of update "+expression.Clip(r.With[Update]), err)
	}
	return tell(done)
}
