package settings_test

import (
	"database/sql"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"

	"thatch/catalog/content/authenticode"
	"thatch/catalog/content/authenticode/authenticodetest"
	"thatch/node/identity"
	"thatch/node/identity/identitytest"
	"thatch/node/nodetest"
	"thatch/node/settings"
	"thatch/node/store"
	"thatch/node/store/storetest"
)

func open(t *testing.T) (*settings.Room, *store.DB) {
	t.Helper()
	db := storetest.Open(t)
	id := identitytest.Open(t, t.TempDir(), db, nodetest.NewClock().Now)
	return settings.New(db, store.Signed(db, nodetest.NewClock().Now, identity.Audited), id), db
}

const certificate = `-----BEGIN CERTIFICATE-----
AAAA
-----END CERTIFICATE-----`

func TestSetRefuses(t *testing.T) {
	root := authenticodetest.Authority(t, "Root").PEM()
	r, _ := open(t)
	for _, c := range []struct{ name, value, text string }{
		{"agents.attempts", `"3"`, "number"},
		{"agents.attempts", `3.5`, "number"},
		{"agents.attempts", `0`, "between"},
		{"agents.attempts", `{`, "number"},
		{"agents.check_in", `1`, "between"},
		{"agents.require_signed", `1`, "boolean"},
		{"agents.install_schedule", `"whenever"`, "schedule"},
		{"catalog.excluded_families", `"x"`, "list"},
		{"catalog.excluded_families", `[1]`, "list"},
		{"keep.audit_days", `0`, "between"},
		{"keep.journal_entries", `10`, "between"},
		{"keep.delivery_days", `30`, "between"},
		{"keep.runs", `"many"`, "number"},
		{"downloads.proxy", `"host"`, "http://"},
		{"downloads.proxy", `"ftp://h"`, "http://"},
		{"downloads.authorities", `"nonsense"`, "PEM"},
		{"downloads.authorities", quoted(certificate), "certificate 1"},
		{"downloads.rate", `-1`, "less"},
		{"staging.trusted", `["ab"]`, "SHA-256"},
		{"staging.roots", `"nonsense"`, "PEM"},
		{"staging.roots", `["x"]`, "text"},
		{"staging.roots", quoted(root + "and more"), "certificate 2 is no PEM"},
		{"staging.roots", quoted(strings.ReplaceAll(root, "CERTIFICATE", "X509 CRL")), "want a plain CERTIFICATE"},
		{"staging.roots", quoted(strings.Replace(root, "-----\n", "-----\nProc-Type: 4,ENCRYPTED\n\n", 1)), "with 1 headers"},
		{"staging.roots", quoted(root + certificate), "certificate 2"},
		{"downloads.proxy", quoted("http://" + strings.Repeat("x", 70_000)), "at most"},
	} {
		if _, err := r.Set(t.Context(), c.name, json.RawMessage(c.value), -1); !errors.Is(err, store.ErrInvalid) || !strings.Contains(err.Error(), c.text) {
			t.Errorf("%s = %.60s: %v", c.name, c.value, err)
		}
	}
	if _, err := r.Set(t.Context(), "nothing", json.RawMessage(`1`), -1); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("nothing: %v", err)
	}
	all, err := r.List(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range all {
		if e.Set || e.Version != 0 {
			t.Errorf("%s was set: %+v", e.Name, e)
		}
	}
}

func TestRoots(t *testing.T) {
	r, _ := open(t)
	for _, text := range []string{authenticodetest.Authority(t, "A").PEM() + "\n\n" + authenticodetest.Authority(t, "B").PEM() + "\n", ""} {
		if _, err := r.Set(t.Context(), "staging.roots", json.RawMessage(quoted(text)), -1); err != nil {
			t.Fatal(err)
		}
		v, err := r.All(t.Context())
		if err != nil || settings.Roots.In(v) != text {
			t.Errorf("%.40q came back as %.40q, %v", text, settings.Roots.In(v), err)
		}
		if _, err := authenticode.New(authenticode.OfSite(nil, text), nil); err != nil {
			t.Errorf("what was set is not taken: %v", err)
		}
	}
}

