package windows

import (
	"testing"

	"thatch/catalog/rule"
	"thatch/catalog/rule/memory"
)

func TestFrameworkAndExplorerRules(t *testing.T) {
	for versions, want := range map[string]string{
		"3.5 and 4.7.2":      "And",
		"4.6/4.6.1/4.6.2":    "Or",
		"2.0 service pack 2": "RegDword",
		"4.8.1":              "RegDword",
		"3.5.1":              "RegDword",
	} {
		if r := frameworkRule(versions); r == nil || r.Op != want {
			t.Errorf("%s: %+v", versions, r)
		}
	}
	if r := frameworkRule("5.9"); r != nil {
		t.Errorf("a version that is not: %+v", r)
	}
}

// Which Internet Explorer and which .NET Framework there is, the registry tells where it was read.
func TestComponentsByRegistry(t *testing.T) {
	const (
		seven      = "Windows 7 for x64-based Systems Service Pack 1"
		ieKey      = `SOFTWARE\Microsoft\Internet Explorer`
		net4       = `SOFTWARE\Microsoft\NET Framework Setup\NDP\v4\Full`
		net35      = `SOFTWARE\Microsoft\NET Framework Setup\NDP\v3.5`
		unread     = rule.Unknown
		yes, no    = rule.True, rule.False
		ie11, ie10 = "Internet Explorer 11 on " + seven, "Internet Explorer 10 on " + seven
	)
	for _, c := range []struct {
		product string
		set     func(*memory.Registry) // nil: not read
		want    rule.Answer
	}{
		{ie11, nil, yes}, // the last one supported there
		{ie10, nil, unread},
		{ie11, func(r *memory.Registry) { r.SetText(rule.Native, ieKey, "svcVersion", "11.0.9600.19036") }, yes},
		{ie11, func(r *memory.Registry) { r.SetText(rule.Native, ieKey, "svcVersion", "10.0.9200.22000") }, no},
		{ie10, func(r *memory.Registry) { r.SetText(rule.Native, ieKey, "svcVersion", "10.0.9200.22000") }, yes},
		{"Internet Explorer 9 on " + seven, func(r *memory.Registry) { r.SetText(rule.Native, ieKey, "Version", "9.0.8112.16421") }, yes},
		{"Internet Explorer 11 on Windows 8.1 for x64-based systems", nil, no}, // another Windows
		{"Microsoft .NET Framework 4.8 on " + seven, nil, unread},
		{"Microsoft .NET Framework 4.8 on " + seven, func(r *memory.Registry) { r.SetNumber(rule.Native, net4, "Release", 528049) }, yes},
		{"Microsoft .NET Framework 4.8 on " + seven, func(r *memory.Registry) { r.SetNumber(rule.Native, net4, "Release", 461814) }, no},
		{"Microsoft .NET Framework 4.8 on " + seven, func(r *memory.Registry) { r.SetNumber(rule.Native, net4, "Release", 533325) }, no},
		{"Microsoft .NET Framework 4.6/4.6.1/4.6.2/4.7/4.7.1/4.7.2 on " + seven, func(r *memory.Registry) { r.SetNumber(rule.Native, net4, "Release", 461814) }, yes},
		{"Microsoft .NET Framework 3.5 AND 4.7.2 on " + seven, func(r *memory.Registry) { r.SetNumber(rule.Native, net4, "Release", 461814) }, yes},
		{"Microsoft .NET Framework 3.5.1 on " + seven, func(r *memory.Registry) { r.SetNumber(rule.Native, net35, "Install", 1) }, yes},
		{"Microsoft .NET Framework 3.5.1 on " + seven, func(r *memory.Registry) { r.SetNumber(rule.Native, net35, "Install", 0) }, no},
		{"Some Tool on " + seven, nil, unread},
	} {
		h := &memory.Host{System: &rule.System{Platform: "windows", Major: 6, Minor: 1, Build: 7601, ProductType: 1, Architecture: "x64", InstallationType: "client"}}
		if c.set != nil {
			h.Registry = memory.NewRegistry()
			c.set(h.Registry)
		}
		if got := rule.Evaluate(ScopeOf(c.product).Applicable, h.Facts(), nil); got.Answer != c.want {
			t.Errorf("%s: %+v, want %v", c.product, got, c.want)
		}
	}
}
