package joining_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/tls"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"thatch/catalog/document"
	"thatch/catalog/federation"
	"thatch/node"
	"thatch/node/identity"
	"thatch/node/nodetest"
	"thatch/node/sites"
	"thatch/node/store"
	"thatch/replication/joining"
	"thatch/replication/replicationtest"
	"thatch/replication/wire"
)

func join(t *testing.T, child, parent *node.Node) {
	t.Helper()
	if _, err := joining.Join(t.Context(), child, replicationtest.URL(parent), replicationtest.Token(t, parent), false); err != nil {
		t.Fatal(err)
	}
}

// known says whether a site holds the signing key and the document of another.
func known(t *testing.T, n *node.Node, of *node.Node) (federation.Site, bool) {
	t.Helper()
	tree, err := n.Sites.Tree(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	keys, err := n.Identity.Keys(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	hasKey := slices.ContainsFunc(keys, func(d document.Document) bool { return d.ID == of.Site().ID })
	site, hasSite := tree.Sites[of.Site().ID]
	if hasKey != hasSite {
		t.Errorf("%s holds of %s: key %v, document %v", n.Site().Name, of.Site().Name, hasKey, hasSite)
	}
	return site, hasSite
}

func TestJoin(t *testing.T) {
	top, berlin := replicationtest.Site(t, "Top", "en", "de"), replicationtest.Site(t, "Berlin", "de")
	token := replicationtest.Token(t, top)
	parent, err := joining.Join(t.Context(), berlin, top.Address(), " "+strings.ToUpper(token)+"\n", false)
	if err != nil {
		t.Fatal(err)
	}
	if parent.ID != top.Site().ID || parent.Name != "Top" || len(parent.URLs) != 1 || parent.URLs[0] != replicationtest.URL(top) || !bytes.Equal(parent.Authority, top.Identity.Authority()) {
		t.Errorf("the parent: %+v", parent)
	}
	child, err := top.Sites.Child(t.Context(), "Berlin")
	if err != nil || child.ID != berlin.Site().ID || !bytes.Equal(child.Authority, berlin.Identity.Authority()) || child.Seen.IsZero() {
		t.Errorf("the child: %+v, %v", child, err)
	}
	if s, ok := known(t, berlin, top); !ok || s.Name != "Top" {
		t.Errorf("the child knows of its parent: %+v", s)
	}
	if s, ok := known(t, top, berlin); !ok || s.Name != "Berlin" {
		t.Errorf("the parent knows of its child: %+v", s)
	}
	if s, _ := known(t, berlin, berlin); s.Parent != top.Site().ID {
		t.Errorf("the child tells of itself: %+v", s)
	}
	alert, err := top.Sites.Alert(t.Context(), berlin.Site().ID)
	if err != nil || !slices.Equal(alert.Languages, []string{"de"}) {
		t.Errorf("the language alert: %+v, %v", alert, err)
	}
	rules, total, err := top.Sites.Rules(t.Context(), store.Query{})
	if err != nil || total != 4 || !rules[0].Enabled {
		t.Errorf("rules: %+v, %v", rules, err)
	}
	list, _, err := top.Identity.Audit(t.Context(), store.Query{Search: "take site"})
	if err != nil || len(list) != 1 || list[0].Actor != "site "+berlin.Site().ID || strings.Contains(list[0].Detail, token) {
		t.Errorf("audit: %+v, %v", list, err)
	}
}

func TestJoinRefusals(t *testing.T) {
	clock := nodetest.NewClock()
	top := replicationtest.SiteWith(t, node.Config{Dir: t.TempDir(), Site: "Top", Now: clock.Now})
	other := replicationtest.Site(t, "Other")
	berlin, paris := replicationtest.Site(t, "Berlin", "de"), replicationtest.Site(t, "Paris", "fr")
	at := replicationtest.URL(top)
	refused := func(what string, n *node.Node, address, token, code, says string) {
		t.Helper()
		_, err := joining.Join(t.Context(), n, address, token, false)
		if err == nil || wire.CodeOf(err) != code || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: %v (code %q), want %q and %q", what, err, wire.CodeOf(err), code, says)
		}
		if token != "" && err != nil && strings.Contains(err.Error(), token) {
			t.Errorf("%s: the message repeats the token", what)
		}
		if _, err := n.Sites.Parent(t.Context()); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("%s: the site has a parent: %v", what, err)
		}
		if _, total, _ := top.Sites.Children(t.Context(), store.Query{}); total != 0 {
			t.Errorf("%s: there is a child", what)
		}
	}
	good := replicationtest.Token(t, top)
	refused("no token", berlin, at, "", "", "not a child token")
	refused("an enrolment token", berlin, at, "tt1-aaaa-bbbb", "", "not a child token")
	refused("no address", berlin, "http://127.0.0.1:1", good, "", "want https://")
	refused("nobody there", berlin, "https://127.0.0.1:1", good, "", "call the parent at 127.0.0.1:1")
	refused("another site's token", berlin, at, replicationtest.Token(t, other), "", "fingerprint of the token")
	refused("another site's address", berlin, replicationtest.URL(other), good, "", "fingerprint of the token")
	refused("a token that was never made", berlin, at, federation.NewToken([federation.SecretSize]byte{1}, top.Identity.Authority()).String(), wire.CodeTokenUnknown, "not known here")
	refused("itself", top, at, good, wire.CodeLoop, "its own parent")

	revoked, err := top.Sites.NewToken(t.Context(), sites.Token{Name: "x", Expires: clock.Now().Add(time.Hour)})
	if err != nil {
		t.Fatal(err)
	}
	if err := top.Sites.RevokeToken(t.Context(), revoked.ID); err != nil {
		t.Fatal(err)
	}
	refused("a revoked token", berlin, at, revoked.Token, wire.CodeTokenUnknown, "was revoked")
	short, err := top.Sites.NewToken(t.Context(), sites.Token{Name: "x", Expires: clock.Now().Add(time.Minute)})
	if err != nil {
		t.Fatal(err)
	}
	clock.Move(time.Minute)
	refused("a token that ended", berlin, at, short.Token, wire.CodeTokenExpired, "ended at")

	if _, err := joining.Join(t.Context(), berlin, at, good, false); err != nil {
		t.Fatal(err)
	}
	if _, err := joining.Join(t.Context(), paris, at, good, false); wire.CodeOf(err) != wire.CodeTokenUsed {
		t.Errorf("a used token: %v", err)
	}
	if err := top.Sites.RevokeToken(t.Context(), tokenOf(t, top, berlin)); !errors.Is(err, store.ErrConflict) {
		t.Errorf("revoking a used token: %v", err)
	}
	if _, err := joining.Join(t.Context(), berlin, at, replicationtest.Token(t, top), false); !errors.Is(err, store.ErrConflict) || !strings.Contains(err.Error(), "thatch child leave") {
		t.Errorf("joining twice: %v", err)
	}
	for _, bad := range []sites.Token{{Expires: clock.Now().Add(time.Hour)}, {Name: "x", Expires: clock.Now()}, {Name: strings.Repeat("x", 300), Expires: clock.Now().Add(time.Hour)}} {
		if _, err := top.Sites.NewToken(t.Context(), bad); !errors.Is(err, store.ErrInvalid) {
			t.Errorf("%+v: %v", bad, err)
		}
	}
}

