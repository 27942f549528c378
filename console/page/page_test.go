package page_test

import (
	"encoding/csv"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"thatch/console/api"
	"thatch/console/api/operators"
	"thatch/console/page"
	"thatch/console/page/assets"
	"thatch/console/page/pagetest"
	"thatch/node"
	"thatch/node/identity"
	op "thatch/node/operators"
	"thatch/node/operators/operatorstest"
	"thatch/node/store"
	"thatch/node/store/lists"
)

// thing is a row of a list made up for these tests.
type thing struct {
	ID       string    `json:"id"`
	Name     string    `json:"name"`
	Kind     string    `json:"kind"`
	Size     int64     `json:"size"`
	Percent  *float64  `json:"percent"`
	On       bool      `json:"on"`
	Seen     time.Time `json:"seen"`
	Severity string    `json:"severity"`
}

var thingColumns = []lists.Column[thing]{
	{Name: "id", Value: func(x thing) any { return x.ID }},
	{Name: "name", Value: func(x thing) any { return x.Name }, Search: true},
	{Name: "kind", Value: func(x thing) any { return x.Kind }},
	{Name: "size", Kind: lists.Number, Value: func(x thing) any { return float64(x.Size) }},
	{Name: "on", Kind: lists.Flag, Value: func(x thing) any { return x.On }},
}

// things are 250 rows; the first name is what a hostile vendor would choose.
func things() []thing {
	names := []string{`<script>alert(1)</script>`, "=cmd|calc", "Ümläut, \"quoted\""}
	rows := make([]thing, 250)
	for i := range rows {
		share := float64(i) / 2.5
		rows[i] = thing{
			ID: fmt.Sprintf("id/%03d", i), Name: fmt.Sprintf("thing %d", i), Kind: []string{"red", "green"}[i%2], Size: int64(i) * 1000,
			Percent: &share, On: i%3 == 0, Seen: time.Date(2026, 5, 1, 12, 30, 0, 0, time.UTC), Severity: "Critical",
		}
		if i < len(names) {
			rows[i].Name = names[i]
		}
	}
	return rows
}

func routes(*node.Node) []api.Route {
	made := 0
	return []api.Route{
		{
			Method: "GET", Path: "/things", Scope: identity.Viewer, Columns: lists.ColumnNames(thingColumns),
			Do: api.Get(func(c *api.Call) (api.List[thing], error) {
				q, err := c.List()
				if err != nil {
					return api.List[thing]{}, err
				}
				rows, total, err := lists.Select(q, things(), thingColumns)
				return api.Listed(q, rows, total), err
			}),
		},
		{Method: "POST", Path: "/things", Scope: identity.Operate, Do: api.Do(func(_ *api.Call, in struct {
			Names []string `json:"names"`
		},
		) (api.None, error) {
			if len(in.Names) == 0 {
				return api.None{}, store.Invalid("choose a thing first")
			}
			made += len(in.Names)
			return api.None{}, nil
		})},
	}
}

func area() page.Area {
	list := &page.List{
		Path: "/things", Key: "id", Sort: "id", Empty: "There is nothing.",
		Columns: []page.Column{
			{Name: "name", Title: "Name", Link: "/things/{id}"},
			{Name: "kind", Title: "Kind", Groups: true, Choices: []string{"red", "green"}},
			{Name: "size", Title: "Size", Kind: page.Bytes},
			{Name: "percent", Title: "Share", Kind: page.Percent, Unsorted: true, Unfiltered: true},
			{Name: "on", Title: "On", Kind: page.Flag},
			{Name: "seen", Title: "Seen", Kind: page.Time, Unsorted: true, Unfiltered: true},
			{Name: "severity", Title: "Severity", Kind: page.Severity, Unsorted: true, Unfiltered: true, Hidden: true},
		},
		Views:   []page.ListView{{Title: "All", Query: ""}, {Title: "Red ones", Query: "kind=red"}},
		Actions: []page.Action{{Name: "take", Title: "Take"}},
	}
	take := page.Act{Do: func(q *page.Request) (page.Outcome, error) {
		_, err := page.Send[api.None](q, http.MethodPost, "/things", map[string]any{"names": q.Forms("key")})
		return page.Outcome{Note: q.T("Taken: %d", len(q.Forms("key")))}, err
	}}
	return page.Area{
		Templates: fstest.MapFS{"thing.html": {Data: []byte(`<p id="name">{{.Data.Name}} {{when .Data.Seen}}</p><form method="post">{{.Token}}<input name="x" aria-label="X" value="{{.Value "x" "before"}}"></form>`)}},
		Pages: []*page.Page{
			{Path: "/things", Title: "Things", List: list, Acts: map[string]page.Act{"take": take}},
			{Path: "/things/{id}", Nav: "/things", Title: "Thing", Scope: identity.Operate, Acts: map[string]page.Act{
				"refuse": {Do: func(*page.Request) (page.Outcome, error) {
					return page.Outcome{}, store.Invalid("that <b>cannot</b> be")
				}},
				"secret": {Do: func(*page.Request) (page.Outcome, error) {
					return page.Outcome{Note: "made", Once: &page.View{Template: "thing.html", Data: thing{Name: "s3cret"}}}, nil
				}},
				"admin": {Scope: identity.Administrator, Do: func(*page.Request) (page.Outcome, error) { return page.Outcome{To: "/things"}, nil }},
			}, Show: func(q *page.Request) (*page.View, error) {
				list, err := page.Get[api.List[thing]](q, "/things", "id", q.Var("id"))
				if err != nil || len(list.Items) == 0 {
					return nil, fmt.Errorf("%w: thing %s", store.ErrNotFound, q.Var("id"))
				}
				return &page.View{Template: "thing.html", Data: list.Items[0], Title: list.Items[0].Name}, nil
			}},
		},
	}
}

