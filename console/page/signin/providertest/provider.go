// Package providertest is a provider of OpenID Connect on this machine, for tests. It vouches for whom the test says, and
// lies where the test wants it to.
package providertest

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"maps"
	"math/big"
	"net/http"
	"net/http/httptest"
	"net/url"
	"sync"
	"testing"
	"time"
)

// Client and secret by which a site is known to the provider.
const (
	Client = "thatch-north"
	Secret = "a client's secret"
)

// Provider is one provider. Change what it says between calls.
type Provider struct {
	*httptest.Server
	Claims map[string]any              // of whoever signs in: sub, name, groups...
	Lie    func(claims map[string]any) // changes a token before it is signed; nil: it does not lie
	Key    *rsa.PrivateKey             // that tokens are signed with; another one than it publishes makes them worthless
	Code   func(answer url.Values)     // changes what the browser is sent back with; nil: nothing
	mu     sync.Mutex
	now    func() time.Time
	known  *rsa.PublicKey
	codes  map[string]url.Values // what was asked for, by the code that was given for it
	given  int
}

// Start starts a provider that ends with the test.
func Start(t testing.TB, now func() time.Time) *Provider {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	p := &Provider{Key: key, known: &key.PublicKey, now: now, codes: map[string]url.Values{}}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /.well-known/openid-configuration", p.discovery)
	mux.HandleFunc("GET /authorize", p.authorize)
	mux.HandleFunc("POST /token", p.token)
	mux.HandleFunc("GET /keys", p.keys)
	p.Server = httptest.NewTLSServer(mux)
	t.Cleanup(p.Close)
	return p
}

// Authority is the certificate that the provider's address is to be trusted by, PEM.
func (p *Provider) Authority() string {
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: p.Certificate().Raw}))
}

func answer(w http.ResponseWriter, body any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(body) // the test sees what came
}

func (p *Provider) discovery(w http.ResponseWriter, _ *http.Request) {
	answer(w, map[string]any{
		"issuer": p.URL, "authorization_endpoint": p.URL + "/authorize", "token_endpoint": p.URL + "/token", "jwks_uri": p.URL + "/keys",
		"id_token_signing_alg_values_supported": []string{"RS256"},
	})
}

// authorize sends the browser back with a code, as if somebody had signed in.
func (p *Provider) authorize(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	defer p.mu.Unlock()
	asked := r.URL.Query()
	if asked.Get("client_id") != Client || asked.Get("code_challenge_method") != "S256" || asked.Get("nonce") == "" || asked.Get("response_type") != "code" {
		http.Error(w, "this is not how one asks", http.StatusBadRequest)
		return
	}
	p.given++
	code := base64.RawURLEncoding.EncodeToString(big.NewInt(int64(p.given) + 1e6).Bytes())
	p.codes[code] = asked
	back := url.Values{"code": {code}, "state": {asked.Get("state")}}
	if p.Code != nil {
		p.Code(back)
	}
	http.Redirect(w, r, asked.Get("redirect_uri")+"?"+back.Encode(), http.StatusFound)
}

func (p *Provider) token(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	defer p.mu.Unlock()
	client, secret, basic := r.BasicAuth()
	if basic { // RFC 6749, section 2.3.1: both are encoded as in forms
		client, _ = url.QueryUnescape(client)
		secret, _ = url.QueryUnescape(secret)
	} else {
		client, secret = r.FormValue("client_id"), r.FormValue("client_secret")
	}
	asked, known := p.codes[r.FormValue("code")]
	delete(p.codes, r.FormValue("code"))
	challenge := sha256.Sum256([]byte(r.FormValue("code_verifier")))
	if !known || client != Client || secret != Secret || r.FormValue("redirect_uri") != asked.Get("redirect_uri") ||
		asked.Get("code_challenge") != base64.RawURLEncoding.EncodeToString(challenge[:]) {
		w.WriteHeader(http.StatusBadRequest)
		answer(w, map[string]any{"error": "invalid_grant"})
		return
	}
	claims := map[string]any{
		"iss": p.URL, "aud": Client, "iat": p.now().Unix(), "exp": p.now().Add(time.Minute).Unix(), "nonce": asked.Get("nonce"),
	}
	maps.Copy(claims, p.Claims)
	if p.Lie != nil {
		p.Lie(claims)
	}
	answer(w, map[string]any{"access_token": "x", "token_type": "Bearer", "expires_in": 60, "id_token": p.sign(claims)})
}

func (p *Provider) sign(claims map[string]any) string {
	head, body := encode(map[string]any{"alg": "RS256", "kid": "1", "typ": "JWT"}), encode(claims)
	sum := sha256.Sum256([]byte(head + "." + body))
	signature, err := rsa.SignPKCS1v15(rand.Reader, p.Key, crypto.SHA256, sum[:])
	if err != nil {
		return ""
	}
	return head + "." + body + "." + base64.RawURLEncoding.EncodeToString(signature)
}

func encode(value any) string {
	raw, err := json.Marshal(value)
	if err != nil {
		return ""
	}
	return base64.RawURLEncoding.EncodeToString(raw)
}

func (p *Provider) keys(w http.ResponseWriter, _ *http.Request) {
	answer(w, map[string]any{"keys": []any{map[string]any{
		"kty": "RSA", "use": "sig", "alg": "RS256", "kid": "1", "n": base64.RawURLEncoding.EncodeToString(p.known.N.Bytes()),
		"e": base64.RawURLEncoding.EncodeToString(big.NewInt(int64(p.known.E)).Bytes()),
	}}})
}
