package replication_test

import (
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"thatch/catalog/document"
	"thatch/catalog/federation"
	"thatch/node/bulletins/bulletinstest"
	"thatch/node/computers"
	"thatch/node/replicas/dataset"
	"thatch/node/rollups"
	"thatch/node/rollups/rollupstest"
	"thatch/node/sites"
	"thatch/node/store"
	"thatch/replication/replicationtest"
	"thatch/replication/wire"
)

// branch is a site with computers.
type branch struct {
	*replicationtest.Linked
	*rollupstest.Fleet
}

// told is what every site tells at once, so that tests need not wait a minute.
func (b *branch) tell(t *testing.T) int {
	t.Helper()
	for try := 0; ; try++ {
		changed, err := b.RollUps.Tell(t.Context())
		if err == nil {
			return changed
		}
		if try == 5 || !errors.Is(err, store.ErrConflict) { // the node tells by itself too
			t.Fatal(err)
		}
	}
}

// TestAComputerThatMovedIsCountedOnce: where a machine enrols at another site, simulated ones too, the number of computers
// counts it once as soon as the sites above know; its former site leaves it out of everything that it tells as soon as it
// hears of that, takes it out when it was not heard of for a while, and counts it again where it lives on.
func TestAComputerThatMovedIsCountedOnce(t *testing.T) {
	tr := newTree(t)
	for _, b := range tr.all() {
		if _, err := b.Settings.Set(t.Context(), "health.computers", []byte("true"), -1); err != nil {
			t.Fatal(err)
		}
	}
	made := computers.Newcomer{Name: "made up", MachineID: "simulated-1", Platform: "windows", Simulated: true}
	moved, clone, simulated := tr.deep.Enrol(t, "wanders"), tr.deep.Enrol(t, "cloned"), tr.deep.EnrolAs(t, made)
	moved.Says["u2"], clone.Says["u2"], simulated.Says["u3"] = "applicable", "installed", "unknown"
	for _, one := range tr.deep.PCs {
		tr.deep.Report(t, one)
	}
	tr.tell(t)
	tr.top.Eventually(t, "the tree's figures", func() error { return tr.top.Agrees(t, rollups.Of{}, tr.bare()...) })

	tr.ahead.Add(int64(2 * time.Minute))
	for _, again := range []*rollupstest.PC{tr.south.Enrol(t, "wanders"), tr.south.Enrol(t, "cloned"), tr.south.EnrolAs(t, made)} {
		again.Says["u2"] = "installed"
		tr.south.Report(t, again)
	}
	once := func() error {
		tr.tell(t)
		err := tr.top.Agrees(t, rollups.Of{}, tr.south.Fleet)
		list, total, listed := tr.top.RollUps.Computers(t.Context(), rollups.Of{}, store.Query{})
		if err == nil && (listed != nil || total != 3) {
			err = fmt.Errorf("%d computers are listed: %+v, %w", total, list, listed)
		}
		return err
	}
	tr.top.Eventually(t, "all three are counted once, in all figures", once)
	for _, one := range tr.deep.PCs {
		if m := tr.deep.Computers.Member(one.ID); !m.Retired.IsZero() {
			t.Error("one was taken out before anybody could know that it is silent")
		}
	}
	tr.ahead.Add(int64(50 * time.Minute))
	tr.deep.Report(t, clone) // it lives on: two machines with one name
	tr.tell(t)
	for _, one := range []*rollupstest.PC{moved, simulated} {
		if m := tr.deep.Computers.Member(one.ID); m.Retired.IsZero() {
			t.Errorf("%s was not taken out", one.Name)
		}
	}
	if m := tr.deep.Computers.Member(clone.ID); !m.Retired.IsZero() {
		t.Error("one that lives on was taken out")
	}
	tr.deep.PCs = []*rollupstest.PC{clone}
	tr.top.Eventually(t, "the figures with both of one name", func() error {
		tr.tell(t)
		return tr.top.Agrees(t, rollups.Of{}, tr.bare()...)
	})
	audit, _, err := tr.deep.Identity.Audit(t.Context(), store.Query{Search: "moved"})
	if err != nil || len(audit) != 2 || !strings.Contains(audit[0].Action, "moved to site") {
		t.Errorf("%+v, %v", audit, err)
	}
}

