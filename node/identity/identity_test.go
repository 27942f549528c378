package identity_test

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"thatch/catalog/document"
	"thatch/node/identity"
	"thatch/node/identity/identitytest"
	"thatch/node/nodetest"
	"thatch/node/store"
	"thatch/node/store/storetest"
)

type fixture struct {
	*identity.Identity
	db    *store.DB
	dir   string
	clock *nodetest.Clock
}

func open(t *testing.T) fixture {
	t.Helper()
	f := fixture{db: storetest.Open(t), dir: t.TempDir(), clock: nodetest.NewClock()}
	f.Identity = identitytest.Open(t, f.dir, f.db, f.clock.Now)
	return f
}

// issue makes a computer's certificate and records it.
func (f fixture) issue(t *testing.T, computer string) identity.Issued {
	t.Helper()
	_, csr := identitytest.Key(t)
	issued, err := f.Issue(csr, computer)
	if err != nil {
		t.Fatal(err)
	}
	f.write(t, issued.Record...)
	return issued
}

func (f fixture) write(t *testing.T, statements ...store.Statement) {
	t.Helper()
	applied, err := f.db.Write(t.Context(), store.Batch{Reason: "test", Statements: statements})
	if err = errors.Join(err, applied.Err()); err != nil {
		t.Fatal(err)
	}
}

func wants(t *testing.T, err, want error, text string) {
	t.Helper()
	if !errors.Is(err, want) || !strings.Contains(err.Error(), text) {
		t.Errorf("got %v; want %v with %q", err, want, text)
	}
}

func TestPeerRefusesWhatIsNotGood(t *testing.T) {
	f := open(t)
	good := f.issue(t, "c1")
	peer := func(der []byte) error {
		_, err := f.Peer(t.Context(), identitytest.Connected(t, der, f.Authority()))
		return err
	}
	if err := peer(good.DER); err != nil {
		t.Fatal(err)
	}
	_, err := f.Peer(t.Context(), nil)
	wants(t, err, identity.ErrUnauthorised, "takes a certificate")
	unverified := identitytest.Connected(t, good.DER, f.Authority())
	unverified.VerifiedChains = nil
	_, err = f.Peer(t.Context(), unverified)
	wants(t, err, identity.ErrUnauthorised, "was not verified")

	_, csr := identitytest.Key(t)
	unrecorded, err := f.Issue(csr, "c1")
	if err != nil {
		t.Fatal(err)
	}
	wants(t, peer(unrecorded.DER), identity.ErrUnauthorised, "not on this site's record")

	stranger := open(t)
	wants(t, peer(stranger.issue(t, "c1").DER), identity.ErrUnauthorised, "site's record")

	f.write(t, identity.RevokeComputer("c1", "lost", f.clock.Now()))
	wants(t, peer(good.DER), identity.ErrUnauthorised, "revoked")
	wants(t, peer(good.DER), identity.ErrUnauthorised, "lost")

	other, third := f.issue(t, "c2"), f.issue(t, "c2")
	f.write(t, identity.RevokeComputer("c2", "retired", f.clock.Now()))
	wants(t, peer(other.DER), identity.ErrUnauthorised, "retired")
	wants(t, peer(third.DER), identity.ErrUnauthorised, "retired")

	old := f.issue(t, "c3")
	f.clock.Move(identity.AgentLifetime)
	wants(t, peer(old.DER), identity.ErrUnauthorised, "ended")
}

