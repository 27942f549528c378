package e2e_test

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

// hands are how a person works a page. Selectors are CSS, and what they find is on the page already.
type hands interface {
	visit(path string)           // goes to a page of the navigation
	press(selector string)       // a button or link that leads to another page, which is there afterwards
	push(selector string)        // what stays on the page: a panel to open
	write(selector, text string) // into an empty field
	choose(key string)           // the row of a list whose box has the key
}

// until asks the page again and again whether an expression is true there.
func (b *browser) until(what, expression string) {
	b.t.Helper()
	limit := time.NewTimer(time.Minute)
	defer limit.Stop()
	tick := time.NewTicker(30 * time.Millisecond)
	defer tick.Stop()
	for !b.is(expression) {
		select {
		case <-limit.C:
			b.t.Fatalf("not within a minute: %s (%s)\nat %s:\n%.3000s", what, expression, ask(b, chromedp.Location()), b.text("body"))
		case <-tick.C:
		}
	}
}

// is says whether an expression is true on the page; a page that is being left cannot be asked, and says no.
func (b *browser) is(expression string) bool {
	ctx, cancel := context.WithTimeout(b.ctx, time.Minute)
	defer cancel()
	found, err := chromedp.Run(ctx, chromedp.Evaluate[bool]("!!("+expression+")"))
	return err == nil && found
}

func has(selector string) string {
	return "document.querySelector(" + strconv.Quote(selector) + ")"
}

// text is what a part of the page reads, "" where there is no such part.
func (b *browser) text(selector string) string {
	b.t.Helper()
	return ask(b, chromedp.Evaluate[string](`(`+has(selector)+`?.innerText ?? "")`))
}

// texts are what all parts of a kind read.
func (b *browser) texts(selector string) []string {
	b.t.Helper()
	return ask(b, chromedp.Evaluate[[]string](`[...document.querySelectorAll(`+strconv.Quote(selector)+`)].map(e => e.innerText.trim())`))
}

// opens does what leads to another page, and waits until that is there.
func (b *browser) opens(what string, do func()) {
	b.t.Helper()
	b.do(chromedp.Evaluate[chromedp.Void]("void (window.left = true)"))
	do()
	b.until("the page after "+what, `!window.left && document.readyState === "complete" && `+has("main"))
	if status := b.answered(); status != 200 {
		b.t.Fatalf("%s: %d\n%.2000s", what, status, b.text("main"))
	}
}

// open goes to an address.
func (b *browser) open(address string) {
	b.t.Helper()
	b.opens(address, func() { b.do(chromedp.Navigate(address)) })
}

// awaits waits for a part of a page that changes by itself, or where scripts do not run, by loading it again.
func (b *browser) awaits(selector string) {
	b.t.Helper()
	if b.scripts {
		b.until("it is shown", has(selector))
		return
	}
	within(b.t, time.Minute, "it is shown: "+selector, func() bool {
		if b.is(has(selector)) {
			return true
		}
		b.opens("reload", func() { b.do(chromedp.Reload()) })
		return b.is(has(selector))
	})
}

// reloads waits for a part of a page that another load of it may show.
func (b *browser) reloads(limit time.Duration, selector string) {
	b.t.Helper()
	within(b.t, limit, "it is shown: "+selector, func() bool {
		if b.is(has(selector)) {
			return true
		}
		b.opens("reload", func() { b.do(chromedp.Reload()) })
		return b.is(has(selector))
	})
}

// noScript lets no page run a script from now on.
func (b *browser) noScript() {
	b.scripts = false
	b.do(chromedp.Func(func(ctx context.Context, _ *chromedp.Target) error {
		_, err := chromedp.Call(ctx, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: true})
		return err
	}))
}

// mouse works pages by clicks.
type mouse struct{ *browser }

func (m mouse) visit(path string) { m.press(`.side .nav a[href="` + path + `"]`) }

func (m mouse) press(selector string) {
	m.t.Helper()
	m.opens(selector, func() { m.push(selector) })
}

func (m mouse) push(selector string) {
	m.t.Helper()
	m.do(chromedp.Click(selector))
}

func (m mouse) write(selector, text string) {
	m.t.Helper()
	m.do(chromedp.Click(selector), chromedp.SendKeys(selector, text))
}

