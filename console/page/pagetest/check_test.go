package pagetest_test

import (
	"strings"
	"testing"

	"thatch/console/page/pagetest"
)

func TestFaults(t *testing.T) {
	page := func(inside string) string {
		return `<!doctype html><html lang="en"><body><h1>Title</h1>` + inside + `</body></html>`
	}
	for inside, want := range map[string]string{
		``:                                     "",
		`<label>Name <input name="n"></label>`: "",
		`<label for="x">Name</label><input id="x">`: "",
		`<input name="n">`:                          `"n" has no label`,
		`<input type="hidden" name="n">`:            "",
		`<img src="x">`:                             "no words",
		`<img src="x" alt="">`:                      "",
		`<p id="a"></p><p id="a"></p>`:              "twice",
		`<p style="color:red"></p>`:                 "style",
		`<button onclick="x()">b</button>`:          "onclick",
		`<a href="/x"></a>`:                         "says nothing",
		`<a href="/x"><b>x</b></a>`:                 "",
		`<h3>deep</h3>`:                             "level 3 after one of level 1",
		`<script>1</script>`:                        "of its own",
		`<svg></svg>`:                               "a drawing has no words",
		`<form></form>`:                             "how it is sent",
		`</div>`:                                    "not begun",
		`<button data-copy="none">x</button>`:       "which there is not",
	} {
		got := strings.Join(pagetest.Faults(page(inside)), "; ")
		if want == "" && got != "" || !strings.Contains(got, want) {
			t.Errorf("%s: found %q, want %q", inside, got, want)
		}
	}
	if got := pagetest.Faults(`<p>`); len(got) != 2 {
		t.Errorf("a page without frame: %q", got)
	}
}