func open(t *testing.T) *pagetest.Browser { return pagetest.Start(t, routes, area()) }

func TestListShowsWhatTheAddressAsks(t *testing.T) {
	b := open(t)
	answer := b.Get(t, "/things")
	answer.Has(t, "&lt;script&gt;alert(1)&lt;/script&gt;", `href="/things/id%2F000"`, "1 to 100 of 250", `rel="next" href="/things?page=2"`, "Red ones")
	if strings.Contains(answer.Body, "<script>alert") {
		t.Error("a vendor's text is markup")
	}
	if n := strings.Count(answer.Body, `name="key"`); n != 100 {
		t.Errorf("%d rows to choose from, want 100", n)
	}
	for address, texts := range map[string][]string{
		"/things?page=3":                       {"201 to 250 of 250", `rel="prev"`},
		"/things?kind=red&limit=25":            {"1 to 25 of 125", "Kind: red", `href="/things?limit=25" title="Take this filter away"`},
		"/things?q=thing+7":                    {"Search: thing 7"},
		"/things?sort=-size":                   {`aria-sort="descending"`, "249 kB"},
		"/things?grouped=kind":                 {`<tr class="group"><th colspan="7" scope="rowgroup">green`},
		"/things?columns=name,severity":        {"Critical"},
		"/things?columns=name&columns=percent": {"m0"}, // as check boxes send them without script
		"/things?q=nothing+like+it":            {"Nothing fits these filters.", `href="/things"`},
		"/things?size=%3Ewords":                {"cannot be filtered"},
		"/things?page=9":                       {`href="/things?page=3"`},
		"/things/id%2F000":                     {`<p id="name">&lt;script&gt;`},
		"/nowhere":                             {"There is no page at /nowhere."},
		"/things/none":                         {"thing none"},
	} {
		t.Run(address, func(t *testing.T) { b.Get(t, address).Has(t, texts...) })
	}
}

func TestFilesAreWhatIsShown(t *testing.T) {
	b := open(t)
	raw := b.Get(t, "/things?kind=red&columns=name,size,on&format=csv")
	lines, err := csv.NewReader(strings.NewReader(raw.Body)).ReadAll()
	if err != nil || len(lines) != 126 {
		t.Fatalf("%d lines, %v: %.200s", len(lines), err, raw.Body)
	}
	if strings.Join(lines[0], "|") != "Name|Size|On" || strings.Join(lines[1], "|") != `<script>alert(1)</script>|0|true` {
		t.Errorf("the first lines are %q", lines[:2])
	}
	if green := b.Get(t, "/things?kind=green&columns=name&format=csv").Body; !strings.Contains(green, "'=cmd|calc") {
		t.Errorf("a formula is a formula: %.100s", green)
	}
	var rows []map[string]any
	if err := json.Unmarshal([]byte(b.Get(t, "/things?kind=red&columns=name,percent&format=json").Body), &rows); err != nil || len(rows) != 125 || rows[1]["percent"] != 0.8 {
		t.Errorf("%d rows, %v, %v", len(rows), rows[1], err)
	}
	if err := json.Unmarshal([]byte(b.Get(t, "/things?q=none+at+all&format=json").Body), &rows); err != nil || len(rows) != 0 {
		t.Errorf("an empty list as JSON: %v %v", rows, err)
	}
	// Every row of the table stands in the file, in the same order.
	var shown []string
	for at := 1; at <= 2; at++ {
		for _, match := range regexp.MustCompile(`name="key" value="([^"]+)"`).FindAllStringSubmatch(b.Get(t, fmt.Sprintf("/things?kind=green&sort=-size&page=%d", at)).Body, -1) {
			shown = append(shown, match[1])
		}
	}
	inFile, err := csv.NewReader(strings.NewReader(b.Get(t, "/things?kind=green&sort=-size&columns=size&format=csv").Body)).ReadAll()
	if err != nil || len(inFile) != len(shown)+1 {
		t.Fatalf("%d rows shown, %d in the file, %v", len(shown), len(inFile)-1, err)
	}
	for i, id := range shown {
		if want := strings.TrimLeft(strings.TrimPrefix(id, "id/"), "0") + "000"; inFile[i+1][0] != want {
			t.Fatalf("row %d: %s shown, %s in the file", i, want, inFile[i+1][0])
		}
	}
	if refused := b.Get(t, "/things?format=xls"); refused.Status != http.StatusBadRequest {
		t.Errorf("xls: %d", refused.Status)
	}
}

