package signin_test

import (
	"encoding/base32"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"thatch/console"
	"thatch/console/api"
	"thatch/console/api/apitest"
	"thatch/console/page/signin"
	"thatch/node"
	"thatch/node/identity"
	"thatch/node/nodetest"
	"thatch/node/operators"
	"thatch/node/operators/operatorstest"
	"thatch/node/operators/totp"
)

// site is a node whose console answers over TLS.
type site struct {
	*node.Node
	clock *nodetest.Clock
	at    *httptest.Server
}

func start(t *testing.T) site {
	t.Helper()
	clock := nodetest.NewClock()
	n := nodetest.NewWith(t, node.Config{Dir: t.TempDir(), Site: "North", Now: clock.Now})
	s := site{n, clock, httptest.NewTLSServer(console.New(n, api.New(n, apitest.Routes(n)...)))}
	t.Cleanup(s.at.Close)
	return s
}

// browser keeps cookies, and follows no redirect by itself.
type browser struct {
	t    *testing.T
	s    site
	http *http.Client
}

func (s site) browser(t *testing.T) *browser {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	transport := s.at.Client().Transport.(*http.Transport).Clone()
	transport.TLSClientConfig.InsecureSkipVerify = true // it visits providers too
	t.Cleanup(transport.CloseIdleConnections)
	return &browser{t, s, &http.Client{
		Transport: transport, Jar: jar, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

type answer struct {
	*http.Response
	body string
}

func (a answer) to() string { return a.Header.Get("Location") }

func (b *browser) do(r *http.Request) answer {
	b.t.Helper()
	got, err := b.http.Do(r)
	if err != nil {
		b.t.Fatal(err)
	}
	defer got.Body.Close()
	body, err := io.ReadAll(got.Body)
	if err != nil {
		b.t.Fatal(err)
	}
	return answer{got, string(body)}
}

func (b *browser) get(address string) answer {
	b.t.Helper()
	if strings.HasPrefix(address, "/") {
		address = b.s.at.URL + address
	}
	r, err := http.NewRequestWithContext(b.t.Context(), http.MethodGet, address, nil)
	if err != nil {
		b.t.Fatal(err)
	}
	return b.do(r)
}

func (b *browser) send(path string, form url.Values, headers ...string) answer {
	b.t.Helper()
	r, err := http.NewRequestWithContext(b.t.Context(), http.MethodPost, b.s.at.URL+path, strings.NewReader(form.Encode()))
	if err != nil {
		b.t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("Origin", b.s.at.URL)
	for i := 0; i+1 < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	return b.do(r)
}

var hidden = regexp.MustCompile(`<input type="hidden" name="(\w+)" value="([^"]*)">`)

// fill opens a page and sends its form, with its hidden fields and what is typed.
func (b *browser) fill(page, action string, typed ...string) answer {
	b.t.Helper()
	got := b.get(page)
	form := url.Values{}
	for _, field := range hidden.FindAllStringSubmatch(got.body, -1) {
		form.Set(field[1], field[2])
	}
	for i := 0; i+1 < len(typed); i += 2 {
		form.Set(typed[i], typed[i+1])
	}
	return b.send(action, form)
}

func (b *browser) signIn(name, password string) answer {
	b.t.Helper()
	return b.fill("/sign-in", "/sign-in", "name", name, "password", password)
}

func (b *browser) cookie() string {
	u, err := url.Parse(b.s.at.URL)
	if err != nil {
		b.t.Fatal(err)
	}
	for _, c := range b.http.Jar.Cookies(u) {
		if c.Name == signin.CookieName(u.Host) {
			return c.Value
		}
	}
	return ""
}

func (a answer) want(t *testing.T, status int, texts ...string) {
	t.Helper()
	if a.StatusCode != status {
		t.Errorf("%s %s answers %d, want %d: %s", a.Request.Method, a.Request.URL, a.StatusCode, status, a.body)
	}
	for _, text := range texts {
		if !strings.Contains(a.body, text) {
			t.Errorf("%s %s lacks %q:\n%s", a.Request.Method, a.Request.URL, text, a.body)
		}
	}
}

func TestFirstAdministrator(t *testing.T) {
	s := start(t)
	b := s.browser(t)
	if got := b.get("/bulletins?severity=Critical"); got.StatusCode != http.StatusSeeOther || got.to() != "/sign-in?back=%2Fbulletins%3Fseverity%3DCritical" {
		t.Fatalf("a stranger is sent to %q (%d)", got.to(), got.StatusCode)
	}
	b.get("/sign-in").want(t, http.StatusOK, "no operator yet", "first-link")
	link, err := s.Operators.FirstLink(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	page := "/sign-in/first?code=" + url.QueryEscape(link.Code)
	b.get("/sign-in/first?code=guessed").want(t, http.StatusUnauthorized, "not known")
	b.get(page).want(t, http.StatusOK, "administrator of this site")
	for _, bad := range []struct{ name, password, again, says string }{
		{"ada", "short", "short", "at least 12"},
		{"ada", "ada and her password", "ada and her password", "does not contain the name"},
		{"ada", "aaaaaaaaaaaaaaaa", "aaaaaaaaaaaaaaaa", "different characters"},
		{"ada", "long enough it is", "long enough it was", "not the same"},
		{"local", "long enough it is", "long enough it is", "another name"},
		{"Ada <b>", "long enough it is", "long enough it is", "characters a-z"},
	} {
		b.fill(page, "/sign-in/first", "name", bad.name, "password", bad.password, "again", bad.again).want(t, http.StatusBadRequest, bad.says)
	}
	got := b.fill(page, "/sign-in/first", "name", "Ada", "password", "long enough it is", "again", "long enough it is")
	if got.want(t, http.StatusSeeOther); got.to() != "/" {
		t.Errorf("then to %q", got.to())
	}
	b.get("/account").want(t, http.StatusOK, "ada", "administrator", "the whole site")
	other := s.browser(t)
	other.get(page).want(t, http.StatusUnauthorized, "was used")
	other.get("/sign-in").want(t, http.StatusOK)
	if strings.Contains(other.get("/sign-in").body, "no operator yet") {
		t.Error("there is an operator now")
	}
	link, err = s.Operators.FirstLink(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	s.clock.Move(25 * 3600 * 1e9)
	other.get("/sign-in/first?code="+url.QueryEscape(link.Code)).want(t, http.StatusUnauthorized, "has ended")
}

func TestSignInAndOut(t *testing.T) {
	s := start(t)
	operatorstest.Make(t, s.Operators, operators.Draft{Name: "anna", Scope: identity.Viewer})
	b := s.browser(t)
	b.signIn("anna", "wrong password").want(t, http.StatusUnauthorized, "name or the password is not right", `value="anna"`)
	b.signIn("nobody", "wrong password").want(t, http.StatusUnauthorized, "name or the password is not right")
	got := b.fill("/sign-in?back=%2Fbulletins%3Fq%3Dx", "/sign-in", "name", "anna", "password", operatorstest.Password)
	if got.want(t, http.StatusSeeOther); got.to() != "/bulletins?q=x" {
		t.Errorf("then to %q", got.to())
	}
	var set *http.Cookie
	for _, c := range got.Cookies() {
		if c.Name == signin.CookieName(got.Request.URL.Host) {
			set = c
		}
	}
	if set == nil || !set.Secure || !set.HttpOnly || set.SameSite != http.SameSiteLaxMode || set.Path != "/" || set.Domain != "" || set.MaxAge != 0 {
		t.Errorf("the cookie: %+v", set)
	}
	b.get("/bulletins").want(t, http.StatusOK)
	if got := b.get("/sign-in?back=/bulletins"); got.to() != "/bulletins" {
		t.Errorf("who is signed in is asked again: %q", got.to())
	}
	former := b.cookie()
	b.fill("/account", "/sign-out").want(t, http.StatusSeeOther)
	if b.get("/bulletins").want(t, http.StatusSeeOther); b.cookie() != "" {
		t.Error("the cookie is left")
	}
	if _, err := s.Operators.Session(t.Context(), former); err == nil {
		t.Error("the session goes on at the node")
	}
}

// TestForgedForms: what another site has a browser send is refused, before there is a session and with one.
func TestForgedForms(t *testing.T) {
	s := start(t)
	operatorstest.Make(t, s.Operators, operators.Draft{Name: "anna", Scope: identity.Viewer})
	b := s.browser(t)
	right := url.Values{"name": {"anna"}, "password": {operatorstest.Password}}
	b.send("/sign-in", right).want(t, http.StatusForbidden, "not sent by this page")
	b.get("/sign-in")
	b.send("/sign-in", right).want(t, http.StatusForbidden)
	right.Set("form", "guessed")
	b.send("/sign-in", right).want(t, http.StatusForbidden)
	right.Set("form", hidden.FindStringSubmatch(b.get("/sign-in").body)[2])
	b.send("/sign-in", right, "Origin", "https://evil.example").want(t, http.StatusForbidden)
	b.send("/sign-in", right, "Origin", "null").want(t, http.StatusForbidden)
	b.send("/sign-in", right, "Sec-Fetch-Site", "cross-site").want(t, http.StatusForbidden)
	b.send("/sign-in", right, "Sec-Fetch-Site", "same-site").want(t, http.StatusForbidden)
	b.send("/sign-in", right).want(t, http.StatusSeeOther)

	b.send("/sign-out", nil).want(t, http.StatusForbidden)
	b.send("/sign-out", url.Values{"token": {"guessed"}}).want(t, http.StatusForbidden)
	forged := url.Values{"do": {"preferences"}, "theme": {"dark"}}
	b.send("/account", forged).want(t, http.StatusForbidden)
	other := s.browser(t)
	operatorstest.Make(t, s.Operators, operators.Draft{Name: "eve", Scope: identity.Viewer})
	other.signIn("eve", operatorstest.Password).want(t, http.StatusSeeOther)
	token := hidden.FindStringSubmatch(other.get("/account").body)
	forged.Set("token", token[2])
	b.send("/account", forged).want(t, http.StatusForbidden) // one of another session
	b.get("/account").want(t, http.StatusOK)
}

func TestWhereOneComesBackTo(t *testing.T) {
	s := start(t)
	operatorstest.Make(t, s.Operators, operators.Draft{Name: "anna", Scope: identity.Viewer})
	for back, want := range map[string]string{
		"":                         "/",
		"/policies/x?y=z":          "/policies/x?y=z",
		"https://evil.example/":    "/",
		"//evil.example/":          "/",
		`/\evil.example`:           "/",
		`\\evil.example`:           "/",
		"/\t/evil.example":         "/",
		"javascript:alert(1)":      "/",
		"evil":                     "/",
		"/sign-in?back=/sign-in":   "/",
		"/sign-out":                "/",
		"%2F%2Fevil.example":       "/",
		"/ok\r\nSet-Cookie: x=y":   "/",
		"https:///evil.example/x":  "/",
		"/bulletins/a%2Fb?sort=-x": "/bulletins/a%2Fb?sort=-x",
	} {
		got := s.browser(t).fill("/sign-in?"+url.Values{"back": {back}}.Encode(), "/sign-in", "name", "anna", "password", operatorstest.Password, "back", back)
		if got.want(t, http.StatusSeeOther); got.to() != want {
			t.Errorf("back to %q leads to %q, want %q", back, got.to(), want)
		}
	}
}

// TestSecondFactorAtTheDoor sets one up, signs in with it, and holds that no cookie from before is good after.
func TestSecondFactorAtTheDoor(t *testing.T) {
	s := start(t)
	operatorstest.Make(t, s.Operators, operators.Draft{Name: "anna", Scope: identity.Viewer})
	b := s.browser(t)
	b.signIn("anna", operatorstest.Password).want(t, http.StatusSeeOther)
	elsewhere := s.browser(t)
	elsewhere.signIn("anna", operatorstest.Password).want(t, http.StatusSeeOther)
	cookies := []string{b.cookie()}

	b.fill("/account", "/account", "do", "second", "password", "wrong").want(t, http.StatusBadRequest, "present password")
	begun := b.fill("/account", "/account", "do", "second", "password", operatorstest.Password)
	begun.want(t, http.StatusOK, "otpauth://totp/Thatch:anna")
	text := regexp.MustCompile(`<code class="secret">([A-Z2-7 ]+)</code>`).FindStringSubmatch(begun.body)
	secret, err := base32.StdEncoding.WithPadding(base32.NoPadding).DecodeString(strings.ReplaceAll(text[1], " ", ""))
	if err != nil {
		t.Fatal(err)
	}
	b.fill("/account", "/account", "do", "confirm", "code", "000000").want(t, http.StatusBadRequest, "code is not right")
	confirmed := b.fill("/account", "/account", "do", "confirm", "code", totp.Code(secret, s.clock.Now()))
	confirmed.want(t, http.StatusOK, "recovery codes")
	recovery := regexp.MustCompile(`[a-z2-7]{4}(-[a-z2-7]{4}){3}`).FindAllString(confirmed.body, -1)
	if len(recovery) != 10 {
		t.Fatalf("%d recovery codes: %s", len(recovery), confirmed.body)
	}
	cookies = append(cookies, b.cookie())
	elsewhere.get("/account").want(t, http.StatusSeeOther) // that session showed no second factor
	b.fill("/account", "/sign-out").want(t, http.StatusSeeOther)

	got := b.fill("/sign-in?back=/account", "/sign-in", "name", "anna", "password", operatorstest.Password)
	if got.want(t, http.StatusSeeOther); got.to() != "/sign-in/second?back=%2Faccount" {
		t.Errorf("then to %q", got.to())
	}
	cookies = append(cookies, b.cookie())
	if b.get("/account").want(t, http.StatusSeeOther); b.cookie() == "" {
		t.Error("the pending session is gone")
	}
	used := totp.Code(secret, s.clock.Now())
	b.fill(got.to(), "/sign-in/second", "code", used).want(t, http.StatusUnauthorized, "used before")
	s.clock.Move(30e9)
	got = b.fill(got.to(), "/sign-in/second", "code", totp.Code(secret, s.clock.Now()))
	if got.want(t, http.StatusSeeOther); got.to() != "/account" {
		t.Errorf("then to %q", got.to())
	}
	b.get("/account").want(t, http.StatusOK, "10 recovery codes are left")
	cookies = append(cookies, b.cookie())
	for i, one := range cookies {
		for _, other := range cookies[:i] {
			if one == "" || one == other {
				t.Fatalf("a cookie stayed: %q", cookies)
			}
		}
	}

	// A recovery code is good once, however it is typed.
	typed := strings.ToUpper(strings.ReplaceAll(recovery[3], "-", " "))
	for _, want := range []int{http.StatusSeeOther, http.StatusUnauthorized} {
		fresh := s.browser(t)
		fresh.signIn("anna", operatorstest.Password)
		fresh.fill("/sign-in/second", "/sign-in/second", "code", typed).want(t, want)
	}
	b.get("/account").want(t, http.StatusOK, "9 recovery codes are left")
	// Who takes too long begins again.
	late := s.browser(t)
	late.signIn("anna", operatorstest.Password)
	s.clock.Move(11 * 60e9)
	late.fill("/sign-in/second", "/sign-in/second", "code", totp.Code(secret, s.clock.Now())).want(t, http.StatusUnauthorized, "begin again")
	b.fill("/account", "/account", "do", "remove-second", "password", operatorstest.Password).want(t, http.StatusSeeOther)
	b.get("/account").want(t, http.StatusOK, "No second factor is asked for any more.")
	s.browser(t).signIn("anna", operatorstest.Password).want(t, http.StatusSeeOther)
}

// TestPlantedCookie: a cookie that somebody else put into the browser is of no use to them.
func TestPlantedCookie(t *testing.T) {
	s := start(t)
	operatorstest.Make(t, s.Operators, operators.Draft{Name: "anna", Scope: identity.Administrator})
	operatorstest.Make(t, s.Operators, operators.Draft{Name: "eve", Scope: identity.Viewer})
	planted := operatorstest.SignIn(t, s.Operators, "eve")
	b := s.browser(t)
	u, err := url.Parse(s.at.URL)
	if err != nil {
		t.Fatal(err)
	}
	b.http.Jar.SetCookies(u, []*http.Cookie{{Name: signin.CookieName(u.Host), Value: planted, Path: "/", Secure: true}})
	form := url.Values{"name": {"anna"}, "password": {operatorstest.Password}}
	b.http.Jar.SetCookies(u, []*http.Cookie{{Name: "__Host-thatch-form", Value: strings.Repeat("x", 32), Path: "/", Secure: true}})
	form.Set("form", strings.Repeat("x", 32))
	b.send("/sign-in", form).want(t, http.StatusSeeOther)
	if b.cookie() == planted {
		t.Fatal("the planted cookie is now an administrator's")
	}
	if got, err := s.Operators.Session(t.Context(), planted); err == nil {
		t.Errorf("the session that was planted goes on as %s", got.Operator.Name)
	}
}

func TestAccount(t *testing.T) {
	s := start(t)
	operatorstest.Make(t, s.Operators, operators.Draft{Name: "anna", Scope: identity.Operate, Part: identity.Part{Groups: []string{"berlin"}}})
	b, other := s.browser(t), s.browser(t)
	b.signIn("anna", operatorstest.Password).want(t, http.StatusSeeOther)
	other.signIn("anna", operatorstest.Password).want(t, http.StatusSeeOther)
	page := b.get("/account")
	page.want(t, http.StatusOK, "berlin", "this one", "End all but this one")
	if strings.Contains(page.body, "style=") || strings.Contains(page.body, "<script>") || strings.Contains(page.body, " onclick") {
		t.Error("the page has what its policy forbids")
	}
	b.fill("/account", "/account", "do", "end-others").want(t, http.StatusSeeOther)
	other.get("/account").want(t, http.StatusSeeOther)
	b.fill("/account", "/account", "do", "preferences", "language", "de", "theme", "dark", "zone", "Europe/Berlin").want(t, http.StatusSeeOther)
	b.get("/account").want(t, http.StatusOK, `lang="de"`, `data-theme="dark"`, "Ihr Konto")
	b.fill("/account", "/account", "do", "preferences", "zone", "Middle/Earth").want(t, http.StatusBadRequest, "Middle/Earth")

	before := b.cookie()
	other.signIn("anna", operatorstest.Password).want(t, http.StatusSeeOther)
	b.fill("/account", "/account", "do", "password", "password", "not it at all", "new", "a wholly other one", "again", "a wholly other one").
		want(t, http.StatusBadRequest, "Das jetzige Kennwort stimmt nicht")
	b.fill("/account", "/account", "do", "password", "password", operatorstest.Password, "new", "a wholly other one", "again", "a wholly other one").
		want(t, http.StatusSeeOther)
	if b.cookie() == before {
		t.Error("the cookie is the same with another password")
	}
	b.get("/account").want(t, http.StatusOK)
	other.get("/account").want(t, http.StatusSeeOther)
	s.browser(t).signIn("anna", operatorstest.Password).want(t, http.StatusUnauthorized)
	s.browser(t).signIn("anna", "a wholly other one").want(t, http.StatusSeeOther)

	// A token of one's own does what its owner may, and no more, as long as the owner may.
	b.fill("/account", "/account", "do", "token", "name", "laptop", "scope", "administrator", "hours", "24").want(t, http.StatusForbidden)
	made := b.fill("/account", "/account", "do", "token", "name", "laptop", "scope", "operator", "hours", "24")
	token := regexp.MustCompile(`ta1-[a-z2-7]+`).FindString(made.body)
	who, err := s.Identity.Operator(t.Context(), token)
	if err != nil {
		t.Fatal(err)
	}
	if who, err = s.Operators.Owner(t.Context(), who); err != nil || who.Name != "anna" || who.Scope != identity.Operate || len(who.Part.Groups) != 1 {
		t.Errorf("%+v, %v", who, err)
	}
	viewer := identity.Viewer
	if _, err := s.Operators.Change(t.Context(), "anna", 0, operators.Edit{Scope: &viewer}); err != nil {
		t.Fatal(err)
	}
	if now, err := s.Operators.Owner(t.Context(), who); err != nil || now.Scope != identity.Viewer {
		t.Errorf("the owner is a viewer now, the token %v, %v", now.Scope, err)
	}
	if _, err := s.Operators.Lock(t.Context(), "anna"); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Operators.Owner(t.Context(), who); err == nil {
		t.Error("the token of a locked operator is good")
	}
}

func TestTooManyFromOneAddress(t *testing.T) {
	s := start(t)
	b := s.browser(t)
	for range 20 {
		b.signIn("nobody", "wrong password")
	}
	got := b.signIn("anybody", "wrong password")
	if got.want(t, http.StatusTooManyRequests, "Too many attempts"); got.Header.Get("Retry-After") != "1" {
		t.Errorf("Retry-After: %q", got.Header.Get("Retry-After"))
	}
}

// TestEnterByLink: whoever may read the data folder opens a session by a link, once; a second factor is still asked for.
func TestEnterByLink(t *testing.T) {
	s := start(t)
	operatorstest.Make(t, s.Operators, operators.Draft{Name: "ada", Scope: identity.Viewer})
	link, err := s.Operators.EnterLink(t.Context(), "ada")
	if err != nil {
		t.Fatal(err)
	}
	page := "/sign-in/enter?code=" + url.QueryEscape(link.Code)
	b := s.browser(t)
	b.get("/sign-in/enter?code=guessed").want(t, http.StatusUnauthorized, "not known")
	if got := b.get(page); got.StatusCode != http.StatusSeeOther || got.to() != "/" {
		t.Fatalf("the link answers %d, to %q", got.StatusCode, got.to())
	}
	b.get("/account").want(t, http.StatusOK, "ada", "viewer")
	other := s.browser(t)
	other.get(page).want(t, http.StatusUnauthorized, "was used")
	if other.cookie() != "" {
		t.Error("a link that was used opened a session")
	}
}

// TestTwoSitesOnOneMachine: browsers send a host's cookies to all its ports; who signs in at a second site stays signed in at
// the first.
func TestTwoSitesOnOneMachine(t *testing.T) {
	one, two := start(t), start(t)
	for _, s := range []site{one, two} {
		operatorstest.Make(t, s.Operators, operators.Draft{Name: "anna", Scope: identity.Viewer})
	}
	b := one.browser(t)
	b.signIn("anna", operatorstest.Password).want(t, http.StatusSeeOther)
	other := &browser{t, two, b.http}
	other.signIn("anna", operatorstest.Password).want(t, http.StatusSeeOther)
	b.get("/account").want(t, http.StatusOK, "anna")
	other.get("/account").want(t, http.StatusOK, "anna")
	if signin.CookieName("thatch.example") != "__Host-thatch" || signin.CookieName("thatch.example:443") != "__Host-thatch" {
		t.Error("at the usual port the name has no port")
	}
}

// A site that asks for a second factor opens no other page, and takes no other form, before it is set up.
func TestSecondFactorBeforeAnythingElse(t *testing.T) {
	s := start(t)
	operatorstest.Make(t, s.Operators, operators.Draft{Name: "anna", Scope: identity.Administrator})
	if _, err := s.Settings.Set(t.Context(), "operators.second_factor", []byte("true"), -1); err != nil {
		t.Fatal(err)
	}
	const setUp = "/account/second-factor"
	b := s.browser(t)
	b.signIn("anna", operatorstest.Password)
	for _, path := range []string{"/", "/account", "/settings", "/tasks/runs/x/events"} {
		if got := b.get(path); got.StatusCode != http.StatusSeeOther || got.to() != setUp {
			t.Errorf("%s answers %d to %q", path, got.StatusCode, got.to())
		}
	}
	if got := b.fill(setUp, "/account", "do", "token", "name", "t", "scope", "administrator", "hours", "24"); got.StatusCode != http.StatusSeeOther || got.to() != setUp {
		t.Errorf("a token was made before: %d", got.StatusCode)
	}
	b.get(setUp).want(t, http.StatusOK, "This site asks for a second factor", `name="password"`)
	begun := b.fill(setUp, setUp, "do", "second", "password", operatorstest.Password)
	begun.want(t, http.StatusOK, "authenticator app", `value="confirm"`)
	match := regexp.MustCompile(`<code class="secret">([^<]+)</code>`).FindStringSubmatch(begun.body)
	if match == nil {
		t.Fatal("no secret is shown")
	}
	secret, err := base32.StdEncoding.WithPadding(base32.NoPadding).DecodeString(strings.ToUpper(strings.ReplaceAll(match[1], " ", "")))
	if err != nil {
		t.Fatal(err)
	}
	b.fill(setUp, setUp, "do", "confirm", "code", totp.Code(secret, s.clock.Now())).want(t, http.StatusOK, "recovery codes")
	b.get("/account").want(t, http.StatusOK)
}
