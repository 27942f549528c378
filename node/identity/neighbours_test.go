package identity_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"io"
	"log"
	"math/big"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"thatch/catalog/federation"
	"thatch/node/identity"
	"thatch/node/identity/identitytest"
	"thatch/node/nodetest"
	"thatch/node/store"
	"thatch/node/store/storetest"
)

// children is a table of children without a database.
type children struct {
	mu      sync.Mutex
	of      map[string][]byte // site -> authority
	revoked map[string]bool
}

func (c *children) ChildAuthority(_ context.Context, site string) ([]byte, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch der, ok := c.of[site]; {
	case !ok:
		return nil, identity.Unauthorised("site %s is no child", site)
	case c.revoked[site]:
		return nil, identity.Unauthorised("site %s was revoked", site)
	default:
		return der, nil
	}
}

func (c *children) change(do func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	do()
}

// tree is a parent that listens, and sites around it.
type tree struct {
	clock    *nodetest.Clock
	parent   *identity.Identity
	children *children
	server   *httptest.Server
}

func site(t *testing.T, clock *nodetest.Clock, id string) *identity.Identity {
	t.Helper()
	cfg := identitytest.Config(t.TempDir(), storetest.Open(t), clock.Now)
	cfg.Site, cfg.Name, cfg.Node = id, "Site "+id, "node-of-"+id
	opened, err := identity.Open(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	return opened
}

func newTree(t *testing.T) *tree {
	t.Helper()
	tr := &tree{clock: nodetest.NewClock(), children: &children{of: map[string][]byte{}, revoked: map[string]bool{}}}
	tr.parent = site(t, tr.clock, "top")
	tr.parent.Trust(tr.children)
	tr.server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p, err := tr.parent.Peer(r.Context(), r.TLS)
		if err != nil {
			http.Error(w, err.Error(), http.StatusUnauthorized)
			return
		}
		_, _ = io.WriteString(w, p.Kind+" "+p.Site+" "+p.ID)
	}))
	tr.server.TLS = tr.parent.TLS()
	tr.server.EnableHTTP2 = true
	tr.server.Config.ErrorLog = log.New(io.Discard, "", 0)
	tr.server.StartTLS()
	t.Cleanup(tr.server.Close)
	return tr
}

func (tr *tree) add(id string, authority []byte) {
	tr.children.change(func() { tr.children.of[id] = authority })
}

func toward(t *testing.T, from *identity.Identity, site string, authority []byte) *tls.Config {
	t.Helper()
	config, err := from.ParentTLS(site, authority)
	if err != nil {
		t.Fatal(err)
	}
	return config
}

func clientOf(config *tls.Config) *http.Client {
	return &http.Client{Transport: &http.Transport{TLSClientConfig: config, ForceAttemptHTTP2: true}}
}

// ask calls the parent: what it says of the caller, or the error of the call.
func (tr *tree) ask(t *testing.T, client *http.Client) (string, error) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, tr.server.URL, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	answer, err := client.Do(r)
	if err != nil {
		return "", err
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	return strings.TrimSpace(string(text)), err
}

func (tr *tree) says(t *testing.T, what string, client *http.Client, want string) {
	t.Helper()
	if got, err := tr.ask(t, client); err != nil || !strings.Contains(got, want) {
		t.Errorf("%s: %q, %v; want %q", what, got, err, want)
	}
}

// refuses: the connection fails, or the answer says that nobody was let in.
func (tr *tree) refuses(t *testing.T, what string, client *http.Client, want string) {
	t.Helper()
	got, err := tr.ask(t, client)
	if err != nil {
		got = err.Error()
	}
	if !strings.Contains(got, "not let in") && err == nil || !strings.Contains(got, want) {
		t.Errorf("%s: %q, %v; want %q", what, got, err, want)
	}
}

