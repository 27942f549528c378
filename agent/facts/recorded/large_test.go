package recorded_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"thatch/agent/facts/recorded"
	"thatch/catalog"
	"thatch/catalog/evaluate"
	"thatch/catalog/supersedence"
	"thatch/ringtest"
)

// BenchmarkEvaluateLarge holds the host with the longest hotfix list against a catalog as large as ten years of files:
// the real ones, seven times over under other KB numbers of the same era.
func BenchmarkEvaluateLarge(b *testing.B) {
	real := importAll(b, ringtest.Data(b, "msrc"))
	c := &imported{supersedence.NewGraph(), make(map[string]*catalog.Update)}
	for copies := range 8 {
		other := func(id string) string {
			if copies == 0 {
				return id
			}
			parts := strings.SplitN(id, "/", 3)
			return fmt.Sprintf("%s/%s/%s", parts[0], "KB"+shifted(parts[1][2:], copies), parts[2])
		}
		for id, u := range real.updates {
			clone := *u
			clone.KB = shifted(u.KB, copies)
			clone.Supersedes = nil
			for _, s := range u.Supersedes {
				clone.Supersedes = append(clone.Supersedes, other(s))
			}
			c.graph.AddUpdate(other(id), &clone)
			c.updates[other(id)] = &clone
		}
	}
	raw, err := os.ReadFile(filepath.Join(ringtest.Data(b, "hosts"), "7_sp1_x64_enterprise_en-us_A_systeminfo.txt"))
	if err != nil {
		b.Fatal(err)
	}
	h, err := recorded.Read(raw, nil)
	if err != nil {
		b.Fatal(err)
	}
	view := c.graph.View(time.Time{})
	for b.Loop() {
		evaluate.Evaluate(&h.Facts, c.all(), c.graph, view, false)
	}
	b.ReportMetric(float64(len(c.updates)), "updates")
}

func shifted(kb string, by int) string {
	if by == 0 {
		return kb
	}
	return kb[:len(kb)-1] + fmt.Sprint(by, kb[len(kb)-1:])[:1]
}
