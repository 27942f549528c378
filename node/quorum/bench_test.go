package quorum_test

import (
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"thatch/node/quorum"
	"thatch/node/store"
	"thatch/node/store/storetest"
)

// The rows are those of the baselines: an id and five texts of about 40 bytes.
const benchTable = `CREATE TABLE bench (id INTEGER PRIMARY KEY, a TEXT, b TEXT, c TEXT, d TEXT, e TEXT)`

func benchRow() store.Statement {
	args := make([]any, 5)
	for i := range args {
		raw := make([]byte, 20)
		rand.Read(raw)
		args[i] = hex.EncodeToString(raw)
	}
	return store.Statement{SQL: `INSERT INTO bench (a, b, c, d, e) VALUES (?, ?, ?, ?, ?)`, Args: args}
}

func benchBatch(rows int) store.Batch {
	b := store.Batch{Actor: "bench", Reason: "rows", At: time.Unix(1_700_000_000, 0)}
	for range rows {
		b.Statements = append(b.Statements, benchRow())
	}
	return b
}

// benchWrite has a number of writers write batches of so many rows, each durable before the next.
func benchWrite(b *testing.B, w store.Writer, writers, rows int) {
	b.Helper()
	table := store.Batch{Actor: "bench", Reason: "table", Statements: []store.Statement{{SQL: benchTable}}}
	if _, err := w.Write(b.Context(), table); err != nil {
		b.Fatal(err)
	}
	batch := benchBatch(rows)
	var left atomic.Int64
	left.Store(int64(b.N))
	b.ResetTimer()
	var all sync.WaitGroup
	for range writers {
		all.Go(func() {
			for left.Add(-1) >= 0 {
				if applied, err := w.Write(b.Context(), batch); err != nil || applied.Err() != nil {
					b.Error(err, applied.Err())
					return
				}
			}
		})
	}
	all.Wait()
	b.StopTimer()
	b.ReportMetric(float64(b.N*rows)/b.Elapsed().Seconds(), "rows/s")
}

// quiet has nothing logged: the results are read by a program.
func quiet(b *testing.B) {
	former := slog.Default()
	slog.SetDefault(slog.New(slog.DiscardHandler))
	b.Cleanup(func() { slog.SetDefault(former) })
}

func one(b *testing.B) store.Writer {
	quiet(b)
	return started(b, b.TempDir(), quorum.Tuning{}).q
}

// three is the leader of three voters in this process, each with its own log and file on the same disk.
func three(b *testing.B) store.Writer {
	quiet(b)
	return storetest.NewSite(b, 3, quorum.Tuning{Heartbeat: time.Second}).Leader().Quorum
}

func BenchmarkWrite(b *testing.B) {
	for _, writers := range []int{1, 16, 64} {
		b.Run(fmt.Sprintf("writers=%d", writers), func(b *testing.B) { benchWrite(b, one(b), writers, 1) })
	}
}

func BenchmarkWrite500Rows(b *testing.B) {
	for _, writers := range []int{1, 4} {
		b.Run(fmt.Sprintf("writers=%d", writers), func(b *testing.B) { benchWrite(b, one(b), writers, 500) })
	}
}

func BenchmarkWriteThreeVoters(b *testing.B) {
	for _, writers := range []int{1, 16, 64} {
		b.Run(fmt.Sprintf("writers=%d", writers), func(b *testing.B) { benchWrite(b, three(b), writers, 1) })
	}
}
