package timing

import (
	"slices"
	"sync"

	"thatch/node/replicas/dataset"
)

// Growth is by documents of which types the parent's journal has grown since somebody looked.
type Growth struct {
	C chan struct{} // it has grown

	mu    sync.Mutex
	types []dataset.Type
}

// NewGrowth makes one of no types.
func NewGrowth() *Growth { return &Growth{C: make(chan struct{}, 1)} }

// Add notes some types, or all where none is named.
func (g *Growth) Add(types ...dataset.Type) {
	if len(types) == 0 {
		types = dataset.Types(dataset.Down)
	}
	g.mu.Lock()
	for _, t := range types {
		if !slices.Contains(g.types, t) {
			g.types = append(g.types, t)
		}
	}
	g.mu.Unlock()
	select {
	case g.C <- struct{}{}:
	default: // told already
	}
}

// Take gives the types, and forgets them.
func (g *Growth) Take() (types []dataset.Type) {
	g.mu.Lock()
	defer g.mu.Unlock()
	types, g.types = g.types, nil
	return types
}