func tokenOf(t *testing.T, parent, child *node.Node) string {
	t.Helper()
	c, err := parent.Sites.Child(t.Context(), child.Site().ID)
	if err != nil {
		t.Fatal(err)
	}
	return c.Token
}

// through puts a door between a child and its parent's node that may lose answers.
func through(t *testing.T, parent *node.Node, lose func(r *http.Request) bool) string {
	t.Helper()
	to, err := url.Parse(replicationtest.URL(parent))
	if err != nil {
		t.Fatal(err)
	}
	proxy := httputil.NewSingleHostReverseProxy(to)
	proxy.Transport = &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if lose(r) {
			proxy.ServeHTTP(httptest.NewRecorder(), r)
			panic(http.ErrAbortHandler)
		}
		proxy.ServeHTTP(w, r)
	}))
	server.TLS = parent.Identity.TLS()
	server.StartTLS()
	t.Cleanup(server.Close)
	return server.URL
}

// TestALostAnswerIsAskedForAgain: the parent has taken the child, and the child does not know. The same token gives the
// same answer, to that site alone, even after the token ended.
func TestALostAnswerIsAskedForAgain(t *testing.T) {
	clock := nodetest.NewClock()
	top := replicationtest.SiteWith(t, node.Config{Dir: t.TempDir(), Site: "Top", Now: clock.Now})
	berlin, paris := replicationtest.Site(t, "Berlin"), replicationtest.Site(t, "Paris")
	var asked atomic.Int32
	at := through(t, top, func(*http.Request) bool { return asked.Add(1) <= 1 })
	token := replicationtest.Token(t, top)
	if _, err := joining.Join(t.Context(), berlin, at, token, false); err == nil || wire.CodeOf(err) != "" {
		t.Fatalf("the answer was to be lost: %v", err)
	}
	if _, err := top.Sites.Child(t.Context(), "Berlin"); err != nil {
		t.Fatal(err)
	}
	if _, err := joining.Join(t.Context(), paris, at, token, false); wire.CodeOf(err) != wire.CodeTokenUsed {
		t.Errorf("another site with the same token: %v", err)
	}
	clock.Move(2 * time.Hour)
	parent, err := joining.Join(t.Context(), berlin, at, token, false)
	if err != nil || parent.ID != top.Site().ID {
		t.Fatalf("%+v, %v", parent, err)
	}
	if list, total, err := top.Sites.Children(t.Context(), store.Query{}); err != nil || total != 1 {
		t.Errorf("%+v, %v", list, err)
	}
	if err := top.Sites.Remove(t.Context(), "Berlin", "remove child"); err != nil {
		t.Fatal(err)
	}
	if err := joining.Leave(t.Context(), berlin, false); err != nil {
		t.Fatalf("leaving a parent that has forgotten: %v", err)
	}
	if _, err := joining.Join(t.Context(), berlin, at, token, false); wire.CodeOf(err) != wire.CodeTokenUsed || !strings.Contains(err.Error(), "needs a new one") {
		t.Errorf("the token of a removed child: %v", err)
	}
}

