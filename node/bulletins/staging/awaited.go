package staging

import (
	"cmp"
	"context"
	"slices"
	"strings"

	"thatch/catalog"
	"thatch/node/bulletins/staging/transit"
)

// What staging says of files on their way.
type (
	Awaited = transit.Awaited
	Later   = transit.Later
)

// Soon is how long a run of downloads waits for a file that is on its way.
const Soon = transit.Soon

// Load reads the state, with what this node knows of files on their way.
func (s *Stager) Load(ctx context.Context) (*State, error) {
	state, err := Load(ctx, s.cfg.Reader)
	if err == nil {
		state.transit = &s.transit
	}
	return state, err
}

// Awaited tells how far some payload files are, nil where the site holds them all.
func (s *State) Awaited(files []catalog.StagedFile) *Awaited {
	a := &Awaited{}
	seen := make(map[string]bool, len(files))
	for _, f := range files {
		sum := strings.ToLower(f.SHA256)
		if seen[sum] {
			continue
		}
		seen[sum] = true
		a.OfFiles++
		a.OfBytes += f.Size
		if s.Held(sum) {
			a.Files++
			a.Bytes += f.Size
			continue
		}
		if s.transit == nil {
			continue
		}
		if moving, known := s.transit.File(sum); known {
			a.Bytes += min(moving.Bytes, f.Size)
			a.From, a.Why = cmp.Or(a.From, moving.From), cmp.Or(a.Why, moving.Why)
		}
	}
	if a.Files == a.OfFiles {
		return nil
	}
	return a
}

// moves says whether files of a payload that are not here are on their way, or waited for.
func (s *State) moves(files []catalog.StagedFile) bool {
	return s.transit != nil && slices.ContainsFunc(files, func(f catalog.StagedFile) bool {
		_, known := s.transit.File(strings.ToLower(f.SHA256))
		return known
	})
}

// Awaited lists the files that the site awaits as far as this node knows, by name, and sums them up: nil where there are
// none.
func (s *Stager) Awaited() (sum *Awaited, files []transit.File) { return s.transit.All() }
