package agentapi_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"thatch/agentapi"
	"thatch/agentapi/agentapitest"
)

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func clock() time.Time { return noon }

func csr(t *testing.T) ([]byte, *ecdsa.PrivateKey) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, key)
	if err != nil {
		t.Fatal(err)
	}
	return raw, key
}

func enrol(t *testing.T, node *agentapitest.Node) *agentapi.Client {
	t.Helper()
	request, key := csr(t)
	first := newClient(t, node.URL(), agentapi.Trust{Fingerprint: node.Token.Fingerprint, Now: clock}, nil)
	answer, err := first.Enrol(context.Background(), agentapi.EnrolRequest{Token: node.Token.String(), CSR: request})
	if err != nil {
		t.Fatal(err)
	}
	authority, err := x509.ParseCertificate(answer.Authority)
	if err != nil {
		t.Fatal(err)
	}
	certificate := &tls.Certificate{Certificate: [][]byte{answer.Certificate}, PrivateKey: key}
	return newClient(t, node.URL(), agentapi.Trust{Authority: authority, Now: clock}, certificate)
}

func newClient(t *testing.T, url string, trust agentapi.Trust, certificate *tls.Certificate) *agentapi.Client {
	t.Helper()
	client, err := agentapi.NewClient(url, trust, certificate)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	return client
}

func TestEnrolThenCall(t *testing.T) {
	node := agentapitest.NewNode(t, clock)
	client := enrol(t, node)
	answer, err := client.Assignments(context.Background(), agentapi.AssignmentsRequest{Epoch: "e1"})
	if err != nil || answer.Settings.Attempts != 3 {
		t.Fatalf("%+v, %v", answer, err)
	}
	again, err := client.Assignments(context.Background(), agentapi.AssignmentsRequest{Epoch: "e1", Tag: answer.Tag})
	if err != nil || !again.Unchanged {
		t.Fatalf("%+v, %v", again, err)
	}
}

func TestOnlyNodesOfTheSiteAreTrusted(t *testing.T) {
	node := agentapitest.NewNode(t, clock)
	other := agentapitest.NewAuthority(t, "other", noon)
	stranger := node.Token
	stranger.Fingerprint = agentapi.Fingerprint(other.Certificate.Raw)
	late := func() time.Time { return noon.AddDate(20, 0, 0) }
	for name, trust := range map[string]agentapi.Trust{
		"fingerprint of another authority": {Fingerprint: stranger.Fingerprint, Now: clock},
		"another authority":                {Authority: other.Certificate, Now: clock},
		"expired":                          {Authority: node.Authority.Certificate, Now: late},
	} {
		client := newClient(t, node.URL(), trust, nil)
		_, err := client.Enrol(context.Background(), agentapi.EnrolRequest{Token: node.Token.String()})
		if !errors.Is(err, agentapi.ErrUntrusted) {
			t.Errorf("%s: %v, want ErrUntrusted", name, err)
		}
	}
	if node.Lock(); len(node.Calls) > 0 {
		t.Errorf("something was said to a stranger: %v", node.Calls)
	}
	node.Unlock()
}

// An agent's own certificate comes from the same authority, and must not let it play a node.
func TestAgentIsNoNode(t *testing.T) {
	authority := agentapitest.NewAuthority(t, "site", noon)
	server := httptest.NewUnstartedServer(http.NotFoundHandler())
	server.TLS = &tls.Config{Certificates: []tls.Certificate{authority.Server(t, x509.ExtKeyUsageClientAuth, noon)}}
	server.StartTLS()
	defer server.Close()
	client := newClient(t, server.URL, agentapi.Trust{Authority: authority.Certificate, Now: clock}, nil)
	if _, err := client.Rules(context.Background(), agentapi.RulesRequest{}); !errors.Is(err, agentapi.ErrUntrusted) {
		t.Fatalf("%v, want ErrUntrusted", err)
	}
}

func TestOldTLSIsRefused(t *testing.T) {
	authority := agentapitest.NewAuthority(t, "site", noon)
	server := httptest.NewUnstartedServer(http.NotFoundHandler())
	server.TLS = &tls.Config{
		MaxVersion: tls.VersionTLS12, Certificates: []tls.Certificate{authority.Server(t, x509.ExtKeyUsageServerAuth, noon)},
	}
	server.StartTLS()
	defer server.Close()
	client := newClient(t, server.URL, agentapi.Trust{Authority: authority.Certificate, Now: clock}, nil)
	if _, err := client.Rules(context.Background(), agentapi.RulesRequest{}); err == nil || !strings.Contains(err.Error(), "version") {
		t.Fatalf("%v, want a refusal of the protocol version", err)
	}
}