func TestPeerOfAnotherSitesNames(t *testing.T) {
	// Two authorities of sites with the same name have the same subject: the site's id in the certificate tells them
	// apart where the chain does not.
	f := open(t)
	cfg := identitytest.Config(t.TempDir(), storetest.Open(t), f.clock.Now)
	cfg.Site = "site-2"
	stranger, err := identity.Open(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	_, csr := identitytest.Key(t)
	issued, err := stranger.Issue(csr, "c1")
	if err != nil {
		t.Fatal(err)
	}
	_, err = f.Peer(t.Context(), identitytest.Connected(t, issued.DER, f.Authority()))
	wants(t, err, identity.ErrUnauthorised, "")
}

func TestIssueRefusesBadRequests(t *testing.T) {
	f := open(t)
	_, good := identitytest.Key(t)
	tampered := append([]byte(nil), good...)
	tampered[len(tampered)-1] ^= 1
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	rsaRequest, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, key)
	if err != nil {
		t.Fatal(err)
	}
	for name, csr := range map[string][]byte{
		"empty": nil, "garbage": []byte("no request"), "cut": good[:len(good)/2], "tampered": tampered, "RSA": rsaRequest,
		"huge": make([]byte, 1<<20),
	} {
		if _, err := f.Issue(csr, "c1"); !errors.Is(err, store.ErrInvalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
	issued, err := f.Issue(good, "c1")
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(issued.DER)
	if err != nil {
		t.Fatal(err)
	}
	if len(cert.DNSNames) > 0 || cert.IsCA || len(cert.ExtKeyUsage) != 1 || cert.ExtKeyUsage[0] != x509.ExtKeyUsageClientAuth {
		t.Errorf("the certificate took over what the request asked for: %+v", cert)
	}
}

func FuzzIssue(f *testing.F) {
	_, csr := identitytest.Key(f)
	f.Add(csr)
	f.Add([]byte("x"))
	db := storetest.Open(f)
	id := identitytest.Open(f, f.TempDir(), db, time.Now)
	f.Fuzz(func(t *testing.T, csr []byte) {
		issued, err := id.Issue(csr, "c1")
		if err == nil && (len(issued.DER) == 0 || issued.Serial == "") {
			t.Error("issued nothing")
		}
		if err != nil && !errors.Is(err, store.ErrInvalid) {
			t.Errorf("not the request's fault: %v", err)
		}
	})
}

func TestEnrolmentTokens(t *testing.T) {
	f := open(t)
	ctx := t.Context()
	hour := f.clock.Now().Add(time.Hour)
	for name, bad := range map[string]identity.EnrolmentToken{
		"no name": {Expires: hour}, "past": {Name: "x", Expires: f.clock.Now()}, "limit": {Name: "x", Limit: -1, Expires: hour},
		"long name": {Name: strings.Repeat("x", 300), Expires: hour},
	} {
		if _, err := f.NewEnrolmentToken(ctx, bad); !errors.Is(err, store.ErrInvalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
	made, err := f.NewEnrolmentToken(ctx, identity.EnrolmentToken{Name: "office", Group: "berlin", Limit: 1, Expires: hour})
	if err != nil {
		t.Fatal(err)
	}
	other := "x" // than the token has at that place
	if made.Token[20] == 'x' {
		other = "y"
	}
	for _, text := range []string{
		"", "tt1-", "tt1-x", "nonsense", "ta1-" + made.Token[4:], made.Token[:20] + other + made.Token[21:] + "!",
		"tt1-aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa-" + strings.Repeat("0", 32),
	} {
		if _, err := f.Enrol(ctx, text); !errors.Is(err, identity.ErrUnauthorised) {
			t.Errorf("%q: %v", text, err)
		} else if made.Token != "" && strings.Contains(err.Error(), made.Token) {
			t.Errorf("the message repeats the secret: %v", err)
		}
	}
	e, err := f.Enrol(ctx, made.Token)
	if err != nil || e.Group != "berlin" || e.Token != made.ID {
		t.Fatalf("%+v, %v", e, err)
	}
	f.write(t, e.Use...)
	_, err = f.Enrol(ctx, made.Token)
	wants(t, err, identity.ErrUnauthorised, "used up")

	second, err := f.NewEnrolmentToken(ctx, identity.EnrolmentToken{Name: "second", Expires: hour})
	if err != nil {
		t.Fatal(err)
	}
	late, err := f.Enrol(ctx, strings.ToUpper(second.Token[:3])+second.Token[3:])
	if err == nil {
		t.Logf("case is forgiven: %+v", late)
	}
	e, err = f.Enrol(ctx, second.Token)
	if err != nil {
		t.Fatal(err)
	}
	if err := f.RevokeToken(ctx, second.ID); err != nil {
		t.Fatal(err)
	}
	applied, err := f.db.Write(ctx, store.Batch{Reason: "late", Statements: e.Use})
	if err != nil || !errors.Is(applied.Err(), store.ErrConflict) {
		t.Errorf("a use after the revocation: %v, %v", err, applied.Err())
	}
	_, err = f.Enrol(ctx, second.Token)
	wants(t, err, identity.ErrUnauthorised, "revoked")

	third, err := f.NewEnrolmentToken(ctx, identity.EnrolmentToken{Name: "third", Expires: hour})
	if err != nil {
		t.Fatal(err)
	}
	f.clock.Move(time.Hour)
	_, err = f.Enrol(ctx, third.Token)
	wants(t, err, identity.ErrUnauthorised, "ended")
	wants(t, f.RevokeToken(ctx, "nobody"), store.ErrNotFound, "nobody")
}

func TestUseLimitHoldsUnderRace(t *testing.T) {
	f := open(t)
	made, err := f.NewEnrolmentToken(t.Context(), identity.EnrolmentToken{Name: "image", Limit: 10, Expires: f.clock.Now().Add(time.Hour)})
	if err != nil {
		t.Fatal(err)
	}
	var used atomic.Int32
	var racing sync.WaitGroup
	for range 40 {
		racing.Go(func() {
			e, err := f.Enrol(t.Context(), made.Token)
			if err != nil {
				return
			}
			applied, err := f.db.Write(t.Context(), store.Batch{Reason: "enrol", Statements: e.Use})
			if err == nil && applied.Err() == nil {
				used.Add(1)
			}
		})
	}
	racing.Wait()
	list, total, err := f.EnrolmentTokens(t.Context(), store.Query{})
	if err != nil || total != 1 || list[0].Used != 10 || used.Load() != 10 {
		t.Errorf("used %d, on record %+v, %v", used.Load(), list, err)
	}
	if list[0].Token != "" {
		t.Error("the list shows the secret")
	}
}

func TestAPITokens(t *testing.T) {
	f := open(t)
	ctx := store.WithCaller(t.Context(), &store.Caller{Actor: "operator anna"})
	if _, err := f.NewAPIToken(ctx, identity.APIToken{Name: "x", Scope: "king", Expires: f.clock.Now().Add(time.Hour)}); !errors.Is(err, store.ErrInvalid) {
		t.Errorf("scope king: %v", err)
	}
	made, err := f.NewAPIToken(ctx, identity.APIToken{Name: "grafana", Scope: identity.Viewer, Expires: f.clock.Now().Add(time.Hour)})
	if err != nil {
		t.Fatal(err)
	}
	who, err := f.Operator(ctx, made.Token)
	if err != nil || who.Name != "grafana" || who.Scope != identity.Viewer || made.By != "operator anna" {
		t.Fatalf("%+v, %+v, %v", who, made, err)
	}
	for _, bad := range []string{"", "ta1-", made.Token + "a", made.Token[:len(made.Token)-1], "tl1-" + made.Token[4:]} {
		if _, err := f.Operator(ctx, bad); !errors.Is(err, identity.ErrUnauthorised) {
			t.Errorf("%q: %v", bad, err)
		}
	}
	f.clock.Move(time.Hour)
	_, err = f.Operator(ctx, made.Token)
	wants(t, err, identity.ErrUnauthorised, "ended")
}

func TestScopesHoldEachOther(t *testing.T) {
	order := []identity.Scope{identity.Viewer, identity.Operate, identity.Approver, identity.Administrator}
	for i, has := range order {
		for j, needed := range order {
			err := identity.Operator{Name: "x", Scope: has}.Require(needed)
			if (err == nil) != (i >= j) || err != nil && !errors.Is(err, identity.ErrForbidden) {
				t.Errorf("%s asks for %s: %v", has, needed, err)
			}
		}
		for _, odd := range []identity.Scope{"", "king"} {
			if (identity.Operator{Scope: has}).Require(odd) == nil || (identity.Operator{Scope: odd}).Require(has) == nil {
				t.Errorf("scope %q counts for something", odd)
			}
		}
	}
}

func TestLocalToken(t *testing.T) {
	f := open(t)
	if _, err := f.Operator(t.Context(), "tl1-"); !errors.Is(err, identity.ErrUnauthorised) {
		t.Errorf("before there is one: %v", err)
	}
	first, err := f.LocalToken()
	if err != nil {
		t.Fatal(err)
	}
	if who, err := f.Operator(t.Context(), first); err != nil || who.Scope != identity.Administrator {
		t.Errorf("%+v, %v", who, err)
	}
	if _, err := f.LocalToken(); err != nil {
		t.Fatal(err)
	}
	if _, err := f.Operator(t.Context(), first); !errors.Is(err, identity.ErrUnauthorised) {
		t.Errorf("the former one: %v", err)
	}
}

func TestKeysSurviveAndAreGuarded(t *testing.T) {
	f := open(t)
	again := identitytest.Open(t, f.dir, f.db, f.clock.Now)
	if string(again.Authority()) != string(f.Authority()) {
		t.Error("a second start made another authority")
	}
	doc, err := document.New(document.Bulletin, "b1", nil, []byte("{}"))
	if err != nil {
		t.Fatal(err)
	}
	again.Sign(&doc)
	keys, err := f.Keys(t.Context())
	if err != nil || len(keys) != 1 {
		t.Fatalf("%d keys, %v", len(keys), err)
	}
	ring := document.Keyring{}
	if _, err := ring.Learn(keys[0]); err != nil {
		t.Fatal(err)
	}
	if err := ring.Verify(&doc); err != nil {
		t.Error(err)
	}
}

func TestNodeCertificate(t *testing.T) {
	f := open(t)
	first := f.NodeCertificate()
	roots := x509.NewCertPool()
	root, err := x509.ParseCertificate(f.Authority())
	if err != nil {
		t.Fatal(err)
	}
	roots.AddCert(root)
	for _, name := range []string{"localhost", "127.0.0.1"} {
		if _, err := first.Verify(x509.VerifyOptions{Roots: roots, DNSName: name, CurrentTime: f.clock.Now()}); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := first.Verify(x509.VerifyOptions{Roots: roots, DNSName: "elsewhere.example", CurrentTime: f.clock.Now()}); err == nil {
		t.Error("the certificate is good for every name")
	}
	if err := f.RenewNode(); err != nil {
		t.Fatal(err)
	}
	if f.NodeCertificate().SerialNumber.Cmp(first.SerialNumber) == 0 {
		t.Error("the renewed certificate is the former one")
	}
}
