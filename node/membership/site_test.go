package membership_test

import (
	"context"
	"crypto/tls"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"thatch/node"
	"thatch/node/doors"
	"thatch/node/folder"
	"thatch/node/identity"
	"thatch/node/members"
	"thatch/node/membership"
	"thatch/node/nodetest"
	"thatch/node/store"
	"thatch/node/wire"
)

// A join that is cut at any step is done again with the same token, and is one node.
func TestAJoinThatIsCutIsDoneAgain(t *testing.T) {
	c := newCluster(t)
	i, asked := c.add(true)
	// The answer was lost: the site admitted the node, which knows nothing of it.
	elsewhere := asked
	elsewhere.Dir = t.TempDir()
	copyFiles(t, asked.Dir, elsewhere.Dir) // nothing yet
	if _, err := membership.Join(t.Context(), asked); err != nil {
		t.Fatal(err)
	}
	removeAll(t, asked.Dir, "tls.crt")
	if err := c.open(t.Context(), i); err == nil || !strings.Contains(err.Error(), "thatch node join") {
		t.Fatalf("a node whose join was cut runs as a site of its own: %v", err)
	}
	found, err := membership.Join(t.Context(), asked)
	if err != nil || found.Again {
		t.Fatalf("%+v, %v", found, err)
	}
	// Cut between the guide and the certificate.
	if err := os.Remove(filepath.Join(asked.Dir, "tls.crt")); err != nil {
		t.Fatal(err)
	}
	if _, err := membership.Join(t.Context(), asked); err != nil {
		t.Fatal(err)
	}
	// Whole, and done once more.
	again, err := membership.Join(t.Context(), asked)
	if err != nil || !again.Again || again.Node != found.Node || again.Site != c.nodes[0].node.Site().ID {
		t.Fatalf("%+v, %v", again, err)
	}
	// The node is started, and ends before it holds anything.
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := c.open(ctx, i); err == nil {
		t.Fatal("it started though it was ended")
	}
	c.start(i)
	c.voters(2, 0)
	all, err := c.nodes[0].node.Members.Nodes(t.Context())
	if err != nil || len(all) != 2 {
		t.Errorf("%+v, %v", all, err)
	}
	// Another machine with the token of a node that joined.
	elsewhere.Token = asked.Token
	if _, err := membership.Join(t.Context(), elsewhere); !errors.Is(err, identity.ErrUnauthorised) || !strings.Contains(err.Error(), "each is good for one") {
		t.Errorf("a token used twice: %v", err)
	}
}

func copyFiles(t *testing.T, from, to string) {
	t.Helper()
	if err := os.CopyFS(to, os.DirFS(from)); err != nil {
		t.Fatal(err)
	}
}

