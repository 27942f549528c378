package replication_test

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"thatch/catalog/document"
	"thatch/catalog/policy"
	"thatch/node/quorum"
	"thatch/node/replicas/dataset"
	"thatch/node/sites/rules"
	"thatch/node/store"
	"thatch/node/tasks"
	"thatch/replication"
	"thatch/replication/offline"
	"thatch/replication/replicationtest"
	"thatch/replication/wire"
)

// failedSeeds are those of storms that once found something.
var failedSeeds = []uint64{107, 110}

// TestTreesBecomeEqualAfterStorms has a tree of three levels live under weather on both its links while documents,
// languages, rules and sites change at random. When the weather clears, every child is equal to its parent by both digests,
// by digests of the files alone, and by a filter that knows nothing of cursors. THATCH_STORMS says how many more.
func TestTreesBecomeEqualAfterStorms(t *testing.T) {
	seeds := append(append([]uint64{}, failedSeeds...), 1, 2)
	if n, err := strconv.ParseUint(os.Getenv("THATCH_STORMS"), 10, 32); err == nil {
		for seed := range n {
			seeds = append(seeds, 100+seed)
		}
	}
	if testing.Short() {
		seeds = seeds[:1]
	}
	for _, seed := range seeds {
		t.Run(fmt.Sprint(seed), func(t *testing.T) { newStorm(t, seed, "Top", "Mid", "Low").blow(60) })
	}
}

// Two sites of three nodes live under the same weather and hands, which reach for whichever node is next; what is started again is
// started by the loss of a leader.
func TestSitesOfThreeNodesBecomeEqualAfterStorms(t *testing.T) {
	if testing.Short() {
		t.Skip("six nodes in one process: not in short runs")
	}
	t.Setenv(replicationtest.NodesVariable, "3")
	st := newStorm(t, 1, "Top", "Mid")
	for i := range st.configs {
		st.blowFor(8)
		st.restart(i)
	}
	st.blow(8)
}

// storm is a chain of sites under random hands.
type storm struct {
	t       *testing.T
	dice    *rand.Rand
	sites   []*replicationtest.Linked
	configs []replicationtest.Config
	weather []*replicationtest.Weather // before the door of each site
	note    []string
}

var (
	tongues     = []string{"cs", "de", "en", "fr"}
	stormyKinds = []document.Kind{
		document.Bulletin, document.Update, document.Package, document.Payload, document.Severity, document.Assignment, document.Policy,
	}
)

func newStorm(t *testing.T, seed uint64, names ...string) *storm {
	t.Helper()
	st := &storm{t: t, dice: rand.New(rand.NewPCG(seed, 1))}
	for i, name := range names {
		weather := replicationtest.NewWeather(seed*10 + uint64(i))
		cfg := replicationtest.Config{Dir: t.TempDir(), Name: name, Languages: tongues[:4-i], Around: weather.Around, Tuning: quorum.Tuning{Heartbeat: time.Second}}
		st.weather = append(st.weather, weather)
		st.sites = append(st.sites, replicationtest.Start(t, cfg))
		cfg.Listen = st.sites[i].Address()
		st.configs = append(st.configs, cfg)
		if i > 0 { // they join in fine weather
			st.sites[i].Join(t, st.sites[i-1])
		}
	}
	for _, weather := range st.weather {
		weather.Break()
	}
	return st
}

// at is a site, of several nodes any one.
func (st *storm) at(i int) *replicationtest.Linked {
	if several := st.sites[i].Several; several != nil {
		return several.At(st.dice.IntN(several.Size()))
	}
	return st.sites[i]
}

// lead is a site at the node that leads.
func (st *storm) lead(i int) *replicationtest.Linked {
	if several := st.sites[i].Several; several != nil {
		return several.Lead()
	}
	return st.sites[i]
}

// restart stops a site and starts it again on the same folder, at the same address; one of several nodes loses its leader.
func (st *storm) restart(i int) {
	if several := st.sites[i].Several; several != nil {
		several.LoseLeader()
		return
	}
	st.sites[i].Stop()
	st.sites[i] = replicationtest.Start(st.t, st.configs[i])
}

// blowFor does a number of things.
func (st *storm) blowFor(steps int) {
	st.t.Helper()
	for range steps {
		st.step()
		pause(st.t.Context(), st.at(st.dice.IntN(len(st.sites))), 40*time.Millisecond)
		for i := range st.sites[1:] { // nobody waits long for the next attempt
			st.lead(i + 1).Link.Hurry()
		}
	}
}