func TestLoops(t *testing.T) {
	a, b, c := replicationtest.Site(t, "A"), replicationtest.Site(t, "B"), replicationtest.Site(t, "C")
	join(t, b, a)
	join(t, c, b)
	// A knows of B; that C is below B, A learns when documents go up. C knows at once that A is above it.
	for name, parent := range map[string]*node.Node{"its child": b, "its grandchild": c} {
		_, err := joining.Join(t.Context(), a, replicationtest.URL(parent), replicationtest.Token(t, parent), false)
		if !errors.Is(err, store.ErrConflict) && wire.CodeOf(err) != wire.CodeLoop || !strings.Contains(err.Error(), "cannot be below itself") {
			t.Errorf("a site joins %s: %v", name, err)
		}
		if _, total, _ := parent.Sites.Children(t.Context(), store.Query{Search: a.Site().ID}); total != 0 {
			t.Errorf("%s has it as a child", name)
		}
	}
	ancestors, err := c.Sites.Ancestors(t.Context())
	if err != nil || !slices.Equal(ancestors, []string{b.Site().ID, a.Site().ID}) {
		t.Errorf("above C: %v, %v", ancestors, err)
	}
	if _, ok := known(t, c, a); !ok {
		t.Error("C does not know A")
	}
}

// TestTwoJoinEachOtherAtOnce: at most one of them becomes the other's child.
func TestTwoJoinEachOtherAtOnce(t *testing.T) {
	for range 5 {
		a, b := replicationtest.Site(t, "A"), replicationtest.Site(t, "B")
		var errs [2]error
		tokens := [2]string{replicationtest.Token(t, b), replicationtest.Token(t, a)}
		var both sync.WaitGroup
		both.Go(func() { _, errs[0] = joining.Join(t.Context(), a, replicationtest.URL(b), tokens[0], false) })
		both.Go(func() { _, errs[1] = joining.Join(t.Context(), b, replicationtest.URL(a), tokens[1], false) })
		both.Wait()
		if errs[0] == nil && errs[1] == nil {
			t.Fatal("each is the other's child")
		}
		for i, err := range errs {
			if code := wire.CodeOf(err); err != nil && code != wire.CodeBusy && code != wire.CodeLoop && !errors.Is(err, store.ErrConflict) {
				t.Errorf("site %d: %v", i, err)
			}
		}
	}
}

