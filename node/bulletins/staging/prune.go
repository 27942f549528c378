package staging

import (
	"context"
	"fmt"
	"strings"
	"time"

	"thatch/catalog/content"
	"thatch/node/bulletins/live"
)

// Pruner removes payloads that nobody needs (see content.Store).
type Pruner interface {
	Prune(ctx context.Context, before time.Time, keep func(sha256 string) bool) (content.Pruned, error)
}

// Prune removes payloads that were last written or asked for before a time, and that neither a staged bulletin nor a
// policy needs any more; then the holdings say so.
func (s *Stager) Prune(ctx context.Context, from Pruner, before time.Time) (content.Pruned, error) {
	needed, err := s.needed(ctx)
	if err != nil {
		return content.Pruned{}, err
	}
	pruned, err := from.Prune(ctx, before, func(sum string) bool { return needed[sum] })
	if err != nil {
		return pruned, fmt.Errorf("prune payloads: %w", err)
	}
	if pruned.Payloads == 0 {
		return pruned, nil
	}
	return pruned, s.Reconcile(ctx)
}

// needed is the SHA-256 of every payload file that is staged, pinned, or added by hand without an address to fetch it
// from again.
func (s *Stager) needed(ctx context.Context) (map[string]bool, error) {
	state, err := Load(ctx, s.cfg.Reader)
	if err != nil {
		return nil, err
	}
	needed := map[string]bool{}
	err = s.cfg.Catalog.Read(ctx, func(v *live.View) error {
		for _, p := range v.Packages() {
			for _, f := range p.Files {
				if f.URL == "" && f.SHA256 != "" {
					needed[strings.ToLower(f.SHA256)] = true
				}
			}
			u, payload := v.UpdateByID(p.Update), v.AnyPayload(p.ID)
			if u == nil || payload == nil {
				continue
			}
			if _, staged := state.Staged[u.Bulletin]; staged {
				for _, f := range payload.Files {
					needed[f.SHA256] = true
				}
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	pinned, err := s.pinned(ctx)
	for _, one := range pinned {
		needed[one.SHA256] = true
	}
	return needed, err
}