// blow does a number of things while the weather is bad, and then holds every child to its parent.
func (st *storm) blow(steps int) {
	st.t.Helper()
	st.blowFor(steps)
	for _, weather := range st.weather {
		weather.Clear()
	}
	last := len(st.sites) - 1
	for i := range last { // a rule that is off removes nothing: what is equal then is another matter
		s := st.lead(i)
		all, _, err := s.Sites.Rules(st.t.Context(), store.Query{})
		for _, rule := range all {
			if _, failed := s.Sites.EnableRule(st.t.Context(), rule.ID, true); failed != nil {
				err = errors.Join(err, failed)
			}
		}
		if err != nil {
			st.t.Fatalf("rules of site %d: %v", i, err)
		}
	}
	st.settle()
	for i := range last {
		st.filter(st.lead(i), st.lead(i+1))
	}
	for _, s := range st.sites {
		if s.Several != nil {
			s.Several.Equal()
		}
		s.Stop()
	}
	st.compareFiles()
	if st.t.Failed() || testing.Verbose() {
		for i, weather := range st.weather {
			st.t.Logf("weather before site %d: %v", i, weather.Told)
		}
		st.t.Logf("what was done:\n%s", strings.Join(st.note, "\n"))
	}
}

func (st *storm) log(format string, args ...any) {
	st.note = append(st.note, fmt.Sprintf(format, args...))
}

// step does one thing somewhere.
func (st *storm) step() {
	i, last := st.dice.IntN(len(st.sites)), len(st.sites)-1
	s := st.at(i)
	switch what := st.dice.IntN(20); {
	case what < 10:
		st.edit(st.dice.IntN(2) * i)
	case what < 12:
		st.remove(s)
	case what < 14:
		if i > 0 {
			languages := st.subset(tongues)
			st.log("%s manages %v", s.Site().Name, languages)
			st.must(s.SetLanguages(st.t.Context(), languages))
		}
	case what < 17:
		if i < last {
			st.rule(s)
		}
	case what < 18:
		st.log("%s is started again", s.Site().Name)
		st.restart(i)
	default:
		if i > 0 {
			st.start(s)
		}
	}
}

// must ends the test because of an error. That a busy machine changed a leader meanwhile is none, where there are several nodes.
func (st *storm) must(err error) {
	st.t.Helper()
	several := slices.ContainsFunc(st.sites, func(s *replicationtest.Linked) bool { return s.Several != nil })
	if several && (errors.Is(err, store.ErrUnavailable) || errors.Is(err, store.ErrUncertain)) {
		st.log("%v", err)
	} else if err != nil {
		st.t.Fatal(err)
	}
}

func (st *storm) subset(of []string) []string {
	some := []string{}
	for _, one := range of {
		if st.dice.IntN(2) == 0 {
			some = append(some, one)
		}
	}
	return some
}

// edit makes or changes some documents of a site. What comes from above it leaves alone, as every door does.
func (st *storm) edit(i int) {
	s := st.at(i)
	for range 1 + st.dice.IntN(4) {
		kind := stormyKinds[st.dice.IntN(len(stormyKinds))]
		id := fmt.Sprintf("%s-%d", kind, st.dice.IntN(6))
		if !dataset.Yields(kind) {
			id = fmt.Sprintf("%s:%s:%d", kind, s.Site().ID, st.dice.IntN(4))
		}
		if now, held := st.current(s, kind, id); held && now.Origin != s.Site().ID {
			continue
		}
		body, languages := map[string]any{"note": strings.Repeat(fmt.Sprint(st.dice.IntN(5)), 1+st.dice.IntN(900))}, []string(nil)
		switch kind {
		case document.Package, document.Payload:
			languages = st.subset(tongues)
		case document.Severity:
			body = map[string]any{"name": "s", "order": st.dice.IntN(5)}
		case document.Policy:
			u, held := st.current(s, document.Update, fmt.Sprintf("update-%d", st.dice.IntN(6)))
			if !held {
				continue
			}
			st.order(s, id, u.Digest, u.ID)
			continue
		}
		raw, err := json.Marshal(body)
		st.must(err)
		st.log("%s puts %s %s %v", s.Site().Name, kind, id, languages)
		doc, err := document.New(kind, id, languages, raw)
		st.must(err)
		s.Identity.Sign(&doc)
		st.write(s, store.Put(doc, "", store.Former{}))
	}
}

// order makes or changes a policy that pins an update.
func (st *storm) order(s *replicationtest.Linked, id string, pinned document.Digest, update string) {
	body, err := json.Marshal(policy.Policy{
		Name: fmt.Sprint(st.dice.IntN(4)), Plan: policy.Plan{When: policy.StartASAP},
		Updates: []policy.Update{{Update: update, Digest: pinned, Enabled: true}},
	})
	st.must(err)
	doc, err := document.New(document.Policy, id, nil, body)
	st.must(err)
	s.Identity.Sign(&doc)
	st.log("%s orders %s, which pins %s", s.Site().Name, id, update)
	var audience string
	st.must(s.Reader().View(st.t.Context(), func(tx *sql.Tx) error {
		audience = ""
		now, err := store.Document(st.t.Context(), tx, document.Policy, id)
		if err == nil {
			audience = now.Audience
		}
		return ignoreAbsent(err)
	}))
	st.write(s, append(store.Put(doc, audience, store.Former{}), store.Repin(id, []document.Digest{pinned})...))
}

