package replication_test

import (
	"fmt"
	"testing"

	"thatch/catalog/document"
	"thatch/replication/replicationtest"
	"thatch/replication/wire"
)

// TestThousandsOfPoliciesAreNotForTheChildAnyMore: they are named in as many answers as it takes, with their states where the
// child has any.
func TestThousandsOfPoliciesAreNotForTheChildAnyMore(t *testing.T) {
	parent, child := pair(t, replicationtest.Config{}, replicationtest.Config{}, 1)
	client := caller(t, child, parent)
	kept := parent.Put(t, document.Policy, "policy:"+parent.Site().ID+":1", `{"name":"October","updates":[],"plan":{"when":"asap"}}`)
	q := wire.UrgentRequest{Languages: []string{"de"}, Held: []string{kept.ID}, Known: map[string]document.Digest{}}
	for i := range 5000 {
		id := fmt.Sprintf("policy:%s:gone-%d", parent.Site().ID, i)
		q.Held = append(q.Held, id)
		if i%2 == 0 {
			q.Known[id] = document.Digest{1}
		}
	}
	gone := map[document.Kind]int{}
	for more := true; more; {
		page, err := client.Fetch(t.Context(), wire.PathUrgent, q)
		if err != nil {
			t.Fatal(err)
		}
		taken := map[string]bool{}
		for _, e := range page.Entries {
			if !e.Removed || e.ID == kept.ID {
				t.Fatalf("the child is told of %+v", e)
			}
			gone[e.Kind]++
			taken[e.ID] = true
		}
		left := q.Held[:0]
		for _, id := range q.Held {
			if !taken[id] {
				left = append(left, id)
			}
		}
		if more = page.More; more && len(left) == len(q.Held) {
			t.Fatal("there is more, and nothing comes")
		}
		q.Held = left
	}
	if gone[document.Policy] != 5000 || gone[document.PolicyState] != 2500 || len(q.Held) != 1 {
		t.Errorf("gone are %v, left %d", gone, len(q.Held))
	}
}