func TestChildrenAreLetInWhileTheyAreChildren(t *testing.T) {
	tr := newTree(t)
	berlin, paris := site(t, tr.clock, "berlin"), site(t, tr.clock, "paris")
	link := func(id *identity.Identity) *http.Client {
		return clientOf(toward(t, id, "top", tr.parent.Authority()))
	}
	tr.refuses(t, "before it joined", link(berlin), "berlin is no child")
	tr.add("berlin", berlin.Authority())
	open := link(berlin)
	tr.says(t, "a child", open, "node berlin node-of-berlin")
	tr.refuses(t, "a stranger", link(paris), "paris is no child")
	tr.add("paris", paris.Authority())
	tr.says(t, "another child", link(paris), "node paris node-of-paris")
	tr.children.change(func() { tr.children.revoked["berlin"] = true })
	tr.refuses(t, "revoked, on the connection that it has", open, "berlin was revoked")
	tr.refuses(t, "revoked, on another", link(berlin), "berlin was revoked")
	tr.says(t, "its sister", link(paris), "node paris")
	tr.children.change(func() { delete(tr.children.of, "berlin") })
	tr.refuses(t, "removed", open, "berlin is no child")
	tr.clock.Move(identity.NodeLifetime + time.Hour)
	if err := tr.parent.RenewNode(); err != nil {
		t.Fatal(err)
	}
	tr.refuses(t, "expired", link(paris), "expired")
	if err := paris.RenewNode(); err != nil {
		t.Fatal(err)
	}
	tr.says(t, "renewed", link(paris), "node paris")
}

// forged makes a certificate of any content, by an authority that is made on the spot or by the one given.
type forged struct {
	subject, serial, uri string
	usage                x509.ExtKeyUsage
	until                time.Duration
}

func (f forged) authority(t *testing.T, now time.Time) (*ecdsa.PrivateKey, *x509.Certificate) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(7), Subject: pkix.Name{CommonName: f.subject, Organization: []string{"Thatch"}, SerialNumber: f.serial},
		NotBefore: now.Add(-time.Hour), NotAfter: now.AddDate(1, 0, 0), IsCA: true, BasicConstraintsValid: true, MaxPathLenZero: true,
		KeyUsage: x509.KeyUsageCertSign,
	}
	return key, create(t, template, template, key.Public(), key)
}

func create(t *testing.T, template, parent *x509.Certificate, public, private any) *x509.Certificate {
	t.Helper()
	der, err := x509.CreateCertificate(rand.Reader, template, parent, public, private)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return cert
}

func (f forged) holder(t *testing.T, now time.Time, by *x509.Certificate, byKey *ecdsa.PrivateKey) *tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	uri, err := url.Parse(f.uri)
	if err != nil {
		t.Fatal(err)
	}
	if f.until == 0 {
		f.until = time.Hour
	}
	cert := create(t, &x509.Certificate{
		SerialNumber: big.NewInt(8), NotBefore: now.Add(-time.Hour), NotAfter: now.Add(f.until), URIs: []*url.URL{uri},
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{f.usage}, BasicConstraintsValid: true,
	}, by, key.Public(), byKey)
	return &tls.Certificate{Certificate: [][]byte{cert.Raw, by.Raw}, PrivateKey: key, Leaf: cert}
}

