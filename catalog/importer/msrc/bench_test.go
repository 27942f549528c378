package msrc

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
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
			s := newScanner(bytes.NewReader(d))
			for {
				ev, err := s.next(false)
				if err != nil {
					b.Fatal(err)
				}
				if ev == finished {
					break
				}
			}
		}
	}
}