// TestOneTokenManySites: however many come at once, one of them joins.
func TestOneTokenManySites(t *testing.T) {
	top := replicationtest.Site(t, "Top")
	token := replicationtest.Token(t, top)
	const many = 5
	errs := make([]error, many)
	var all sync.WaitGroup
	for i := range many {
		n := replicationtest.Site(t, fmt.Sprintf("Site %d", i))
		all.Go(func() { _, errs[i] = joining.Join(t.Context(), n, replicationtest.URL(top), token, false) })
	}
	all.Wait()
	joined := 0
	for _, err := range errs {
		switch {
		case err == nil:
			joined++
		case wire.CodeOf(err) != wire.CodeTokenUsed && wire.CodeOf(err) != wire.CodeBusy:
			t.Error(err)
		}
	}
	if _, total, _ := top.Sites.Children(t.Context(), store.Query{}); joined != 1 || total != 1 {
		t.Errorf("%d joined, %d children", joined, total)
	}
}

func TestLeave(t *testing.T) {
	top, berlin := replicationtest.Site(t, "Top"), replicationtest.Site(t, "Berlin")
	if err := joining.Leave(t.Context(), berlin, false); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("leaving nobody: %v", err)
	}
	join(t, berlin, top)
	if err := joining.Leave(t.Context(), berlin, false); err != nil {
		t.Fatal(err)
	}
	if _, total, _ := top.Sites.Children(t.Context(), store.Query{}); total != 0 {
		t.Error("the parent has the child still")
	}
	tree, err := top.Sites.Tree(t.Context())
	if s, ok := tree.Sites[berlin.Site().ID]; ok || err != nil {
		t.Errorf("the parent remembers %+v, %v", s, err)
	}
	if s, _ := known(t, berlin, berlin); s.Parent != "" {
		t.Errorf("the child tells of itself: %+v", s)
	}
	join(t, berlin, top)
	// The parent's node is gone.
	if _, err := berlin.Sites.SetAddresses(t.Context(), []string{"https://127.0.0.1:1"}); err != nil {
		t.Fatal(err)
	}
	if err := joining.Leave(t.Context(), berlin, false); err == nil || !strings.Contains(err.Error(), "--force") {
		t.Errorf("leaving an unreachable parent: %v", err)
	}
	if err := joining.Leave(t.Context(), berlin, true); err != nil {
		t.Fatal(err)
	}
	if _, total, _ := top.Sites.Children(t.Context(), store.Query{}); total != 1 {
		t.Error("the parent cannot know yet")
	}
	join(t, berlin, top) // a new token takes the place of the old row
}

// leaveAs calls the parent as a child that it may not know.
func leaveAs(t *testing.T, child, parent *node.Node) error {
	t.Helper()
	config, err := child.Identity.ParentTLS(parent.Site().ID, parent.Identity.Authority())
	if err != nil {
		t.Fatal(err)
	}
	_, err = wire.CallOnce[wire.LeaveResponse](t.Context(), wire.Door{Address: replicationtest.URL(parent), TLS: config}, wire.PathLeave, wire.LeaveRequest{})
	return err
}

func TestRevoked(t *testing.T) {
	top, berlin := replicationtest.Site(t, "Top"), replicationtest.Site(t, "Berlin")
	if err := leaveAs(t, berlin, top); wire.CodeOf(err) != wire.CodeUnknown || !strings.Contains(err.Error(), "never joined") {
		t.Errorf("a stranger: %v", err)
	}
	join(t, berlin, top)
	if _, err := top.Sites.Revoke(t.Context(), "Berlin", "stolen"); err != nil {
		t.Fatal(err)
	}
	if err := leaveAs(t, berlin, top); wire.CodeOf(err) != wire.CodeRevoked || !strings.Contains(err.Error(), "stolen") {
		t.Errorf("a revoked child: %v", err)
	}
	_, err := joining.Join(t.Context(), berlin, replicationtest.URL(top), replicationtest.Token(t, top), true)
	if wire.CodeOf(err) != wire.CodeRevoked {
		t.Errorf("a revoked child joins again: %v", err)
	}
	if err := top.Sites.Remove(t.Context(), "Berlin", "remove child"); err != nil {
		t.Fatal(err)
	}
	if _, err := joining.Join(t.Context(), berlin, replicationtest.URL(top), replicationtest.Token(t, top), true); err != nil {
		t.Errorf("removed and taken again: %v", err)
	}
	list, _, err := top.Identity.Audit(t.Context(), store.Query{Search: "child Berlin"})
	if err != nil || len(list) != 4 {
		t.Errorf("audit: %+v, %v", list, err)
	}
}

