package sdp_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"thatch/catalog/importer"
	"thatch/catalog/importer/cab/cabtest"
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

// A bulletin of more packages than a part can name is left as it was and said so; its packages are imported.
func TestBulletinOfTooManyPackages(t *testing.T) {
	var few, many []string
	for n := 1; n <= 1500; n++ {
		one := sample(n, fmt.Sprintf(">A%d<", n), ">All<", "<sdp:Title>", "<sdp:Title>"+strings.Repeat("long ", 100), "<sdp:Description>Text", "<sdp:Description>"+strings.Repeat("long ", 500))
		if many = append(many, one); n <= 500 {
			few = append(few, one)
		}
	}
	sink := new(importertest.Memory)
	path := filepath.Join(t.TempDir(), "catalog.xml")
	write(t, path, catalogText(few...))
	if result := run(t, sink, importer.Request{From: path}); result.Changed != 1+2*len(few) {
		t.Errorf("%+v", result)
	}
	bulletin := sink.Digests()["bulletin sdp/vendor/all"]
	write(t, path, catalogText(many...))
	for range 2 {
		result, err := importer.Run(t.Context(), &sdp.Source{}, sink, importer.Request{From: path}, nil)
		if !errors.Is(err, importer.ErrIncomplete) || result.Counts["part-too-large"] != 1 || result.Failed != 1 {
			t.Errorf("%+v, %v", result, err)
		}
		if docs := sink.Digests(); len(docs) != 1+2*len(many) || docs["bulletin sdp/vendor/all"] != bulletin {
			t.Errorf("%d documents", len(docs))
		}
	}
	write(t, path, catalogText(few...))
	for range 2 {
		if result := run(t, sink, importer.Request{From: path}); result.Failed != 0 || len(result.Warnings) != 0 {
			t.Errorf("less again: %+v", result)
		}
	}
	if docs := sink.Digests(); len(docs) != 1+2*len(few) || docs["bulletin sdp/vendor/all"] != bulletin {
		t.Errorf("less again: %d documents", len(docs))
	}
}

// Packages are the same documents however they are spread over files of any kind, in whatever order these come, and in
// portions of any size.
func TestAnySpreadGivesTheSame(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		packages := rapid.SliceOfN(rapid.Custom(func(r *rapid.T) string {
			n := rapid.IntRange(1, 8).Draw(r, "package")
			created := fmt.Sprintf("20%02d-01-01", rapid.IntRange(10, 14).Draw(r, "year"))
			article := fmt.Sprintf(">B%d<", rapid.IntRange(1, 3).Draw(r, "bulletin"))
			return sample(n, "2019-01-01", created, fmt.Sprintf(">A%d<", n), article, "<sdp:Description>Text", "<sdp:Description>Text of "+created+strings.Trim(article, "<>"))
		}), 1, 12).Draw(r, "packages")
		one := new(importertest.Memory)
		spread := new(importertest.Memory)
		load(t, r, one, importer.Limits{}, "catalog.xml", catalogText(newest(packages)...))
		shuffled := rapid.Permutation(newest(packages)).Draw(r, "order")
		limits := importer.Limits{
			Save: rapid.SampledFrom([]int{1, 3000, 0}).Draw(r, "bytes"), Keys: rapid.IntRange(0, 3).Draw(r, "keys"), Small: rapid.IntRange(-1, 0).Draw(r, "small"),
		}
		for n := 0; len(shuffled) > 0; n++ {
			count := rapid.IntRange(1, len(shuffled)).Draw(r, "count")
			some := shuffled[:count]
			shuffled = shuffled[count:]
			switch rapid.IntRange(0, 3).Draw(r, "kind") {
			case 0:
				load(t, r, spread, limits, fmt.Sprintf("%d.xml", n), catalogText(some...))
			case 1:
				load(t, r, spread, limits, fmt.Sprintf("%d.cab", n), string(cabtest.Write(members(some), cabtest.Options{Method: uint16(n % 2)})))
			case 2:
				load(t, r, spread, limits, fmt.Sprintf("%d.zip", n), zipped(t, members(some)...))
			default:
				for i, text := range some {
					load(t, r, spread, limits, fmt.Sprintf("%d-%d.sdp", n, i), text)
				}
			}
		}
		if a, b := one.Digests(), spread.Digests(); !maps.Equal(a, b) {
			r.Fatalf("in one file:\n%s\nspread:\n%s", names(one.Documents()), names(spread.Documents()))
		}
		// The same package may occur again and again in one file, older and newer ones in any order.
		again := new(importertest.Memory)
		load(t, r, again, limits, "catalog.xml", catalogText(packages...))
		if a, b := one.Digests(), again.Digests(); !maps.Equal(a, b) {
			r.Fatalf("once each:\n%s\nrepeated:\n%s", names(one.Documents()), names(again.Documents()))
		}
	})
}

// newest keeps of each package the one created last, of equals the last, as a file that holds all of them counts.
func newest(packages []string) []string {
	created := func(text string) string { _, after, _ := strings.Cut(text, "CreationDate="); return after[:12] }
	last := map[string]string{}
	for _, text := range packages {
		id := packageID.FindString(text) + text[strings.Index(text, `PackageID="`):][:60]
		id = strings.SplitN(id, "CreationDate", 2)[0]
		if was, twice := last[id]; !twice || created(text) >= created(was) {
			last[id] = text
		}
	}
	return slices.Sorted(maps.Values(last))
}

func members(packages []string) (files []cabtest.File) {
	for i, text := range packages {
		files = append(files, member(fmt.Sprintf("V2/%d.sdp", i), text))
	}
	return files
}

func load(t *testing.T, r *rapid.T, sink *importertest.Memory, limits importer.Limits, name, content string) {
	folder, err := os.MkdirTemp(t.TempDir(), "")
	if err != nil {
		r.Fatal(err)
	}
	path := filepath.Join(folder, name)
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		r.Fatal(err)
	}
	if _, err := importer.Run(t.Context(), &sdp.Source{}, sink, importer.Request{From: path, Limits: limits, Scratch: folder}, nil); err != nil {
		r.Fatal(err)
	}
}
