package server_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"thatch/agentapi"
	"thatch/agentapi/agentapitest"
	"thatch/agentapi/server"
	"thatch/catalog"
	"thatch/catalog/content/authenticode/authenticodetest"
	"thatch/catalog/document"
	"thatch/catalog/rule"
	"thatch/node"
	"thatch/node/bulletins/bulletinstest"
	"thatch/node/computers"
	"thatch/node/identity"
	"thatch/node/nodetest"
	"thatch/node/policies"
	"thatch/node/policies/windows"
	"thatch/node/store"
	"thatch/schedule"
)

// site is a running node with the agents' door.
type site struct {
	*node.Node
	token string
}

func newSite(t testing.TB) *site {
	t.Helper()
	s := &site{Node: nodetest.New(t)}
	nodetest.Run(t, s.Node, map[string]http.Handler{"/agent/v1/": server.New(s.Node)})
	s.token = s.newToken(t, 0)
	return s
}

func (s *site) newToken(t testing.TB, limit int) string {
	t.Helper()
	token, err := s.Identity.NewEnrolmentToken(t.Context(), identity.EnrolmentToken{
		Name: "test", Group: "office", Limit: limit, Expires: time.Now().Add(time.Hour),
	})
	if err != nil {
		t.Fatal(err)
	}
	return token.Token
}

func (s *site) client(t testing.TB, certificate *tls.Certificate) *agentapi.Client {
	t.Helper()
	c, err := agentapi.NewClient("https://"+s.Address(), agentapi.Trust{Fingerprint: agentapi.Fingerprint(s.Identity.Authority())}, certificate)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// machine is a computer as seen from its own side.
type machine struct {
	*agentapi.Client
	id    string
	epoch string
	cert  tls.Certificate
	key   *ecdsa.PrivateKey
}

func newKey(t testing.TB) (*ecdsa.PrivateKey, []byte) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	csr, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, key)
	if err != nil {
		t.Fatal(err)
	}
	return key, csr
}

func request(token, name string, csr []byte) agentapi.EnrolRequest {
	return agentapi.EnrolRequest{
		Token: token, CSR: csr, Name: name, MachineID: "m-" + name, Hardware: "h-" + name, Platform: "windows", Languages: []string{"de-de"},
	}
}

func (s *site) enrol(t testing.TB, name string) *machine {
	t.Helper()
	key, csr := newKey(t)
	answer, err := s.client(t, nil).Enrol(t.Context(), request(s.token, name, csr))
	if err != nil {
		t.Fatal(err)
	}
	m := &machine{id: answer.Computer, epoch: answer.Site.Epoch, key: key}
	m.cert = tls.Certificate{Certificate: [][]byte{answer.Certificate}, PrivateKey: key}
	m.Client = s.client(t, &m.cert)
	return m
}

// catalog gives the site a bulletin of n updates with bodies of about size bytes.
func (s *site) catalog(t testing.TB, n, size int) {
	t.Helper()
	docs := []document.Document{bulletinstest.Doc(t, document.Bulletin, "b1", nil, catalog.Bulletin{
		Name: "KB1", Source: "sdp", Named: []catalog.NamedBy{{File: "2019-Feb", CVEs: 1}},
	})}
	for i := range n {
		id := fmt.Sprintf("u%04d", i)
		docs = append(docs, bulletinstest.Doc(t, document.Update, id, nil, catalog.Update{
			Name: id, Bulletin: "b1", Source: "sdp", Title: strings.Repeat("x", size), Rules: catalog.Rules{Applicable: rule.Test("True"), Installed: rule.Test("False")},
		}))
	}
	bulletinstest.Save(t, s.Bulletins, "sdp", "file", docs...)
}

func wantCode(t testing.TB, what string, err error, code string) {
	t.Helper()
	if !agentapi.HasCode(err, code) {
		t.Errorf("%s: %v, want code %s", what, err, code)
	}
}

