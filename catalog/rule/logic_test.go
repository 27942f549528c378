package rule_test

import (
	"errors"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"thatch/catalog/rule"
	"thatch/catalog/rule/memory"
)

// monotone are the leaves and composites of the tables but for Prefer, which is not monotonic by its purpose.
func monotone(t *testing.T) []*rule.Rule {
	var all []*rule.Rule
	for line := range leaves {
		all = append(all, leaf(t, line))
	}
	for _, c := range composites {
		if text, _ := rule.Encode(c.rule); !strings.Contains(string(text), rule.Prefer) {
			all = append(all, c.rule)
		}
	}
	return all
}

func drawTree(of []*rule.Rule, depth int) *rapid.Generator[*rule.Rule] {
	return rapid.Custom(func(rt *rapid.T) *rule.Rule {
		if depth == 0 || rapid.IntRange(0, 3).Draw(rt, "leaf") == 0 {
			return rapid.SampledFrom(of).Draw(rt, "leaf")
		}
		if rapid.Bool().Draw(rt, "not") {
			return rule.Not(drawTree(of, depth-1).Draw(rt, "inner"))
		}
		children := rapid.SliceOfN(drawTree(of, depth-1), 1, 4).Draw(rt, "children")
		if rapid.Bool().Draw(rt, "and") {
			return rule.And(children...)
		}
		return rule.Or(children...)
	})
}

// hide makes parts of what is known unknown.
func hide(rt *rapid.T, h *memory.Host) {
	no := func(what string) bool { return rapid.Bool().Draw(rt, what) }
	if no("system") {
		h.System = nil
	} else {
		h.System.Revision = -1
		if no("architecture") {
			h.System.Architecture = ""
		}
		if no("languages") {
			h.System.Languages = nil
		}
	}
	if no("registry") {
		h.Registry = nil
	} else {
		if no("key") {
			h.Registry.Deny(rule.Native, `SOFTWARE\Example`, "hidden")
		}
		if no("loop") {
			h.Registry.Deny(rule.Native, `SOFTWARE\Loop\One`, "hidden")
		}
		h.Registry.Partial = no("partial registry")
	}
	if no("files") {
		h.Files = nil
	} else if h.Files.Partial = no("partial files"); no("file") {
		h.Files.Deny(37, "example.dll", "hidden")
	}
	if no("installer") {
		h.Installer = nil
	} else if no("lists") {
		for i := range h.Installer.Products {
			p := &h.Installer.Products[i]
			p.Features, p.Components, p.Patches = nil, nil, nil
		}
	}
	if no("wmi") {
		h.WMI = nil
	}
	if no("hotfixes") {
		h.Hotfixes = nil
	} else {
		h.Hotfixes.Complete = no("complete")
	}
	if no("others") {
		h.Metrics, h.Cluster, h.History = nil, nil, nil
	}
}

// Learning a fact that was unknown turns no answer that was known.
func TestLearningFlipsNothing(t *testing.T) {
	of := monotone(t)
	full := decodeHost(t, hostJSON).Facts()
	known := 0
	rapid.Check(t, func(rt *rapid.T) {
		r := drawTree(of, 4).Draw(rt, "rule")
		less := decodeHost(t, hostJSON)
		hide(rt, less)
		was, is := rule.Evaluate(r, less.Facts(), nil), rule.Evaluate(r, full, nil)
		if was.Answer == rule.Unknown {
			return
		}
		known++
		if was.Answer != is.Answer {
			rt.Fatalf("%s with less known, %s with more\nless:\n%s\nmore:\n%s", was.Answer, is.Answer, rule.Explain(r, less.Facts(), nil), rule.Explain(r, full, nil))
		}
	})
	if known == 0 {
		t.Error("nothing was known in any case: the property was not tested")
	}
}

