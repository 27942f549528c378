package staging

import (
	"context"
	"slices"
	"strings"

	"thatch/catalog/document"
	"thatch/node/bulletins/live"
)

// Known is what the site's documents say of a payload file.
type Known struct {
	Name      string
	Package   string // document id
	Needed    bool   // staged, pinned by a policy, or added by hand without an address
	languages []string
	neutral   bool
}

// Matters says whether the file is neutral or of one of some languages.
func (k *Known) Matters(languages []string) bool {
	head := document.Head{Languages: k.languages}
	return k.neutral || len(k.languages) > 0 && head.Matters(languages)
}

// Known tells what the site's documents say of payload files, by their SHA-256: of all that they name.
func (s *Stager) Known(ctx context.Context) (map[string]Known, error) {
	needed, err := s.needed(ctx)
	if err != nil {
		return nil, err
	}
	all := map[string]Known{}
	add := func(sum, name, pack string, languages []string) {
		sum = strings.ToLower(sum)
		k := all[sum]
		k.Name, k.Package, k.Needed = name, pack, needed[sum]
		k.neutral = k.neutral || len(languages) == 0
		k.languages = append(k.languages, languages...)
		slices.Sort(k.languages)
		k.languages = slices.Compact(k.languages)
		all[sum] = k
	}
	pinned, err := s.pinned(ctx)
	if err != nil {
		return nil, err
	}
	for i := range pinned {
		add(pinned[i].SHA256, pinned[i].Name, pinned[i].pack, pinned[i].languages)
	}
	err = s.cfg.Catalog.Read(ctx, func(v *live.View) error {
		for _, p := range v.Packages() {
			for _, f := range p.Files {
				if f.SHA256 != "" {
					add(f.SHA256, f.Name, p.ID, p.Languages)
				}
			}
			if payload := v.AnyPayload(p.ID); payload != nil {
				for _, f := range payload.Files {
					add(f.SHA256, f.Name, p.ID, p.Languages)
				}
			}
		}
		return nil
	})
	return all, err
}