func TestEnrolRefuses(t *testing.T) {
	s := newSite(t)
	_, csr := newKey(t)
	other := agentapi.NewToken([agentapi.SecretSize]byte{1}, []byte("another site")).String()
	unknown := agentapi.NewToken([agentapi.SecretSize]byte{1}, s.Identity.Authority()).String()
	c := s.client(t, nil)
	enrol := func(q agentapi.EnrolRequest) error {
		_, err := c.Enrol(t.Context(), q)
		return err
	}
	wantCode(t, "no token", enrol(request("", "pc", csr)), agentapi.CodeTokenUnknown)
	wantCode(t, "token of another site", enrol(request(other, "pc", csr)), agentapi.CodeTokenUnknown)
	wantCode(t, "token never made", enrol(request(unknown, "pc", csr)), agentapi.CodeTokenUnknown)
	wantCode(t, "no name", enrol(request(s.token, "", csr)), agentapi.CodeInvalid)
	wantCode(t, "no certificate request", enrol(request(s.token, "pc", nil)), agentapi.CodeInvalid)
	wantCode(t, "damaged certificate request", enrol(request(s.token, "pc", csr[:20])), agentapi.CodeInvalid)
	large := request(s.token, "pc", csr)
	large.Languages = []string{strings.Repeat("x", 100_000)}
	wantCode(t, "oversized", enrol(large), agentapi.CodeTooLarge)
	once := s.newToken(t, 1)
	if err := enrol(request(once, "first", csr)); err != nil {
		t.Fatal(err)
	}
	wantCode(t, "used up", enrol(request(once, "second", csr)), agentapi.CodeTokenUsed)
	revoked, err := s.Identity.NewEnrolmentToken(t.Context(), identity.EnrolmentToken{Name: "r", Expires: time.Now().Add(time.Hour)})
	if err == nil {
		err = s.Identity.RevokeToken(t.Context(), revoked.ID)
	}
	if err != nil {
		t.Fatal(err)
	}
	wantCode(t, "revoked token", enrol(request(revoked.Token, "pc", csr)), agentapi.CodeTokenUnknown)
	if all := s.Computers.Computers(); len(all) != 1 {
		t.Errorf("%d computers after refusals, want one", len(all))
	}
}