func quoted(text string) string {
	raw, _ := json.Marshal(text)
	return string(raw)
}

// TestDefaultsAreGood holds every default against its own check.
func TestDefaultsAreGood(t *testing.T) {
	r, _ := open(t)
	all, err := r.List(t.Context())
	if err != nil || len(all) < 10 {
		t.Fatalf("%d settings, %v", len(all), err)
	}
	if !slices.IsSortedFunc(all, func(a, b settings.Entry) int { return strings.Compare(a.Name, b.Name) }) {
		t.Error("they are not sorted")
	}
	for _, e := range all {
		if string(e.Value) != string(e.Default) || e.Text == "" {
			t.Errorf("%+v", e)
		}
		if set, err := r.Set(t.Context(), e.Name, e.Default, 0); err != nil || !set.Set || set.Version != 1 {
			t.Errorf("%s: its own default: %+v, %v", e.Name, set, err)
		}
	}
}

func TestVersions(t *testing.T) {
	r, _ := open(t)
	set := func(value string, version int) (settings.Entry, error) {
		return r.Set(t.Context(), "agents.attempts", json.RawMessage(value), version)
	}
	if e, err := set("5", 0); err != nil || e.Version != 1 {
		t.Fatalf("%+v, %v", e, err)
	}
	if _, err := set("6", 0); !errors.Is(err, store.ErrConflict) {
		t.Errorf("a form made before: %v", err)
	}
	if e, err := set("6", 1); err != nil || e.Version != 2 {
		t.Errorf("%+v, %v", e, err)
	}
	if e, err := set("null", -1); err != nil || e.Set || string(e.Value) != "3" || e.Version != 3 {
		t.Errorf("its default again: %+v, %v", e, err)
	}
	if _, err := set("7", 0); !errors.Is(err, store.ErrConflict) {
		t.Errorf("a form made before all that: %v", err)
	}
}

// TestRequestThatIsRepeated does nothing again, and is answered with what stands.
func TestRequestThatIsRepeated(t *testing.T) {
	r, _ := open(t)
	set := func(request, value string) (settings.Entry, error) {
		ctx := store.WithCaller(t.Context(), &store.Caller{Actor: "anna", Request: request})
		return r.Set(ctx, "agents.attempts", json.RawMessage(value), -1)
	}
	for _, step := range []struct {
		request, value, stands string
		version                int
	}{
		{"a", "5", "5", 1},
		{"a", "5", "5", 1},
		{"b", "null", "3", 2}, // its default
		{"b", "null", "3", 2},
		{"a", "5", "3", 2}, // past
	} {
		if e, err := set(step.request, step.value); err != nil || e.Version != step.version || string(e.Value) != step.stands {
			t.Errorf("request %s sets %s: %+v, %v", step.request, step.value, e, err)
		}
	}
}