func TestMove(t *testing.T) {
	one, two, berlin := replicationtest.Site(t, "One"), replicationtest.Site(t, "Two"), replicationtest.Site(t, "Berlin")
	if _, err := joining.Join(t.Context(), berlin, replicationtest.URL(two), replicationtest.Token(t, two), true); !errors.Is(err, store.ErrConflict) {
		t.Errorf("moving from nowhere: %v", err)
	}
	join(t, berlin, one)
	_, err := joining.Join(t.Context(), berlin, replicationtest.URL(two), federation.NewToken([20]byte{}, two.Identity.Authority()).String(), true)
	if wire.CodeOf(err) != wire.CodeTokenUnknown {
		t.Errorf("moving with a wrong token: %v", err)
	}
	if p, err := berlin.Sites.Parent(t.Context()); err != nil || p.ID != one.Site().ID {
		t.Errorf("the former parent is lost: %+v, %v", p, err)
	}
	p, err := joining.Join(t.Context(), berlin, replicationtest.URL(two), replicationtest.Token(t, two), true)
	if err != nil || p.ID != two.Site().ID {
		t.Fatalf("%+v, %v", p, err)
	}
	if _, total, _ := one.Sites.Children(t.Context(), store.Query{}); total != 0 {
		t.Error("the former parent has the child still")
	}
	if s, _ := known(t, berlin, berlin); s.Parent != two.Site().ID {
		t.Errorf("the child tells of itself: %+v", s)
	}
	if s, ok := known(t, berlin, one); !ok || s.Name != "One" {
		t.Error("documents of the former parent went")
	}
}

// forge sends a join request as it is changed by a test.
func forge(t *testing.T, n, parent *node.Node, change func(q *wire.JoinRequest)) error {
	t.Helper()
	if err := n.Sites.Tell(t.Context()); err != nil {
		t.Fatal(err)
	}
	attempt, err := n.Sites.BeginJoin(t.Context(), replicationtest.URL(parent), false)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := n.Sites.EndJoin(t.Context(), attempt); err != nil {
			t.Error(err)
		}
	}()
	q := wire.JoinRequest{
		Token: replicationtest.Token(t, parent), Site: attempt.Asked.Site, Authority: attempt.Asked.Authority, Documents: attempt.Asked.Documents,
	}
	if q.Proof, err = n.Identity.Vouch(wire.PurposeJoin, q.Proved()); err != nil {
		t.Fatal(err)
	}
	proved := q
	change(&q)
	if bytes.Equal(q.Proof, proved.Proof) && (q.Site != proved.Site || !bytes.Equal(q.Authority, proved.Authority)) {
		if q.Proof, err = n.Identity.Vouch(wire.PurposeJoin, q.Proved()); err != nil {
			t.Fatal(err)
		}
	}
	config := n.Identity.JoinTLS(federation.Fingerprint(parent.Identity.Authority()), func(string, []byte) {})
	_, err = wire.CallOnce[wire.JoinResponse](t.Context(), wire.Door{Address: replicationtest.URL(parent), TLS: config, Token: q.Token}, wire.PathJoin, q)
	return err
}

