package sdp_test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"thatch/catalog/importer"
	"thatch/catalog/importer/importertest"
)

var packageID = regexp.MustCompile(`ID="[0-9a-fA-F]{8}-`)

// catalogOf makes a v1 catalog of n packages out of real ones, under ids of their own.
func catalogOf(t testing.TB, n int) []byte {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(realData(t), "hp-v2", "*.sdp"))
	if err != nil || len(files) == 0 {
		t.Skip("no real HP packages")
	}
	var out bytes.Buffer
	out.WriteString("\xef\xbb\xbf" + `<?xml version="1.0" encoding="utf-8"?>` + "\n" +
		`<smc:SystemsManagementCatalog xmlns:smc="http://schemas.microsoft.com/sms/2005/04/CorporatePublishing/SystemsManagementCatalog.xsd">` + "\n")
	for i := range n {
		file, err := os.ReadFile(files[i%len(files)])
		if err != nil {
			t.Fatal(err)
		}
		file = bytes.TrimPrefix(file, []byte("\xef\xbb\xbf"))
		file = packageID.ReplaceAll(file, fmt.Appendf(nil, `ID="%08x-`, i))
		file = bytes.Replace(file, []byte("<sdp:KBArticleID>"), fmt.Appendf(nil, "<sdp:KBArticleID>%d-", i), 1)
		file = bytes.Replace(file, []byte("<sdp:SoftwareDistributionPackage "), []byte("<smc:SoftwareDistributionPackage "), 1)
		file = bytes.Replace(file, []byte("</sdp:SoftwareDistributionPackage>"), []byte("</smc:SoftwareDistributionPackage>"), 1)
		out.Write(file)
		out.WriteByte('\n')
	}
	out.WriteString("</smc:SystemsManagementCatalog>\n")
	return out.Bytes()
}

// A catalog of the size of HP's: 1,829 packages.
func BenchmarkCatalog(b *testing.B) {
	path := filepath.Join(b.TempDir(), "catalog.xml")
	content := catalogOf(b, 1829)
	if err := os.WriteFile(path, content, 0o600); err != nil {
		b.Fatal(err)
	}
	b.SetBytes(int64(len(content)))
	var peak atomic.Uint64
	stop := make(chan struct{})
	go func() {
		ticker := time.NewTicker(5 * time.Millisecond)
		defer ticker.Stop()
		for {
			select {
			case <-stop:
				return
			case <-ticker.C:
				var m runtime.MemStats
				runtime.ReadMemStats(&m)
				peak.Store(max(peak.Load(), m.HeapInuse))
			}
		}
	}()
	for b.Loop() {
		var sink importertest.Memory
		if result := run(b, &sink, importer.Request{From: path}); result.Changed < 1829*3 {
			b.Fatalf("%+v", result)
		}
	}
	close(stop)
	b.ReportMetric(float64(peak.Load())/1e6, "MB-peak")
}
