package agent

import (
	"context"
	"testing"

	"thatch/catalog"
	"thatch/catalog/rule"
)

// hotfixes is a computer of which KBs are known, and no registry.
type hotfixes struct {
	*computer
	kbs      []string
	complete bool
}

func (h *hotfixes) Read(ctx context.Context) (*rule.Facts, error) {
	f, err := h.computer.Read(ctx)
	f.Hotfixes = &rule.Hotfixes{KBs: h.kbs, Complete: h.complete}
	return f, err
}

func TestKBsThatAreSupersededByInstalledOnes(t *testing.T) {
	const product = "Windows 10 Version 1809 for x64-based Systems"
	kb := func(number string) func(*catalog.Update) {
		return func(u *catalog.Update) {
			u.KB, u.Product = number, catalog.Product{ID: "11569", Name: product}
			u.Class = "securityupdate"
			u.Applicable = &rule.Rule{Op: "True"}
			u.Installed = rule.Test(rule.Hotfix, "KB", number, "Product", "11569")
		}
	}
	for name, c := range map[string]struct {
		installed []string
		complete  bool
		missing   []uint32
		has       []uint32
		unknown   []uint32
	}{
		"none":              {nil, true, []uint32{1, 2}, nil, nil},
		"the first":         {[]string{"4480116"}, true, []uint32{2}, []uint32{1}, nil},
		"the second":        {[]string{"4487044"}, true, nil, []uint32{1, 2}, nil},
		"one nobody knows":  {[]string{"5999999"}, true, nil, nil, []uint32{1, 2}},
		"list is not whole": {nil, false, nil, nil, []uint32{1, 2}},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSite(t)
			s.stop()
			source := &hotfixes{s.computer, c.installed, c.complete}
			cfg := s.config()
			cfg.Source = source
			opened, err := Open(cfg)
			if err != nil {
				t.Fatal(err)
			}
			s.agent = opened
			first := s.update(1, "KB4480116", "x", kb("4480116"))
			s.update(2, "KB4487044", "x", kb("4487044"), func(u *catalog.Update) { u.Supersedes = []string{first} })
			s.round()
			view := s.node.View()
			for what, want := range map[string]struct {
				got  map[uint32]bool
				want []uint32
			}{"missing": {view.Applicable, c.missing}, "installed": {view.Installed, c.has}, "cannot tell": {view.Unknown, c.unknown}} {
				if len(want.got) != len(want.want) {
					t.Errorf("%s: %v, want %v (reasons %v)", what, want.got, want.want, view.Reasons)
				}
				for _, number := range want.want {
					if !want.got[number] {
						t.Errorf("%s: %v, want %v (reasons %v)", what, want.got, want.want, view.Reasons)
					}
				}
			}
			for number := range view.Unknown {
				if view.Reasons[number] == "" {
					t.Errorf("%d cannot be told, without a reason", number)
				}
			}
		})
	}
}