func removeAll(t *testing.T, dir string, names ...string) {
	t.Helper()
	for _, name := range names {
		if err := os.RemoveAll(filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
}

func TestWhoMayNotJoin(t *testing.T) {
	c, other := newCluster(t), newCluster(t)
	_, asked := c.add(true)
	for what, change := range map[string]func(*membership.Asked){
		"fingerprint":          func(a *membership.Asked) { a.At = other.nodes[0].node.Address() },
		"not known":            func(a *membership.Asked) { a.Token.Secret = strings.Repeat("a", len(a.Token.Secret)) },
		"belongs to a node":    func(a *membership.Asked) { a.Dir = copied(t, other.nodes[0].dir) },
		"refused":              func(a *membership.Asked) { a.At = "127.0.0.1:1" },
		"of another site":      func(a *membership.Asked) { a.Dir = joined(t, other) },
		"another node runs on": func(a *membership.Asked) { a.Dir = c.nodes[0].dir },
	} {
		a := asked
		a.Dir = t.TempDir()
		change(&a)
		if _, err := membership.Join(t.Context(), a); err == nil || !strings.Contains(err.Error(), what) {
			t.Errorf("%s: %v", what, err)
		}
	}
	if _, err := membership.Join(t.Context(), asked); err != nil {
		t.Errorf("what failed before used the token up: %v", err)
	}
}

// copied is a folder with a database in it, and nothing that says whose.
func copied(t *testing.T, from string) string {
	t.Helper()
	dir := t.TempDir()
	text, err := os.ReadFile(filepath.Join(from, folder.DatabaseFile))
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, folder.DatabaseFile), text, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

func joined(t *testing.T, c *cluster) string {
	t.Helper()
	_, asked := c.add(true)
	if _, err := membership.Join(t.Context(), asked); err != nil {
		t.Fatal(err)
	}
	return asked.Dir
}

// A node that is removed is cut off at once, hears why, and stops; so does it when it is started again.
func TestARemovedNodeIsShutOut(t *testing.T) {
	c := newCluster(t)
	c.grow(true)
	out := c.grow(true)
	c.voters(3, 0)
	c.gossips(1)
	m := c.nodes[out]
	ended := make(chan error, 1)
	stop := m.stop
	running := m.node
	if _, err := c.nodes[1].node.Sisters().Remove(t.Context(), "n3", "retired"); err != nil {
		t.Fatal(err)
	}
	select {
	case <-running.Sisters().Done():
	case <-time.After(nodetest.Patience):
		t.Fatal("the node that was removed does not hear of it")
	}
	m.node, m.stop = nil, nil
	go func() { ended <- stop() }()
	if err := <-ended; err == nil || !strings.Contains(err.Error(), "was removed from the site") || !strings.Contains(err.Error(), "retired") {
		t.Errorf("it stopped with: %v", err)
	}
	c.voters(2, 0)
	c.gossips(2) // with a key that the node which went never had
	for range 2 {
		ctx, cancel := context.WithTimeout(t.Context(), nodetest.Patience)
		if err := c.open(ctx, out); err == nil || !strings.Contains(err.Error(), "was removed from the site") {
			t.Errorf("it starts again: %v", err)
		}
		cancel()
	}
	if err := c.write(1, `"goes on"`); err != nil {
		t.Errorf("the others: %v", err)
	}
	if _, err := c.nodes[0].node.Sisters().Remove(t.Context(), "n3", ""); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("removed twice: %v", err)
	}
}

// gossips waits until all nodes that run hear that all others live, and encrypt what they tell each other with a key.
func (c *cluster) gossips(key int) {
	c.t.Helper()
	c.until(fmt.Sprint("all nodes hear of all others, with key ", key), func() error {
		running := 0
		for _, m := range c.nodes {
			if m.node != nil {
				running++
			}
		}
		for _, m := range c.nodes {
			if m.node == nil {
				continue
			}
			told, own := m.node.Gossip.Gossip.Told(), m.node.Gossip.Gossip.Own()
			if len(told) != running-1 || own.Used != key || own.Held != key {
				return fmt.Errorf("%s hears of %v, and is at key %d", m.name, told, own.Used)
			}
		}
		all, err := c.nodes[0].node.Gossip.Keys.All(c.t.Context())
		if err == nil && len(all) != 1 {
			err = fmt.Errorf("there are %d keys", len(all))
		}
		return err
	})
}

// One that was away while it was removed hears of it from whichever node it calls.
func TestANodeThatWasRemovedWhileItWasAway(t *testing.T) {
	c := newCluster(t)
	c.grow(true)
	away := c.grow(true)
	c.voters(3, 0)
	if err := c.stop(away); err != nil {
		t.Fatal(err)
	}
	if _, err := c.nodes[0].node.Sisters().Remove(t.Context(), "n3", "gone"); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), nodetest.Patience)
	defer cancel()
	if err := c.open(ctx, away); err == nil || !strings.Contains(err.Error(), "gone") {
		t.Errorf("it starts with: %v", err)
	}
}

// The leader goes by its own removal, and others lead.
func TestTheLeaderIsRemoved(t *testing.T) {
	c := newCluster(t)
	c.grow(true)
	c.grow(true)
	c.voters(3, 0)
	leads := c.leader()
	name := c.nodes[leads].name
	if _, err := c.nodes[(leads+1)%3].node.Sisters().Remove(t.Context(), name, ""); err != nil {
		t.Fatal(err)
	}
	if err := c.stop(leads); err == nil || !strings.Contains(err.Error(), "removed") {
		t.Errorf("it ended with %v", err)
	}
	c.voters(2, 0)
	if err := c.write((leads+1)%3, `"goes on"`); err != nil {
		t.Error(err)
	}
}

