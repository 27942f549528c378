package e2e_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/fstest"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"thatch/console/api"
	"thatch/console/page"
	"thatch/console/page/pagetest"
	"thatch/node"
	"thatch/node/identity"
	"thatch/ringtest"
)

// pen is a row of the list of pens, which stand for what people choose rows of.
type pen struct {
	ID string `json:"id"`
}

// pens are pages of every kind that the console's script improves: actions with fields, a question, parts that change.
func pens(did func(text string)) (routes func(*node.Node) []api.Route, area page.Area) {
	routes = func(*node.Node) []api.Route {
		return []api.Route{{Method: "GET", Path: "/pens", Scope: identity.Viewer, Columns: []string{"id"}, Do: api.Get(func(c *api.Call) (api.List[pen], error) {
			q, err := c.List()
			return api.Listed(q, []pen{{"red"}, {"green"}, {"blue"}}, 3), err
		})}}
	}
	do := func(q *page.Request) (page.Outcome, error) {
		did(strings.Join([]string{q.Form("do"), q.Form("box"), strings.Join(q.Forms("key"), "+")}, " "))
		return page.Outcome{}, nil
	}
	var mu sync.Mutex
	shown := 0
	area = page.Area{
		Templates: fstest.MapFS{"pens.html": {Data: []byte(
			`<div id="often" data-refresh="1"><span class="count">{{.Data}}</span><button id="kept">b</button></div>` +
				`<div id="seldom" data-refresh="2"><span class="count">{{.Data}}</span><input aria-label="x"></div>` +
				`<div id="last" {{if lt .Data 6}}data-refresh="1"{{end}}><span class="count">{{.Data}}</span></div>`)}},
		Pages: []*page.Page{
			{Path: "/pens", Title: "Pens", Acts: map[string]page.Act{"drop": {Do: do}, "put": {Do: do}}, List: &page.List{
				Path: "/pens", Key: "id", Columns: []page.Column{{Name: "id", Title: "Pen"}}, Actions: []page.Action{
					{Name: "drop", Title: "Drop", Danger: true, Confirm: "Drop them?"},
					{Name: "put", Title: "Put", Fields: []page.Field{{Name: "box", Title: "Box"}}},
				},
			}},
			{Path: "/parts", Title: "Parts", Show: func(q *page.Request) (*page.View, error) {
				mu.Lock()
				defer mu.Unlock()
				shown++
				did("parts " + q.R.Header.Get("X-Part"))
				return &page.View{Template: "pens.html", Data: shown}, nil
			}},
		},
	}
	return routes, area
}

// TestScripts has Chromium run what the pages' script does: Enter in the field of an action presses that action's button and no
// other, one timer asks for all parts that are due together, and what a person is at stays.
func TestScripts(t *testing.T) {
	ringtest.Need(t, ringtest.Browser)
	var mu sync.Mutex
	var happened []string
	routes, area := pens(func(text string) {
		mu.Lock()
		defer mu.Unlock()
		happened = append(happened, text)
	})
	all := func() string {
		mu.Lock()
		defer mu.Unlock()
		return strings.Join(happened, "\n")
	}
	server := httptest.NewTLSServer(http.Handler(pagetest.Start(t, routes, area)))
	defer server.Close()
	b := openBrowser(t)
	b.open(server.URL + "/pens")
	b.do(chromedp.Click(`input[name="key"][value="green"]`))
	b.until("the number of rows that are chosen", `document.querySelector("[data-chosen]").textContent === "1"`)
	b.do(chromedp.Click(`input[name="box"]`), chromedp.SendKeys(`input[name="box"]`, "big"))
	b.opens("Enter", func() { b.do(chromedp.KeyEvent(kb.Enter)) })
	if got := all(); got != "put big green" {
		t.Errorf("Enter in the field did %q", got)
	}

	b.open(server.URL + "/parts")
	b.do(chromedp.Focus("#kept"))
	b.until("a part that changes often", `Number(document.querySelector("#often .count").textContent) >= 4`)
	b.until("a part that changes seldom", `Number(document.querySelector("#seldom .count").textContent) >= 3`)
	if !b.is(`document.activeElement.id === "kept"`) {
		t.Error("the focus was lost when the part around it changed")
	}
	b.until("what changes no more", `document.querySelector("#last").dataset.refresh === undefined`)
	asked := all()
	for _, together := range []string{"parts often last\n", "parts often seldom last\n"} {
		if !strings.Contains(asked, together) {
			t.Errorf("never asked together: %q in\n%s", together, asked)
		}
	}
	b.do(chromedp.Click("#seldom input"), chromedp.SendKeys("#seldom input", "mine"))
	before := ask(b, chromedp.Evaluate[int](`Number(document.querySelector("#often .count").textContent)`))
	b.until("the other part", fmt.Sprintf(`Number(document.querySelector("#often .count").textContent) >= %d`, before+4))
	if !b.is(`document.querySelector("#seldom input").value === "mine"`) {
		t.Error("what was being written was overwritten")
	}
	for _, fault := range b.found() {
		t.Error(fault)
	}
}
