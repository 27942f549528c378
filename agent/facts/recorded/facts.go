package recorded

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"thatch/catalog/rule"
	"thatch/catalog/windows"
)

// recordedFacts is the JSON form of a host.
type recordedFacts struct {
	Name     string         `json:"name,omitempty"`
	System   *rule.System   `json:"system"`
	Hotfixes *rule.Hotfixes `json:"hotfixes,omitempty"`
}

// readFacts reads {"name":..., "system":{...}, "hotfixes":{"kbs":[...],"complete":true}}. What is left out is not
// known. The product is computed where it is not given.
func readFacts(text string) (*Host, error) {
	var f recordedFacts
	if err := json.Unmarshal([]byte(text), &f); err != nil {
		return nil, fmt.Errorf("%w: facts as JSON: %w", ErrNotRecorded, err)
	}
	if f.System == nil || f.System.Platform == "" && f.System.Build == 0 {
		return nil, fmt.Errorf("%w: the JSON has no \"system\" with platform and build", ErrNotRecorded)
	}
	h := &Host{Name: f.Name, Facts: rule.Facts{System: f.System, Hotfixes: f.Hotfixes}}
	sys := f.System
	if sys.Platform == "" {
		sys.Platform = "windows"
	}
	if sys.Product == "" && sys.Architecture != "" && sys.ProductType != 0 {
		if release := windows.Find(sys.Major, sys.Minor, sys.Build, sys.ProductType > 1); release != nil {
			sys.Product = release.NameOn(sys.Architecture, sys.InstallationType == "servercore" || release.Core)
		}
	}
	if len(sys.Languages) > 0 {
		h.Locale = strings.ToLower(sys.Languages[0])
	}
	if f.Hotfixes != nil {
		for i, kb := range f.Hotfixes.KBs {
			f.Hotfixes.KBs[i] = strings.TrimPrefix(strings.ToUpper(kb), "KB")
		}
		slices.Sort(f.Hotfixes.KBs)
	}
	return h, nil
}
