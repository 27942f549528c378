package replication_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"thatch/catalog/document"
	"thatch/catalog/policy"
	"thatch/node/bulletins/bulletinstest"
	"thatch/node/store"
	"thatch/replication/replicationtest"
	"thatch/replication/wire"
)

// TestAPolicyBringsWhatItPins has a policy come down alone, as it does when somebody makes one: what it pins and is not
// current any more comes with it.
func TestAPolicyBringsWhatItPins(t *testing.T) {
	parent := replicationtest.Start(t, replicationtest.Config{Name: "Top", Languages: []string{"de"}})
	child := replicationtest.Start(t, replicationtest.Config{Name: "North", Languages: []string{"de"}})
	child.Join(t, parent)
	child.Eventually(t, "the first run", func() error { return ran(t, child, "policies", func(wire.RunResult) error { return nil }) })

	made := func(id, body string) document.Document {
		kind := document.Update
		if id != "u" {
			kind = document.Policy
		}
		doc, err := document.New(kind, id, nil, []byte(body))
		if err != nil {
			t.Fatal(err)
		}
		parent.Identity.Sign(&doc)
		return doc
	}
	earlier, later := made("u", `{"v":1}`), made("u", `{"v":2}`)
	body, err := json.Marshal(policy.Policy{
		Name: "October", Plan: policy.Plan{When: policy.StartASAP},
		Updates: []policy.Update{{Update: "u", Digest: earlier.Digest, Enabled: true}},
	})
	if err != nil {
		t.Fatal(err)
	}
	order := made("policy:"+parent.Site().ID+":1", string(body))
	for _, statements := range [][]store.Statement{
		slices.Concat(store.Put(earlier, "", store.Former{}), store.Put(order, "", store.Former{}),
			store.Repin(order.ID, []document.Digest{earlier.Digest})),
		store.Put(later, "", store.Former{}),
	} {
		applied, err := parent.Writer().Write(t.Context(), store.Batch{
			Actor: "test", Reason: "test", Topics: []string{store.TopicDocuments}, Statements: statements,
		})
		if err = errors.Join(err, applied.Err()); err != nil {
			t.Fatal(err)
		}
	}
	child.Eventually(t, "the pinned revision arrives", func() error {
		awaited, err := child.Replicas.Awaited(t.Context(), 10)
		if err == nil && len(awaited) > 0 {
			err = fmt.Errorf("%d pinned revisions are awaited", len(awaited))
		}
		return errors.Join(err, child.Holds(document.Policy, 1))
	})
	child.Eventually(t, "the run says what it cost", func() error {
		return ran(t, child, "policies", func(result wire.RunResult) error {
			if result.Documents == 0 || result.Bytes < result.BodyBytes/4 {
				return fmt.Errorf("%d documents in %d bytes on the wire, their bodies %d", result.Documents, result.Bytes, result.BodyBytes)
			}
			return nil
		})
	})
}

// ran looks at what the last run of a type came to.
func ran(t *testing.T, s *replicationtest.Linked, of string, look func(wire.RunResult) error) error {
	t.Helper()
	runs, err := s.Sites.LastRuns(t.Context())
	if err != nil {
		return err
	}
	for _, run := range runs {
		if run.Type != of {
			continue
		}
		var result wire.RunResult
		if err := json.Unmarshal(run.Result, &result); err != nil {
			return err
		}
		return look(result)
	}
	return fmt.Errorf("no run of %s in %v", of, runs)
}

// firstRuns waits until those are over that follow each other when a child has joined, with their verifications, which mend.
func firstRuns(t *testing.T, child *replicationtest.Linked) {
	t.Helper()
	child.Eventually(t, "the first runs", func() error { return ran(t, child, "policies", func(wire.RunResult) error { return nil }) })
}

// TestPinsThatFillNoOnePage has a policy pin more bytes, of revisions that are not current any more, than a page may have.
func TestPinsThatFillNoOnePage(t *testing.T) {
	parent := replicationtest.Start(t, replicationtest.Config{Name: "Top", Languages: []string{"de"}})
	child := replicationtest.Start(t, replicationtest.Config{Name: "North", Languages: []string{"de"}})
	ordered := policy.Policy{Name: "October", Plan: policy.Plan{When: policy.StartASAP}}
	order := "policy:" + parent.Site().ID + ":1"
	large := strings.Repeat(" ", document.MaxSize-1000)
	for i := range wire.MaxPage/len(large) + 2 {
		id := fmt.Sprintf("u-%d", i)
		earlier := parent.Put(t, document.Update, id, `{"v":1}`+large)
		bulletinstest.Write(t, parent.Writer(), store.Statement{SQL: `INSERT INTO pin (policy, digest) VALUES (?, ?)`, Args: []any{order, earlier.Digest[:]}})
		parent.Put(t, document.Update, id, `{"v":2}`)
		ordered.Updates = append(ordered.Updates, policy.Update{Update: id, Digest: earlier.Digest, Enabled: true})
	}
	body, err := json.Marshal(ordered)
	if err != nil {
		t.Fatal(err)
	}
	parent.Put(t, document.Policy, order, string(body))
	child.Join(t, parent)
	child.Eventually(t, "the pinned revisions arrive", func() error {
		awaited, err := child.Replicas.Awaited(t.Context(), 100)
		if err == nil && len(awaited) > 0 {
			err = fmt.Errorf("%d pinned revisions are awaited", len(awaited))
		}
		return errors.Join(err, child.Holds(document.Policy, 1))
	})
}
