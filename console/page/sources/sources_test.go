package sources_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"thatch/catalog"
	"thatch/catalog/document"
	"thatch/catalog/rule"
	"thatch/console/api/uploads"
	"thatch/console/page/pagetest"
	"thatch/console/page/sources"
	"thatch/node/bulletins/bulletinstest"
	"thatch/node/identity"
	"thatch/node/imports"
	"thatch/node/tasks"
)

const evil = `<script>alert("vendor")</script>`

func open(t testing.TB) *pagetest.Browser { return pagetest.Start(t, uploads.Routes, sources.Area()) }

// post sends a form and says where the browser is sent, and what the page there says.
func post(t testing.TB, b *pagetest.Browser, pairs ...string) (to string, answer pagetest.Answer) {
	t.Helper()
	form := url.Values{"token": {pagetest.Token}}
	for i := 0; i+1 < len(pairs); i += 2 {
		form.Add(pairs[i], pairs[i+1])
	}
	answer = b.Send(t, "/catalog", form)
	to = answer.Header.Get("Location")
	if to == "/catalog" {
		answer = b.Get(t, to)
	}
	return to, answer
}

func TestNothingImportedYet(t *testing.T) {
	b := open(t)
	b.Get(t, "/catalog").Has(t, "Nothing has been imported yet", "Microsoft Security Response Center", "the vendor&#39;s own", "by hand", "Nothing: every package",
		"thatch catalog import --source sdp --from PATH")
	b.Language = "de"
	b.Get(t, "/catalog").Has(t, "Noch wurde nichts importiert", "Jetzt importieren", "nie")
	if answer := b.Get(t, "/catalog/imports/nothing"); answer.Status != http.StatusNotFound {
		t.Errorf("an import that was never: %d", answer.Status)
	}
}

// TestSettingsOfASource are saved, also that nothing is left out; a schedule that is none is refused and stays written.
func TestSettingsOfASource(t *testing.T) {
	b := open(t)
	_, answer := post(t, b, "do", "change", "source", "sdp", "schedule", "0 4 * * *", "from", "https://one.example/a.cab\n\n https://two.example/b.cab ", "exclude", "Printers\nScanners", "version", "0")
	answer.Has(t, "The settings of sdp are saved.", "https://one.example/a.cab<br>https://two.example/b.cab", "Printers, Scanners", "0 4 * * *")
	_, answer = post(t, b, "do", "on", "source", "sdp")
	answer.Has(t, "sdp is imported by schedule.", "by schedule", "Switch off")
	_, answer = post(t, b, "do", "off", "source", "sdp")
	answer.Has(t, "sdp is not imported by schedule any more.", "switched off")
	post(t, b, "do", "change", "source", "sdp", "schedule", "0 4 * * *", "exclude", "", "version", "0")
	if list, err := b.Node.Imports.List(t.Context()); err != nil || list[1].Name != "sdp" || list[1].Inherits || len(list[1].Exclude) != 0 || len(list[1].From) != 0 {
		t.Errorf("nothing is left out: %+v, %v", list, err)
	}
	post(t, b, "do", "change", "source", "sdp", "schedule", "0 4 * * *", "exclude", "X", "inherit", "yes", "version", "0")
	if list, err := b.Node.Imports.List(t.Context()); err != nil || !list[1].Inherits {
		t.Errorf("what the site leaves out: %+v, %v", list, err)
	}
	_, answer = post(t, b, "do", "change", "source", "sdp", "schedule", "whenever <b>", "from", "https://kept.example/", "version", "0")
	answer.Has(t, `role="alert"`, `value="whenever &lt;b&gt;"`, "https://kept.example/</textarea>", "<details class=\"gap\" open>")
	for _, version := range []string{"", "x", "-1", "1.5"} {
		_, answer = post(t, b, "do", "change", "source", "sdp", "schedule", "", "version", version)
		answer.Has(t, "The form names no version.")
	}
	_, answer = post(t, b, "do", "change", "source", "sdp", "schedule", "", "version", "1")
	answer.Has(t, `role="alert"`) // others changed it since
	if _, answer = post(t, b, "do", "change", "source", "nobody", "version", "0"); answer.Status != http.StatusNotFound {
		t.Errorf("a source that is not there: %d", answer.Status)
	}
}

func TestImports(t *testing.T) {
	b := open(t)
	_, answer := post(t, b, "do", "import", "source", "sdp", "from", "/etc")
	answer.Has(t, `role="alert"`, "data folder", `value="/etc"`)
	vendor := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("<" + evil)) }))
	t.Cleanup(vendor.Close)
	to, _ := post(t, b, "do", "import", "source", "sdp", "from", vendor.URL+"/catalog.xml")
	run, found := strings.CutPrefix(to, "/tasks/runs/")
	if !found {
		t.Fatalf("an import leads to %q", to)
	}
	if ended, err := b.Node.Tasks.Wait(t.Context(), run); err != nil || ended.State == tasks.Running {
		t.Fatalf("%+v, %v", ended, err)
	}
	b.Get(t, "/catalog").Has(t, "1 import", `href="/catalog/imports/`+run, `href="/tasks/runs/`+run)
	b.Get(t, "/catalog/imports/"+run).Has(t, "Import of sdp", vendor.URL+"/catalog.xml", "Documents changed")
}

