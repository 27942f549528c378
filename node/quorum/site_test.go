package quorum_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/raft"

	"thatch/node/quorum"
	"thatch/node/store"
	"thatch/node/store/storetest"
)

func write(t testing.TB, w store.Writer, name string) store.Applied {
	t.Helper()
	return storetest.Write(t, w, storetest.Batch(storetest.Set(name, "1")))
}

// number returns that of a node.
func number(n *storetest.Node) int { return int(n.ID[1] - '1') }

func TestFollowersForward(t *testing.T) {
	site := storetest.Three(t)
	for _, n := range site.Running() {
		applied := write(t, n.Quorum, "from "+n.ID)
		if got := storetest.Value(t, n.DB, applied.Index, `SELECT value FROM setting WHERE name = ?`, "from "+n.ID); got != "1" {
			t.Errorf("%s does not read what it wrote", n.ID)
		}
		b := storetest.Batch(store.Statement{SQL: `DELETE FROM setting WHERE name = 'none'`, Want: 1})
		if conflict := storetest.Write(t, n.Quorum, b); !errors.Is(conflict.Err(), store.ErrConflict) {
			t.Errorf("%s hears of no conflict: %+v", n.ID, conflict)
		}
	}
	site.Equal()
}

func TestWriteWhoseAnswerIsLostIsAppliedOnce(t *testing.T) {
	site := storetest.Steady(t, quorum.Tuning{})
	follower := site.Node(1)
	for _, request := range []string{"", "mine"} {
		site.LoseAnswers(3)
		b := storetest.Batch(storetest.Set("once "+request, "1"))
		b.Request = request
		applied := storetest.Write(t, follower.Quorum, b)
		// The same batch, sent again: whoever called can answer as if nothing had been lost.
		if got := storetest.Value(t, follower.DB, applied.Index, `SELECT version FROM setting WHERE name = ?`, "once "+request); got != "1" || applied.Repeated {
			t.Errorf("request %q: applied %s times, %+v", request, got, applied)
		}
	}
	site.LoseAnswers(1 << 30)
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	if _, err := follower.Quorum.Write(ctx, storetest.Batch(storetest.Set("never told", "1"))); !errors.Is(err, quorum.ErrUncertain) ||
		!strings.Contains(err.Error(), "was lost") {
		t.Errorf("no answer ever: %v", err)
	}
	site.LoseAnswers(0)
	site.Equal()
}