func (m mouse) choose(key string) { m.push(`input[name="key"][value="` + key + `"]`) }

// keys works pages by the keyboard alone: Tab, Enter, Space, and the console's own keys.
type keys struct{ *browser }

// letters are the keys that lead to pages, after a g.
var letters = map[string]string{"/": "h", "/bulletins": "b", "/policies": "p", "/computers": "c", "/reports": "r"}

func (k keys) visit(path string) {
	k.t.Helper()
	if letter := letters[path]; letter != "" {
		k.opens("g "+letter, func() { k.do(chromedp.KeyEvent("g"), chromedp.KeyEvent(letter)) })
		return
	}
	k.press(`.side .nav a[href="` + path + `"]`)
}

// reach goes on with Tab until what is meant has the focus, and can be seen to have it.
func (k keys) reach(selector string) {
	k.t.Helper()
	focused := "document.activeElement.matches(" + strconv.Quote(selector) + ")"
	for range 400 {
		if k.is(focused) {
			if !k.is(`document.activeElement.matches(":focus-visible") && getComputedStyle(document.activeElement).outlineStyle !== "none"`) {
				k.t.Errorf("%s: the focus on %s cannot be seen", ask(k.browser, chromedp.Location()), selector)
			}
			return
		}
		k.do(chromedp.KeyEvent(kb.Tab))
	}
	k.t.Fatalf("Tab does not reach %s\n%.3000s", selector, k.text("body"))
}

func (k keys) press(selector string) {
	k.t.Helper()
	k.reach(selector)
	k.opens(selector, func() { k.do(chromedp.KeyEvent(kb.Enter)) })
}

func (k keys) push(selector string) {
	k.t.Helper()
	k.reach(selector)
	k.do(chromedp.KeyEvent(" "))
}

func (k keys) write(selector, text string) {
	k.t.Helper()
	k.reach(selector)
	k.do(chromedp.KeyEvent(text))
}

// choose walks down the rows with j, and chooses with x.
func (k keys) choose(key string) {
	k.t.Helper()
	box := fmt.Sprintf(`tr.here input[name="key"][value=%q]`, key)
	for range 100 {
		k.do(chromedp.KeyEvent("j"))
		if k.is(has(box)) {
			k.do(chromedp.KeyEvent("x"))
			k.until("it is chosen", has(box+":checked"))
			return
		}
	}
	k.t.Fatalf("j does not reach the row %s", key)
}

// enter opens a console signed in as an operator whom the command line lets in.
func (b *browser) enter(s *site, operator string) {
	b.t.Helper()
	var link struct{ URL string }
	s.must(&link, "operators", "enter", operator)
	b.open(strings.Replace(link.URL, "127.0.0.1", "localhost", 1))
}

// at is the address of a page of a site whose console was opened by enter. Browsers keep sessions by the host's name,
// whatever the port: that of a console opened by the number of the address is another.
func (s *site) at(path string) string {
	return "https://" + strings.Replace(s.listen, "127.0.0.1", "localhost", 1) + path
}

// signUp makes the first administrator at a link of the site, signs out, and in again by name and password.
func signUp(t *testing.T, b *browser, h hands, s *site) {
	t.Helper()
	const name, password = "anna", "correct horse, battery"
	var link struct{ URL string }
	s.must(&link, "operators", "first-link")
	b.open(link.URL)
	h.write(`input[name="name"]`, name)
	h.write(`input[name="password"]`, password)
	h.write(`input[name="again"]`, password)
	h.press(`form button.main`)
	h.press(`.side form[action="/sign-out"] button`)
	h.write(`input[name="name"]`, name)
	h.write(`input[name="password"]`, password)
	h.press(`form button.main`)
	if who := b.text(`.side .who a`); !strings.Contains(who, name) {
		t.Fatalf("signed in as %q\n%s", who, b.text("body"))
	}
}

// keyOf is the key of the row of a list in which a name leads to its page.
func (b *browser) keyOf(name string) string {
	b.t.Helper()
	return ask(b, chromedp.Evaluate[string](`[...document.querySelectorAll("table.list tbody tr")].find(r => [...r.querySelectorAll("a")].some(a => a.innerText.trim() === `+
		strconv.Quote(name)+`))?.querySelector('input[name="key"]').value ?? ""`))
}