func TestWithoutAGoodCertificate(t *testing.T) {
	s := newSite(t)
	_, err := s.client(t, nil).Rules(t.Context(), agentapi.RulesRequest{})
	wantCode(t, "no certificate", err, "unauthorised")
	response, err := s.client(t, nil).HTTP().Get("https://" + s.Address() + agentapi.PathPayload + "00")
	if err != nil || response.StatusCode != http.StatusUnauthorized {
		t.Errorf("a payload without a certificate: %v, %v", response, err)
	}
	// A certificate of another authority does not get through the handshake, whatever it says.
	key, _ := newKey(t)
	foreign := agentapitest.NewAuthority(t, "Authority of site Test", time.Now())
	der, err := foreign.Issue("computer-1", key.Public(), x509.ExtKeyUsageClientAuth, time.Now().Add(-time.Hour), time.Now().Add(time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	c := s.client(t, &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key})
	if _, err := c.Rules(t.Context(), agentapi.RulesRequest{}); err == nil {
		t.Error("a certificate of another authority is let in")
	}
	// A node's certificate is good for a node's paths, not for these.
	node := s.client(t, s.nodeCertificate())
	_, err = node.Rules(t.Context(), agentapi.RulesRequest{})
	wantCode(t, "a node's certificate", err, agentapi.CodeInvalid)
}

func (s *site) nodeCertificate() *tls.Certificate {
	found, _ := s.Identity.TLS().GetCertificate(nil)
	return found
}

func TestRetiredAndReplacedComputers(t *testing.T) {
	s := newSite(t)
	m := s.enrol(t, "pc")
	if err := s.Computers.Retire(t.Context(), "test", m.id, 0, identity.RevokeComputer(m.id, "retired", time.Now())); err != nil {
		t.Fatal(err)
	}
	_, err := m.Assignments(t.Context(), agentapi.AssignmentsRequest{})
	wantCode(t, "retired", err, agentapi.CodeRetired)
	first := s.enrol(t, "image")
	second := s.enrol(t, "image") // the same machine and hardware enrol again
	if first.id != second.id {
		t.Fatalf("enrolled again it is %s, was %s", second.id, first.id)
	}
	_, err = first.Rules(t.Context(), agentapi.RulesRequest{})
	wantCode(t, "a certificate that another enrolment replaced", err, agentapi.CodeClone)
	if _, err := second.Rules(t.Context(), agentapi.RulesRequest{}); err != nil {
		t.Errorf("the new certificate: %v", err)
	}
	_, err = second.Report(t.Context(), agentapi.ReportRequest{Epoch: second.epoch, Hardware: "another machine"})
	wantCode(t, "a clone", err, agentapi.CodeClone)
}

func TestRaceOnTokenOverTLS(t *testing.T) {
	s := newSite(t)
	const asked, limit = 40, 25
	token := s.newToken(t, limit)
	var all sync.WaitGroup
	results := make(chan error, asked)
	for i := range asked {
		_, csr := newKey(t)
		c := s.client(t, nil)
		all.Go(func() {
			_, err := c.Enrol(t.Context(), request(token, fmt.Sprint("pc", i), csr))
			for try := 0; agentapi.HasCode(err, agentapi.CodeBusy) && try < 200; try++ {
				_, err = c.Enrol(t.Context(), request(token, fmt.Sprint("pc", i), csr))
			}
			results <- err
		})
	}
	all.Wait()
	enrolled := 0
	for range asked {
		if err := <-results; err == nil {
			enrolled++
		} else {
			wantCode(t, "after the last use", err, agentapi.CodeTokenUsed)
		}
	}
	if enrolled != limit || len(s.Computers.Computers()) != limit {
		t.Errorf("%d enrolled and %d rows with a token for %d", enrolled, len(s.Computers.Computers()), limit)
	}
}

func TestRulesInPages(t *testing.T) {
	s := newSite(t)
	const updates = 60
	s.catalog(t, updates, 60_000) // 3.6 MB: several pages
	m := s.enrol(t, "pc")
	q := agentapi.RulesRequest{Platform: "windows"}
	numbers, pages := map[uint32]string{}, 0
	for {
		answer, err := m.Rules(t.Context(), q)
		if err != nil {
			t.Fatal(err)
		}
		if answer.Reset != (pages == 0) || len(answer.Keys) == 0 || answer.Epoch != m.epoch {
			t.Fatalf("page %d: reset %v, %d keys", pages, answer.Reset, len(answer.Keys))
		}
		size, keys := 0, document.Keyring{}
		for _, key := range answer.Keys {
			if _, err := keys.Learn(key); err != nil {
				t.Fatal(err)
			}
		}
		for _, u := range answer.Updates {
			size += len(u.Document.Body)
			numbers[u.Number] = u.Month
			if err := keys.Verify(&u.Document); err != nil {
				t.Fatal(err)
			}
		}
		if size > 1<<20 {
			t.Errorf("page %d has %d bytes", pages, size)
		}
		pages++
		q.Epoch, q.Cursor = answer.Epoch, answer.Cursor
		if !answer.More {
			break
		}
	}
	if len(numbers) != updates || pages < 4 || numbers[1] != "2019-02" {
		t.Errorf("%d updates in %d pages, month %q; want %d in at least 4, 2019-02", len(numbers), pages, numbers[1], updates)
	}
	again, err := m.Rules(t.Context(), q)
	if err != nil || again.Cursor != q.Cursor || len(again.Updates) != 0 || again.Reset {
		t.Errorf("nothing changed: %d updates, cursor %q after %q, %v", len(again.Updates), again.Cursor, q.Cursor, err)
	}
	s.catalog(t, updates-1, 60_000) // one is withdrawn
	gone, err := m.Rules(t.Context(), q)
	if err != nil || len(gone.Removed) != 1 || len(gone.Updates) != 0 || gone.Cursor == q.Cursor {
		t.Errorf("after a withdrawal: %d updates, removed %v, %v", len(gone.Updates), gone.Removed, err)
	}
	for what, strange := range map[string]agentapi.RulesRequest{
		"another epoch":    {Epoch: "other", Cursor: q.Cursor},
		"no cursor of us":  {Epoch: q.Epoch, Cursor: "nonsense"},
		"from the future":  {Epoch: q.Epoch, Cursor: "999999999.0"},
		"platform of rows": {Epoch: "", Cursor: ""},
	} {
		if answer, err := m.Rules(t.Context(), strange); err != nil || !answer.Reset || len(answer.Updates) == 0 {
			t.Errorf("%s: reset %v, %d updates, %v", what, answer.Reset, len(answer.Updates), err)
		}
	}
	if answer, err := m.Rules(t.Context(), agentapi.RulesRequest{Platform: "debian"}); err != nil || len(answer.Updates) != 0 {
		t.Errorf("another platform gets %d updates, %v", len(answer.Updates), err)
	}
}

func TestReports(t *testing.T) {
	s := newSite(t)
	s.catalog(t, 3, 10)
	m := s.enrol(t, "pc")
	rules, err := m.Rules(t.Context(), agentapi.RulesRequest{Platform: "windows"})
	if err != nil {
		t.Fatal(err)
	}
	applied := time.Now().UTC().Truncate(time.Second)
	q := agentapi.ReportRequest{
		Epoch: m.epoch, Cursor: rules.Cursor, At: time.Now(), Applicable: agentapi.Change{Add: []uint32{1, 2}}, Installed: agentapi.Change{Add: []uint32{2}},
		Unknown: agentapi.Change{Add: []uint32{3}}, Reasons: map[uint32]string{3: "no WMI"}, Hardware: "H-PC",
		Facts:    &agentapi.Facts{Name: "pc", System: rule.System{Platform: "windows", Product: "Windows 10", Languages: []string{"de-de"}}},
		States:   []agentapi.UpdateState{{Number: 1, Policy: "p", Status: agentapi.Scheduled, Starts: &applied}, {Number: 2, Policy: "p", Status: agentapi.Installed, LastApplied: &applied}},
		Attempts: []agentapi.Attempt{{ID: "a", Number: 2, Policy: "p", Started: applied, Ended: applied, Success: true}},
	}
	first, err := m.Report(t.Context(), q)
	if err != nil || first.Counter != 1 || first.Resend || first.CheckIn < 800 || first.CheckIn > 1000 {
		t.Fatalf("first report: %+v, %v", first, err)
	}
	if again, err := m.Report(t.Context(), q); err != nil || again != first {
		t.Errorf("the same report again: %+v, %v", again, err)
	}
	d, err := s.Computers.Detail(t.Context(), m.id)
	if err != nil || d.Facts.System.Product != "Windows 10" || d.Reasons.Of(3) != "no WMI" || !d.States[2].LastApplied.Equal(applied) ||
		!d.States[1].Starts.Equal(applied) || len(d.Attempts) != 1 || d.Cursor.String() != rules.Cursor || d.Group != "office" {
		t.Errorf("the node holds %+v, %v", d, err)
	}
	if answer, err := m.Report(t.Context(), agentapi.ReportRequest{Epoch: m.epoch, Base: 7, Cursor: rules.Cursor, Applicable: agentapi.Change{Add: []uint32{3}}}); err != nil || !answer.Resend {
		t.Errorf("a base that is not the site's: %+v, %v", answer, err)
	}
	if answer, err := m.Report(t.Context(), agentapi.ReportRequest{Epoch: "another", Base: 1}); err != nil || !answer.Resend {
		t.Errorf("another epoch: %+v, %v", answer, err)
	}
	_, err = m.Report(t.Context(), agentapi.ReportRequest{Epoch: m.epoch, Cursor: rules.Cursor, Applicable: agentapi.Change{Add: []uint32{1 << 30}}})
	wantCode(t, "a number too great", err, agentapi.CodeInvalid)
	_, err = m.Report(t.Context(), agentapi.ReportRequest{Epoch: m.epoch, States: []agentapi.UpdateState{{Number: 1, Status: "Fine"}}})
	wantCode(t, "a status that is none", err, agentapi.CodeInvalid)
}

func TestGarbage(t *testing.T) {
	s := newSite(t)
	m := s.enrol(t, "pc")
	post := func(path string, body io.Reader) (int, string) {
		response, err := m.HTTP().Post("https://"+s.Address()+path, "application/json", body)
		if err != nil {
			t.Fatal(err)
		}
		defer response.Body.Close()
		text, _ := io.ReadAll(response.Body)
		return response.StatusCode, string(text)
	}
	for what, c := range map[string]struct {
		path, body string
		status     int
		says       string
	}{
		"no JSON":        {agentapi.PathReport, "hello", 400, "JSON"},
		"cut short":      {agentapi.PathReport, `{"epoch":"`, 400, "JSON"},
		"wrong type":     {agentapi.PathRules, `{"cursor":5}`, 400, "cursor"},
		"negative":       {agentapi.PathReport, `{"base":-1}`, 400, "base"},
		"no such path":   {"/agent/v1/hello", `{}`, 404, "nothing for agents"},
		"oversized":      {agentapi.PathReport, `{"epoch":"` + strings.Repeat("x", agentapi.MaxRequest) + `"}`, 413, "more than"},
		"oversized call": {agentapi.PathAssignments, `{"epoch":"` + strings.Repeat("x", 70_000) + `"}`, 413, "more than"},
	} {
		if status, text := post(c.path, strings.NewReader(c.body)); status != c.status || !strings.Contains(text, c.says) {
			t.Errorf("%s: %d %.200s, want %d and a word about %q", what, status, text, c.status, c.says)
		}
	}
	if _, err := m.Rules(t.Context(), agentapi.RulesRequest{}); err != nil {
		t.Errorf("after all that: %v", err)
	}
}

func TestAssignmentsAndPayload(t *testing.T) {
	s := newSite(t)
	ctx := t.Context()
	content := []byte("the payload")
	sum := sha256.Sum256(content)
	digest := hex.EncodeToString(sum[:])
	s.stagedPackage(t, content, digest)
	m := s.enrol(t, "pc")
	if _, err := m.Report(ctx, agentapi.ReportRequest{Epoch: m.epoch, At: time.Now(), Applicable: agentapi.Change{Add: []uint32{1}}}); err != nil {
		t.Fatal(err)
	}
	empty, err := m.Assignments(ctx, agentapi.AssignmentsRequest{Epoch: m.epoch})
	if err != nil || empty.Tag == "" || len(empty.Policies) != 0 || empty.Settings.Attempts != 3 || !empty.Settings.RequireSigned {
		t.Fatalf("nothing is ordered: %+v, %v", empty, err)
	}
	p, err := s.Policies.Create(ctx, policies.Draft{Name: "p", Bulletins: []string{"KB1"}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Windows.Create(ctx, windows.Body{Window: schedule.Window{Name: "w", Repeat: schedule.Daily, Start: "00:00", Minutes: 60}}); err != nil {
		t.Fatal(err)
	}
	answer, err := m.Assignments(ctx, agentapi.AssignmentsRequest{Epoch: m.epoch, Tag: empty.Tag})
	if err != nil || answer.Unchanged || len(answer.Policies) != 1 || len(answer.Windows) != 1 || len(answer.Keys) == 0 {
		t.Fatalf("assignments %+v, %v", answer, err)
	}
	ordered := answer.Policies[0]
	if ordered.Document.ID != p.ID || len(ordered.Updates) != 1 || !ordered.Updates[0].Held || len(ordered.Updates[0].Packages) != 1 || len(ordered.Updates[0].Payloads) != 1 {
		t.Errorf("ordered %+v", ordered)
	}
	same, err := m.Assignments(ctx, agentapi.AssignmentsRequest{Epoch: m.epoch, Tag: answer.Tag})
	if err != nil || !same.Unchanged || same.Policies != nil {
		t.Errorf("under its tag: %+v, %v", same, err)
	}
	if other, err := m.Assignments(ctx, agentapi.AssignmentsRequest{Epoch: "another", Tag: answer.Tag}); err != nil || other.Unchanged {
		t.Errorf("a tag of another epoch: %+v, %v", other.Unchanged, err)
	}
	root := authenticodetest.Authority(t, "Root").PEM()
	value, err := json.Marshal(root)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Settings.Set(ctx, "staging.roots", value, -1); err != nil {
		t.Fatal(err)
	}
	if trusts, err := m.Assignments(ctx, agentapi.AssignmentsRequest{Epoch: m.epoch, Tag: answer.Tag}); err != nil || trusts.Settings.Roots != root {
		t.Errorf("the roots of the site reach the agent as %.40q, %v", trusts.Settings.Roots, err)
	}
	if got := fetch(t, m, digest, "bytes=4-"); got != "payload" {
		t.Errorf("a range of the payload is %q", got)
	}
	if got := fetch(t, m, strings.Repeat("0", 64), ""); !strings.Contains(got, agentapi.CodeNotHeld) {
		t.Errorf("a payload that is not held: %s", got)
	}
	if got := fetch(t, m, "nonsense", ""); !strings.Contains(got, agentapi.CodeInvalid) {
		t.Errorf("no digest at all: %s", got)
	}
}

// A computer that does not read what it asked for has two places and no more; the others go on.
func TestOneComputerTakesFewPayloadPlaces(t *testing.T) {
	s := newSite(t)
	content := bytes.Repeat([]byte("payload "), 4<<20) // more than connections buffer
	info, err := s.Content.Put(t.Context(), "", bytes.NewReader(content))
	if err != nil {
		t.Fatal(err)
	}
	greedy, other := s.enrol(t, "greedy"), s.enrol(t, "other")
	ask := func(ctx context.Context, m *machine) *http.Response {
		t.Helper()
		r, err := http.NewRequestWithContext(ctx, http.MethodGet, m.PayloadURL(info.SHA256), nil)
		if err != nil {
			t.Fatal(err)
		}
		response, err := m.HTTP().Do(r)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { response.Body.Close() })
		return response
	}
	ctx, giveUp := context.WithCancel(t.Context())
	defer giveUp()
	for range 2 {
		if response := ask(ctx, greedy); response.StatusCode != http.StatusOK {
			t.Fatal(response.Status)
		}
	}
	refused := ask(t.Context(), greedy)
	var answer agentapi.Error
	if err := json.NewDecoder(refused.Body).Decode(&answer); err != nil {
		t.Fatal(err)
	}
	if refused.StatusCode != http.StatusTooManyRequests || refused.Header.Get("Retry-After") != fmt.Sprint(answer.After) ||
		answer.Code != agentapi.CodeBusy || answer.After < 5 || !strings.Contains(answer.Text, "2 requests") {
		t.Errorf("%s, Retry-After %q, %+v", refused.Status, refused.Header.Get("Retry-After"), answer)
	}
	if _, err := greedy.Rules(t.Context(), agentapi.RulesRequest{}); err != nil {
		t.Errorf("its other calls: %v", err)
	}
	if got := fetch(t, other, info.SHA256, "bytes=0-6"); got != "payload" {
		t.Errorf("the other one got %q", got)
	}
	giveUp()
	for response := ask(t.Context(), greedy); response.StatusCode != http.StatusOK; response = ask(t.Context(), greedy) {
		if response.StatusCode != http.StatusTooManyRequests {
			t.Fatal(response.Status)
		}
		response.Body.Close()
	}
}

func fetch(t testing.TB, m *machine, digest, span string) string {
	t.Helper()
	r, err := http.NewRequestWithContext(context.Background(), http.MethodGet, m.PayloadURL(digest), nil)
	if err != nil {
		t.Fatal(err)
	}
	if span != "" {
		r.Header.Set("Range", span)
	}
	response, err := m.HTTP().Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if response.ProtoMajor != 1 {
		t.Errorf("the payload comes over %s", response.Proto)
	}
	text, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// stagedPackage gives the site bulletin KB1 of one update with one neutral package whose payload it holds.
func (s *site) stagedPackage(t testing.TB, content []byte, digest string) {
	t.Helper()
	if _, err := s.Content.Put(t.Context(), digest, bytes.NewReader(content)); err != nil {
		t.Fatal(err)
	}
	pack := bulletinstest.Doc(t, document.Package, "p1", nil, catalog.Package{
		Update: "u1", Name: "p1", Files: []catalog.File{{Name: "a.exe", SHA256: digest}}, Installer: catalog.Installer{Type: catalog.EXE, File: "a.exe"},
	})
	bulletinstest.Save(t, s.Bulletins, "sdp", "file",
		bulletinstest.Doc(t, document.Bulletin, "b1", nil, catalog.Bulletin{Name: "KB1", Source: "sdp"}),
		bulletinstest.Doc(t, document.Update, "u1", nil, catalog.Update{Name: "u1", Bulletin: "b1", Source: "sdp", Rules: catalog.Rules{Applicable: rule.Test("True")}}), pack)
	payload := bulletinstest.Doc(t, document.Payload, "p1", nil, catalog.Payload{
		Package: "p1", PackageDigest: pack.Digest, Files: []catalog.StagedFile{{Name: "a.exe", SHA256: digest, Size: int64(len(content))}},
	})
	s.Identity.Sign(&payload)
	sum, _ := hex.DecodeString(digest)
	statements := append(store.Put(payload, "", store.Former{}),
		store.Statement{SQL: `INSERT INTO staged (bulletin, since, actor) VALUES ('b1', '', 'test')`},
		store.Statement{SQL: `INSERT INTO holding (sha256, node, size) VALUES (?, 'n', 1) ON CONFLICT DO NOTHING`, Args: []any{sum}})
	bulletinstest.Write(t, s.Writer(), statements...)
}

func TestRenew(t *testing.T) {
	clock := nodetest.NewClock()
	s := &site{Node: nodetest.NewWith(t, node.Config{Dir: t.TempDir(), Now: clock.Now})}
	nodetest.Run(t, s.Node, map[string]http.Handler{"/agent/v1/": server.New(s.Node)})
	s.token = s.newToken(t, 0)
	m := s.enrol(t, "pc")
	key, csr := newKey(t)
	refused := func(what string, least, most int) {
		t.Helper()
		_, err := m.Renew(t.Context(), agentapi.RenewRequest{CSR: csr})
		var answer *agentapi.Error
		if !errors.As(err, &answer) || answer.Code != agentapi.CodeTooSoon || answer.After < least || answer.After > most {
			t.Errorf("%s: %v, want %s after %d to %d seconds", what, err, agentapi.CodeTooSoon, least, most)
		}
	}
	refused("at once", 44*24*3600, 45*24*3600)
	clock.Move(50 * 24 * time.Hour)
	_, err := m.Renew(t.Context(), agentapi.RenewRequest{CSR: []byte("nonsense")})
	wantCode(t, "nonsense", err, agentapi.CodeInvalid)
	answer, err := m.Renew(t.Context(), agentapi.RenewRequest{CSR: csr})
	if err != nil {
		t.Fatal(err)
	}
	refused("again at once", 290, 301)
	renewed := s.client(t, &tls.Certificate{Certificate: [][]byte{answer.Certificate}, PrivateKey: key})
	if _, err := renewed.Rules(t.Context(), agentapi.RulesRequest{}); err != nil {
		t.Errorf("under the new certificate: %v", err)
	}
	if _, err := m.Rules(t.Context(), agentapi.RulesRequest{}); err != nil {
		t.Errorf("the former certificate stays good, so that a lost answer locks nobody out: %v", err)
	}
	parsed, err := x509.ParseCertificate(answer.Certificate)
	if c, _ := s.Computers.Get(t.Context(), m.id); err != nil || c.Certificate != parsed.SerialNumber.Text(16) {
		t.Errorf("the row names certificate %s, %v", c.Certificate, err)
	}
}

// The texts of the two rooms, which must not import each other, are the same.
func TestStatusesAreTheSame(t *testing.T) {
	theirs := []agentapi.Status{
		agentapi.FailedToInstall, agentapi.FailedRescheduled, agentapi.Installed, agentapi.Scheduled, agentapi.NotApplicable, agentapi.Pending,
		agentapi.DownloadRequired, agentapi.Retry, agentapi.Superseded, agentapi.CannotTell, agentapi.WaitingForRestart, agentapi.WaitingForSuccessor,
	}
	for i, status := range theirs {
		if string(status) != string(computers.Statuses[i]) {
			t.Errorf("agents say %q, nodes %q", status, computers.Statuses[i])
		}
	}
	if len(theirs) != len(computers.Statuses) {
		t.Errorf("agents know %d statuses, nodes %d", len(theirs), len(computers.Statuses))
	}
	if agentapi.MaxSet != computers.MaxSet || agentapi.MaxText != computers.MaxReason {
		t.Error("limits of the two rooms differ")
	}
}

func TestClosedNodeSaysBusy(t *testing.T) {
	s := &site{Node: nodetest.New(t)}
	stop := nodetest.Run(t, s.Node, map[string]http.Handler{"/agent/v1/": server.New(s.Node)})
	s.token = s.newToken(t, 0)
	m := s.enrol(t, "pc")
	stop()
	if _, err := m.Rules(t.Context(), agentapi.RulesRequest{}); err == nil || errors.Is(err, agentapi.ErrUntrusted) {
		t.Errorf("a node that is gone: %v", err)
	}
}