// TestForgedJoins: whoever holds a token still becomes nobody but itself.
func TestForgedJoins(t *testing.T) {
	top, victim, evil := replicationtest.Site(t, "Top"), replicationtest.Site(t, "Victim"), replicationtest.Site(t, "Evil")
	join(t, victim, top)
	signed := func(kind document.Kind, id string, body []byte) document.Document {
		doc, err := document.New(kind, id, nil, body)
		if err != nil {
			t.Fatal(err)
		}
		evil.Identity.Sign(&doc)
		return doc
	}
	replace := func(q *wire.JoinRequest, doc document.Document) {
		q.Documents = slices.Clone(q.Documents)
		for i := range q.Documents {
			if q.Documents[i].Kind == doc.Kind {
				q.Documents[i] = doc
			}
		}
	}
	other, err := federation.Encode(federation.Site{Name: "Evil", Authority: victim.Identity.Authority()})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		what, code string
		change     func(q *wire.JoinRequest)
	}{
		{"no proof", wire.CodeRefused, func(q *wire.JoinRequest) { q.Proof = nil }},
		{"another's authority", wire.CodeInvalid, func(q *wire.JoinRequest) { q.Authority = victim.Identity.Authority() }},
		{"another's name and authority", wire.CodeRefused, func(q *wire.JoinRequest) {
			q.Site, q.Authority = victim.Site().ID, victim.Identity.Authority()
		}},
		{"another's name", wire.CodeInvalid, func(q *wire.JoinRequest) { q.Site = victim.Site().ID }},
		{"the parent's name", wire.CodeInvalid, func(q *wire.JoinRequest) { q.Site = top.Site().ID }},
		{"a name that is none", wire.CodeInvalid, func(q *wire.JoinRequest) { q.Site = "a/../b" }},
		{"no documents", wire.CodeInvalid, func(q *wire.JoinRequest) { q.Documents = nil }},
		{"no key", wire.CodeInvalid, func(q *wire.JoinRequest) { q.Documents = q.Documents[1:] }},
		{"a document twice", wire.CodeInvalid, func(q *wire.JoinRequest) { q.Documents = append(q.Documents, q.Documents[1]) }},
		{"too many", wire.CodeInvalid, func(q *wire.JoinRequest) { q.Documents = slices.Repeat(q.Documents, 20) }},
		{"a policy", wire.CodeInvalid, func(q *wire.JoinRequest) {
			q.Documents = append(q.Documents, signed("policy", evil.Site().ID, []byte("{}")))
		}},
		{"another's site", wire.CodeInvalid, func(q *wire.JoinRequest) { replace(q, signed("site", victim.Site().ID, other)) }},
		{"itself by another authority", wire.CodeInvalid, func(q *wire.JoinRequest) { replace(q, signed("site", evil.Site().ID, other)) }},
		{"a site that says nothing", wire.CodeInvalid, func(q *wire.JoinRequest) { replace(q, signed("site", evil.Site().ID, []byte("{}"))) }},
		{"an alert that says nothing", wire.CodeInvalid, func(q *wire.JoinRequest) {
			replace(q, signed("language-alert", evil.Site().ID, []byte(`{"languages":["GERMAN"]}`)))
		}},
		{"a body that was changed", wire.CodeInvalid, func(q *wire.JoinRequest) {
			q.Documents = slices.Clone(q.Documents)
			q.Documents[1].Body = append(slices.Clone(q.Documents[1].Body), ' ')
		}},
		{"a signature that was changed", wire.CodeInvalid, func(q *wire.JoinRequest) {
			q.Documents = slices.Clone(q.Documents)
			q.Documents[1].Signature = make([]byte, 64)
		}},
		{"the parent below it", wire.CodeLoop, func(q *wire.JoinRequest) { q.Below = []string{top.Site().ID} }},
		{"everybody below it", wire.CodeInvalid, func(q *wire.JoinRequest) { q.Below = make([]string, 20_000) }},
	} {
		if err := forge(t, evil, top, c.change); wire.CodeOf(err) != c.code {
			t.Errorf("%s: %v, want %s", c.what, err, c.code)
		}
	}
	if _, total, _ := top.Sites.Children(t.Context(), store.Query{}); total != 1 {
		t.Errorf("%d children", total)
	}
	if err := forge(t, evil, top, func(*wire.JoinRequest) {}); err != nil {
		t.Errorf("nothing was forged: %v", err)
	}
}

