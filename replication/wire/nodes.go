package wire

import (
	"encoding/json"
	"slices"

	"thatch/node/sites"
)

// maxNodes is how many addresses of a parent's nodes a child tries.
const maxNodes = 32

// Addresses are where a parent's nodes may be reached, each once: those that an administrator gave first, then those that the
// parent told of when it was called last.
func Addresses(parent sites.Parent) []string {
	var told LinkResponse
	if len(parent.Link) > 0 && json.Unmarshal(parent.Link, &told) != nil {
		told.Nodes = nil // another version wrote it
	}
	var all []string
	for _, address := range slices.Concat(parent.URLs, told.Nodes[:min(len(told.Nodes), maxNodes)]) {
		if base, err := ParseAddress(address); err == nil && !slices.Contains(all, base.String()) {
			all = append(all, base.String())
		}
	}
	return all
}
