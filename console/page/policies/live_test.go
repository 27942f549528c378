package policies_test

import (
	"context"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"thatch/console/page/pagetest"
	"thatch/ringtest"
)

// run runs an action in a browser, within a time that a slow machine keeps too.
func run[T any](t *testing.T, ctx context.Context, action chromedp.Action[T]) T {
	t.Helper()
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	found, err := chromedp.Run(ctx, action)
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// chromium starts a browser; it ends with the test.
func chromium(t *testing.T) context.Context {
	t.Helper()
	ringtest.Need(t, ringtest.Browser)
	options := append(slices.Clone(chromedp.DefaultExecAllocatorOptions[:]), chromedp.ExecPath("chromium"), chromedp.NoSandbox,
		chromedp.UserDataDir(t.TempDir()), chromedp.Flag("ignore-certificate-errors", true), chromedp.Flag("disable-dev-shm-usage", true))
	allocated, stop := chromedp.NewExecAllocator(t.Context(), options...)
	t.Cleanup(stop)
	ctx, stop := chromedp.NewContext(allocated)
	t.Cleanup(stop)
	if _, err := chromedp.Run(ctx, chromedp.Steps()); err != nil { // starts it, with no limit: it ends with its first context
		t.Fatal(err)
	}
	return ctx
}

// serve lets a real browser in.
func serve(t *testing.T, b *pagetest.Browser) string {
	t.Helper()
	s := httptest.NewTLSServer(b)
	t.Cleanup(s.Close)
	return s.URL
}

// TestWizardByKeyboard makes a policy in a real browser without touching a mouse: the counts follow what is typed, the
// address keeps it, and nothing is made before the last button.
func TestWizardByKeyboard(t *testing.T) {
	b := start(t)
	base, ctx := serve(t, b), chromium(t)
	counted := func(n string) {
		t.Helper()
		run(t, ctx, chromedp.Poll[bool](`document.querySelector("#outlook .figures dd").textContent === "`+n+`"`))
	}
	run(t, ctx, chromedp.Steps(
		chromedp.Navigate(base+"/policies/new?bulletin=b1"), chromedp.WaitReady(`input[name="name"]`),
	))
	run(t, ctx, chromedp.Evaluate[bool](`(document.querySelector('input[name="name"]').value = "") === ""`))
	run(t, ctx, chromedp.Steps(chromedp.SendKeys(`input[name="name"]`, "By hand\r"), chromedp.WaitReady("#outlook")))
	counted("4")
	run(t, ctx, chromedp.SendKeys(`input[name="names"]`, "pc-1"))
	counted("1")
	if at := run(t, ctx, chromedp.Location()); !strings.Contains(at, "names=pc-1") || strings.Contains(at, "token") {
		t.Errorf("the address is %s", at)
	}
	run(t, ctx, chromedp.Steps(chromedp.Reload(), chromedp.WaitReady("#outlook")))
	counted("1")
	if typed := run(t, ctx, chromedp.Evaluate[string](`document.querySelector('input[name="names"]').value`)); typed != "pc-1" {
		t.Errorf("after a reload the names are %q", typed)
	}
	run(t, ctx, chromedp.Steps(
		chromedp.Focus(`button[value="create"]`), chromedp.KeyEvent("\r"), chromedp.WaitReady("#progress"),
	))
	if made := policyNamed(t, b, "By hand"); strings.Join(made.Target.Names, " ") != "pc-1" || made.Targeted != 1 {
		t.Errorf("made %+v for %d", made.Target, made.Targeted)
	}
}
