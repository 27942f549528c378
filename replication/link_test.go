package replication_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"testing"

	"thatch/catalog/document"
	"thatch/node/replicas/dataset"
	"thatch/node/tasks"
	"thatch/replication"
	"thatch/replication/replicationtest"
	"thatch/replication/wire"
)

// verified has a child verify a type in full, and repair.
func verified(t *testing.T, child *replicationtest.Linked, of dataset.Type) wire.Verified {
	t.Helper()
	return verifiedBy(t, child, replication.Params{Type: of, Verify: 100, Repair: true})
}

// verifiedUp verifies everything of a type that went up, and repairs.
func verifiedUp(t *testing.T, child *replicationtest.Linked, of dataset.Type) wire.Verified {
	t.Helper()
	return verifiedBy(t, child, replication.Params{Type: of, Verify: 100, Repair: true, Up: true})
}

func verifiedBy(t *testing.T, child *replicationtest.Linked, p replication.Params) wire.Verified {
	t.Helper()
	var id string
	child.Eventually(t, "a run of its own", func() (err error) {
		id, err = child.Link.Start(t.Context(), p)
		return err
	})
	run, err := child.Tasks.Wait(t.Context(), id)
	if err != nil || run.State != tasks.Done {
		t.Fatalf("run %+v, %v", run, err)
	}
	var result wire.RunResult
	if err := json.Unmarshal(run.Result, &result); err != nil {
		t.Fatal(err)
	}
	return *result.Verified
}

func TestAChildReceivesWhatItsLanguagesNeed(t *testing.T) {
	parent := replicationtest.Start(t, replicationtest.Config{Name: "Top", Languages: []string{"de", "en", "fr"}})
	child := replicationtest.Start(t, replicationtest.Config{Name: "North", Languages: []string{"de"}})
	for i := range 5 {
		parent.Put(t, document.Package, fmt.Sprintf("p-de-%d", i), `{"note":"deutsch"}`, "de")
		parent.Put(t, document.Package, fmt.Sprintf("p-fr-%d", i), `{"note":"français"}`, "fr")
		parent.Put(t, document.Bulletin, fmt.Sprintf("b-%d", i), "{}")
	}
	child.Join(t, parent)
	child.Eventually(t, "the first run", func() error {
		return errors.Join(child.Holds(document.Package, 5), child.Holds(document.Bulletin, 5))
	})
	parent.Put(t, document.Package, "p-de-9", `{"note":"neu"}`, "de")
	child.Eventually(t, "a change", func() error { return child.Holds(document.Package, 6) })
	parent.Remove(t, document.Package, "p-de-9")
	parent.Put(t, document.Bulletin, "b-9", "{}")
	child.Eventually(t, "a removal", func() error {
		return errors.Join(child.Holds(document.Package, 5), child.Holds(document.Bulletin, 6))
	})
	if v := verified(t, child, dataset.Data); !v.Equal || v.Compared != 11 || v.DigestHere != v.DigestThere {
		t.Errorf("verified: %+v", v)
	}
	if err := child.SetLanguages(t.Context(), []string{"de", "fr"}); err != nil {
		t.Fatal(err)
	}
	child.Eventually(t, "French is added", func() error { return child.Holds(document.Package, 10) })
	if err := child.SetLanguages(t.Context(), []string{"fr"}); err != nil {
		t.Fatal(err)
	}
	child.Eventually(t, "German is dropped", func() error { return child.Holds(document.Package, 5) })
	if v := verified(t, child, dataset.Data); !v.Equal {
		t.Errorf("verified: %+v", v)
	}
}
