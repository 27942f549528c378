package offline_test

import (
	"errors"
	"fmt"
	"slices"
	"testing"

	"thatch/catalog/document"
	"thatch/node/replicas/dataset"
	"thatch/replication/offline"
	"thatch/replication/replicationtest"
)

// TestWhatGoesUp: what came up is proved from the two files as well as what went down, and what a parent lost of it is seen.
func TestWhatGoesUp(t *testing.T) {
	above, below := t.TempDir(), t.TempDir()
	top := replicationtest.Start(t, replicationtest.Config{Dir: above, Name: "Top", Languages: []string{"de"}})
	berlin := replicationtest.Start(t, replicationtest.Config{Dir: below, Name: "Berlin", Languages: []string{"de"}})
	berlin.Join(t, top)
	id := berlin.Site().ID
	differing := func() []dataset.Type {
		t.Helper()
		there, err := offline.Child(t.Context(), above, id)
		if err != nil {
			return []dataset.Type{"unknown"} // its language alert is on its way
		}
		here, err := offline.Parent(t.Context(), below)
		if err != nil {
			t.Fatal(err)
		}
		if len(here.Up) != len(there.Up) || there.Digest != here.Digest {
			return []dataset.Type{"down"}
		}
		var types []dataset.Type
		for i, one := range here.Up {
			if one.Digest != there.Up[i].Digest || one.Documents == 0 {
				types = append(types, one.Type)
			}
		}
		return types
	}
	top.Eventually(t, "equal", func() error {
		if types := differing(); len(types) > 0 {
			return fmt.Errorf("%v differ", types)
		}
		return nil
	})
	if err := top.HoldsID(document.Health, id); err != nil {
		t.Fatal(errors.New("nothing came up"))
	}
	top.Remove(t, document.Health, id)
	if types := differing(); !slices.Equal(types, []dataset.Type{dataset.Health}) {
		t.Errorf("%v differ", types)
	}
}
