package backups_test

import (
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	routes "thatch/console/api/backups"
	"thatch/console/page/administration"
	"thatch/console/page/backups"
	"thatch/console/page/pagetest"
	"thatch/node/identity"
	"thatch/node/identity/sealed"
	"thatch/node/store"
	"thatch/node/tasks"
)

func start(t *testing.T) *pagetest.Browser {
	t.Helper()
	return pagetest.Start(t, routes.Routes, backups.Area(), administration.Area())
}

// ended waits for the run that a form led to.
func ended(t *testing.T, b *pagetest.Browser, form url.Values) tasks.Run {
	t.Helper()
	form.Set("token", pagetest.Token)
	a := b.Send(t, "/backups", form)
	id, ok := strings.CutPrefix(a.Header.Get("Location"), "/tasks/runs/")
	if !ok {
		t.Fatalf("%d, it leads to %q:\n%s", a.Status, a.Header.Get("Location"), pagetest.Main(a.Body))
	}
	run, err := b.Node.Tasks.Wait(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	b.Get(t, "/tasks/runs/"+id).Has(t, string(run.State))
	return run
}

func TestBackupsByMouse(t *testing.T) {
	b := start(t)
	b.Get(t, "/backups").Has(t, "No recovery key was made", "There is none.", "There is no backup yet", "Make a recovery key", `value="41 2 * * *"`, `value="7"`)

	told := b.Post(t, "/backups", url.Values{"do": {"key"}})
	text := regexp.MustCompile(`<code id="secret">([0-9A-Z-]+)</code>`).FindStringSubmatch(told.Body)
	if text == nil {
		t.Fatalf("no key is told:\n%s", pagetest.Main(told.Body))
	}
	key, err := sealed.ParseRecovery(text[1])
	if err != nil {
		t.Fatal(err)
	}
	page := b.Get(t, "/backups")
	page.Has(t, sealed.Name(key.Public()), "Make another recovery key")
	if strings.Contains(page.Body, text[1]) {
		t.Error("the key is told again")
	}

	if run := ended(t, b, url.Values{"do": {"make"}}); run.State != tasks.Done {
		t.Fatal(run.Error)
	}
	list, _, err := b.Node.Backups.List(t.Context(), store.Query{})
	if err != nil || len(list) != 1 {
		t.Fatal(list, err)
	}
	name := list[0].Name
	b.Get(t, "/backups").Has(t, name, "here", "by hand alone")
	if run := ended(t, b, url.Values{"do": {"verify"}, "key": {name}}); run.State != tasks.Done {
		t.Error(run.Error)
	}
	if err := os.Remove(filepath.Join(list[0].Folder, name)); err != nil {
		t.Fatal(err)
	}
	b.Get(t, "/backups").Has(t, "missing", "not where it was written")
	b.Post(t, "/backups", url.Values{"do": {"verify"}}).Has(t, `role="alert"`, "Choose one backup.")

	b.Post(t, "/backups", url.Values{"do": {"schedule"}, "enabled": {"yes"}, "schedule": {"often"}, "keep": {"9"}}).
		Has(t, `role="alert"`, `value="often"`, `value="9"`)
	b.Post(t, "/backups", url.Values{"do": {"schedule"}, "enabled": {"yes"}, "schedule": {"@daily"}, "keep": {"x"}}).Has(t, "is no number of backups")
	b.Post(t, "/backups", url.Values{"do": {"schedule"}, "enabled": {"yes"}, "schedule": {"@daily"}, "keep": {"9"}}).
		Has(t, "The schedule is kept.", `value="@daily"`, "by schedule")
}

func TestBackupsForOthers(t *testing.T) {
	b := start(t)
	b.Language = "de"
	b.Get(t, "/backups").Has(t, "Sicherungen", "Es wurde kein Wiederherstellungsschlüssel gemacht", "Jetzt eine Sicherung machen")
	b.Language, b.Operator.Scope = "", identity.Viewer
	page := b.Get(t, "/backups")
	for _, button := range []string{`value="make"`, `value="key"`, `value="schedule"`, `value="verify"`} {
		if strings.Contains(page.Body, button) {
			t.Errorf("a viewer is shown %s", button)
		}
	}
	for _, do := range []string{"make", "key", "schedule", "verify"} {
		if a := b.Send(t, "/backups", url.Values{"do": {do}, "token": {pagetest.Token}}); a.Status != http.StatusForbidden {
			t.Errorf("%s: a viewer is answered %d", do, a.Status)
		}
	}
}