// A certificate of another authority, one of a computer, one for another key, and one of a node that was never admitted open
// nothing at the node that leads.
func TestStrangers(t *testing.T) {
	c, other := newCluster(t), newCluster(t)
	n := c.nodes[0].node
	stranger := func(from *node.Node, id string) *tls.Certificate {
		creds, err := wire.OpenCredentials(t.TempDir(), id)
		if err != nil {
			t.Fatal(err)
		}
		csr, err := creds.Request()
		if err != nil {
			t.Fatal(err)
		}
		chain, err := from.Identity.CertifyNode(id, csr, nil)
		if err != nil {
			t.Fatal(err)
		}
		return &tls.Certificate{Certificate: chain, PrivateKey: creds.Key()}
	}
	status, err := n.Status(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for what, cert := range map[string]*tls.Certificate{
		"certificate":     stranger(other.nodes[0].node, "x"),
		"another key":     stranger(n, status.Node),
		"there is no":     stranger(n, "never-admitted"),
		"by certificate,": {},
	} {
		config := &tls.Config{InsecureSkipVerify: true, Certificates: []tls.Certificate{*cert}}
		if cert.Certificate == nil {
			config.Certificates = nil
		}
		for _, path := range []string{"hello", "forward", "lead"} {
			err := wire.CallAt(t.Context(), n.Address(), config, wire.Call{Path: path, In: struct{}{}})
			if wire.CodeOf(err) != members.CodeStranger || !strings.Contains(err.Error(), what) {
				t.Errorf("%s: %s: %v", what, path, err)
			}
		}
		files := config.Clone()
		files.NextProtos = []string{wire.ProtocolCalls}
		asks := http.Client{Transport: &http.Transport{TLSClientConfig: files, DisableKeepAlives: true}}
		response, err := asks.Get("https://" + n.Address() + wire.Prefix + "payload/" + strings.Repeat("ab", 32))
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
		if response.StatusCode != http.StatusForbidden {
			t.Errorf("%s: a payload is answered %s", what, response.Status)
		}
		for _, protocol := range []string{wire.ProtocolRaft, wire.ProtocolGossip} {
			config.NextProtos = []string{protocol}
			conn, err := tls.Dial("tcp", n.Address(), config)
			if err == nil { // TLS 1.3 tells a client only when it reads
				_, err = conn.Read(make([]byte, 1))
				_ = conn.Close()
			}
			if err == nil {
				t.Errorf("%s: a stream of %s came about", what, protocol)
			}
		}
	}
}

// Without a quorum, writes are refused in plain words, and the report says what is wrong.
func TestNoQuorum(t *testing.T) {
	c := newCluster(t)
	c.grow(true)
	c.grow(true)
	c.voters(3, 0)
	for _, i := range []int{0, 1} {
		if err := c.stop(i); err != nil {
			t.Fatal(err)
		}
	}
	last := c.nodes[2].node
	c.until("the last one leads no more", func() error {
		if leader := last.Votes().Status().Leader; leader != "" {
			return errors.New(leader + " leads")
		}
		return nil
	})
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	_, err := last.Writer().Write(store.WithCaller(ctx, &store.Caller{Actor: "task test"}), store.Batch{Reason: "x", Statements: []store.Statement{{SQL: `DELETE FROM setting WHERE name = 'x'`}}})
	if err == nil {
		t.Error("a write is acknowledged without a quorum")
	}
	r := last.Sisters().Report(t.Context())
	if !r.Wrong() || r.Living != 1 || r.Voters != 3 || r.Needed != 2 || kinds(r) != "no_quorum unreachable unreachable" {
		t.Errorf("%+v", r)
	}
	if _, err := last.Members.Nodes(t.Context()); err != nil {
		t.Errorf("reads go on: %v", err)
	}
	c.start(0)
	if err := c.write(2, `"again"`); err != nil {
		t.Error(err)
	}
}

// A node that starts while its site has no quorum serves what it holds, and says that it may be old.
func TestAStartWithoutAQuorum(t *testing.T) {
	c := newCluster(t)
	c.grow(true)
	c.voters(2, 0)
	if err := c.write(0, `"held"`); err != nil {
		t.Fatal(err)
	}
	c.listenAgain()
	for _, i := range []int{1, 0} {
		if err := c.stop(i); err != nil {
			t.Fatal(err)
		}
	}
	c.start(0)
	n := c.nodes[0].node
	var value string
	err := n.Reader().View(t.Context(), func(tx *sql.Tx) error {
		return tx.QueryRowContext(t.Context(), `SELECT value FROM setting WHERE name = 'test'`).Scan(&value)
	})
	if err != nil || value != `"held"` {
		t.Errorf("it reads %s, %v", value, err)
	}
	stale := func() string {
		client := http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, DisableKeepAlives: true}}
		answer, err := client.Get("https://" + n.Address() + "/nothing")
		if err != nil {
			t.Fatal(err)
		}
		_ = answer.Body.Close()
		return answer.Header.Get(doors.HeaderStale)
	}
	if r := n.Sisters().Report(t.Context()); !strings.Contains(kinds(r), "no_quorum") || stale() == "" {
		t.Errorf("%q, %+v", stale(), r)
	}
	c.start(1)
	c.until("it takes writes, and what it says is new", func() error {
		err := c.write(0, `"again"`)
		if err == nil && stale() != "" {
			err = errors.New("the site has no quorum")
		}
		return err
	})
}

