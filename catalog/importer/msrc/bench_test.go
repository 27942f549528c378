package msrc

import (
	"bytes"
	"compress/gzip"
	"io"
	"os"
	"path/filepath"
	"testing"

	"thatch/catalog/importer/msrc/families"
	"thatch/ringtest"
)

// BenchmarkParse reads decompressed documents.
func BenchmarkParse(b *testing.B) {
	var documents [][]byte
	var size int64
	paths, _ := filepath.Glob(filepath.Join(ringtest.Data(b, "msrc"), "*.gz"))
	for _, path := range paths {
		packed, err := os.ReadFile(path)
		if err != nil {
			b.Fatal(err)
		}
		stream, err := gzip.NewReader(bytes.NewReader(packed))
		if err != nil {
			b.Fatal(err)
		}
		whole, err := io.ReadAll(stream)
		if err != nil {
			b.Fatal(err)
		}
		documents = append(documents, whole)
		size += int64(len(whole))
	}
	b.SetBytes(size)
	b.ReportAllocs()
	for b.Loop() {
		for _, whole := range documents {
			if _, err := read(b.Context(), bytes.NewReader(whole), "x", families.Exclude(nil)); err != nil {
				b.Fatal(err)
			}
		}
	}
}