func TestForms(t *testing.T) {
	b := open(t)
	b.Post(t, "/things?kind=red", url.Values{"do": {"take"}, "key": {"a", "b"}}).Has(t, "Taken: 2", "1 to 100 of 125")
	if again := b.Get(t, "/things"); strings.Contains(again.Body, "Taken") {
		t.Error("a note is shown twice")
	}
	b.Post(t, "/things", url.Values{"do": {"take"}}).Has(t, "Choose a thing first", "1 to 100 of 250")
	refused := b.Post(t, "/things/id%2F001", url.Values{"do": {"refuse"}, "x": {"<mine>"}})
	refused.Has(t, "That &lt;b&gt;cannot&lt;/b&gt; be", `value="&lt;mine&gt;"`)
	if refused.Status != http.StatusBadRequest {
		t.Errorf("a refused form answers %d", refused.Status)
	}
	b.Post(t, "/things", url.Values{"do": {"fly"}}).Has(t, "This page cannot do")
}

// TestASecretIsToldOnce: in the answer to its form, and in no cookie.
func TestASecretIsToldOnce(t *testing.T) {
	b := open(t)
	told := b.Post(t, "/things/id%2F001", url.Values{"do": {"secret"}})
	told.Has(t, "s3cret", "made")
	if cookie := told.Header.Get("Set-Cookie"); told.Status != http.StatusOK || cookie != "" {
		t.Errorf("it answers %d with the cookie %q", told.Status, cookie)
	}
	if again := b.Get(t, "/things/id%2F001"); strings.Contains(again.Body, "s3cret") || strings.Contains(again.Body, "made") {
		t.Error("it is told again")
	}
}

// TestForgedForms: whoever cannot read the page cannot send its form.
func TestForgedForms(t *testing.T) {
	b := open(t)
	for name, form := range map[string]url.Values{
		"no token":      {"do": {"take"}, "key": {"a"}},
		"another token": {"do": {"take"}, "key": {"a"}, "token": {"guess"}},
		"no body":       {},
	} {
		if answer := b.Send(t, "/things", form); answer.Status != http.StatusForbidden {
			t.Errorf("%s: %d", name, answer.Status)
		}
	}
	for name, header := range map[string][2]string{
		"of another site": {"Sec-Fetch-Site", "cross-site"}, "of a sister": {"Sec-Fetch-Site", "same-site"},
		"of another origin": {"Origin", "https://evil.example"}, "of no origin": {"Origin", "null"},
	} {
		form := url.Values{"do": {"take"}, "key": {"a"}, "token": {pagetest.Token}}
		if answer := b.Send(t, "/things", form, header); answer.Status != http.StatusForbidden {
			t.Errorf("%s: %d", name, answer.Status)
		}
	}
	own := url.Values{"do": {"take"}, "key": {"a"}, "token": {pagetest.Token}}
	if answer := b.Send(t, "/things", own, [2]string{"Origin", "https://example.com"}, [2]string{"Sec-Fetch-Site", "same-origin"}); answer.Status != http.StatusSeeOther {
		t.Errorf("the page's own form: %d %s", answer.Status, answer.Body)
	}
}