// TestWarningsAreTexts shows what an import complained about.
func TestWarningsAreTexts(t *testing.T) {
	b := open(t)
	folder := t.TempDir()
	if err := os.WriteFile(filepath.Join(folder, "<script>broken.xml"), []byte("<cvrf:cvrfdoc"), 0o600); err != nil {
		t.Fatal(err)
	}
	run, err := b.Node.Imports.Start(t.Context(), imports.Import{Source: "msrc", From: folder})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := b.Node.Tasks.Wait(t.Context(), run); err != nil {
		t.Fatal(err)
	}
	answer := b.Get(t, "/catalog/imports/"+run)
	answer.Has(t, "Lost something", "&lt;script&gt;broken.xml", folder)
	if strings.Contains(answer.Body, "<script>broken") {
		t.Error("the name of a file is markup")
	}
}

// TestAlarms lists what of staged bulletins calls for a person.
func TestAlarms(t *testing.T) {
	b := open(t)
	bulletinstest.Save(t, b.Node.Bulletins, "sdp", "f",
		bulletinstest.Doc(t, document.Bulletin, "v/B", nil, catalog.Bulletin{Name: "B 1", Source: "sdp"}),
		bulletinstest.Doc(t, document.Update, "v/none", nil, catalog.Update{Name: evil, Bulletin: "v/B", Source: "sdp", Product: catalog.Product{Name: evil}, Rules: catalog.Rules{Applicable: rule.Test("True")}}))
	if err := b.Node.Staging.Stage(t.Context(), "v/B"); err != nil {
		t.Fatal(err)
	}
	answer := b.Get(t, "/catalog")
	answer.Has(t, "no package", "&lt;script&gt;", `href="/bulletins/B%201"`, `href="/updates/v%2Fnone"`)
	if strings.Contains(answer.Body, "<script>alert") {
		t.Error("a vendor's text is markup")
	}
}

func TestViewers(t *testing.T) {
	b := open(t)
	b.Operator = identity.Operator{Name: "Vera", Scope: identity.Viewer}
	if answer := b.Get(t, "/catalog"); strings.Contains(pagetest.Main(answer.Body), `name="do"`) {
		t.Error("a viewer sees buttons")
	}
	for _, do := range []string{"import", "on", "off", "change"} {
		if _, answer := post(t, b, "do", do, "source", "sdp"); answer.Status != http.StatusForbidden {
			t.Errorf("%s: %d", do, answer.Status)
		}
	}
}

// A file that an operator has is sent, imported, and gone from the node's disk; what is none is refused, and nothing is left of it.
func TestFilesAreSent(t *testing.T) {
	b := open(t)
	vendors, err := os.ReadFile("../../../catalog/importer/sdp/testdata/full.sdp")
	if err != nil {
		t.Fatal(err)
	}
	form := func(source string) url.Values {
		return url.Values{"token": {pagetest.Token}, "do": {"send"}, "source": {source}}
	}
	held := func() int {
		t.Helper()
		left, err := os.ReadDir(filepath.Join(b.Node.Dir(), "uploads"))
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			t.Fatal(err)
		}
		return len(left)
	}
	sent := b.SendFile(t, "/catalog", form("sdp"), "full.sdp", string(vendors))
	run, isRun := strings.CutPrefix(sent.Header.Get("Location"), "/tasks/runs/")
	if sent.Status != http.StatusSeeOther || !isRun {
		t.Fatalf("%d to %q\n%s", sent.Status, sent.Header.Get("Location"), pagetest.Main(sent.Body))
	}
	done, err := b.Node.Tasks.Wait(t.Context(), run)
	if err != nil || done.State != tasks.Done {
		t.Fatalf("%+v, %v", done, err)
	}
	b.Get(t, "/catalog").Has(t, "1 file of the vendor is imported")
	if held() > 0 {
		t.Error("an imported file is left on disk")
	}
	for _, c := range []struct {
		source, name, content string
		status                int
		says                  string
	}{
		{"sdp", "", "", 400, "Choose a file."},
		{"sdp", "a.xml", "<html/>", 400, "first element is"},
		{"msrc", "full.xml", string(vendors), 400, "want a CVRF document"},
		{"sdp", "a.txt", string(vendors), 400, "want an SDP package"},
		{"sdp", "<script>.sdp", string(vendors), 400, "is no name of a file"},
		{"nobody", "a.xml", string(vendors), 400, "cannot be sent"},
	} {
		answer := b.SendFile(t, "/catalog", form(c.source), c.name, c.content)
		answer.Has(t, c.says)
		if answer.Status != c.status || held() > 0 {
			t.Errorf("%s: %d, and %d files are left", c.name, answer.Status, held())
		}
	}
	forged := form("sdp")
	forged.Set("token", "guessed")
	if answer := b.SendFile(t, "/catalog", forged, "full.sdp", string(vendors)); answer.Status != http.StatusForbidden {
		t.Errorf("a forged form: %d", answer.Status)
	}
	b.Operator.Scope = identity.Viewer
	if answer := b.SendFile(t, "/catalog", form("sdp"), "full.sdp", string(vendors)); answer.Status != http.StatusForbidden {
		t.Errorf("a viewer: %d", answer.Status)
	}
	if held() > 0 {
		t.Error("a refused file is left on disk")
	}
}
