package windows

import (
	"strings"
	"testing"

	"thatch/catalog/rule"
	"thatch/catalog/rule/memory"
)

// What is no part of Windows says why it cannot be judged, and what a key of the registry can rule out.
func TestOthers(t *testing.T) {
	for _, c := range []struct{ name, reason, key string }{
		{"Microsoft Office 2016 (64-bit edition)", "Office", `Office\16.0\Common`},
		{"Microsoft Word 2013 Service Pack 1 (32-bit editions)", "Office", `Office\15.0\Common`},
		{"Microsoft Outlook 2010 Service Pack 2 (32-bit editions)", "Office", `Office\14.0\Common`},
		{"Microsoft Excel 2007 Service Pack 3", "Office", `Office\12.0\Common`},
		{"Microsoft Excel Viewer", "Office", ""},
		{"Skype for Business 2016 (32-bit)", "Office", ""},
		{"Microsoft Office Web Apps 2013 Service Pack 1", "SharePoint", ""},
		{"Office Online Server", "SharePoint", ""},
		{"Excel Services on Microsoft SharePoint Server 2010 Service Pack 2", "SharePoint", `Extensions\14.0`},
		{"Microsoft SharePoint Server 2019", "SharePoint", `Extensions\16.0`},
		{"Microsoft SharePoint Server Subscription Edition", "SharePoint", `Extensions\16.0`},
		{"Microsoft Exchange Server 2019 Cumulative Update 13", "Exchange", `ExchangeServer\v15`},
		{"Microsoft Exchange Server 2010 Service Pack 3 Update Rollup 26", "Exchange", `ExchangeServer\v14`},
		{"Microsoft SQL Server 2019 for x64-based Systems (GDR)", "SQL", `Instance Names\SQL`},
		{"Microsoft Silverlight 5 when installed on Microsoft Windows (32-bit)", "Silverlight", `Microsoft\Silverlight`},
		{"Microsoft Visual Studio 2015 Update 3", "Visual Studio", ""},
		{"Microsoft Dynamics 365 (on-premises) version 9.1", "Dynamics", ""},
		{".NET 8.0 installed on Linux", "Linux", ""},
		{"Windows 12 for x64-based Systems", "not known to this version", ""},
		{"Windows Azure Pack Rollup 13.1", "no fact", ""},
		{"Power BI Report Server", "no fact", ""},
		{"", "does not name", ""},
	} {
		s := ScopeOf(c.name)
		if s.Release != nil || s.Windows != nil {
			t.Errorf("%s is no Windows: %+v", c.name, s)
		}
		if c.key == "" {
			if s.Applicable != nil || !strings.Contains(s.Reason, c.reason) {
				t.Errorf("%s: %+v", c.name, s)
			}
			continue
		}
		// Unknown without a registry and where the key is there, in either view; false where it is in neither.
		for where, want := range map[string]rule.Answer{"": rule.Unknown, "neither": rule.False, "native": rule.Unknown, "wow64": rule.Unknown} {
			got := rule.Evaluate(s.Applicable, withKey(t, where, keyIn(s.Applicable)), nil)
			if got.Answer != want || want == rule.Unknown && !strings.Contains(got.Because, c.reason) || !strings.Contains(keyIn(s.Applicable), c.key) {
				t.Errorf("%s with the key in %q: %+v, key %s", c.name, where, got, keyIn(s.Applicable))
			}
		}
		for _, problem := range rule.Check(s.Applicable) {
			t.Errorf("%s: %v", c.name, problem)
		}
	}
}

// keyIn is the path that a rule looks for.
func keyIn(r *rule.Rule) string {
	if key := r.With["Subkey"]; key != "" {
		return key
	}
	for _, child := range r.Rules {
		if key := keyIn(child); key != "" {
			return key
		}
	}
	return ""
}

// withKey is a computer whose registry was read and has a key in a view; no view at all: it was not read.
func withKey(t *testing.T, view, path string) *rule.Facts {
	t.Helper()
	h := &memory.Host{System: &rule.System{Platform: "windows", Architecture: "x64"}}
	if view != "" {
		h.Registry = memory.NewRegistry()
	}
	switch view {
	case "native":
		h.Registry.SetKey(rule.Native, path)
	case "wow64":
		h.Registry.SetKey(rule.WOW64, path)
	}
	return h.Facts()
}
