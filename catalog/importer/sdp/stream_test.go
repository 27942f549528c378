package sdp_test

import (
	"context"
	"fmt"
	"io"
	"strings"
	"testing"

	"thatch/catalog/importer"
	"thatch/catalog/importer/importertest"
	"thatch/catalog/importer/sdp"
)

// endless is a v1 catalog of so many packages that is made while it is read: it is nowhere whole.
type endless struct {
	packages int
	next     int // -1: the end
	now      *strings.Reader
	size     int64
}

func newEndless(packages int) *endless {
	text := catalogText()
	return &endless{packages: packages, now: strings.NewReader(text[:strings.LastIndex(text, "</")])}
}

func (e *endless) Read(p []byte) (int, error) {
	for e.now.Len() == 0 {
		switch e.next++; {
		case e.next > e.packages+1:
			return 0, io.EOF
		case e.next > e.packages:
			e.now.Reset("</smc:SystemsManagementCatalog>\n")
		default:
			e.now.Reset(vast(e.next))
		}
	}
	n, err := e.now.Read(p)
	e.size += int64(n)
	return n, err
}

// vast is a package of some eight kilobytes; five share a bulletin, and every hundredth is that before once more.
func vast(n int) string {
	which := n
	if n%100 == 0 {
		which--
	}
	text := strings.Repeat(fmt.Sprintf("This is what update %d is about. ", which), 200)
	one := sample(which, "<sdp:Description>Text", "<sdp:Description>"+text, fmt.Sprintf(">A%d<", which), fmt.Sprintf(">A%d<", which%20_000/5))
	one = strings.Replace(one, "<sdp:SoftwareDistributionPackage", "<smc:SoftwareDistributionPackage", 1)
	return strings.Replace(one, "</sdp:SoftwareDistributionPackage", "</smc:SoftwareDistributionPackage", 1) + "\n"
}

// piped is a source whose one file is an endless catalog.
type piped struct {
	sdp.Source
	catalog *endless
}

func (p *piped) Files(context.Context, importer.Request) ([]importer.File, error) {
	return []importer.File{{
		Name: "vast.xml", Path: "vast.xml", Fingerprint: importer.Fingerprint("", fmt.Sprint(p.catalog.packages)), Size: -1,
		Open: func(context.Context) (io.ReadCloser, error) { return io.NopCloser(p.catalog), nil },
	}}, nil
}

// stream imports so many packages into nothing.
func stream(t testing.TB, packages int) (sink importertest.Discard, bytes, peak int64) {
	t.Helper()
	source := &piped{catalog: newEndless(packages)}
	peak = importertest.Peak(func() {
		result, err := importer.Run(t.Context(), source, &sink, importer.Request{Scratch: t.TempDir()}, nil)
		if err != nil {
			t.Error(err)
		}
		repeated := packages / 100
		if result.Counts["package-repeated"] != repeated || len(result.Counts) != min(1, repeated) {
			t.Errorf("%+v", result)
		}
	})
	if len(sink.Ended) != 1 {
		t.Errorf("%d files ended", len(sink.Ended))
	}
	return sink, source.catalog.size, peak
}

// Memory does not grow with a catalog: one four times as large takes little more, and both far less than they have.
func TestMemoryDoesNotGrowWithTheFile(t *testing.T) {
	packages := 5000
	if testing.Short() {
		packages = 2500
	}
	_, small, peakSmall := stream(t, packages/4)
	sink, large, peakLarge := stream(t, packages)
	t.Logf("%d MB: %.1f MB of heap; %d MB: %.1f MB in %d saves", small>>20, float64(peakSmall)/1e6, large>>20, float64(peakLarge)/1e6, sink.Saves)
	const ceiling = 14 << 20
	if peakLarge > ceiling {
		t.Errorf("%d MB took %d MB of heap, at most %d are allowed", large>>20, peakLarge>>20, ceiling>>20)
	}
	if want := packages - packages/100 + packages/5; sink.All < want-packages/100-1 || sink.All > want+1 {
		t.Errorf("%d parts, want about %d", sink.All, want)
	}
	if sink.Saves < int(large/(4<<20)) || sink.Largest > 2<<20 {
		t.Errorf("%d saves, the largest of %d bytes", sink.Saves, sink.Largest)
	}
}

// A catalog of 200 MB.
func BenchmarkVastCatalog(b *testing.B) {
	for b.Loop() {
		_, bytes, peak := stream(b, 28_000)
		b.SetBytes(bytes)
		b.ReportMetric(float64(peak)/1e6, "MB-peak")
	}
}
