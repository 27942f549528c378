package importertest_test

import (
	"testing"

	"thatch/catalog/document"
	"thatch/catalog/importer"
	"thatch/catalog/importer/importertest"
)

func TestMemory(t *testing.T) {
	importertest.TestSink(t, importertest.SinkFixture{
		New: func(*testing.T) importer.Sink { return &importertest.Memory{} },
		Documents: func(_ *testing.T, s importer.Sink) map[string]document.Digest {
			return s.(*importertest.Memory).Digests()
		},
	})
}