func ignoreAbsent(err error) error {
	if errors.Is(err, store.ErrNotFound) {
		return nil
	}
	return err
}

func (st *storm) write(s *replicationtest.Linked, statements []store.Statement) {
	st.t.Helper()
	applied, err := s.Writer().Write(st.t.Context(), store.Batch{
		Actor: "test", Reason: "test", Topics: []string{store.TopicDocuments}, Statements: statements,
	})
	if err := errors.Join(err, applied.Err()); !errors.Is(err, store.ErrConflict) { // it changed meanwhile
		st.must(err)
	}
}

func (st *storm) current(s *replicationtest.Linked, kind document.Kind, id string) (doc document.Document, held bool) {
	st.t.Helper()
	err := s.Reader().View(st.t.Context(), func(tx *sql.Tx) error {
		now, err := store.Document(st.t.Context(), tx, kind, id)
		doc = now.Document
		return err
	})
	st.must(ignoreAbsent(err))
	return doc, err == nil
}

// remove takes one document away that the site made itself.
func (st *storm) remove(s *replicationtest.Linked) {
	kind := stormyKinds[st.dice.IntN(len(stormyKinds))]
	var own []string
	for _, h := range st.heads(s, kind) {
		if h.Origin == s.Site().ID {
			own = append(own, h.ID)
		}
	}
	if len(own) == 0 {
		return
	}
	id := own[st.dice.IntN(len(own))]
	st.log("%s removes %s %s", s.Site().Name, kind, id)
	statements := store.Remove(kind, id, store.Former{})
	if kind == document.Policy {
		statements = append(statements, store.Unpin(id)...)
	}
	st.write(s, statements)
}

func (st *storm) heads(s *replicationtest.Linked, kind document.Kind) (list []dataset.Entry) {
	st.t.Helper()
	st.must(s.Reader().View(context.Background(), func(tx *sql.Tx) error {
		list = nil
		return dataset.Heads(context.Background(), tx, kind, "", func(e dataset.Entry) bool {
			list = append(list, e)
			return true
		})
	}))
	return list
}

// rule switches a rule, or has one select other documents.
func (st *storm) rule(s *replicationtest.Linked) {
	all, _, err := s.Sites.Rules(st.t.Context(), store.Query{})
	st.must(err)
	if len(all) == 0 {
		return
	}
	rule := all[st.dice.IntN(len(all))]
	if st.dice.IntN(3) == 0 || rule.Type != rules.TypePolicies && rule.Type != rules.TypeSettings {
		st.log("%s switches rule %s: %v", s.Site().Name, rule.Name, !rule.Enabled)
		_, err = s.Sites.EnableRule(st.t.Context(), rule.ID, !rule.Enabled)
		st.must(err)
		return
	}
	next := rule
	next.Documents = nil
	if st.dice.IntN(4) > 0 {
		next.Documents = rules.Names{}
		for _, kind := range map[string][]document.Kind{
			rules.TypePolicies: {document.Policy}, rules.TypeSettings: {document.Severity, document.Assignment},
		}[rule.Type] {
			for _, h := range st.heads(s, kind) {
				if st.dice.IntN(2) == 0 {
					next.Documents = append(next.Documents, string(kind)+"/"+h.ID)
				}
			}
		}
	}
	st.log("%s has rule %s select %v", s.Site().Name, rule.Name, next.Documents)
	if _, err := s.Sites.ChangeRule(st.t.Context(), rule.ID, next, -1); !errors.Is(err, store.ErrConflict) && !errors.Is(err, store.ErrNotFound) {
		st.must(err)
	}
}

// start has a run begin, and waits for none.
func (st *storm) start(s *replicationtest.Linked) {
	types := dataset.Types(dataset.Down)
	params := replication.Params{
		Type: types[st.dice.IntN(len(types))], Complete: st.dice.IntN(3) == 0, Verify: st.dice.IntN(3) * 20, Repair: st.dice.IntN(2) == 0,
	}
	_, err := s.Link.Start(st.t.Context(), params)
	st.log("%s runs %+v: %v", s.Site().Name, params, err)
}

// bounded is how long a tree may take to become equal once the weather is fine, on a machine that has much else to do.
const bounded = 3 * time.Minute

