package replicas_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"testing"
	"time"

	"thatch/catalog/document"
	"thatch/node/replicas/dataset"
	"thatch/node/replicas/replicastest"
	"thatch/node/store"
)

// sizes are the numbers of documents to measure with; THATCH_BENCH_DOCUMENTS names another greatest one.
func sizes() []int {
	most := 100_000
	if n, err := strconv.Atoi(os.Getenv("THATCH_BENCH_DOCUMENTS")); err == nil {
		most = n
	}
	var list []int
	for n := 10_000; n <= most; n *= 10 {
		list = append(list, n)
	}
	return list
}

// body is one of some bytes that do not compress.
func body(random *rand.ChaCha8, size int) []byte {
	raw := make([]byte, size)
	_, _ = random.Read(raw)
	return raw
}

// fill gives a site documents of others: signatures do not matter to who reads, and making them takes longest.
func fill(b *testing.B, s *replicastest.Site, count, size int) {
	b.Helper()
	random := rand.NewChaCha8([32]byte{1})
	builder := store.NewBuilder(store.Batch{Actor: "bench", Reason: "fill"})
	write := func(batches []store.Batch) {
		for _, batch := range batches {
			if applied, err := s.DB.Write(context.Background(), batch); err != nil || applied.Err() != nil {
				b.Fatal(err, applied.Err())
			}
		}
	}
	for n := range count {
		doc, err := document.New(document.Update, fmt.Sprintf("msrc:update:%07d", n), nil, body(random, size))
		if err != nil {
			b.Fatal(err)
		}
		doc.Origin, doc.Signature = "top", make([]byte, 64)
		if err := builder.Add(store.Put(doc, "", store.Former{Absent: true})...); err != nil {
			b.Fatal(err)
		}
		write(builder.Full())
	}
	write(builder.Batches())
}

// BenchmarkComplete compares everything with a site that holds it all: the cost of a document must not grow with their number.
func BenchmarkComplete(b *testing.B) {
	for _, count := range sizes() {
		b.Run(strconv.Itoa(count), func(b *testing.B) {
			top := replicastest.New(b, "top", nil, "de")
			mid := replicastest.New(b, "mid", top, "de")
			fill(b, top, count, 100)
			fill(b, mid, count, 100)
			mid.Pull(b, dataset.Languages)
			b.ResetTimer()
			for b.Loop() {
				mid.Write(b, store.Statement{SQL: `DELETE FROM cursor`})
				if report := mid.Pull(b, dataset.Data); report.Changed+report.Removed > 0 {
					b.Fatalf("%+v", report)
				}
			}
			b.ReportMetric(b.Elapsed().Seconds()/float64(b.N)/float64(count)*1e6, "us/document")
		})
	}
}

// BenchmarkVerification hashes everything there is, beside what reading a file of the same bytes takes.
func BenchmarkVerification(b *testing.B) {
	for _, of := range []struct{ count, size int }{{20_000, 500}, {20_000, 5_000}, {20_000, 20_000}} {
		b.Run(fmt.Sprintf("%dx%d", of.count, of.size), func(b *testing.B) {
			dir := b.TempDir()
			top := replicastest.Open(b, "top", nil, filepath.Join(dir, "top.db"))
			defer top.DB.Close()
			top.Make(b, "e", "de")
			fill(b, top, of.count, of.size)
			all := body(rand.NewChaCha8([32]byte{1}), of.count*of.size)
			file := filepath.Join(dir, "same bytes")
			if err := os.WriteFile(file, all, 0o600); err != nil {
				b.Fatal(err)
			}
			scope := dataset.Scope{Type: dataset.Data, Direction: dataset.Down, Audience: dataset.Audience{All: true}}
			var here, command, plain time.Duration
			for b.Loop() {
				began := time.Now()
				if sum, err := top.Sender.Buckets(context.Background(), scope, nil); err != nil || sum.Count != of.count || len(sum.Damaged) > 0 {
					b.Fatal(sum.Count, err)
				}
				here += time.Since(began)
				began = time.Now()
				if out, err := exec.Command("sha256sum", file).Output(); err != nil || !bytes.Contains(out, []byte("same")) {
					b.Skip("there is no sha256sum here")
				}
				command += time.Since(began)
				began = time.Now()
				sha256.Sum256(all)
				plain += time.Since(began)
			}
			b.ReportMetric(here.Seconds()/float64(b.N)*1e3, "ms-here")
			b.ReportMetric(command.Seconds()/float64(b.N)*1e3, "ms-sha256sum")
			b.ReportMetric(plain.Seconds()/float64(b.N)*1e3, "ms-crypto/sha256")
			b.ReportMetric(here.Seconds()/command.Seconds(), "times-sha256sum")
		})
	}
}

// BenchmarkVerificationMemory tells how much the heap grows while everything is hashed.
func BenchmarkVerificationMemory(b *testing.B) {
	for _, count := range sizes() {
		b.Run(strconv.Itoa(count), func(b *testing.B) {
			top := replicastest.New(b, "top", nil, "de")
			fill(b, top, count, 100)
			scope := dataset.Scope{Type: dataset.Data, Direction: dataset.Down, Audience: dataset.Audience{All: true}}
			var stats runtime.MemStats
			runtime.GC()
			runtime.ReadMemStats(&stats)
			before, most := stats.HeapInuse, stats.HeapInuse
			done := make(chan struct{})
			go func() {
				defer close(done)
				for b.Loop() {
					if _, err := top.Sender.Buckets(context.Background(), scope, nil); err != nil {
						b.Error(err)
					}
				}
			}()
			every := time.NewTicker(2 * time.Millisecond)
			defer every.Stop()
			for going := true; going; {
				select {
				case <-done:
					going = false
				case <-every.C:
					runtime.ReadMemStats(&stats)
					most = max(most, stats.HeapInuse)
				}
			}
			b.ReportMetric(float64(most-before)/1e6, "MB-heap-more")
		})
	}
}
