package e2e_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
)

// shots is a folder into which TestEveryPage puts pictures of every page, in a language:
// go test ./e2e -run TestEveryPage -shots DIR -language de
var (
	shots    = flag.String("shots", "", "folder for pictures of every page of the console, light and dark, wide and narrow")
	language = flag.String("language", "", "language of the pages, en or de; without it some are read in one and some in the other")
)

// browser is a Chromium that trusts whom the test runs.
type browser struct {
	t       *testing.T
	ctx     context.Context
	scripts bool     // pages may run theirs
	name    string   // begins the names of pictures
	axe     string   // axe-core's script, "" pages are not judged by it
	judged  []string // what it found

	mu     sync.Mutex
	faults []string // scripts that failed, what the content-security policy stopped, answers of 5xx
	status int64    // of the last document
}

// openBrowser starts Chromium; it ends with the test.
func openBrowser(t *testing.T) *browser {
	t.Helper()
	options := append(slices.Clone(chromedp.DefaultExecAllocatorOptions[:]),
		chromedp.ExecPath("chromium"), chromedp.NoSandbox, chromedp.UserDataDir(t.TempDir()),
		chromedp.Flag("ignore-certificate-errors", true), chromedp.Flag("disable-quic", true),
		chromedp.Flag("disable-background-networking", true), chromedp.Flag("disable-component-update", true),
		chromedp.Flag("disable-dev-shm-usage", true), chromedp.Flag("hide-scrollbars", true))
	allocated, stop := chromedp.NewExecAllocator(t.Context(), options...)
	t.Cleanup(stop)
	ctx, stop := chromedp.NewContext(allocated)
	t.Cleanup(stop)
	b := &browser{t: t, ctx: ctx, scripts: true}
	if err := chromedp.Listen(ctx, b.listen); err != nil { // starts the browser, with no limit: it takes its time
		t.Fatal(err)
	}
	b.do(chromedp.Func(func(ctx context.Context, _ *chromedp.Target) error {
		_, one := chromedp.Call(ctx, network.Enable, network.EnableParams{})
		_, two := chromedp.Call(ctx, log.Enable, cdp.Empty{})
		_, three := chromedp.Call(ctx, runtime.Enable, cdp.Empty{})
		_, four := chromedp.Call(ctx, emulation.SetFocusEmulationEnabled, emulation.SetFocusEmulationEnabledParams{Enabled: true})
		return errors.Join(one, two, three, four)
	}))
	return b
}

func (b *browser) listen(event any) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch e := event.(type) {
	case *runtime.EventExceptionThrown:
		b.faults = append(b.faults, "a script failed: "+e.ExceptionDetails.Text)
	case *log.EventEntryAdded:
		if e.Entry.Level == log.EntryLevelError {
			b.faults = append(b.faults, e.Entry.Text+" "+e.Entry.URL)
		}
	case *network.EventResponseReceived:
		if e.Type == network.ResourceTypeDocument {
			b.status = e.Response.Status
		}
		if e.Response.Status >= 500 {
			b.faults = append(b.faults, fmt.Sprintf("%d from %s", e.Response.Status, e.Response.URL))
		}
	}
}

// do runs actions, within a time that a slow machine keeps too.
func (b *browser) do(actions ...chromedp.Action[chromedp.Void]) {
	b.t.Helper()
	ask(b, chromedp.Steps(actions...))
}

// ask runs an action and returns what it found.
func ask[T any](b *browser, action chromedp.Action[T]) T {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, 2*time.Minute)
	defer cancel()
	found, err := chromedp.Run(ctx, action)
	if err != nil {
		page, _ := chromedp.Run(b.ctx, chromedp.Location())
		text, _ := chromedp.Run(b.ctx, chromedp.Text("body"))
		b.t.Fatalf("at %s: %v\n%.2000s", page, err, text)
	}
	return found
}

// found takes the faults that were seen since it was asked last.
func (b *browser) found() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	faults := b.faults
	b.faults = nil
	return faults
}

func (b *browser) answered() int64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.status
}

// size sets the size of the window, in pixels.
func (b *browser) size(width, height int64) { b.do(chromedp.EmulateViewport(width, height)) }