// TestAnAuthorityIsTrustedForItsOwnSiteAlone: whatever a child's authority signs, it makes nobody but nodes of that child.
func TestAnAuthorityIsTrustedForItsOwnSiteAlone(t *testing.T) {
	tr := newTree(t)
	now := tr.clock.Now()
	berlin := site(t, tr.clock, "berlin")
	tr.add("berlin", berlin.Authority())
	own, err := x509.ParseCertificate(tr.parent.Authority())
	if err != nil {
		t.Fatal(err)
	}
	// The evil child's authority bears the very name of the parent's.
	evil := forged{subject: own.Subject.CommonName, serial: own.Subject.SerialNumber}
	evilKey, evilAuthority := evil.authority(t, now)
	tr.add("evil", evilAuthority.Raw)
	for _, c := range []struct{ what, uri, says string }{
		{"a node of the parent", "thatch://top/node/n1", "claims to be of this site (top)"},
		{"a computer of the parent", "thatch://top/computer/c1", "claims to be of this site (top)"},
		{"a node of its sister", "thatch://berlin/node/n1", "claims to be of site berlin, and is not good"},
		{"a computer of its own", "thatch://evil/computer/c1", "only nodes call across sites"},
		{"something else of its own", "thatch://evil/king/k1", "neither a computer nor a node"},
		{"nobody", "thatch://evil/node/", "neither a computer nor a node"},
		{"a site that is no child", "thatch://nobody/node/n1", "no child"},
		{"another scheme", "https://evil/node/n1", "names no holder"},
		{"a host that is no id", "thatch://Evil:8743/node/n1", "names no holder"},
	} {
		cert := forged{uri: c.uri, usage: x509.ExtKeyUsageClientAuth}.holder(t, now, evilAuthority, evilKey)
		tr.refuses(t, c.what, clientOf(shows(cert)), c.says)
	}
	good := forged{uri: "thatch://evil/node/n1", usage: x509.ExtKeyUsageClientAuth}
	tr.says(t, "its own node", clientOf(shows(good.holder(t, now, evilAuthority, evilKey))), "node evil n1")
	ended := good
	ended.until = -time.Minute
	tr.refuses(t, "one that ended", clientOf(shows(ended.holder(t, now, evilAuthority, evilKey))), "expired")
	server := good
	server.usage = x509.ExtKeyUsageServerAuth
	tr.refuses(t, "one for servers", clientOf(shows(server.holder(t, now, evilAuthority, evilKey))), "incompatible key usage")
	strangerKey, stranger := forged{subject: "Authority of site Berlin", serial: "berlin"}.authority(t, now)
	tr.refuses(t, "an authority of nobody", clientOf(shows(
		forged{uri: "thatch://berlin/node/n1", usage: x509.ExtKeyUsageClientAuth}.holder(t, now, stranger, strangerKey))), "claims to be of site berlin, and is not good")
	// A caller that does not say it is a node of another site is not verified against children's authorities at all.
	plain := shows(good.holder(t, now, evilAuthority, evilKey))
	plain.NextProtos = []string{"http/1.1"}
	tr.refuses(t, "without the protocol of links", clientOf(plain), "")
}

// shows is a client's configuration that trusts everybody and shows a certificate.
func shows(cert *tls.Certificate) *tls.Config {
	return &tls.Config{
		InsecureSkipVerify: true, NextProtos: []string{"h2", "http/1.1", identity.LinkProtocol},
		GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return cert, nil },
	}
}

// TestAChildKnowsItsParent: the child says nothing to whoever is not the site that it means.
func TestAChildKnowsItsParent(t *testing.T) {
	tr := newTree(t)
	now := tr.clock.Now()
	berlin := site(t, tr.clock, "berlin")
	tr.add("berlin", berlin.Authority())
	ownKey, own := forged{subject: "x", serial: "berlin"}.authority(t, now)
	for _, c := range []struct {
		what string
		site string
		by   []byte
	}{
		{"another site of the same authority", "bottom", tr.parent.Authority()},
		{"the site by another authority", "top", own.Raw},
	} {
		if _, err := tr.ask(t, clientOf(toward(t, berlin, c.site, c.by))); err == nil {
			t.Errorf("%s was called", c.what)
		}
	}
	if _, err := berlin.ParentTLS("top", []byte("nonsense")); err == nil {
		t.Error("an authority that is none")
	}
	for _, c := range []struct{ what, uri string }{
		{"a computer as server", "thatch://top/computer/c"}, {"a node of another site", "thatch://other/node/n"},
	} {
		liar := httptest.NewUnstartedServer(http.NotFoundHandler())
		liar.TLS = &tls.Config{Certificates: []tls.Certificate{*forged{uri: c.uri, usage: x509.ExtKeyUsageServerAuth}.holder(t, now, own, ownKey)}}
		liar.Config.ErrorLog = log.New(io.Discard, "", 0)
		liar.StartTLS()
		client := clientOf(toward(t, berlin, "top", own.Raw))
		_, err := client.Get(liar.URL)
		if !errors.Is(err, identity.ErrUntrusted) {
			t.Errorf("%s: %v", c.what, err)
		}
		liar.Close()
	}
}

func TestJoinTLS(t *testing.T) {
	tr := newTree(t)
	berlin := site(t, tr.clock, "berlin")
	var found string
	remember := func(site string, authority []byte) { found = site + " " + identity.Fingerprint(authority) }
	right := federation.Fingerprint(tr.parent.Authority())
	tr.refuses(t, "no certificate is shown", clientOf(berlin.JoinTLS(right, remember)), "enrol first")
	if found != "top "+identity.Fingerprint(tr.parent.Authority()) {
		t.Errorf("found %q", found)
	}
	found = ""
	if _, err := tr.ask(t, clientOf(berlin.JoinTLS(federation.Fingerprint(berlin.Authority()), remember))); !errors.Is(err, identity.ErrUntrusted) || found != "" {
		t.Errorf("another fingerprint: %v, found %q", err, found)
	}
}

