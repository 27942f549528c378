package recorded

import (
	"fmt"
	"slices"
	"strings"

	"thatch/catalog/rule/memory"
	"thatch/catalog/windows"
)

// readFacts reads facts as JSON (see catalog/rule/memory). What is left out is not known. The product is computed
// where it is not given.
func readFacts(text string) (*Host, error) {
	record, err := memory.Decode([]byte(text))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrNotRecorded, err)
	}
	sys := record.System
	if sys == nil || sys.Platform == "" && sys.Build == 0 {
		return nil, fmt.Errorf("%w: the JSON has no \"system\" with platform and build", ErrNotRecorded)
	}
	if sys.Platform == "" {
		sys.Platform = "windows"
	}
	if sys.Product == "" && sys.Architecture != "" && sys.ProductType != 0 {
		if release := windows.Find(sys.Major, sys.Minor, sys.Build, sys.ProductType > 1); release != nil {
			sys.Product = release.NameOn(sys.Architecture, sys.InstallationType == "servercore" || release.Core)
		}
	}
	if list := record.Hotfixes; list != nil {
		for i, kb := range list.KBs {
			list.KBs[i] = strings.TrimPrefix(strings.ToUpper(kb), "KB")
		}
		slices.Sort(list.KBs)
	}
	h := &Host{Name: record.Name, Facts: *record.Facts(), record: record}
	if len(sys.Languages) > 0 {
		h.Locale = strings.ToLower(sys.Languages[0])
	}
	return h, nil
}

// Record is the host in a form that can be written as JSON and read again.
func (h *Host) Record() *memory.Host {
	record := h.record
	if record == nil {
		record = &memory.Host{System: h.Facts.System}
	}
	record.Name, record.Hotfixes = h.Name, h.Facts.Hotfixes
	return record
}
