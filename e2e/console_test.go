package e2e_test

import (
	"bufio"
	"cmp"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"thatch/ringtest"
)

// consoles are the addresses that a demo prints, by site.
type consoles map[string]string

var consoleLine = regexp.MustCompile(`^\s+(\w+)\s+(https://\S+)$`)

// demoConsoles runs the demo, waits until its computers are compliant, and returns the addresses that open its consoles.
func demoConsoles(t *testing.T) consoles {
	t.Helper()
	cmd := exec.Command(program(t, "thatch"), "demo")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	log := &safeBuffer{}
	cmd.Stderr = log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	found, done := consoles{}, make(chan bool)
	var once sync.Once
	go func() {
		lines, named := bufio.NewScanner(out), false
		for lines.Scan() {
			_, _ = log.Write(append(lines.Bytes(), '\n'))
			named = named || strings.HasPrefix(lines.Text(), "The consoles")
			if match := consoleLine.FindStringSubmatch(lines.Text()); named && match != nil {
				found[match[1]] = match[2]
			}
			if len(found) == 4 {
				once.Do(func() { done <- true })
			}
		}
		_ = cmd.Wait()
		once.Do(func() { done <- false })
	}()
	t.Cleanup(func() {
		_ = cmd.Process.Signal(os.Interrupt)
		if t.Failed() {
			t.Logf("the demo said:\n%s", log.tail(4000))
		}
	})
	limit := time.NewTimer(8 * time.Minute)
	defer limit.Stop()
	select {
	case ok := <-done:
		if !ok {
			t.Fatalf("the demo ended\n%s", log.tail(4000))
		}
	case <-limit.C:
		t.Fatalf("the demo did not come to its end\n%s", log.tail(4000))
	}
	return found
}

// TestEveryPage opens the consoles of the demo's parent and of a child, and visits every kind of page that links lead to:
// none fails, none scrolls sideways on a telephone, no script fails, nothing is stopped by the content-security policy, and
// axe-core finds nothing serious where it is at hand.
func TestEveryPage(t *testing.T) {
	ringtest.Need(t, ringtest.Browser)
	if testing.Short() {
		t.Skip("it runs the whole demo")
	}
	addresses, axe := demoConsoles(t), axeSource(t)
	for site, reads := range map[string]string{"London": "en", "Berlin": "de"} {
		t.Run(site, func(t *testing.T) {
			t.Parallel()
			b := openBrowser(t)
			b.reads(cmp.Or(*language, reads))
			b.name, b.axe = cmp.Or(*language, reads)+" "+site, axe
			b.do(chromedp.Navigate(addresses[site]), chromedp.WaitVisible("main h1"))
			base := addresses[site][:strings.Index(addresses[site][8:], "/")+8]
			kinds := 0
			b.walk(base, func(path string) {
				kinds++
				b.look(cmp.Or(strings.Trim(kindOf(path), "/"), "home"))
			})
			t.Logf("%d kinds of pages", kinds)
			if kinds < 20 {
				t.Errorf("links lead to %d kinds of pages only", kinds)
			}
			b.states(base)
		})
	}
}

// states looks at what no link leads to: pages with nothing on them, refusals, what a viewer sees, and the doors.
func (b *browser) states(base string) {
	b.t.Helper()
	visit := func(name, path string, status int64) {
		b.t.Helper()
		b.do(chromedp.Navigate(base+path), chromedp.WaitReady("main"))
		if got := b.answered(); got != status {
			b.t.Errorf("%s answers %d, not %d", path, got, status)
		}
		b.found() // the browser takes a refusal for a fault
		b.look("state " + name)
	}
	visit("no such page", "/nothing/here", http.StatusNotFound)
	visit("no such computer", "/computers/nobody", http.StatusNotFound)
	visit("bad filter", "/bulletins?released=soon", http.StatusBadRequest)
	visit("empty list", "/bulletins?q=nothing-is-called-so", http.StatusOK)
	visit("empty computers", "/computers?q=nothing-is-called-so", http.StatusOK)
	visit("grouped", "/bulletins?grouped=severity", http.StatusOK)

	const viewer = `fetch("/operators/new", {method: "POST", headers: {"Content-Type": "application/x-www-form-urlencoded"},
		body: "do=create&name=viewer&display=Vera+Viewer&scope=viewer&token=" + encodeURIComponent(document.querySelector('input[name="token"]').value)})
		.then(answer => answer.text()).then(page => new DOMParser().parseFromString(page, "text/html").getElementById("link").textContent)`
	link, err := url.Parse(ask(b, chromedp.Evaluate[string](viewer, chromedp.EvalAwaitPromise)))
	if err != nil {
		b.t.Fatal(err)
	}
	b.do(chromedp.Click(`.side form[action="/sign-out"] button`), chromedp.WaitVisible(`input[name="password"]`))
	b.look("state sign in")
	b.do(chromedp.SendKeys(`input[name="name"]`, "viewer"), chromedp.SendKeys(`input[name="password"]`, "not it"),
		chromedp.Click("form button.main"), chromedp.WaitVisible(".note.bad"))
	b.found()
	b.look("state sign in refused")
	visit("link that is not known", "/sign-in/first?code=none", http.StatusUnauthorized)
	visit("choose a password", link.RequestURI(), http.StatusOK)
	b.do(chromedp.SendKeys(`input[name="password"]`, "correct horse, battery"), chromedp.SendKeys(`input[name="again"]`, "correct horse, battery"),
		chromedp.Click("form button.main"), chromedp.WaitVisible(".side .who"))
	for _, path := range []string{"/", "/bulletins", "/computers", "/policies", "/site", "/hierarchy", "/tasks", "/settings", "/alarms", "/account"} {
		visit("viewer "+path, path, http.StatusOK)
	}
	visit("viewer not allowed", "/operators", http.StatusForbidden)
}
