package signin_test

import (
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"thatch/console/page/signin/providertest"
	"thatch/node/identity"
	"thatch/node/operators"
	"thatch/node/operators/operatorstest"
)

func withProvider(t *testing.T) (site, *providertest.Provider) {
	t.Helper()
	s := start(t)
	p := providertest.Start(t, s.clock.Now)
	for name, value := range map[string]any{
		"oidc.issuer": p.URL, "oidc.client": providertest.Client, "oidc.secret": providertest.Secret, "oidc.authorities": p.Authority(),
		"oidc.label": "Sign in at Example", "oidc.roles": []string{"patchers=operator", "bosses=administrator", "all=viewer"},
	} {
		s.set(t, name, value)
	}
	p.Claims = map[string]any{"sub": "u-1", "preferred_username": "Anna.Meier", "name": "Anna Meier", "groups": []string{"all", "patchers"}}
	return s, p
}

func (s site) set(t *testing.T, name string, value any) {
	t.Helper()
	raw, err := json.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Settings.Set(t.Context(), name, raw, -1); err != nil {
		t.Fatal(err)
	}
}

// visit goes to the provider and back, up to the answer of the console.
func (b *browser) visit(back string) answer {
	b.t.Helper()
	got := b.get("/sign-in/oidc?back=" + url.QueryEscape(back))
	if got.want(b.t, http.StatusSeeOther); got.StatusCode != http.StatusSeeOther {
		return got
	}
	return b.get(b.get(got.to()).to())
}

func TestProvider(t *testing.T) {
	s, p := withProvider(t)
	b := s.browser(t)
	b.get("/sign-in?back=/bulletins").want(t, http.StatusOK, "Sign in at Example", `href="/sign-in/oidc?back=%2Fbulletins"`)
	got := b.visit("/bulletins?q=x")
	if got.want(t, http.StatusSeeOther); got.to() != "/bulletins?q=x" {
		t.Errorf("then to %q", got.to())
	}
	b.get("/account").want(t, http.StatusOK, "anna.meier", "Anna Meier", "operator")
	o, err := s.Operators.Show(t.Context(), "anna.meier")
	if err != nil || o.Scope != identity.Operate || o.Subject != "u-1" || o.Password {
		t.Fatalf("%+v, %v", o, err)
	}
	// The role follows the claims: the sessions from before have the former one no more.
	p.Claims["groups"] = []string{"all"}
	again := s.browser(t)
	again.visit("/").want(t, http.StatusSeeOther)
	b.get("/account").want(t, http.StatusSeeOther)
	if o, err = s.Operators.Show(t.Context(), "anna.meier"); err != nil || o.Scope != identity.Viewer {
		t.Errorf("%+v, %v", o, err)
	}
	p.Claims["groups"] = []string{"others"}
	s.browser(t).visit("/").want(t, http.StatusUnauthorized, "no role at this site")
	if _, err := s.Operators.Lock(t.Context(), "anna.meier"); err != nil {
		t.Fatal(err)
	}
	p.Claims["groups"] = "bosses" // a text instead of a list
	s.browser(t).visit("/").want(t, http.StatusUnauthorized)
	if _, err := s.Operators.Unlock(t.Context(), "anna.meier"); err != nil {
		t.Fatal(err)
	}
	s.browser(t).visit("/").want(t, http.StatusSeeOther)
	if o, err = s.Operators.Show(t.Context(), "anna.meier"); err != nil || o.Scope != identity.Administrator {
		t.Errorf("%+v, %v", o, err)
	}
	again.signIn("anna.meier", "").want(t, http.StatusUnauthorized) // they have no password
}

// TestStrangersAtTheProvider: who is known there is not known here.
func TestStrangersAtTheProvider(t *testing.T) {
	s, p := withProvider(t)
	p.Claims = map[string]any{"sub": "u-2", "preferred_username": "mallory"}
	s.browser(t).visit("/").want(t, http.StatusUnauthorized, "no role at this site")
	// Nobody becomes somebody else by calling themselves so at the provider.
	operatorstest.Make(t, s.Operators, operators.Draft{Name: "root", Scope: identity.Administrator})
	p.Claims = map[string]any{"sub": "u-3", "preferred_username": "root", "groups": []string{"all"}}
	s.browser(t).visit("/").want(t, http.StatusUnauthorized, "signs in otherwise")
	// An administrator names the subject of an operator, whose role is then the site's own affair.
	subject := "u-3"
	if _, err := s.Operators.Change(t.Context(), "root", 0, operators.Edit{Subject: &subject}); err != nil {
		t.Fatal(err)
	}
	b := s.browser(t)
	b.visit("/").want(t, http.StatusSeeOther)
	b.get("/account").want(t, http.StatusOK, "root", "administrator")
	// The same subject at another provider is somebody else.
	other := providertest.Start(t, s.clock.Now)
	other.Claims = p.Claims
	s.set(t, "oidc.issuer", other.URL)
	s.set(t, "oidc.authorities", other.Authority())
	s.browser(t).visit("/").want(t, http.StatusUnauthorized, "signs in otherwise")
	s.set(t, "oidc.issuer", "")
	s.browser(t).get("/sign-in/oidc").want(t, http.StatusNotFound, "no provider")
	s.set(t, "oidc.issuer", "https://127.0.0.1:1")
	s.browser(t).get("/sign-in/oidc").want(t, http.StatusBadGateway)
}