// kinds are those of the problems of a site, but for what is wrong with the machine that runs the test.
func kinds(r membership.Report) string {
	var list []string
	for _, p := range r.Problems {
		if p.Level != membership.LevelHint && p.Kind != membership.ProblemDisk {
			list = append(list, p.Kind)
		}
	}
	return strings.Join(list, " ")
}

// The lead is handed over, also by a node that does not lead; a node that goes in good order hands it over itself.
func TestTheLeadIsHandedOver(t *testing.T) {
	c := newCluster(t)
	if _, err := c.nodes[0].node.Sisters().HandOver(t.Context(), ""); !errors.Is(err, store.ErrConflict) {
		t.Errorf("nobody is there to take it: %v", err)
	}
	c.grow(true)
	c.grow(true)
	c.voters(3, 0)
	leads := c.leader()
	to := (leads + 1) % 3
	status, err := c.nodes[to].node.Status(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if leader, err := c.nodes[(leads+2)%3].node.Sisters().HandOver(t.Context(), c.nodes[to].name); err != nil || leader != status.Node {
		t.Fatalf("%s leads, want %s: %v", leader, status.Node, err)
	}
	c.until("it leads", func() error {
		if got := c.leader(); got != to {
			return fmt.Errorf("node %d leads", got)
		}
		return nil
	})
	if _, err := c.nodes[0].node.Sisters().HandOver(t.Context(), "nobody"); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("to nobody: %v", err)
	}
}

// A node that holds everything without a vote: it may lose it, get it, and get the site's keys with it.
func TestNodesWithoutAVote(t *testing.T) {
	c := newCluster(t)
	quiet := c.grow(false)
	c.voters(1, 1)
	n := c.nodes[quiet].node
	if n.Identity.HoldsKeys() {
		t.Error("a node without a vote holds the site's keys")
	}
	if err := c.write(quiet, `"through it"`); err != nil {
		t.Error(err)
	}
	if _, err := n.Sisters().SetVotes(t.Context(), "n1", false); !errors.Is(err, store.ErrConflict) {
		t.Errorf("the only voter is silenced: %v", err)
	}
	if _, err := n.Sisters().SetVotes(t.Context(), "n2", true); err == nil {
		t.Error("a node without the keys seals them")
	}
	if _, err := c.nodes[0].node.Sisters().SetVotes(t.Context(), "n2", true); err != nil {
		t.Fatal(err)
	}
	c.voters(2, 0)
	c.until("it holds the keys", func() error {
		if !n.Identity.HoldsKeys() {
			return errors.New("it does not")
		}
		return nil
	})
	if _, err := n.Sisters().SetVotes(t.Context(), "n1", false); err != nil {
		t.Fatal(err)
	}
	c.voters(1, 1)
}

// Nodes come back at other ports, one after the other, and find each other.
func TestNodesComeBackElsewhere(t *testing.T) {
	c := newCluster(t)
	c.grow(true)
	c.grow(true)
	c.voters(3, 0)
	for i := range c.nodes {
		before := c.nodes[i].node.Address()
		if err := c.stop(i); err != nil {
			t.Fatal(err)
		}
		c.start(i)
		if c.nodes[i].node.Address() == before {
			t.Log("it has the same port again")
		}
		c.until("the others know", func() error {
			for _, m := range c.nodes {
				r := m.node.Sisters().Report(t.Context())
				if r.Living != 3 {
					return fmt.Errorf("%s hears %d", m.name, r.Living)
				}
			}
			return nil
		})
	}
	for i := range c.nodes {
		if err := c.write(i, fmt.Sprint(i)); err != nil {
			t.Error(err)
		}
	}
}

// Two nodes come back at other ports, each while the other was away: a third that kept its own tells them of each other.
func TestNodesThatMissedEachOthersMove(t *testing.T) {
	c := newCluster(t)
	c.grow(true)
	c.grow(true)
	c.voters(3, 0)
	if err := c.stop(1); err != nil {
		t.Fatal(err)
	}
	if err := c.stop(0); err != nil {
		t.Fatal(err)
	}
	c.start(0)
	c.until("n1 leads", func() error {
		_, err := c.nodes[0].node.Sisters().HandOver(t.Context(), "n1")
		return err
	})
	c.start(1) // it knows where n1 was, and where n3 is; n1 leads, and knows where n2 was
	c.voters(3, 0)
}

