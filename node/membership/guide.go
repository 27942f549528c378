package membership

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"thatch/node/identity/sealed"
)

// guideFile is in the data folder of a node from the moment that its site admitted it until it holds the site's database.
const guideFile = "join.json"

// guide is how a node finds its site while it does not hold the site's database.
type guide struct {
	Site  string  `json:"site"` // id
	Name  string  `json:"name"`
	Votes bool    `json:"votes"`
	Nodes []Known `json:"nodes"`
}

func (g *guide) addresses(id string) []string {
	for _, n := range g.Nodes {
		if n.ID == id {
			return n.Addresses
		}
	}
	return nil
}

// readGuide is nil where there is none.
func readGuide(dir string) (*guide, error) {
	text, err := os.ReadFile(filepath.Join(dir, guideFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	var g guide
	if err == nil {
		err = json.Unmarshal(text, &g)
	}
	if err != nil {
		return nil, fmt.Errorf("read where the site's nodes are: %w; join again with the same token: thatch node join", err)
	}
	return &g, nil
}

func writeGuide(dir string, g guide) error {
	text, err := json.Marshal(g)
	if err != nil {
		return fmt.Errorf("encode where the site's nodes are: %w", err)
	}
	return sealed.WriteSecret(filepath.Join(dir, guideFile), text)
}

func removeGuide(dir string) error {
	if err := os.Remove(filepath.Join(dir, guideFile)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("forget how the node joined: %w", err)
	}
	return nil
}