// TestAMoveIsKnownBeforeTheFormerSiteHears: while the former site is cut off, the number of computers is right, and the report
// says how many of them its figures of bulletins have twice.
func TestAMoveIsKnownBeforeTheFormerSiteHears(t *testing.T) {
	tr := newTree(t)
	tr.north.Enrol(t, "wanders").Says["u2"] = "applicable"
	tr.north.Report(t, tr.north.PCs[0])
	tr.tell(t)
	tr.top.Eventually(t, "the tree's figures", func() error { return tr.top.Agrees(t, rollups.Of{}, tr.bare()...) })
	tr.north.Stop()
	tr.ahead.Add(int64(2 * time.Minute))
	again := tr.south.Enrol(t, "wanders")
	again.Says["u2"] = "installed"
	tr.south.Report(t, again)
	of := func() (string, error) {
		rows, err := tr.top.RollUps.SiteRows(t.Context(), rollups.Of{}, rollups.Within{Update: "u2"})
		if err != nil {
			return "", err
		}
		return fmt.Sprintf("%d computers, %d moved, %d applicable", rows[0].Computers, rows[0].Moved, rows[0].Applicable), nil
	}
	tr.top.Eventually(t, "the number of computers", func() error {
		tr.top.tell(t)
		tr.south.tell(t)
		got, err := of()
		if err == nil && got != "1 computers, 1 moved, 2 applicable" {
			err = errors.New(got)
		}
		return err
	})
}

// tree is a top, two children and a grandchild, with one catalog.
type tree struct {
	top, north, south, deep *branch
	cut                     atomic.Bool  // nobody is let in to the top
	ahead                   atomic.Int64 // nanoseconds by which all clocks are ahead
}

func newTree(t *testing.T) *tree {
	t.Helper()
	tr := &tree{}
	start := func(name string) *branch {
		linked := replicationtest.Start(t, replicationtest.Config{
			Name: name, Languages: []string{"en"}, Now: func() time.Time { return time.Now().Add(time.Duration(tr.ahead.Load())) },
			Before: func(http.ResponseWriter, *http.Request) http.Handler {
				if name == "Top" && tr.cut.Load() {
					return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusBadGateway) })
				}
				return nil
			},
		})
		// Sites tell when the test says so: their own rounds would meet clocks that the test has just moved.
		if _, err := linked.Settings.Set(t.Context(), "health.every", json.RawMessage("86400"), -1); err != nil {
			t.Fatal(err)
		}
		return &branch{linked, rollupstest.New(linked.Node)}
	}
	tr.top, tr.north, tr.south, tr.deep = start("Top"), start("North"), start("South"), start("Deep")
	rollupstest.Publish(t, tr.top.Node)
	tr.north.Join(t, tr.top.Linked)
	tr.south.Join(t, tr.top.Linked)
	tr.deep.Join(t, tr.north.Linked)
	for _, b := range tr.all() {
		b.Eventually(t, "the catalog", func() error { return b.Holds(document.Update, len(rollupstest.Updates)) })
	}
	return tr
}

func (tr *tree) all() []*branch { return []*branch{tr.top, tr.north, tr.south, tr.deep} }

// bare are the same without their links.
func (tr *tree) bare() (fleets []*rollupstest.Fleet) {
	for _, b := range tr.all() {
		fleets = append(fleets, b.Fleet)
	}
	return fleets
}

func (tr *tree) tell(t *testing.T) {
	t.Helper()
	for _, b := range tr.all() {
		b.tell(t)
	}
}

var words = []string{"", "applicable", "scheduled", "failed", "installed", "unknown"}