func TestKleeneLaws(t *testing.T) {
	of := append(monotone(t), unknownLeaf, trueLeaf, falseLeaf)
	f := decodeHost(t, hostJSON).Facts()
	rapid.Check(t, func(rt *rapid.T) {
		e := rule.NewEvaluator(f, nil)
		same := func(law string, a, b *rule.Rule) {
			va, vb := e.Evaluate(a), e.Evaluate(b)
			if va != vb {
				rt.Fatalf("%s: %v and %v", law, va, vb)
			}
		}
		a, b := drawTree(of, 2).Draw(rt, "a"), drawTree(of, 2).Draw(rt, "b")
		c := drawTree(of, 2).Draw(rt, "c")
		same("De Morgan of And", rule.Not(rule.And(a, b)), rule.Or(rule.Not(a), rule.Not(b)))
		same("De Morgan of Or", rule.Not(rule.Or(a, b)), rule.And(rule.Not(a), rule.Not(b)))
		same("twice not", rule.Not(rule.Not(a)), a)
		same("associative", rule.And(rule.And(a, b), c), rule.And(a, rule.And(b, c)))
		if x, y := e.Evaluate(rule.And(a, b)), e.Evaluate(rule.And(b, a)); x.Answer != y.Answer {
			rt.Fatalf("the order of And matters: %v and %v", x, y)
		}
		if x, y := e.Evaluate(rule.Or(a, rule.And(b, c))), e.Evaluate(rule.And(rule.Or(a, b), rule.Or(a, c))); x.Answer != y.Answer {
			rt.Fatalf("not distributive: %v and %v", x, y)
		}
		for _, r := range []*rule.Rule{a, b, c} {
			v := e.Evaluate(r)
			if (v.Answer == rule.Unknown) != (v.Because != "") {
				rt.Fatalf("%v: only an unknown has a reason, and every one does", v)
			}
			if x := e.Explain(r); x.Answer != v.Answer {
				rt.Fatalf("%v, explained %v", v, x)
			}
		}
	})
}

func TestReasonsAreBoundedAndOnce(t *testing.T) {
	var many []*rule.Rule
	for _, op := range []string{"A", "A", "B", "C", "D", "E", "F", "A"} {
		many = append(many, rule.Test(op))
	}
	v := rule.Evaluate(rule.Or(many...), nil, nil)
	if strings.Count(v.Because, "is not known") != 4 || strings.Count(v.Because, `"A"`) != 1 || !strings.HasPrefix(v.Because, `operator "A"`) {
		t.Error(v.Because)
	}
	// Reasons that are shared between rules are not written over.
	e := rule.NewEvaluator(nil, nil)
	left, right := rule.Or(many[0], many[2]), rule.Or(many[0], many[3])
	first := e.Evaluate(rule.And(left, many[4]))
	e.Evaluate(rule.And(right, many[5]))
	if again := e.Evaluate(rule.And(left, many[4])); again != first {
		t.Error(first, again)
	}
}

func TestRuleThatIsTooDeepCannotTell(t *testing.T) {
	r := rule.Test("True")
	for range rule.MaxDepth {
		r = rule.Not(r)
	}
	e := rule.NewEvaluator(nil, nil)
	if v := e.Evaluate(r); v.Answer != rule.Unknown || !strings.Contains(v.Because, "deeper than 64") {
		t.Error(v)
	}
	if v := e.Evaluate(rule.Test("True")); v.Answer != rule.True {
		t.Error("the evaluator remembers depth:", v)
	}
}

// counting counts what is read of each fact.
type counting struct {
	rule.Registry
	rule.Files
	rule.Installer
	reads map[string]int
}

func (c *counting) Value(view rule.View, path, name string) (rule.Value, bool, error) {
	c.reads["value "+path+" "+name]++
	return c.Registry.Value(view, path, name)
}

func (c *counting) Key(view rule.View, path string) (bool, error) {
	c.reads["key "+path]++
	return c.Registry.Key(view, path)
}

func (c *counting) Subkeys(view rule.View, path string) ([]string, bool, error) {
	c.reads["subkeys "+path]++
	return c.Registry.Subkeys(view, path)
}

func (c *counting) Stat(csidl int, path string) (rule.FileInfo, bool, error) {
	c.reads["file "+path]++
	return c.Files.Stat(csidl, path)
}

func (c *counting) Product(code string) (rule.Product, bool, error) {
	c.reads["product "+code]++
	return c.Installer.Product(code)
}

func (c *counting) Query(namespace, wql string) (bool, error) {
	c.reads["query "+namespace+" "+wql]++
	return false, errors.New("the service is stopped")
}

func TestEveryFactIsReadOnce(t *testing.T) {
	f := decodeHost(t, hostJSON).Facts()
	c := &counting{f.Registry, f.Files, f.Installer, map[string]int{}}
	f.Registry, f.Files, f.Installer, f.WMI = c, c, c, c
	e := rule.NewEvaluator(f, nil)
	for range 3 {
		for line := range leaves {
			e.Evaluate(leaf(t, line))
			e.Explain(leaf(t, line))
		}
		for _, composite := range composites {
			e.Evaluate(composite.rule)
		}
	}
	kinds := map[string]bool{}
	for fact, n := range c.reads {
		kind, _, _ := strings.Cut(fact, " ")
		kinds[kind] = true
		// The two views and a path with and without its folder are different facts.
		if n > 2 {
			t.Errorf("%s was read %d times", fact, n)
		}
	}
	if len(kinds) != 6 {
		t.Error("read only", kinds)
	}
	if v := e.Evaluate(leaf(t, "WmiQuery WqlQuery='select * from Win32_BIOS'")); v.Because != `WMI query "select * from Win32_BIOS" in root\cimv2: the service is stopped` {
		t.Error(v.Because)
	}
}