// TestALyingParent: what a parent answers is judged before anything of it is kept.
func TestALyingParent(t *testing.T) {
	top, third, berlin := replicationtest.Site(t, "Top"), replicationtest.Site(t, "Third"), replicationtest.Site(t, "Berlin")
	foreign, err := third.Identity.Keys(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := top.Sites.Tell(t.Context()); err != nil { // as before each welcome
		t.Fatal(err)
	}
	honest := welcome(t, top)
	for _, c := range []struct {
		what   string
		change func(a *wire.JoinResponse)
	}{
		{"another site", func(a *wire.JoinResponse) { a.Site = third.Site().ID }},
		{"another authority", func(a *wire.JoinResponse) { a.Authority = third.Identity.Authority() }},
		{"no name", func(a *wire.JoinResponse) { a.Name = "" }},
		{"no key", func(a *wire.JoinResponse) { a.Documents = nil }},
		{"the key of a site that is not above it", func(a *wire.JoinResponse) { a.Documents = append(a.Documents, foreign...) }},
		{"a document twice", func(a *wire.JoinResponse) { a.Documents = append(a.Documents, a.Documents[0]) }},
		{"the child above it", func(a *wire.JoinResponse) { a.Above = []string{berlin.Site().ID} }},
		{"a body that was changed", func(a *wire.JoinResponse) {
			a.Documents[1].Body = slices.Clone(a.Documents[1].Body)
			a.Documents[1].Body[2] ^= 1
		}},
		{"", func(*wire.JoinResponse) {}}, // nothing of all that stands in the way of the truth
	} {
		real := top.Identity.TLS()
		liar := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			answer := honest
			answer.Documents = slices.Clone(honest.Documents)
			c.change(&answer)
			_ = json.NewEncoder(w).Encode(answer)
		}))
		liar.TLS = real
		liar.StartTLS()
		_, err := joining.Join(t.Context(), berlin, liar.URL, replicationtest.Token(t, top), false)
		liar.Close()
		if honest := c.what == ""; honest != (err == nil) {
			t.Errorf("%q: believed: %v (%v)", c.what, err == nil, err)
		}
		if _, err := berlin.Sites.Parent(t.Context()); c.what != "" && !errors.Is(err, store.ErrNotFound) {
			t.Fatalf("%s: there is a parent: %v", c.what, err)
		}
	}
}