func (b *branch) happens(t *testing.T, random *rand.Rand) {
	t.Helper()
	switch what := random.IntN(10); {
	case what < 3 || len(b.PCs) == 0:
		b.Enrol(t, fmt.Sprintf("%s-%d", strings.ToLower(b.Site().Name), random.Uint32()))
	case what == 3:
		at := random.IntN(len(b.PCs))
		if err := b.Computers.Retire(t.Context(), "test", b.PCs[at].ID, 0); err != nil {
			t.Fatal(err)
		}
		b.PCs = slices.Delete(b.PCs, at, at+1)
	default:
		one := b.PCs[random.IntN(len(b.PCs))]
		for u := range rollupstest.Updates {
			if random.IntN(2) == 0 {
				one.Says[u] = words[random.IntN(len(words))]
			}
		}
		b.Report(t, one)
	}
}

// TestTheTreeCountsWhatItsSitesCount: whatever computers report, enrol and retire, whether the link is cut meanwhile, and
// wherever a site stands, every site's report of the tree below it is what counting one by one says.
func TestTheTreeCountsWhatItsSitesCount(t *testing.T) {
	tr := newTree(t)
	rounds := 25
	if testing.Short() {
		rounds = 6
	}
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 1))
	below := []*rollupstest.Fleet{tr.north.Fleet, tr.deep.Fleet}
	for range rounds {
		tr.cut.Store(random.IntN(4) == 0)
		for range 1 + random.IntN(6) {
			b := tr.all()[random.IntN(4)]
			b.happens(t, random)
			if random.IntN(2) == 0 {
				b.tell(t)
			}
		}
		tr.tell(t)
		tr.cut.Store(false)
		tr.top.Eventually(t, "the tree's figures", func() error {
			return errors.Join(
				tr.top.Agrees(t, rollups.Of{}, tr.bare()...),
				tr.top.Agrees(t, rollups.Of{Own: true}, tr.top.Fleet),
				tr.top.Agrees(t, rollups.Of{Site: "North"}, below...),
				tr.top.Agrees(t, rollups.Of{Site: "deep"}, tr.deep.Fleet),
			)
		})
		tr.north.Eventually(t, "a child's figures", func() error { return tr.north.Agrees(t, rollups.Of{}, below...) })
	}
}