// That a key exists and what is below it are two facts, in whatever order they are asked for.
func TestKeyAndItsSubkeys(t *testing.T) {
	exists, below := leaf(t, `RegKeyExists Key=L Subkey=SOFTWARE\Loop`), loop(`SOFTWARE\Loop`, "Any", deepExists)
	for _, order := range [][]*rule.Rule{{exists, below}, {below, exists}} {
		e := rule.NewEvaluator(decodeHost(t, hostJSON).Facts(), nil)
		for _, r := range order {
			if v := e.Evaluate(r); v.Answer != rule.True {
				t.Errorf("%s: %v", r.Op, v)
			}
		}
	}
}

func TestExplanationForPeople(t *testing.T) {
	f := decodeHost(t, hostJSON).Facts()
	r := rule.And(
		rule.Or(leaf(t, "WindowsVersion MajorVersion=6 MinorVersion=1"), leaf(t, "WindowsVersion MajorVersion=10 MinorVersion=0")),
		loop(`SOFTWARE\Loop`, "Any", vIs+`2"}}`),
		rule.Or(leaf(t, "FileVersion Csidl=37 Path=example.dll Comparison=GreaterThan Version=2.0.0.0"), leaf(t, `RegSz Key=L Subkey=SOFTWARE\Example\Secret Value=V Comparison=EqualTo Data='a b'`)),
	)
	const want = `cannot tell: And
  cannot tell: Or
    cannot tell: RegSz Comparison=EqualTo Data="a b" Key=HKEY_LOCAL_MACHINE Subkey=SOFTWARE\Example\Secret Value=V -- because registry value HKLM\SOFTWARE\Example\Secret "V": access denied
`
	if got := rule.Explain(r, f, nil).String(); got != want {
		t.Errorf("got\n%s\nwanted\n%s", got, want)
	}
	const first = `true: And
  true: Or
    true: WindowsVersion MajorVersion=10 MinorVersion=0 -- Windows 10.0.17763, service pack 1.0, product type 1, suites 0x110
  true: RegKeyLoop Key=HKEY_LOCAL_MACHINE Subkey=SOFTWARE\Loop TrueIf=Any -- HKLM\SOFTWARE\Loop exists, 2 subkeys
    false: RegDword [One] Comparison=EqualTo Data=2 Key=HKEY_LOOP_TARGET Subkey=\ Value=V -- HKLM\SOFTWARE\Loop\One "V" is REG_DWORD 1
    true: RegDword [Two] Comparison=EqualTo Data=2 Key=HKEY_LOOP_TARGET Subkey=\ Value=V -- HKLM\SOFTWARE\Loop\Two "V" is REG_DWORD 2
`
	if got := rule.Explain(rule.And(r.Rules[0], r.Rules[1]), f, nil).String(); got != first {
		t.Errorf("got\n%s\nwanted\n%s", got, first)
	}
	falses := make([]*rule.Rule, 30)
	for i := range falses {
		falses[i] = rule.Test("False")
	}
	if got := rule.Explain(rule.Or(falses...), f, nil).String(); strings.Count(got, "\n") != 22 || !strings.Contains(got, "and 10 more, all false") {
		t.Error(got)
	}
}

func FuzzEvaluate(f *testing.F) {
	for line := range leaves {
		text, err := rule.Encode(rule.Not(leaf(f, line)))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text)
	}
	for _, c := range composites {
		if text, err := rule.Encode(c.rule); err == nil {
			f.Add(text)
		}
	}
	full := decodeHost(f, hostJSON).Facts()
	f.Fuzz(func(t *testing.T, data []byte) {
		r, err := rule.Decode(data)
		if err != nil {
			return
		}
		rule.Untold(r)
		for _, facts := range []*rule.Facts{nil, full} {
			v, x := rule.Evaluate(r, facts, nil), rule.Explain(r, facts, nil)
			if (v.Answer == rule.Unknown) != (v.Because != "") {
				t.Fatalf("%s: %v", data, v)
			}
			if x.Answer != v.Answer || x.String() == "" {
				t.Fatalf("%s: evaluated %v, explained %v", data, v, x)
			}
		}
	})
}