// welcome is what a parent answers who tells the truth.
func welcome(t *testing.T, of *node.Node) wire.JoinResponse {
	t.Helper()
	answer := wire.JoinResponse{Site: of.Site().ID, Name: of.Site().Name, Authority: of.Identity.Authority()}
	err := of.Reader().View(t.Context(), func(tx *sql.Tx) error {
		for _, kind := range []document.Kind{document.SigningKey, document.Site} {
			doc, err := store.Document(t.Context(), tx, kind, of.Site().ID)
			if err != nil {
				return err
			}
			answer.Documents = append(answer.Documents, doc.Document)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return answer
}

// TestKeep: a site joins by its configuration, also when its parent comes late, and is left alone afterwards.
func TestKeep(t *testing.T) {
	top, berlin := replicationtest.Site(t, "Top"), replicationtest.Site(t, "Berlin")
	var asked atomic.Int32
	at := through(t, top, func(*http.Request) bool { return asked.Add(1) <= 2 })
	token := replicationtest.Token(t, top)
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	joining.Keep(ctx, berlin, at, token)
	p, err := berlin.Sites.Parent(t.Context())
	if err != nil || p.ID != top.Site().ID {
		t.Fatalf("%+v, %v", p, err)
	}
	joining.Keep(ctx, berlin, "https://127.0.0.1:1", "nonsense") // it has a parent
	if now, err := berlin.Sites.Parent(t.Context()); err != nil || now.Version != p.Version {
		t.Errorf("%+v, %v", now, err)
	}
	paris := replicationtest.Site(t, "Paris")
	joining.Keep(ctx, paris, at, token) // used: it gives up at once
	if _, err := paris.Sites.Parent(t.Context()); !errors.Is(err, store.ErrNotFound) || ctx.Err() != nil {
		t.Error(err)
	}
	standing, err := paris.Sites.Standing(t.Context())
	if err != nil || !slices.ContainsFunc(standing, func(a sites.Alarm) bool {
		return a.Kind == sites.NotJoined && strings.Contains(a.Text, at) && strings.Contains(a.Text, "by another site") && strings.Contains(a.Advice, "thatch child join")
	}) {
		t.Errorf("a token that is no good alarms nobody: %+v, %v", standing, err)
	}
	join(t, paris, top)
	if err := paris.Sites.Judge(t.Context()); err != nil {
		t.Fatal(err)
	}
	if standing, err := paris.Sites.Standing(t.Context()); err != nil || slices.ContainsFunc(standing, func(a sites.Alarm) bool { return a.Kind == sites.NotJoined }) {
		t.Errorf("joined by hand, and the alarm stands: %+v, %v", standing, err)
	}
}

// TestGarbageAtTheDoor: whatever is sent to whatever path, the answer says whose fault it was.
func TestGarbageAtTheDoor(t *testing.T) {
	top, berlin := replicationtest.Site(t, "Top"), replicationtest.Site(t, "Berlin")
	join(t, berlin, top)
	config, err := berlin.Identity.ParentTLS(top.Site().ID, top.Identity.Authority())
	if err != nil {
		t.Fatal(err)
	}
	stranger := &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"http/1.1", identity.LinkProtocol}}
	for name, c := range map[string]*tls.Config{"child": config, "stranger": stranger} {
		client := &http.Client{Transport: &http.Transport{TLSClientConfig: c}}
		for _, path := range []string{wire.PathJoin, wire.PathLeave, wire.Prefix, wire.Prefix + "nothing", wire.Prefix + "../../x"} {
			for _, body := range []string{"", "{", "null", "[]", "1", `{"token":1}`, `{"token":"tc1-x-y","site":"\u0000"}`, "\x00\xff", strings.Repeat("[", 10_000), strings.Repeat("x", wire.MaxJoin+1)} {
				if name == "child" && path == wire.PathLeave && json.Valid([]byte(body)) && body[0] != '[' && body[0] != '1' {
					continue // it would leave
				}
				answer, err := client.Post(replicationtest.URL(top)+path, "application/json", strings.NewReader(body))
				if err != nil {
					if len(body) < wire.MaxJoin {
						t.Errorf("%s %s %.20q: %v", name, path, body, err)
					}
					continue
				}
				text, _ := io.ReadAll(answer.Body)
				answer.Body.Close()
				var e wire.Error
				if answer.StatusCode < 400 || answer.StatusCode >= 500 || answer.StatusCode != 404 && answer.StatusCode != 301 && (json.Unmarshal(text, &e) != nil || e.Code == "" || e.Text == "") {
					t.Errorf("%s %s %.20q: %d %.200s", name, path, body, answer.StatusCode, text)
				}
			}
		}
	}
}

// TestASquattedNameYieldsToItsSite: what a child told of a site that it does not have stands in nobody's way: the site joins
// with its token, and people hear that one of the two is not what it says.
func TestASquattedNameYieldsToItsSite(t *testing.T) {
	top, berlin, paris := replicationtest.Site(t, "Top"), replicationtest.Site(t, "Berlin"), replicationtest.Site(t, "Paris")
	join(t, berlin, top)
	public, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	key, err := document.NewKey(paris.Site().ID, public, private)
	if err != nil {
		t.Fatal(err)
	}
	told := []document.Document{key}
	body, err := federation.Encode(federation.Site{Name: "Paris", Parent: berlin.Site().ID, Authority: berlin.Identity.Authority()})
	if err != nil {
		t.Fatal(err)
	}
	for kind, body := range map[document.Kind][]byte{document.Site: body, document.Health: []byte(`{}`)} {
		doc, err := document.New(kind, paris.Site().ID, nil, body)
		if err != nil {
			t.Fatal(err)
		}
		doc.Sign(paris.Site().ID, private)
		told = append(told, doc)
	}
	for _, doc := range told {
		if _, err := top.Writer().Write(t.Context(), store.Batch{Actor: "test", Reason: "what Berlin told", Statements: store.Put(doc, "", store.Former{Absent: true})}); err != nil {
			t.Fatal(err)
		}
	}
	join(t, paris, top)
	err = top.Reader().View(t.Context(), func(tx *sql.Tx) error {
		now, err := store.Document(t.Context(), tx, document.SigningKey, paris.Site().ID)
		if err != nil || now.Digest == key.Digest {
			t.Errorf("the key of Paris: %v, the squatted one %v", err, now.Digest == key.Digest)
		}
		if _, err := store.Document(t.Context(), tx, document.Health, paris.Site().ID); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("what was told of it stays: %v", err)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	standing, err := top.Sites.Standing(t.Context())
	if err != nil || !slices.ContainsFunc(standing, func(a sites.Alarm) bool {
		return a.Kind == sites.Claimed && a.Subject == paris.Site().ID && strings.Contains(a.Text, "child Berlin")
	}) {
		t.Errorf("%+v, %v", standing, err)
	}
}