func TestTypedValues(t *testing.T) {
	r, db := open(t)
	v, err := r.All(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if settings.Attempts.In(v) != 3 || !settings.RequireSigned.In(v) || len(settings.ExcludedFamilies.In(v)) != 2 {
		t.Error("the defaults are not there")
	}
	for name, value := range map[string]string{"agents.attempts": "8", "agents.require_signed": "false", "catalog.excluded_families": "[]"} {
		if _, err := r.Set(t.Context(), name, json.RawMessage(value), -1); err != nil {
			t.Fatal(err)
		}
	}
	// Another version of the program may write what this one does not understand.
	_, err = db.Write(t.Context(), store.Batch{Reason: "newer", Statements: []store.Statement{
		{SQL: `INSERT INTO setting (name, value, version) VALUES ('agents.scan', '"often"', 1)`},
		{SQL: `INSERT INTO setting (name, value, version) VALUES ('agents.new', '1', 1)`},
		{SQL: `INSERT INTO setting (name, value, version) VALUES ('agents.check_in', '1', 1)`},
	}})
	if err != nil {
		t.Fatal(err)
	}
	if v, err = r.All(t.Context()); err != nil {
		t.Fatal(err)
	}
	if settings.Attempts.In(v) != 8 || settings.RequireSigned.In(v) || len(settings.ExcludedFamilies.In(v)) != 0 {
		t.Error("what was set is not there")
	}
	if settings.Scan.In(v) != settings.Scan.Default || settings.CheckIn.In(v) != settings.CheckIn.Default {
		t.Error("what cannot be understood or is out of bounds counts")
	}
}

// TestSecrets: a secret is kept sealed, and neither lists nor the audit log show it.
func TestSecrets(t *testing.T) {
	r, db := open(t)
	ctx := store.WithCaller(t.Context(), &store.Caller{Actor: "operator anna", Detail: `{"value":"hush"}`})
	if plain, err := r.Reveal(settings.OIDCSecret, values(t, r)); plain != "" || err != nil {
		t.Errorf("not set: %q, %v", plain, err)
	}
	for _, secret := range []string{"hush", "hush hush"} {
		entry, err := r.Set(ctx, "oidc.secret", json.RawMessage(`"`+secret+`"`), -1)
		if err != nil || !entry.Set || strings.Contains(string(entry.Value), "hush") || entry.Type != "secret" {
			t.Fatalf("%+v, %v", entry, err)
		}
		if plain, err := r.Reveal(settings.OIDCSecret, values(t, r)); plain != secret || err != nil {
			t.Errorf("%q, %v", plain, err)
		}
	}
	err := db.View(t.Context(), func(tx *sql.Tx) error {
		var everything string
		err := tx.QueryRowContext(t.Context(), `SELECT (SELECT group_concat(value) FROM setting) || (SELECT group_concat(action || detail) FROM audit)`).Scan(&everything)
		if strings.Contains(everything, "hush") || !strings.Contains(everything, "set oidc.secret") {
			t.Errorf("the database tells: %s", everything)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
	if entry, err := r.Set(ctx, "oidc.secret", nil, -1); err != nil || entry.Set {
		t.Errorf("taken away: %+v, %v", entry, err)
	}
}

func values(t *testing.T, r *settings.Room) settings.Values {
	t.Helper()
	all, err := r.All(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func TestProvidersAndRoles(t *testing.T) {
	r, _ := open(t)
	for _, c := range []struct{ name, value, text string }{
		{"oidc.issuer", `"http://idp.example"`, "https"},
		{"oidc.issuer", `"https://idp.example/?x=1"`, "https"},
		{"oidc.issuer", `"https://user@idp.example"`, "https"},
		{"oidc.issuer", `"idp"`, "https"},
		{"oidc.roles", `["admins"]`, "VALUE=SCOPE"},
		{"oidc.roles", `["=viewer"]`, "VALUE=SCOPE"},
		{"oidc.roles", `["admins=king"]`, "scope"},
		{"operators.idle", `1`, "between"},
	} {
		if _, err := r.Set(t.Context(), c.name, json.RawMessage(c.value), -1); !errors.Is(err, store.ErrInvalid) || !strings.Contains(err.Error(), c.text) {
			t.Errorf("%s %s: %v, want %q", c.name, c.value, err, c.text)
		}
	}
	for name, value := range map[string]string{
		"oidc.issuer": `"http://127.0.0.1:4711/idp"`, "oidc.roles": `["cn=admins,dc=example=administrator","staff=viewer"]`,
	} {
		if _, err := r.Set(t.Context(), name, json.RawMessage(value), -1); err != nil {
			t.Error(err)
		}
	}
	if roles := settings.Roles(values(t, r)); len(roles) != 2 || roles[0].Value != "cn=admins,dc=example" || roles[0].Scope != identity.Administrator {
		t.Errorf("%+v", roles)
	}
}