// TestClocksADayOff: neither site refuses the other because one clock is a day ahead or behind.
func TestClocksADayOff(t *testing.T) {
	for _, off := range []time.Duration{-25 * time.Hour, 25 * time.Hour} {
		tr := newTree(t)
		other := nodetest.NewClock()
		other.Move(off)
		berlin := site(t, other, "berlin")
		if _, err := identity.ParseAuthority("berlin", berlin.Authority(), tr.clock.Now()); err != nil {
			t.Errorf("%s: %v", off, err)
		}
		tr.add("berlin", berlin.Authority())
		tr.says(t, off.String(), clientOf(toward(t, berlin, "top", tr.parent.Authority())), "node berlin")
	}
}

func TestParseAuthorityRefuses(t *testing.T) {
	clock := nodetest.NewClock()
	now := clock.Now()
	berlin := site(t, clock, "berlin")
	if _, err := identity.ParseAuthority("berlin", berlin.Authority(), now); err != nil {
		t.Fatal(err)
	}
	key, ca := forged{subject: "x", serial: "berlin"}.authority(t, now)
	_, other := forged{subject: "x", serial: "paris"}.authority(t, now)
	leaf := forged{uri: "thatch://berlin/node/n", usage: x509.ExtKeyUsageClientAuth}.holder(t, now, ca, key).Leaf
	wide := *ca
	wide.MaxPathLen, wide.MaxPathLenZero = 3, false
	foreign := create(t, &wide, ca, key.Public(), key)
	for _, c := range []struct {
		what string
		der  []byte
		at   time.Time
		says string
	}{
		{"garbage", []byte("garbage"), now, "authority of site berlin"},
		{"nothing", nil, now, "authority of site berlin"},
		{"too much", make([]byte, 10_000), now, "at most"},
		{"a holder's certificate", leaf.Raw, now, "no authority"},
		{"one of another site", other.Raw, now, "made for site"},
		{"one that makes authorities", foreign.Raw, now, "no authority"},
		{"one that is not yet", ca.Raw, now.AddDate(-2, 0, 0), "it is good from"},
		{"one that was", ca.Raw, now.AddDate(30, 0, 0), "it is good from"},
	} {
		if _, err := identity.ParseAuthority("berlin", c.der, c.at); !errors.Is(err, store.ErrInvalid) || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v", c.what, err)
		}
	}
	otherKey, otherCA := forged{subject: "x", serial: "berlin"}.authority(t, now)
	signed := create(t, ca, otherCA, key.Public(), otherKey)
	if _, err := identity.ParseAuthority("berlin", signed.Raw, now); !errors.Is(err, store.ErrInvalid) {
		t.Errorf("one that another authority signed: %v", err)
	}
}

func TestVouch(t *testing.T) {
	clock := nodetest.NewClock()
	berlin, paris := site(t, clock, "berlin"), site(t, clock, "paris")
	cert, err := identity.ParseAuthority("berlin", berlin.Authority(), clock.Now())
	if err != nil {
		t.Fatal(err)
	}
	good, err := berlin.Vouch("join", []byte("top"))
	if err != nil {
		t.Fatal(err)
	}
	bad, err := paris.Vouch("join", []byte("top"))
	if err != nil {
		t.Fatal(err)
	}
	if err := identity.VerifyVouch(cert, "join", []byte("top"), good); err != nil {
		t.Error(err)
	}
	for what, err := range map[string]error{
		"another message": identity.VerifyVouch(cert, "join", []byte("bottom"), good),
		"another purpose": identity.VerifyVouch(cert, "leave", []byte("top"), good),
		"another site":    identity.VerifyVouch(cert, "join", []byte("top"), bad),
		"none":            identity.VerifyVouch(cert, "join", []byte("top"), nil),
	} {
		if !errors.Is(err, identity.ErrUnauthorised) {
			t.Errorf("%s: %v", what, err)
		}
	}
}
