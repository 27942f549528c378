package cli

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

var update = flag.Bool("update", false, "write the golden files anew")

// february is as many updates as two security updates of February 2019 have, and as they are called there.
func february() []Standing {
	const why = "MSRC files name no payloads; add a package by hand, or import a source that names them"
	var all []Standing
	add := func(bulletin, what string, systems ...string) {
		for _, system := range systems {
			all = append(all, Standing{Bulletin: bulletin, Update: bulletin, Product: what + system, Status: "no package", Text: why})
		}
	}
	clients := []string{"32-bit Systems", "ARM64-based Systems", "x64-based Systems"}
	for _, what := range []string{"", "Internet Explorer 11 on ", "Microsoft Edge on ", "ChakraCore on ", "Microsoft .NET Framework 3.5 on "} {
		add("KB4487017", what+"Windows 10 Version 1803 for ", clients...)
	}
	add("KB4487017", "", "Windows Server, version 1803 (Server Core Installation)")
	add("KB4487017", "Microsoft .NET Framework 4.7.2 on ", "Windows Server, version 1803 (Server Core Installation)", "Windows 10 Version 1803 for x64-based Systems")
	for _, what := range []string{"", "Internet Explorer 11 on ", "Microsoft Edge on ", "Adobe Flash Player on "} {
		add("KB4487044", what+"Windows 10 Version 1809 for ", clients...)
	}
	add("KB4487044", "", "Windows Server 2019")
	return all
}

func TestReasonsGolden(t *testing.T) {
	all := february()
	if len(all) != 31 {
		t.Fatalf("%d updates, 18 and 13 are wanted", len(all))
	}
	failed := Standing{Bulletin: "sp94801", Update: "HP BIOS", Product: "HP ProBook", Status: "failed", Text: "the vendor does not host sp94801.exe any more; stage the bulletin again to retry"}
	refused := Standing{Bulletin: "sp94801", Update: "sp94801", Product: "HP EliteBook", Status: "refused", Text: "refused: no signature\x1b[31m"}
	gone := Standing{Bulletin: "KB4487044", Update: "KB4487044", Product: "Windows 8", Status: "withdrawn", Text: "the vendor withdrew it"}
	strange := Standing{Bulletin: "b", Update: "u", Status: "melting"}
	all = append([]Standing{refused, failed}, append(all, gone, strange)...)
	var out bytes.Buffer
	Reasons(&out, all)
	path := filepath.Join("testdata", "reasons.golden")
	if *update {
		if err := os.WriteFile(path, out.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if out.String() != string(want) {
		t.Errorf("printed\n%s\nwant\n%s", out.String(), want)
	}
}

// Every update is named once under a number that counts it, lines end where they should, and failures stand last.
func TestReasonsNameEverybody(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var all []Standing
		for i := range rapid.IntRange(0, 60).Draw(t, "updates") {
			all = append(all, Standing{
				Bulletin: rapid.SampledFrom([]string{"KB1", "KB2", "KB3"}).Draw(t, "bulletin"), Product: fmt.Sprintf("<%d>", i),
				Status: rapid.SampledFrom([]string{"no package", "failed", "refused", "withdrawn", "downloading", "odd"}).Draw(t, "status"),
				Text:   rapid.SampledFrom([]string{"", "because", "for another reason"}).Draw(t, "text"),
			})
		}
		var out bytes.Buffer
		Reasons(&out, all)
		counted, failures := 0, false
		for line := range strings.Lines(out.String()) {
			if len(line) > width+1 {
				t.Fatalf("a line of %d characters: %s", len(line), line)
			}
			var n int
			if _, err := fmt.Sscanf(line, "%d update", &n); err != nil {
				continue
			}
			counted += n
			failed := strings.Contains(line, "could not be staged") || strings.Contains(line, "refused")
			if failures && !failed {
				t.Fatalf("something stands after failures:\n%s", out.String())
			}
			failures = failed
		}
		if counted != len(all) {
			t.Fatalf("%d updates counted of %d", counted, len(all))
		}
		for _, s := range all {
			if strings.Count(out.String(), s.Product) != 1 {
				t.Fatalf("%s is not named once:\n%s", s.Product, out.String())
			}
		}
	})
}