// settle runs and verifies everything until both children are equal without any mending.
func (st *storm) settle() {
	st.t.Helper()
	ctx, cancel := context.WithTimeout(st.t.Context(), bounded)
	defer cancel()
	for round := 1; ; round++ {
		var wrong []string
		for i := range st.sites[1:] {
			s := st.lead(i + 1)
			for _, of := range dataset.Types(dataset.Down) {
				if v, err := verifyOnce(ctx, s, of); err != nil {
					wrong = append(wrong, fmt.Sprintf("%s %s: %v", s.Site().Name, of, err))
				} else if !v.Equal || v.DigestHere != v.DigestThere || v.DigestHere == "" {
					wrong = append(wrong, fmt.Sprintf("%s: %s %v", s.Site().Name, v.Sentence(), v.Lines))
				}
			}
		}
		if len(wrong) == 0 {
			return
		}
		if ctx.Err() != nil {
			st.t.Errorf("not equal %v after the storm, in round %d:\n%s", bounded, round, strings.Join(wrong, "\n"))
			return
		}
		st.log("round %d: %s", round, strings.Join(wrong, "; "))
		pause(ctx, st.at(1), 200*time.Millisecond)
	}
}

// pause waits for something to happen at a site, but not for long.
func pause(ctx context.Context, s *replicationtest.Linked, most time.Duration) {
	watch := s.Watch()
	defer watch.Close()
	<-watch.C // its first tells nothing
	again := time.NewTimer(most)
	defer again.Stop()
	select {
	case <-watch.C:
	case <-again.C:
	case <-ctx.Done():
	}
}

// verifyOnce has a child verify a type in full, and mend.
func verifyOnce(ctx context.Context, s *replicationtest.Linked, of dataset.Type) (v wire.Verified, err error) {
	id, err := s.Link.Start(ctx, replication.Params{Type: of, Verify: 100, Repair: true})
	if err != nil {
		return v, err
	}
	run, err := s.Tasks.Wait(ctx, id)
	if err == nil && run.State != tasks.Done {
		err = fmt.Errorf("run %s: %s", run.State, run.Error)
	}
	if err != nil {
		return v, err
	}
	var result wire.RunResult
	if err = json.Unmarshal(run.Result, &result); err == nil {
		v = *result.Verified
	}
	return v, err
}

// filter holds a child to what is its by the parent's documents, its rules and the child's languages alone.
func (st *storm) filter(parent, child *replicationtest.Linked) {
	st.t.Helper()
	managed, err := child.Languages(st.t.Context())
	st.must(err)
	for _, of := range []dataset.Type{dataset.Data, dataset.Settings, dataset.Policies} {
		audience, ruled, err := parent.Sites.AudienceOf(st.t.Context(), child.Site().ID, of)
		if st.must(err); !ruled {
			continue
		}
		want, got := map[string]bool{}, map[string]bool{}
		for _, kind := range dataset.Kinds(of, dataset.Down) {
			for _, h := range st.heads(parent, kind) {
				doc := st.audience(parent, kind, h.ID)
				chosen := audience.All
				for _, rule := range audience.Rules {
					chosen = chosen || strings.Contains(","+doc+",", ","+rule+",")
				}
				if chosen && h.Matters(managed) {
					want[fmt.Sprint(kind, " ", h.ID, " ", h.Digest)] = true
				}
			}
			for _, h := range st.heads(child, kind) {
				if h.Origin != child.Site().ID {
					got[fmt.Sprint(kind, " ", h.ID, " ", h.Digest)] = true
				}
			}
		}
		for one := range want {
			if !got[one] {
				st.t.Errorf("%s lacks %s", child.Site().Name, one)
			}
		}
		for one := range got {
			if !want[one] {
				st.t.Errorf("%s holds %s, which is not for it (it manages %v)", child.Site().Name, one, managed)
			}
		}
	}
}

func (st *storm) audience(s *replicationtest.Linked, kind document.Kind, id string) (audience string) {
	st.t.Helper()
	st.must(s.Reader().View(st.t.Context(), func(tx *sql.Tx) error {
		now, err := store.Document(st.t.Context(), tx, kind, id)
		audience = now.Audience
		return err
	}))
	return audience
}

// compareFiles computes the digests of both ends of each link from the files alone.
func (st *storm) compareFiles() {
	st.t.Helper()
	for i, child := range st.sites[1:] {
		for _, above := range st.folders(i) {
			there, err := offline.Child(st.t.Context(), above, child.Site().ID)
			st.must(err)
			for _, below := range st.folders(i + 1) {
				here, err := offline.Parent(st.t.Context(), below)
				st.must(err)
				if there.Digest != here.Digest || here.Quarantine+here.Damaged+there.Damaged > 0 {
					st.t.Errorf("files: at %s %+v, at %s %+v", there.Site, there, here.Site, here)
				}
			}
		}
	}
}

// folders are those of a site's nodes.
func (st *storm) folders(i int) (list []string) {
	several := st.sites[i].Several
	if several == nil {
		return []string{st.configs[i].Dir}
	}
	for n := range several.Size() {
		list = append(list, several.Dir(n))
	}
	return list
}