func TestLeaderIsLostUnderLoad(t *testing.T) {
	site := storetest.Three(t)
	const writers, each = 8, 30
	var all sync.WaitGroup
	var halfway sync.WaitGroup
	halfway.Add(writers)
	for w := range writers {
		all.Go(func() {
			for i := range each {
				if i == each/2 {
					halfway.Done()
				}
				b := storetest.Batch(storetest.Set("count", "x"), storetest.Set(fmt.Sprintf("%d.%d", w, i), "1"))
				b.Request = fmt.Sprintf("request %d.%d", w, i)
				if _, err := site.Write(t.Context(), b); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	halfway.Wait()
	lost := site.Leader()
	site.Cut(number(lost), true)
	next := time.Now()
	all.Wait()
	t.Logf("writes ended %s after the leader was cut off", time.Since(next).Round(time.Millisecond))
	site.Cut(number(lost), false)
	site.Equal()
	last := write(t, site, "last")
	if got := storetest.Value(t, site, last.Index, `SELECT version || ' ' || (SELECT count(*) - 2 FROM setting) FROM setting WHERE name = 'count'`); got != "240 240" {
		t.Errorf("counted %s, want 240 writes, each applied once", got)
	}
}

func TestWithoutAMajorityWritesEndAndReadsGoOn(t *testing.T) {
	site := storetest.Three(t)
	write(t, site, "before")
	left := site.Leader()
	for i := range 3 {
		if i != number(left) {
			site.Stop(i)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
	defer cancel()
	_, err := left.Quorum.Write(ctx, storetest.Batch(storetest.Set("alone", "1")))
	if !errors.Is(err, quorum.ErrUncertain) && !errors.Is(err, quorum.ErrNotLeader) && !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("one of three wrote: %v", err)
	}
	if got := storetest.Value(t, left.DB, 0, `SELECT value FROM setting WHERE name = 'before'`); got != "1" {
		t.Error("reads do not go on")
	}
	if err := left.Quorum.Barrier(ctx); err == nil {
		t.Error("one of three promises a linearizable read")
	}
}

// A leader that missed what a node answered sends it a snapshot of what it holds already. The node goes on serving, also where
// nothing is written after.
func TestASnapshotOfWhatANodeHoldsKeepsNobodyWaiting(t *testing.T) {
	open := func(id string, join bool) (*quorum.Quorum, *raft.InmemTransport, string) {
		_, transport := raft.NewInmemTransport(raft.ServerAddress(id))
		transport.Connect(raft.ServerAddress(id), transport)
		dir := t.TempDir()
		q, err := quorum.Open(t.Context(), quorum.Config{ID: id, Dir: dir, DB: storetest.Open(t), Join: join, Transport: transport})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = q.Close() })
		return q, transport, dir
	}
	leader, here, dir := open("n1", false)
	other, there, _ := open("n2", true)
	here.Connect("n2", there)
	there.Connect("n1", here)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	write(t, leader, "before")
	if err := leader.AddNonVoter(ctx, quorum.Voter{ID: "n2", Address: "n2"}); err != nil {
		t.Fatal(err)
	}
	write(t, leader, "after")
	if err := other.Ready(ctx); err != nil {
		t.Fatal(err)
	}
	snapshots, err := raft.NewFileSnapshotStore(filepath.Join(dir, "snapshots"), 1, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	list, err := snapshots.List()
	if err != nil || len(list) != 1 {
		t.Fatalf("%+v, %v", list, err)
	}
	meta, content, err := snapshots.Open(list[0].ID)
	if err != nil {
		t.Fatal(err)
	}
	defer content.Close()
	request := raft.InstallSnapshotRequest{
		RPCHeader: raft.RPCHeader{ProtocolVersion: raft.ProtocolVersionMax, ID: []byte("n1"), Addr: []byte("n1")}, SnapshotVersion: meta.Version,
		Term: leader.Status().Term, LastLogIndex: meta.Index, LastLogTerm: meta.Term, Size: meta.Size,
		Configuration: raft.EncodeConfiguration(meta.Configuration), ConfigurationIndex: meta.ConfigurationIndex,
	}
	var answer raft.InstallSnapshotResponse
	if err := here.InstallSnapshot("n2", "n2", &request, &answer, content); err != nil || !answer.Success {
		t.Fatalf("%+v, %v", answer, err)
	}
	if err := other.Ready(ctx); err != nil {
		t.Error(err)
	}
}

func TestWritesSayThatTheSiteIsUnavailable(t *testing.T) {
	db := storetest.Open(t)
	q, err := quorum.Open(t.Context(), quorum.Config{ID: "n1", Dir: t.TempDir(), DB: db, Join: true, Wait: 50 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	defer q.Close()
	if _, err := q.Write(t.Context(), storetest.Batch(storetest.Set("a", "1"))); !errors.Is(err, quorum.ErrUnavailable) {
		t.Errorf("a node that nobody added: %v", err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if err := q.Ready(ctx); !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "leader none") {
		t.Errorf("ready: %v", err)
	}
}

func TestOneNodeGrowsIntoThreeWhileItIsWrittenTo(t *testing.T) {
	site := storetest.NewSite(t, 1, quorum.Tuning{TrailingBytes: 1, Heartbeat: 5 * time.Second}) // it is to go on leading
	for i := range 50 {
		write(t, site, fmt.Sprint("before ", i))
	}
	site.Snapshot()
	stop := make(chan struct{})
	var writing sync.WaitGroup
	first := site.Node(0).Quorum
	writing.Go(func() {
		for i := 0; ; i++ {
			select {
			case <-stop:
				return
			default:
				write(t, first, fmt.Sprint("while ", i))
			}
		}
	})
	site.Add()
	site.Add()
	close(stop)
	writing.Wait()
	if status := first.Status(); len(status.Voters) != 3 || status.Leader != "n1" {
		t.Errorf("status: %s", status)
	}
	site.Equal()
	if err := first.Remove(t.Context(), "n2"); err != nil {
		t.Fatal(err)
	}
	site.Stop(1)
	write(t, site, "after")
	site.Equal()
}

func TestWorkOfTheLeaderMovesWithIt(t *testing.T) {
	site := storetest.Steady(t, quorum.Tuning{})
	type shift struct {
		node string
		term uint64
		on   bool
	}
	shifts := make(chan shift, 100)
	ctx, cancel := context.WithCancel(t.Context())
	var all sync.WaitGroup
	for _, n := range site.Running() {
		all.Go(func() {
			n.Quorum.WhileLeading(ctx, func(ctx context.Context, term uint64) {
				shifts <- shift{n.ID, term, true}
				<-ctx.Done()
				shifts <- shift{n.ID, term, false}
			})
		})
	}
	first := <-shifts
	if err := site.Leader().Quorum.Transfer(t.Context()); err != nil {
		t.Fatal(err)
	}
	var over, second shift
	for range 2 {
		if s := <-shifts; s.on {
			second = s
		} else {
			over = s
		}
	}
	if !first.on || over.node != first.node || over.term != first.term || second.node == first.node || second.term <= first.term {
		t.Errorf("first %+v, over %+v, second %+v", first, over, second)
	}
	cancel()
	all.Wait()
	if last := <-shifts; last.on || last.node != second.node {
		t.Errorf("last %+v", last)
	}
}

func TestFollowerThatLagsBehindTheLogGetsASnapshot(t *testing.T) {
	site := storetest.NewSite(t, 3, quorum.Tuning{TrailingBytes: 1})
	write(t, site, "first")
	behind := (number(site.Leader()) + 1) % 3
	site.Stop(behind)
	for i := range 100 {
		write(t, site, fmt.Sprint("meanwhile ", i))
	}
	site.Snapshot()
	write(t, site, "last")
	site.Start(behind)
	site.Equal()
	// It was restored; it must start again from what it has, although its log begins behind its file.
	site.Stop(behind)
	site.Start(behind)
	write(t, site, "after")
	site.Equal()
}

func TestSnapshotsAreMadeBySize(t *testing.T) {
	site := storetest.NewSite(t, 1, quorum.Tuning{SnapshotBytes: 50 << 10, TrailingBytes: 1 << 10})
	large := strings.Repeat("x", 10<<10)
	for i := range 200 {
		storetest.Write(t, site, storetest.Batch(storetest.Set("a", large+fmt.Sprint(i))))
	}
	site.Stop(0)
	site.LoseDatabase(0)
	site.Start(0) // fails where the log was shortened without a snapshot
	if got := storetest.Value(t, site, 0, `SELECT version FROM setting`); got != "200" {
		t.Errorf("%s of 200 writes", got)
	}
	site.Equal()
}

// A leader that missed the answers of a follower sends it a snapshot older than what the follower has: nothing that it
// acknowledged may be lost, in its log or in its database.
func TestSnapshotOlderThanTheFollowerTakesNothingAway(t *testing.T) {
	site := storetest.Steady(t, quorum.Tuning{TrailingBytes: 1})
	for i := range 20 {
		write(t, site, fmt.Sprint("before ", i))
	}
	leader := site.Leader()
	follower := (number(leader) + 1) % 3
	if err := leader.Quorum.Snapshot(); err != nil {
		t.Fatal(err)
	}
	for i := range 20 {
		write(t, site, fmt.Sprint("after ", i))
	}
	site.Equal()
	snapshots, err := raft.NewFileSnapshotStore(filepath.Join(leader.Dir, "quorum", "snapshots"), 1, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	all, err := snapshots.List()
	if err != nil || len(all) == 0 {
		t.Fatalf("%d snapshots, %v", len(all), err)
	}
	meta, data, err := snapshots.Open(all[0].ID)
	if err != nil {
		t.Fatal(err)
	}
	defer data.Close()
	target := site.Node(follower)
	before := target.DB.Applied()
	response, err := install(site, leader, target, meta, data)
	if err != nil {
		t.Fatal(err)
	}
	if !response.Success || meta.Index >= before {
		t.Fatalf("snapshot of index %d at %d: %+v", meta.Index, before, response)
	}
	if now := target.DB.Applied(); now < before {
		t.Errorf("the database went from index %d back to %d", before, now)
	}
	write(t, site, "last")
	site.Equal()
	// What it acknowledged is still in its log: it can be started from that alone.
	site.Stop(follower)
	site.Start(follower)
	site.Equal()
}

// install sends a snapshot to a follower, as its leader would.
func install(site *storetest.Site, leader, target *storetest.Node, meta *raft.SnapshotMeta, data io.Reader) (raft.InstallSnapshotResponse, error) {
	request := raft.InstallSnapshotRequest{
		RPCHeader:       raft.RPCHeader{ProtocolVersion: raft.ProtocolVersionMax, ID: []byte(leader.ID), Addr: []byte(leader.ID)},
		SnapshotVersion: meta.Version, Term: leader.Quorum.Status().Term, Leader: []byte(leader.ID),
		LastLogIndex: meta.Index, LastLogTerm: meta.Term, Size: meta.Size,
		Configuration: raft.EncodeConfiguration(meta.Configuration), ConfigurationIndex: meta.ConfigurationIndex,
	}
	var response raft.InstallSnapshotResponse
	err := site.Wire(number(leader)).InstallSnapshot(raft.ServerID(target.ID), raft.ServerAddress(target.ID), &request, &response, data)
	return response, err
}

// What is no snapshot stops the follower that was to become it; its database stays as it is, and the site goes on.
func TestSnapshotThatIsNoneStopsTheFollower(t *testing.T) {
	site := storetest.Steady(t, quorum.Tuning{})
	write(t, site, "before")
	site.Equal()
	leader := site.Leader()
	target := site.Node((number(leader) + 1) % 3)
	file, err := os.ReadFile(target.DB.Path())
	if err != nil {
		t.Fatal(err)
	}
	header := append([]byte("thatch snapshot 1\n"), make([]byte, 16)...)
	header[25], header[33] = 200, 200 // label and held
	garbage := append(header, file[:100]...)
	meta := &raft.SnapshotMeta{Version: 1, Index: 200, Term: 2, Size: int64(len(garbage)), Configuration: raft.Configuration{
		Servers: []raft.Server{{ID: "n1", Address: "n1"}, {ID: "n2", Address: "n2"}, {ID: "n3", Address: "n3"}},
	}, ConfigurationIndex: 1}
	if _, err := install(site, leader, target, meta, bytes.NewReader(garbage)); err == nil {
		t.Error("garbage was installed")
	}
	select {
	case <-target.Quorum.Done():
	case <-time.After(time.Minute):
		t.Fatal("the follower goes on")
	}
	if err := target.Quorum.Err(); err == nil || !strings.Contains(err.Error(), "restoring a snapshot") {
		t.Errorf("stopped with %v", err)
	}
	if got := storetest.Value(t, target.DB, 0, `SELECT value FROM setting`); got != "1" {
		t.Errorf("its database now says %q", got)
	}
	site.Stop(number(target))
	write(t, site, "after")
	site.Equal()
}
