package msrc

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"thatch/catalog/importer"
	"thatch/catalog/importer/importertest"
)

func BenchmarkScan(b *testing.B) {
	names, _ := filepath.Glob("/tmp/msrcx/*.xml")
	var all [][]byte
	total := 0
	for _, n := range names {
		d, _ := os.ReadFile(n)
		all = append(all, d)
		total += len(d)
	}
	b.SetBytes(int64(total))
	for b.Loop() {
		for _, d := range all {
			if _, err := read(context.Background(), bytes.NewReader(d), "x", newExclusions(nil)); err != nil {
				b.Fatal(err)
			}
		}
	}
}

func BenchmarkRun(b *testing.B) {
	b.SetBytes(34241824)
	for b.Loop() {
		var m importertest.Memory
		if _, err := importer.Run(context.Background(), &Source{}, &m, importer.Request{From: "/work/shared/data/msrc"}, nil); err != nil {
			b.Fatal(err)
		}
	}
}

func TestTry(t *testing.T) {
	var m importertest.Memory
	t0 := time.Now()
	res, err := importer.Run(context.Background(), &Source{}, &m, importer.Request{From: "/work/shared/data/msrc"}, nil)
	fmt.Println(time.Since(t0), err)
	for _, w := range res.Warnings {
		fmt.Printf("%d %+v\n", res.Counts[w.Kind], w)
	}
	fmt.Println(res.Files, res.Skipped, res.Changed, res.Bytes)
	t0 = time.Now()
	res, err = importer.Run(context.Background(), &Source{}, &m, importer.Request{From: "/work/shared/data/msrc"}, nil)
	fmt.Println(time.Since(t0), err, res.Files, res.Skipped, res.Changed)
	n := 0
	for k, d := range m.Documents() {
		n += len(d.Body)
		if k == "bulletin msrc/KB4487017" || k == "update msrc/KB4487017/11498" || k == "update msrc/KB4487038/10384-11498" {
			fmt.Println(string(d.Body))
		}
	}
	fmt.Println(len(m.Documents()), n)
}
