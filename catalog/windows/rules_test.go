package windows

import "testing"

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