func TestErrorsOfTheNode(t *testing.T) {
	node := agentapitest.NewNode(t, clock)
	client := enrol(t, node)
	node.Lock()
	node.Fault = func(string) *agentapi.Error {
		return &agentapi.Error{Code: agentapi.CodeBusy, Text: "the site is starting", After: 7}
	}
	node.Unlock()
	_, err := client.Rules(context.Background(), agentapi.RulesRequest{})
	var answer *agentapi.Error
	if !errors.As(err, &answer) || answer.After != 7 || !agentapi.HasCode(err, agentapi.CodeBusy) {
		t.Fatalf("%#v", err)
	}
	if agentapi.HasCode(err, agentapi.CodeRetired) || agentapi.HasCode(errors.New("x"), agentapi.CodeBusy) {
		t.Error("an error has codes that it does not have")
	}
}

func TestAnswersThatAreNoAnswers(t *testing.T) {
	authority := agentapitest.NewAuthority(t, "site", noon)
	var answer http.HandlerFunc
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { answer(w, r) }))
	server.TLS = &tls.Config{Certificates: []tls.Certificate{authority.Server(t, x509.ExtKeyUsageServerAuth, noon)}}
	server.StartTLS()
	defer server.Close()
	client := newClient(t, server.URL, agentapi.Trust{Authority: authority.Certificate, Now: clock}, nil)
	for _, c := range []struct {
		name, want string
		handler    http.HandlerFunc
	}{
		{"a proxy's page", "502 Bad Gateway", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Retry-After", "30")
			w.WriteHeader(http.StatusBadGateway)
			fmt.Fprint(w, "<html>secret internals</html>")
		}},
		{"a redirect", "302 Found", func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "https://elsewhere.example/", http.StatusFound)
		}},
		{"half an answer", "cannot be read", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, `{"epoch":"e`) }},
		{"another type", "cannot be read", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, `{"updates":7}`) }},
		{"a cut", "EOF", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "100")
			fmt.Fprint(w, `{}`)
		}},
		{"no end", "larger than", func(w http.ResponseWriter, _ *http.Request) {
			chunk := []byte(strings.Repeat(" ", 1<<20))
			for range agentapi.MaxResponse/len(chunk) + 2 {
				if _, err := w.Write(chunk); err != nil {
					return
				}
			}
		}},
	} {
		answer = c.handler
		if _, err := client.Rules(context.Background(), agentapi.RulesRequest{}); err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: %v, want something of %q", c.name, err, c.want)
		}
	}
}

func TestPayloadThroughTheClientsConnection(t *testing.T) {
	node := agentapitest.NewNode(t, clock)
	client := enrol(t, node)
	digest := node.PutPayload([]byte("0123456789"))
	request, err := http.NewRequest(http.MethodGet, client.PayloadURL(digest), nil)
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Range", "bytes=4-")
	response, err := client.HTTP().Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if raw, err := io.ReadAll(response.Body); err != nil || string(raw) != "456789" {
		t.Fatalf("%q, %v", raw, err)
	}
}

func TestBackoff(t *testing.T) {
	for _, c := range []struct {
		failures int
		random   float64
		err      error
		want     time.Duration
	}{
		{1, 0, nil, 5 * time.Second},
		{1, 1, nil, 10 * time.Second},
		{3, 1, nil, 40 * time.Second},
		{50, 1, nil, time.Minute},
		{50, 0, nil, 30 * time.Second},
		{1, 0, &agentapi.Error{After: 100}, 100 * time.Second},
		{1, 1, fmt.Errorf("wrapped: %w", &agentapi.Error{After: 100}), 110 * time.Second},
		{50, 0, &agentapi.Error{After: 3}, 30 * time.Second},
		{1, 0, &agentapi.Error{After: 1 << 30}, 24 * time.Hour},
		{1, 0, &agentapi.Error{After: -5}, 5 * time.Second},
	} {
		b := agentapi.Backoff{First: 10 * time.Second, Most: time.Minute, Random: func() float64 { return c.random }}
		if got := b.Wait(c.failures, c.err); got != c.want {
			t.Errorf("%d failures, chance %v, %v: %v, want %v", c.failures, c.random, c.err, got, c.want)
		}
	}
}

func TestAddressesOfNodes(t *testing.T) {
	for address, want := range map[string]string{
		"node.example:8443": "https://node.example:8443", "https://n/": "https://n",
		"http://node.example": "", "https://": "", "ftp://x": "", "https://a b": "",
	} {
		client, err := agentapi.NewClient(address, agentapi.Trust{}, nil)
		switch {
		case want == "" && err == nil:
			t.Errorf("%q was taken for %s", address, client.Node())
		case want != "" && (err != nil || client.Node() != want):
			t.Errorf("%q: %v, %v, want %s", address, client, err, want)
		}
	}
}
