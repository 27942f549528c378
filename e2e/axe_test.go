package e2e_test

import (
	"os"
	"slices"
	"testing"

	"github.com/chromedp/chromedp"

	"thatch/ringtest"
)

// axeSource is axe-core's script, "" where this machine has none.
func axeSource(t *testing.T) string {
	t.Helper()
	path, err := ringtest.Axe()
	if err != nil {
		t.Logf("pages are not judged by axe-core: %v; it needs %s", err, ringtest.Accessibility.Needs)
		return ""
	}
	source, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(source)
}

// violations runs axe-core, and tells what it finds that is serious or critical, and where.
const violations = `axe.run(document, {resultTypes: ["violations"]}).then(found => found.violations
	.filter(v => v.impact === "serious" || v.impact === "critical")
	.map(v => v.id + " (" + v.impact + "): " + v.help + "\n" + v.nodes.slice(0, 3)
		.map(n => "  " + n.html.slice(0, 300) + "\n  " + n.failureSummary.replaceAll("\n", " ")).join("\n")))`

// judge has axe-core judge the page that is open: narrow and dark, then wide and light.
func (b *browser) judge(name string) {
	b.t.Helper()
	if b.axe == "" {
		return
	}
	for _, as := range []struct {
		width  int64
		scheme string
	}{{390, "dark"}, {1440, "light"}} {
		b.size(as.width, 900)
		b.theme(as.scheme)
		if !ask(b, chromedp.Evaluate[bool](`"axe" in window`)) {
			ask(b, chromedp.Evaluate[bool](b.axe+"\n;true"))
		}
		for _, fault := range ask(b, chromedp.Evaluate[[]string](violations, chromedp.EvalAwaitPromise)) {
			if !slices.Contains(b.judged, fault) { // what pages share is told once
				b.judged = append(b.judged, fault)
				b.t.Errorf("%s, %s, %d pixels: %s", name, as.scheme, as.width, fault)
			}
		}
	}
}
