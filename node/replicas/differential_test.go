//go:build unix

package replicas_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
	"time"

	"thatch/catalog/document"
	"thatch/node/replicas/dataset"
	"thatch/node/replicas/replicastest"
	"thatch/node/store"
)

// used is what this process used of the processors.
func used(b *testing.B) time.Duration {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		b.Fatal(err)
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

// BenchmarkDifferential changes 100 documents at the parent and takes them over: it must not matter how many there are.
func BenchmarkDifferential(b *testing.B) {
	for _, count := range sizes() {
		b.Run(strconv.Itoa(count), func(b *testing.B) {
			dir := b.TempDir()
			top := replicastest.Open(b, "top", nil, filepath.Join(dir, "top.db"))
			defer top.DB.Close()
			top.Make(b, "e", "de")
			mid := replicastest.Open(b, "mid", top, filepath.Join(dir, "mid.db"))
			defer mid.DB.Close()
			mid.Make(b, "e", "de")
			fill(b, top, count, 500)
			fill(b, mid, count, 500)
			stand(b, mid)
			random := rand.NewChaCha8([32]byte{2})
			var busy time.Duration
			b.ResetTimer()
			for b.Loop() {
				b.StopTimer()
				var changed []store.Statement
				for range 100 {
					id := fmt.Sprintf("msrc:update:%07d", random.Uint64()%uint64(count))
					doc := top.Doc(b, document.Update, id, string(body(random, 500)))
					changed = append(changed, store.Put(doc, "", store.Former{})...)
				}
				top.Write(b, changed...)
				before := used(b)
				b.StartTimer()
				if report := mid.Pull(b, dataset.Data); report.Complete != nil || report.Changed < 90 {
					b.Fatalf("%+v", report)
				}
				busy += used(b) - before
			}
			b.ReportMetric(float64(busy)/float64(b.N), "cpu-ns/op")
		})
	}
}

// stand makes a site hold everything up to here without a run: keys first, and the cursor of the last complete page.
func stand(b *testing.B, s *replicastest.Site) {
	b.Helper()
	s.Pull(b, dataset.Languages)
	there, _ := s.Scopes(b, dataset.Data)
	last, err := s.Parent.Sender.Complete(context.Background(), there, dataset.Cursor{}, dataset.Key{Kind: "\xfe"}, dataset.Limits{})
	if err != nil {
		b.Fatal(err)
	}
	last.After = dataset.Key{} // as if nothing had come before
	last.From.Audience.KeepOthers = true
	last.Cursor = last.From
	s.Audience[dataset.Data] = last.From.Audience
	if _, err := s.Room.Apply(context.Background(), s.Above(), last); err != nil {
		b.Fatal(err)
	}
}