// A node without a vote holds no keys to certify itself with: one that does gives it a new certificate for the present one.
func TestANodeWithoutAVoteRenewsItsCertificate(t *testing.T) {
	c := newCluster(t)
	quiet := c.grow(false)
	c.voters(1, 1)
	serial := func() string { return c.nodes[quiet].node.Identity.NodeCertificate().SerialNumber.String() }
	first := serial()
	if err := c.nodes[quiet].node.Sisters().Renew(t.Context(), []string{"127.0.0.1", "quiet.example"}); err != nil {
		t.Fatal(err)
	}
	cert := c.nodes[quiet].node.Identity.NodeCertificate()
	if serial() == first || cert.VerifyHostname("quiet.example") != nil || !cert.NotAfter.After(time.Now().AddDate(0, 0, 80)) {
		t.Errorf("the certificate is %+v", cert.Subject)
	}
	if err := c.stop(quiet); err != nil {
		t.Fatal(err)
	}
	c.nodes[quiet].now = func() time.Time { return time.Now().AddDate(0, 0, 61) } // less than a third is left
	second := cert.SerialNumber.String()
	c.start(quiet)
	c.until("it renews its certificate by itself", func() error {
		if serial() == second {
			return errors.New("it has the former one")
		}
		return nil
	})
	if err := c.stop(0); err != nil {
		t.Fatal(err)
	}
	if err := c.nodes[quiet].node.Sisters().Renew(t.Context(), nil); !errors.Is(err, identity.ErrKeyless) || !errors.Is(err, wire.ErrUnreached) {
		t.Errorf("nobody else has the keys: %v", err)
	}
}

// A folder that lost its part of the quorum does not go on as the same node.
func TestALostQuorumFolder(t *testing.T) {
	c := newCluster(t)
	c.grow(true)
	c.voters(2, 0)
	if err := c.stop(1); err != nil {
		t.Fatal(err)
	}
	removeAll(t, c.nodes[1].dir, folder.QuorumFolder, folder.DatabaseFile, folder.DatabaseFile+"-wal", folder.DatabaseFile+"-shm")
	if err := c.open(t.Context(), 1); err == nil || !strings.Contains(err.Error(), "is lost") || !strings.Contains(err.Error(), "thatch site remove") {
		t.Errorf("it starts with: %v", err)
	}
}

// A program that knows a newer schema takes part and waits; when the last node knows it too, the site is brought to it.
func TestASchemaWaitsForEveryNode(t *testing.T) {
	c := newCluster(t)
	c.grow(true)
	c.grow(true)
	c.voters(3, 0)
	newer := store.SiteSchema()
	newer.Version++
	newer.Steps[newer.Version-1] = []string{"CREATE TABLE tomorrow (one INTEGER PRIMARY KEY)"}
	newer.Text += "\nCREATE TABLE tomorrow (one INTEGER PRIMARY KEY);"
	c.listenAgain()
	upgraded := make(chan error, 2)
	for _, i := range []int{1, 2} {
		if err := c.stop(i); err != nil {
			t.Fatal(err)
		}
		c.nodes[i].schema = &newer
		go func() { upgraded <- c.open(t.Context(), i) }()
		c.until("it waits, and says for whom", func() error { return waits(c.nodes[i].listen, "n1 (test)") })
		if err := c.write(0, fmt.Sprint(i)); err != nil { // it takes part
			t.Fatal(err)
		}
	}
	r := c.nodes[0].node.Sisters().Report(t.Context())
	if !strings.Contains(kinds(r), membership.ProblemSchema) {
		t.Errorf("%+v", r.Problems)
	}
	if err := c.stop(0); err != nil {
		t.Fatal(err)
	}
	c.nodes[0].schema = &newer
	c.start(0)
	for range 2 {
		if err := <-upgraded; err != nil {
			t.Fatal(err)
		}
	}
	for _, m := range c.nodes {
		if err := m.node.Ready(t.Context()); err != nil {
			t.Error(err)
		}
	}
	// An older program stops with a plain word.
	if err := c.stop(2); err != nil {
		t.Fatal(err)
	}
	c.nodes[2].schema = nil
	if err := c.open(t.Context(), 2); err == nil || !strings.Contains(err.Error(), "newer") {
		t.Errorf("an older program: %v", err)
	}
}

// waits asks a node that is starting what it waits for.
func waits(address, want string) error {
	client := http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, DisableKeepAlives: true}}
	answer, err := client.Get("https://" + address + "/api/v1/site")
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		return err
	}
	var said struct{ Code, Error string }
	if err := json.Unmarshal(text, &said); err != nil {
		return fmt.Errorf("%s: %w", text, err)
	}
	if answer.StatusCode != http.StatusServiceUnavailable || said.Code != "starting" || !strings.Contains(said.Error, want) || answer.Header.Get("Retry-After") == "" {
		return fmt.Errorf("%s %s", answer.Status, text)
	}
	return nil
}
