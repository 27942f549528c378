package e2e_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"

	"thatch/ringtest"
)

// forge sends a form of this console that the page does not show, with the session's own token, and returns the status.
func (b *browser) forge(path, fields string) int {
	b.t.Helper()
	return ask(b, chromedp.Evaluate[int](fmt.Sprintf(`fetch(%q, {method: "POST", headers: {"Content-Type": "application/x-www-form-urlencoded"},
		body: %q + "&token=" + encodeURIComponent(document.querySelector('input[name="token"]').value)}).then(answer => answer.status)`, path, fields),
		chromedp.EvalAwaitPromise))
}

// TestRoles signs in as one after the other: pages show what the role may do and nothing else, and forms that are sent
// all the same are refused.
func TestRoles(t *testing.T) {
	ringtest.Need(t, ringtest.Browser)
	s := newSite(t, "en")
	s.must(nil, "settings", "set", "staging.check_signatures", "no")
	s.must(nil, "catalog", "import", "--source", "sdp", "--from", vendorSite(t))
	for _, o := range [][]string{
		{"vera", "viewer"}, {"otto", "operator"}, {"petra", "approver"}, {"adam", "administrator"}, {"gero", "operator", "--groups", "berlin"},
	} {
		s.must(nil, append([]string{"operators", "create", o[0], "--scope"}, o[1:]...)...)
	}
	newAgent(t, s, "BERLIN-01", "berlin", "Ledger").run("once")
	newAgent(t, s, "PARIS-01", "paris", "Ledger").run("once")
	b := openBrowser(t)
	b.size(1440, 900)

	const stage, policy, retire, add = `button[value="stage"]`, `button[value="policy"]`, `button[value="retire"]`, `a[href="/computers/add"]`
	for _, c := range []struct {
		operator           string
		works, administers bool
	}{{"vera", false, false}, {"otto", true, false}, {"petra", true, false}, {"adam", true, true}} {
		b.enter(s, c.operator)
		for path, shown := range map[string]map[string]bool{
			"/bulletins": {stage: c.works, policy: c.works},
			"/computers": {`button[value="move"]`: c.works, retire: c.administers, add: c.administers},
			"/catalog":   {`button[value="import"]`: c.works},
		} {
			b.open(s.at(path))
			for selector, want := range shown {
				if b.is(has(selector)) != want {
					t.Errorf("%s on %s: %s is shown: %t, want %t", c.operator, path, selector, !want, want)
				}
			}
		}
	}

	paris := func() string {
		b.open(s.at("/computers"))
		return ask(b, chromedp.Evaluate[string](`[...document.querySelectorAll("tbody a")].find(a => a.innerText.trim() === "PARIS-01")?.getAttribute("href").split("/").pop() ?? ""`))
	}
	b.enter(s, "adam")
	computer := paris()
	b.open(s.at("/bulletins"))
	bulletin := b.keyOf("ES-2026-1")
	if computer == "" || bulletin == "" {
		t.Fatalf("computer %q, bulletin %q", computer, bulletin)
	}
	for _, c := range []struct {
		operator, path, form string
		want                 int
	}{
		{"vera", "/bulletins", "do=stage&key=" + bulletin, http.StatusForbidden},
		{"vera", "/bulletins", "do=never&key=" + bulletin, http.StatusForbidden},
		{"vera", "/computers", "do=move&group=berlin&key=" + computer, http.StatusForbidden},
		{"otto", "/computers", "do=retire&key=" + computer, http.StatusForbidden},
		{"petra", "/computers", "do=retire&key=" + computer, http.StatusForbidden},
	} {
		b.enter(s, c.operator)
		if got := b.forge(c.path, c.form); got != c.want {
			t.Errorf("%s sends %s to %s: %d, want %d", c.operator, c.form, c.path, got, c.want)
		}
	}

	b.enter(s, "gero") // of the group berlin
	if computer := paris(); computer != "" || !strings.Contains(b.text("table.list"), "BERLIN-01") {
		t.Errorf("an operator of the group berlin is shown:\n%s", b.text("table.list"))
	}
	for _, path := range []string{"/", "/computers?q=PARIS", "/reports/computers"} {
		b.open(s.at(path))
		if text := b.text("main"); strings.Contains(text, "PARIS-01") {
			t.Errorf("%s tells an operator of the group berlin of a computer of another:\n%s", path, text)
		}
	}
	if got := b.forge("/computers", "do=move&group=berlin&key="+computer); got < 400 || got >= 500 {
		t.Errorf("an operator of the group berlin takes a computer out of another: %d", got)
	}
	b.enter(s, "adam")
	b.open(s.at("/computers?q=PARIS-01"))
	if group := b.text(`tbody [data-label="Group"]`); group != "paris" {
		t.Errorf("the computer is in the group %q, want paris", group)
	}
}

// TestFormsOfOtherPages has a page of another origin, whose forms browsers send with the session's cookie since the host's
// name is the same, send a form of the console, even with the session's token: it is refused.
func TestFormsOfOtherPages(t *testing.T) {
	ringtest.Need(t, ringtest.Browser)
	s := newSite(t, "en")
	s.must(nil, "catalog", "import", "--source", "sdp", "--from", vendorSite(t))
	s.must(nil, "operators", "create", "adam", "--scope", "administrator")
	b := openBrowser(t)
	b.enter(s, "adam")
	b.open(s.at("/bulletins"))
	key, token := b.keyOf("ES-2026-1"), ask(b, chromedp.Value(`form.rows input[name="token"]`))
	evil := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = fmt.Fprintf(w, `<!doctype html><title>Win a prize</title><main><form method="post" action=%q><input type="hidden" name="token" value=%q>
			<input type="hidden" name="key" value=%q><button name="do" value="stage">Win</button></form></main>`, s.at("/bulletins"), token, key)
	}))
	defer evil.Close()
	b.do(chromedp.Navigate(strings.Replace(evil.URL, "127.0.0.1", "localhost", 1)), chromedp.Click("button"))
	b.until("the answer", "location.origin === "+strconv.Quote(s.at(""))+` && document.readyState === "complete" && `+has("main"))
	if status := b.answered(); status != http.StatusForbidden {
		t.Errorf("a form of another page is answered with %d:\n%.2000s", status, b.text("main"))
	}
	var list struct{ Total int }
	if s.must(&list, "bulletins", "list", "--filter", "staged=true"); list.Total != 0 {
		t.Errorf("it staged %d bulletins", list.Total)
	}
}