// theme sets what the reader's system prefers, light or dark.
func (b *browser) theme(scheme string) {
	b.do(chromedp.Func(func(ctx context.Context, _ *chromedp.Target) error {
		_, err := chromedp.Call(ctx, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
			Features: []*emulation.MediaFeature{
				{Name: "prefers-color-scheme", Value: scheme},
				{Name: "prefers-reduced-motion", Value: "reduce"}, // no picture in the middle of a change
			},
		})
		return err
	}))
}

// reads sets the language that pages are asked for in.
func (b *browser) reads(language string) {
	b.do(chromedp.Func(func(ctx context.Context, _ *chromedp.Target) error {
		_, err := chromedp.Call(ctx, network.SetExtraHTTPHeaders, network.SetExtraHTTPHeadersParams{Headers: network.Headers{"Accept-Language": language}})
		return err
	}))
}

// id is a segment of an address that names something.
var id = regexp.MustCompile(`[0-9A-Z%:@]|.{24}`)

// kindOf is what an address has in common with those of other things of its kind.
func kindOf(path string) string {
	path, query, _ := strings.Cut(path, "?")
	segments := strings.Split(strings.Trim(path, "/"), "/")
	for i, segment := range segments {
		if i > 0 && id.MatchString(segment) {
			segments[i] = "{}"
		}
	}
	kind := "/" + strings.Join(segments, "/")
	if strings.Contains(query, "format=") {
		return "" // a file
	}
	return kind
}

// walk visits one page of each kind that links lead to, from the first page on.
func (b *browser) walk(base string, visit func(path string)) {
	b.t.Helper()
	seen, queue := map[string]bool{"/": true, "/sign-out": true, "": true}, []string{"/"}
	for len(queue) > 0 {
		path := queue[0]
		queue = queue[1:]
		b.do(chromedp.Navigate(base+path), chromedp.WaitReady("main"))
		if status := b.answered(); status != 200 {
			b.t.Errorf("%s answers %d", path, status)
		}
		links := ask(b, chromedp.Evaluate[[]string](`[...document.querySelectorAll("a[href]")].map(a => a.getAttribute("href")).filter(h => h.startsWith("/"))`))
		visit(path)
		for _, link := range links {
			if kind := kindOf(link); !seen[kind] {
				seen[kind] = true
				queue = append(queue, link)
			}
		}
	}
}

// fits says which element makes a page wider than its window, "" none.
const fits = `(() => {
	const wide = document.documentElement.scrollWidth, room = document.documentElement.clientWidth;
	if (wide <= room) return "";
	for (const e of document.querySelectorAll("main *"))
		if (e.getBoundingClientRect().right > room + 1) return wide + " of " + room + " pixels: " + e.outerHTML.slice(0, 300);
	return wide + " of " + room + " pixels";
})()`

// unsafe is what names of pictures do not hold.
var unsafe = regexp.MustCompile(`[^a-z0-9]+`)

// look checks the page that is open at both widths, and keeps pictures of it under a name where they are asked for.
func (b *browser) look(name string) {
	b.t.Helper()
	for _, width := range []int64{390, 1440} {
		b.size(width, 900)
		if wide := ask(b, chromedp.Evaluate[string](fits)); wide != "" {
			b.t.Errorf("%s scrolls sideways: %s", name, wide)
		}
		if *shots == "" {
			continue
		}
		for _, scheme := range []string{"light", "dark"} {
			b.theme(scheme)
			picture := ask(b, chromedp.FullScreenshot(100))
			file := strings.ReplaceAll(strings.ToLower(b.name+" "+name), "{}", "one")
			file = fmt.Sprintf("%s-%d-%s.png", strings.Trim(unsafe.ReplaceAllString(file, "-"), "-"), width, scheme)
			if err := errors.Join(os.MkdirAll(*shots, 0o755), os.WriteFile(filepath.Join(*shots, file), picture, 0o644)); err != nil {
				b.t.Fatal(err)
			}
		}
	}
	b.judge(name)
	for _, fault := range b.found() {
		b.t.Errorf("%s: %s", name, fault)
	}
}