func TestRoles(t *testing.T) {
	b := open(t)
	b.Operator.Scope = identity.Viewer
	if answer := b.Get(t, "/things"); strings.Contains(answer.Body, `value="take"`) {
		t.Error("a viewer is offered what he may not do")
	}
	for _, answer := range []pagetest.Answer{
		b.Post(t, "/things", url.Values{"do": {"take"}, "key": {"a"}}),
		b.Get(t, "/things/id%2F001"),
	} {
		answer.Has(t, "viewer")
		if answer.Status != http.StatusForbidden {
			t.Errorf("a viewer: %d", answer.Status)
		}
	}
	b.Operator.Scope = identity.Operate
	if answer := b.Post(t, "/things/id%2F001", url.Values{"do": {"admin"}}); answer.Status != http.StatusForbidden {
		t.Errorf("an operator does what takes an administrator: %d", answer.Status)
	}
	b.Operator = identity.Operator{}
	if answer := b.Get(t, "/things?kind=red"); answer.Status != http.StatusSeeOther || answer.Header.Get("Location") != "/sign-in?back=%2Fthings%3Fkind%3Dred" {
		t.Errorf("a stranger: %d to %s", answer.Status, answer.Header.Get("Location"))
	}
}

func TestReadersZoneAndLanguage(t *testing.T) {
	b := open(t)
	b.Get(t, "/things/id%2F001").Has(t, "2026-05-01 12:30 UTC")
	b.Zone = "Europe/Berlin"
	b.Get(t, "/things/id%2F001").Has(t, "2026-05-01 14:30<")
	b.Language = "de"
	b.Get(t, "/things/id%2F001").Has(t, "01.05.2026 14:30", `lang="de"`)
	b.Zone = "../etc/passwd"
	b.Get(t, "/things/id%2F001").Has(t, "01.05.2026 12:30 UTC")
	b.Get(t, "/things").Has(t, "1 bis 100 von 250")
}

func TestHeaders(t *testing.T) {
	b := open(t)
	answer := b.Get(t, "/things")
	for name, want := range map[string]string{
		"Content-Security-Policy": "default-src 'none'", "X-Content-Type-Options": "nosniff", "Cache-Control": "no-store",
	} {
		if !strings.HasPrefix(answer.Header.Get(name), want) {
			t.Errorf("%s: %q", name, answer.Header.Get(name))
		}
	}
	for _, forbidden := range []string{" style=", "<style", " onclick", "http://", "https://"} {
		if strings.Contains(answer.Body, forbidden) {
			t.Errorf("the page holds %q", forbidden)
		}
	}
	for name, address := range assets.Names() {
		if asset := b.Get(t, address); asset.Status != http.StatusOK || !strings.Contains(asset.Header.Get("Cache-Control"), "immutable") || !strings.Contains(answer.Body, address) {
			t.Errorf("%s: %d %s", name, asset.Status, asset.Header.Get("Cache-Control"))
		}
	}
	if b.Get(t, "/assets/nothing.css").Status != http.StatusNotFound {
		t.Error("an asset that there is not")
	}
}

// TestSavedViews: an operator keeps a list's address under a name, sees it beside the list's own views, and forgets it.
func TestSavedViews(t *testing.T) {
	b := pagetest.Start(t, func(n *node.Node) []api.Route { return append(routes(n), operators.Routes(n)...) }, area())
	if strings.Contains(b.Get(t, "/things").Body, "view-save") {
		t.Error("whoever has no account is offered to save views")
	}
	made := operatorstest.Make(t, b.Node.Operators, op.Draft{Name: "ada", Scope: identity.Viewer})
	b.Operator = identity.Operator{Name: "ada", ID: made.ID, Scope: identity.Viewer}
	saved := b.Post(t, "/things?kind=red&sort=-size&page=2", url.Values{"do": {"view-save"}, "view-name": {"Large <red> ones"}})
	saved.Has(t, "Saved as “Large &lt;red&gt; ones”.")
	saved = b.Get(t, "/things?kind=red&sort=-size")
	saved.Has(t, `href="/things?kind=red&amp;sort=-size" aria-current="true">Large &lt;red&gt; ones`, "Forget the view")
	id := regexp.MustCompile(`name="view" value="([^"]+)"`).FindStringSubmatch(saved.Body)
	if id == nil {
		t.Fatal("the view has no id")
	}
	b.Post(t, "/things", url.Values{"do": {"view-save"}, "view-name": {""}}).Has(t, `role="alert"`)
	forgotten := b.Post(t, "/things?kind=red&sort=-size", url.Values{"do": {"view-forget"}, "view": {id[1]}})
	forgotten.Has(t, "The view is forgotten.")
	if strings.Contains(forgotten.Body, "Large") {
		t.Error("the view is still there")
	}
}