// sendUp pushes documents as the link of a site that was altered would.
func (b *branch) sendUp(t *testing.T, of dataset.Type, docs ...document.Document) (wire.UpResponse, error) {
	t.Helper()
	parent, err := b.Sites.Parent(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	config, err := b.Identity.ParentTLS(parent.ID, parent.Authority)
	if err != nil {
		t.Fatal(err)
	}
	client, err := wire.NewClient(parent.URLs[0], config, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	page := &wire.Page{Header: wire.Header{Type: of}}
	for _, doc := range docs {
		page.Entries = append(page.Entries, dataset.Entry{Head: doc.Head, Body: doc.Body})
	}
	languages, err := b.Languages(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	link, err := wire.Call[wire.LinkResponse](t.Context(), client, wire.PathLink, wire.LinkRequest{Name: b.Site().Name, Epoch: b.Site().Epoch, Languages: languages, At: b.Now()})
	if err != nil {
		t.Fatal(err)
	}
	if cursor := link.Cursors[of]; cursor != nil {
		page.From, page.Cursor = *cursor, *cursor
	}
	return client.Push(t.Context(), wire.PathUp, page)
}

func (b *branch) signed(t *testing.T, kind document.Kind, id string, body any) document.Document {
	t.Helper()
	doc := bulletinstest.Doc(t, kind, id, nil, body)
	b.Identity.Sign(&doc)
	return doc
}

// alarm is the text of the alarm of a kind that stands at a site, "" where there is none.
func (b *branch) alarm(t *testing.T, kind, subject string) string {
	t.Helper()
	standing, err := b.Sites.Standing(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range standing {
		if a.Kind == kind && a.Subject == subject {
			return a.Text
		}
	}
	return ""
}

// TestNobodyTellsOfOthers: a child that pushes up what is not its own is refused, told so, raised as an alarm on both sides
// and audited; the others' figures stay what they are, and the child's own still arrive.
func TestNobodyTellsOfOthers(t *testing.T) {
	tr := newTree(t)
	tr.north.Enrol(t, "n1").Says["u2"] = "applicable"
	tr.north.Report(t, tr.north.PCs[0])
	tr.tell(t)
	whole := func() error { return tr.top.Agrees(t, rollups.Of{}, tr.bare()...) }
	tr.top.Eventually(t, "the tree's figures", whole)

	north, south, top := tr.north.Site().ID, tr.south.Site().ID, tr.top.Site().ID
	lie := federation.RollUp{Bulletin: "b1", Counts: federation.Counts{Installed: 1000}, Updates: []federation.UpdateCounts{}}
	fine := federation.Health{At: tr.south.Now().UTC().Format(time.RFC3339)}
	told := tr.north.held(t, document.Health, north)
	for what, c := range map[string]struct {
		doc  document.Document
		says string
	}{
		"a sibling's roll-up":            {tr.south.signed(t, document.RollUp, federation.RollUpID(north, "b1"), lie), "bears the name of another site"},
		"a sibling's health":             {tr.south.signed(t, document.Health, north, fine), "bears the name of another site"},
		"the parent's health":            {tr.south.signed(t, document.Health, top, fine), "bears the name of another site"},
		"a sibling's computer":           {tr.south.signed(t, document.Computer, federation.RollUpID(north, "pc"), federation.Computer{Name: "x", Seen: fine.At}), "bears the name of another site"},
		"a computer of nobody":           {tr.south.signed(t, document.Computer, "pc", federation.Computer{Name: "x", Seen: fine.At}), "bears the name of another site"},
		"a sibling's own health, passed": {told, "which is not below site"},
		"a policy":                       {tr.south.signed(t, document.Policy, "policy:"+south+":p", struct{}{}), "do not travel upward"},
		"a kind that nobody knows":       {tr.south.signed(t, "blueprint", south, struct{}{}), "do not travel upward"},
	} {
		answer, err := tr.south.sendUp(t, dataset.Health, c.doc)
		if err != nil || len(answer.Refused) != 1 || !answer.Refused[0].Forbidden || !strings.Contains(answer.Refused[0].Reason, c.says) {
			t.Errorf("%s: %+v, %v", what, answer, err)
		}
		if text := tr.top.alarm(t, sites.Refused, south); !strings.Contains(text, "South sent up what it must not") || !strings.Contains(text, c.says) {
			t.Errorf("%s: the parent's alarm is %q", what, text)
		}
		if err := whole(); err != nil {
			t.Errorf("%s: %v", what, err)
		}
	}
	if _, audited, err := tr.top.Identity.Audit(t.Context(), store.Query{Search: "refused: refused"}); err != nil || audited != 8 {
		t.Errorf("%d are in the audit log, %v", audited, err)
	}

	// What a link that was not altered finds in its own file is refused as well, and its own still goes up.
	tr.south.Put(t, document.RollUp, federation.RollUpID(north, "b1"), `{"bulletin":"b1","installed":9,"updates":[]}`)
	tr.south.Eventually(t, "an alarm at the child", func() error {
		if text := tr.south.alarm(t, sites.Refused, top); !strings.Contains(text, "the parent Top refused what this site sent up") {
			return fmt.Errorf("the child's alarm is %q", text)
		}
		return nil
	})
	tr.south.Enrol(t, "s1").Says["u3"] = "unknown"
	tr.south.Report(t, tr.south.PCs[0])
	tr.tell(t)
	tr.top.Eventually(t, "what the child is right to tell", whole)
}

// held is the current document of a kind and id; without a body where there is none.
func (b *branch) held(t *testing.T, kind document.Kind, id string) (doc document.Document) {
	t.Helper()
	err := b.Reader().View(t.Context(), func(tx *sql.Tx) error {
		current, err := store.Document(t.Context(), tx, kind, id)
		doc = current.Document
		if errors.Is(err, store.ErrNotFound) {
			return nil
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return doc
}