// TestForgedProvider: each lie about who signs in, to whom, when and for what is refused.
func TestForgedProvider(t *testing.T) {
	s, p := withProvider(t)
	stranger, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	for name, lie := range map[string]func(claims map[string]any){
		"issuer":         func(c map[string]any) { c["iss"] = "https://evil.example" },
		"audience":       func(c map[string]any) { c["aud"] = "another-client" },
		"nonce":          func(c map[string]any) { c["nonce"] = "guessed" },
		"no nonce":       func(c map[string]any) { delete(c, "nonce") },
		"ended":          func(c map[string]any) { c["exp"] = s.clock.Now().Unix() - 60 },
		"not yet":        func(c map[string]any) { c["nbf"] = s.clock.Now().Unix() + 3600 },
		"strange key":    func(map[string]any) { p.Key = stranger },
		"claims of text": func(c map[string]any) { c["exp"] = "soon" },
	} {
		key := p.Key
		p.Lie = lie
		got := s.browser(t).visit("/")
		p.Lie, p.Key = nil, key
		if got.want(t, http.StatusUnauthorized); got.StatusCode != http.StatusUnauthorized {
			t.Errorf("the lie about %s is believed", name)
		}
	}
	if any, err := s.Operators.Any(t.Context()); any || err != nil {
		t.Error("a liar became an operator", err)
	}
	s.browser(t).visit("/").want(t, http.StatusSeeOther) // the truth is believed
}

// TestForgedReturn: an answer that this browser did not ask for is refused, and each is good once.
func TestForgedReturn(t *testing.T) {
	s, p := withProvider(t)
	victim, attacker := s.browser(t), s.browser(t)
	mine := attacker.get(attacker.get("/sign-in/oidc").to()).to() // the way back, with a code of the attacker's
	at, err := url.Parse(mine)
	if err != nil {
		t.Fatal(err)
	}
	victim.get(at.RequestURI()).want(t, http.StatusUnauthorized, "none to what this browser asked")
	victim.get("/sign-in/oidc")
	victim.get(at.RequestURI()).want(t, http.StatusUnauthorized, "none to what this browser asked")
	if victim.cookie() != "" {
		t.Error("the victim is signed in as the attacker")
	}
	for _, odd := range []string{"/sign-in/oidc/back", "/sign-in/oidc/back?state=&code=x", "/sign-in/oidc/back?error=access_denied&error_description=%3Cscript%3E"} {
		got := victim.get(odd)
		if got.want(t, http.StatusUnauthorized); strings.Contains(got.body, "<script>") {
			t.Errorf("%s: %s", odd, got.body)
		}
	}
	// The state is the right one, the code is another's.
	p.Code = func(back url.Values) { back.Set("code", "guessed") }
	s.browser(t).visit("/").want(t, http.StatusUnauthorized, "gives nothing for its code")
	p.Code = nil
	// Whoever is away for too long begins again; an answer is good once.
	slow := s.browser(t)
	back := slow.get(slow.get("/sign-in/oidc").to()).to()
	s.clock.Move(11 * 60e9)
	slow.get(back).want(t, http.StatusUnauthorized, "took too long")
	back = slow.get(slow.get("/sign-in/oidc").to()).to()
	slow.get(back).want(t, http.StatusSeeOther)
	slow.get(back).want(t, http.StatusUnauthorized, "none to what this browser asked")
	// The state is bound to this site by a seal: nobody makes one up.
	forger := s.browser(t)
	u, err := url.Parse(s.at.URL)
	if err != nil {
		t.Fatal(err)
	}
	forger.http.Jar.SetCookies(u, []*http.Cookie{{Name: "__Host-thatch-trip", Value: "eyJzIjoieCJ9", Path: "/", Secure: true}})
	forger.get("/sign-in/oidc/back?state=x&code=y").want(t, http.StatusUnauthorized)
}
