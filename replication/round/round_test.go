package round

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"thatch/node/replicas/dataset"
	"thatch/node/tasks"
	"thatch/replication/wire"
)

// TestAResultFits: however many children ran, and whatever they found; those that failed are named before others.
func TestAResultFits(t *testing.T) {
	for _, children := range []int{1, 20, 800} {
		result := Result{Documents: 7}
		for i := range children {
			link := Link{Site: fmt.Sprintf("child %d", i), ID: fmt.Sprint(i)}
			for range 6 {
				run := wire.RunResult{}
				for j := range 100 {
					run.Aside = append(run.Aside, dataset.Key{Kind: "bulletin", ID: fmt.Sprint(strings.Repeat("x", 400), j)})
				}
				link.Runs = append(link.Runs, run)
			}
			if i == children-1 {
				link.Error = strings.Repeat("it failed; ", 1000)
			}
			result.Links = append(result.Links, link)
		}
		result.fit(tasks.MaxResult / 2)
		raw, err := json.Marshal(result)
		if err != nil || len(raw) > tasks.MaxResult {
			t.Errorf("%d children: %d bytes, %v", children, len(raw), err)
		}
		if len(result.Links)+result.MoreLinks != children || result.Links[0].Error == "" || result.Documents != 7 {
			t.Errorf("%d children: %d links and %d more, the first %+.100v", children, len(result.Links), result.MoreLinks, result.Links[0])
		}
		if one := result.Links[0].Runs[0]; len(one.Aside)+one.More[wire.ListAside] != 100 {
			t.Errorf("%d children: %d in quarantine and %d more", children, len(one.Aside), one.More[wire.ListAside])
		}
	}
}
