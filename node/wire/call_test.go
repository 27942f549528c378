package wire_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"thatch/catalog/token"
	"thatch/node/identity"
	"thatch/node/wire"
)

// called is a port that answers some calls.
func called(s *site, id string) *wire.Port {
	s.t.Helper()
	port := s.node(id)
	door := &wire.Door{
		Port: port,
		Calls: map[string]func(http.ResponseWriter, *http.Request, wire.Peer) (any, error){
			"who": func(_ http.ResponseWriter, _ *http.Request, from wire.Peer) (any, error) { return from.ID, nil },
			"length": func(w http.ResponseWriter, r *http.Request, _ wire.Peer) (any, error) {
				in, err := wire.Decode[string](w, r, 100)
				return len(in), err
			},
			"much": func(http.ResponseWriter, *http.Request, wire.Peer) (any, error) {
				return strings.Repeat("x", 5<<20), nil
			},
		},
		Open: map[string]func(http.ResponseWriter, *http.Request) (any, error){
			"join": func(_ http.ResponseWriter, r *http.Request) (any, error) { return r.Header.Get("Authorization"), nil },
		},
		Fail: func(err error) *wire.Error {
			var refused *wire.Error
			if errors.As(err, &refused) {
				return refused
			}
			return &wire.Error{Status: http.StatusForbidden, Code: "shut", Text: err.Error()}
		},
	}
	server := &http.Server{ReadHeaderTimeout: limit}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = door.Serve(server)
	}()
	s.t.Cleanup(func() {
		_ = server.Close()
		<-done
	})
	return port
}

func TestCalls(t *testing.T) {
	s := newSite(t)
	a, _ := s.node("a"), called(s, "b")
	caller := a.Caller()
	var who string
	if err := caller.Call(t.Context(), "b", wire.Call{Path: "who", Out: &who}); err != nil || who != "a" {
		t.Fatalf("%s, %v", who, err)
	}
	var length int
	for what, c := range map[string]struct {
		call wire.Call
		code string
	}{
		"nothing of the kind": {wire.Call{Path: "nonsense"}, "not_found"},
		"GET":                 {wire.Call{Path: "../../who"}, "not_found"},
		"100 bytes":           {wire.Call{Path: "length", In: strings.Repeat("x", 200)}, "invalid"},
		"makes no sense":      {wire.Call{Path: "length", Raw: []byte("{")}, "invalid"},
		"more than":           {wire.Call{Path: "much", Out: &who}, ""},
		"cannot unmarshal":    {wire.Call{Path: "who", Out: &length}, ""},
		"unsupported type":    {wire.Call{Path: "who", In: func() {}}, ""},
	} {
		err := caller.Call(t.Context(), "b", c.call)
		if err == nil || wire.CodeOf(err) != c.code || what != "GET" && !strings.Contains(err.Error(), what) {
			t.Errorf("%s: %q, %v", what, wire.CodeOf(err), err)
		}
	}
	if err := caller.Call(t.Context(), "c", wire.Call{Path: "who"}); !errors.Is(err, wire.ErrUnreached) {
		t.Errorf("a node that is none: %v", err)
	}
	// Each call is judged anew, also over a connection that is open.
	s.set(func() { s.shut["a"] = errors.New("a was removed") })
	if err := caller.Call(t.Context(), "b", wire.Call{Path: "who"}); wire.CodeOf(err) != "shut" || !strings.Contains(err.Error(), "a was removed") {
		t.Errorf("a node that was removed calls on: %v", err)
	}
}

// Who is no node yet may call what is open, and that alone.
func TestCallsOfWhoIsNoNode(t *testing.T) {
	s := newSite(t)
	b := called(s, "b")
	config := identity.FirstTLS(token.Fingerprint(s.authority.Authority()), func(string, []byte) {}, s.clock)
	var said string
	if err := wire.CallAt(t.Context(), b.Addr().String(), config, wire.Call{Path: "join", Token: "t", Out: &said}); err != nil || said != "Bearer t" {
		t.Errorf("%q, %v", said, err)
	}
	if err := wire.CallAt(t.Context(), b.Addr().String(), config, wire.Call{Path: "who"}); wire.CodeOf(err) != "shut" {
		t.Errorf("a call without a certificate: %v", err)
	}
	other := identity.FirstTLS(token.Fingerprint(newSite(t).authority.Authority()), func(string, []byte) {}, s.clock)
	if err := wire.CallAt(t.Context(), b.Addr().String(), other, wire.Call{Path: "join", Out: &said}); err == nil || wire.CodeOf(err) != "" {
		t.Errorf("a site of another fingerprint: %v", err)
	}
	door := &wire.Door{
		Port: b, Calls: map[string]func(http.ResponseWriter, *http.Request, wire.Peer) (any, error){"who": nil},
		Fail: func(err error) *wire.Error {
			return &wire.Error{Status: http.StatusForbidden, Code: "shut", Text: err.Error()}
		},
	}
	w := httptest.NewRecorder()
	door.ServeHTTP(w, httptest.NewRequest(http.MethodPost, wire.Prefix+"who", nil))
	if w.Code != http.StatusForbidden || !strings.Contains(w.Body.String(), "over TLS alone") {
		t.Errorf("a call that came by another way: %d %s", w.Code, w.Body)
	}
}
