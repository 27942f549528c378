package e2e_test

import (
	"bufio"
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
// none fails, none scrolls sideways on a telephone, no script fails, and nothing is stopped by the content-security policy.
func TestEveryPage(t *testing.T) {
	ringtest.Need(t, ringtest.Browser)
	if testing.Short() {
		t.Skip("it runs the whole demo")
	}
	addresses := demoConsoles(t)
	for _, site := range []string{"London", "Berlin"} {
		t.Run(site, func(t *testing.T) {
			b := openBrowser(t)
			b.do(chromedp.Navigate(addresses[site]), chromedp.WaitVisible("main h1"))
			base := addresses[site][:strings.Index(addresses[site][8:], "/")+8]
			kinds := 0
			b.walk(base, func(path string) {
				kinds++
				b.look(path)
			})
			t.Logf("%d kinds of pages", kinds)
			if kinds < 20 {
				t.Errorf("links lead to %d kinds of pages only", kinds)
			}
		})
	}
}
