package store_test

import (
	"fmt"
	"strings"
	"testing"

	"thatch/catalog/document"
	"thatch/node/store"
	encoding "thatch/node/store/batch"
	"thatch/node/store/storetest"
)

// putBatches are batches that put so many documents of 800 bytes.
func putBatches(b *testing.B, count int, body string, former func(id string) store.Former) []store.Batch {
	b.Helper()
	builder := store.NewBuilder(store.Batch{Actor: "bench", Reason: "import"})
	for i := range count {
		id := fmt.Sprintf("%040d", i*7919%count)
		d, err := document.New(document.Update, id, nil, []byte(body+id))
		if err != nil {
			b.Fatal(err)
		}
		d.Origin, d.Signature = "site-1", make([]byte, 64)
		if err := builder.Add(store.Put(d, "", former(id))...); err != nil {
			b.Fatal(err)
		}
	}
	return builder.Batches()
}

func BenchmarkPutNewDocuments(b *testing.B) {
	benchPut(b, func(string) store.Former { return store.Former{Absent: true} })
}

func BenchmarkPutDocuments(b *testing.B) {
	benchPut(b, func(string) store.Former { return store.Former{} })
}

func benchPut(b *testing.B, former func(string) store.Former) {
	batches := putBatches(b, 20_000, strings.Repeat("x", 760), former)
	encoded := make([][]byte, len(batches))
	for i, one := range batches {
		data, err := encoding.Encode(one)
		if err != nil {
			b.Fatal(err)
		}
		encoded[i] = data
	}
	for b.Loop() {
		b.StopTimer()
		db := storetest.Open(b)
		b.StartTimer()
		for i, data := range encoded {
			one, err := encoding.Decode(data)
			if err != nil {
				b.Fatal(err)
			}
			if _, err := db.ApplyAt([]store.Entry{{Index: uint64(i + 1), Batch: one}}); err != nil {
				b.Fatal(err)
			}
		}
	}
	b.ReportMetric(20_000*float64(b.N)/b.Elapsed().Seconds(), "docs/s")
}
