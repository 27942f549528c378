package replication

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"slices"
	"strconv"

	"thatch/catalog/document"
	"thatch/node/replicas"
	"thatch/node/replicas/dataset"
	"thatch/node/scopes"
	"thatch/node/tasks"
	"thatch/replication/wire"
)

// rounds is how often buckets that differ are compared again after catching up: while documents change at the parent,
// both ends are seldom at the same place.
const rounds = 5

// someBytes are pushed at once.
const someBytes = 4 << 20

// bucketsAtOnce are compared in one request: all, because each request reads the names of all documents once.
const bucketsAtOnce = dataset.BucketCount

// verification compares what both ends hold of a type, bucket by bucket.
type verification struct {
	*run
	out       wire.Verified
	neighbour replicas.Neighbour
	except    []dataset.Key
	here      map[int]dataset.Bucket
	there     map[int]dataset.Bucket
	damaged   bool                 // the parent asked for good copies
	keeps     bool                 // a rule that is off sends nothing and removes nothing
	kept      map[int]bool         // buckets that differ only by what is kept so
	above     map[dataset.Key]bool // damaged at the parent, and left so
}

// verify compares some percent of the buckets, mends what differs, and says what it found.
func (r *run) verify(ctx context.Context) (wire.Verified, error) {
	v := &verification{run: r, here: map[int]dataset.Bucket{}, there: map[int]dataset.Bucket{}}
	v.out = wire.Verified{Type: r.params.Type, Percent: min(r.params.Verify, 100), At: r.now().UTC()}
	var err error
	if v.neighbour, err = r.above(ctx); err != nil {
		return v.out, err
	}
	cursor, err := r.cursor(ctx, r.params.Type)
	if err != nil {
		return v.out, err
	}
	v.keeps, v.kept = cursor.Audience.KeepOthers, map[int]bool{}
	turn := r.turn()
	which := dataset.Turn(turn, v.out.Percent)
	differing, err := v.compare(ctx, which)
	if err != nil {
		return v.out, err
	}
	if len(differing) > 0 {
		if err := v.mend(ctx, differing); err != nil {
			return v.out, err
		}
		if r.params.mends() {
			if differing, err = v.compare(ctx, differing); err != nil {
				return v.out, err
			}
		}
		differing = slices.DeleteFunc(differing, func(n int) bool { return v.kept[n] })
	}
	v.sum(differing)
	r.job.Log("%s.", v.out.Sentence())
	return v.out, r.keepTurn(turn + 1)
}

// turn counts the verifications of a type at this node, so that each takes up where the last one ended.
func (r *run) turn() int {
	value, err := r.node.Own().Get(r.turnName())
	if err != nil {
		return 0 // a file that was lost begins anew
	}
	n, err := strconv.Atoi(string(value))
	if err != nil {
		return 0
	}
	return n
}

func (r *run) keepTurn(n int) error {
	if err := r.node.Own().Put(r.turnName(), []byte(strconv.Itoa(n))); err != nil {
		return fmt.Errorf("keep which buckets were verified: %w", err)
	}
	return nil
}

func (r *run) turnName() string {
	if r.params.Up {
		return turnPrefix + "up/" + string(r.params.Type)
	}
	return turnPrefix + string(r.params.Type)
}

const turnPrefix = "replication/turn/"

// sum says what the comparison came to.
func (v *verification) sum(differing []int) {
	v.out.Buckets = len(v.here)
	for _, b := range v.here {
		v.out.Compared += b.Count
	}
	if len(v.here) == dataset.BucketCount {
		v.out.DigestHere, v.out.DigestThere = digest(v.here), digest(v.there)
	}
	v.out.Quarantined = len(v.except)
	v.out.Equal = len(differing) == 0 && v.out.Different == 0 && v.out.Quarantined == 0 && !v.damaged
}

// digest is that of a whole type.
func digest(of map[int]dataset.Bucket) string {
	all := dataset.Sum{Buckets: make([]dataset.Bucket, 0, len(of))}
	for _, b := range of {
		all.Buckets = append(all.Buckets, b)
	}
	slices.SortFunc(all.Buckets, func(a, b dataset.Bucket) int { return cmp.Compare(a.Number, b.Number) })
	return all.Digest().String()
}

// compare compares buckets, and those that differ again after catching up. It returns those that differ still.
func (v *verification) compare(ctx context.Context, which []int) (differing []int, err error) {
	for round := 1; ; round++ {
		differing = nil
		for from := 0; from < len(which); from += bucketsAtOnce {
			some := which[from:min(from+bucketsAtOnce, len(which))]
			differ, err := v.compareSome(ctx, some)
			if err != nil {
				return nil, err
			}
			differing = append(differing, differ...)
			v.job.Progress(tasks.Progress{
				Done: int64(from + len(some)), Total: int64(len(which)), Unit: "buckets", Text: "verify " + string(v.params.Type),
			})
		}
		if len(differing) == 0 || round == rounds {
			return differing, nil
		}
		before := v.result.Documents + v.result.Removed
		if err := v.bring(ctx); err != nil {
			return nil, err
		}
		if round > 1 && before == v.result.Documents+v.result.Removed {
			return differing, nil // nothing is on its way: they differ
		}
		which = differing
	}
}

// compareSome asks the parent for the digests of some buckets, and computes its own.
func (v *verification) compareSome(ctx context.Context, which []int) (differing []int, err error) {
	scope, err := v.scope(ctx)
	if err != nil {
		return nil, err
	}
	if err := v.setAside(ctx); err != nil {
		return nil, err
	}
	answer, err := wire.Call[wire.BucketsResponse](ctx, v.client, v.path(wire.PathBuckets, wire.PathUpBuckets), wire.BucketsRequest{
		Type: v.params.Type, Languages: scope.Languages, Buckets: which, Except: v.except,
	})
	if err != nil {
		return nil, err
	}
	v.except = append(v.except, answer.Except...)
	there, err := answer.Buckets.Of(which)
	if err != nil {
		return nil, fmt.Errorf("the parent's answer: %w", err)
	}
	v.out.Sequence = answer.Sequence
	scope.Except = v.except
	if err := v.damagedAbove(ctx, answer.Damaged); err != nil {
		return nil, err
	}
	sum, err := v.node.Sender.Buckets(ctx, scope, which)
	if err != nil {
		return nil, err
	}
	v.out.Bytes += sum.Bytes
	for i, number := range which {
		v.here[number], v.there[number] = sum.Buckets[i], there[i]
		if sum.Buckets[i] != there[i] {
			differing = append(differing, number)
		}
	}
	return differing, nil
}

// setAside leaves out what is in quarantine: of what comes down here, of what goes up at the parent, whose answer says so.
func (v *verification) setAside(ctx context.Context) error {
	v.except = nil
	if v.params.Up {
		return nil
	}
	aside, err := v.node.Replicas.QuarantineOf(ctx, v.neighbour, v.params.Type)
	for _, q := range aside {
		v.except = append(v.except, q.Key)
	}
	return err
}

// path is one or the other of two paths, by the direction that is verified.
func (r *run) path(down, up string) string {
	if r.params.Up {
		return up
	}
	return down
}

// scope is what of the run's type came from above, or goes up.
func (r *run) scope(ctx context.Context) (dataset.Scope, error) {
	if r.params.Up {
		return r.up.Scope(ctx, r.params.Type)
	}
	languages, err := r.node.Languages(ctx)
	if err != nil {
		return dataset.Scope{}, fmt.Errorf("read the managed languages: %w", err)
	}
	return scopes.FromAbove(ctx, r.node.Sites, r.params.Type, languages)
}

// note adds a line to what was found.
func (v *verification) note(format string, args ...any) {
	v.job.Log(format+".", args...)
	if len(v.out.Lines) < maxListed {
		v.out.Lines = append(v.out.Lines, fmt.Sprintf(format, args...))
	} else {
		v.result.Omit(wire.ListLines, 1)
	}
}

// mend lists what differs in buckets, and where that is asked for fetches it or takes it away.
func (v *verification) mend(ctx context.Context, buckets []int) error {
	scope, err := v.scope(ctx)
	if err != nil {
		return err
	}
	scope.Except = v.except
	for len(buckets) > 0 {
		some := v.some(buckets)
		page, err := v.client.Fetch(ctx, v.path(wire.PathBucketHead, wire.PathUpBucketHead), wire.BucketHeadsRequest{
			Type: v.params.Type, Languages: scope.Languages, Buckets: some, Except: v.except,
		})
		if err == nil {
			mend := v.mendBuckets
			if v.params.Up {
				mend = v.mendAbove
			}
			err = mend(ctx, scope, some, page)
		}
		if err != nil {
			return fmt.Errorf("mend the buckets %d to %d: %w", some[0], some[len(some)-1], err)
		}
		buckets = buckets[len(some):]
	}
	return nil
}

// some are the first of the buckets, as many as one page of heads is good for.
func (v *verification) some(buckets []int) []int {
	if v.keeps { // each is judged by itself
		return buckets[:1]
	}
	n, heads := 0, 0
	for n < len(buckets) {
		heads += max(v.here[buckets[n]].Count, v.there[buckets[n]].Count)
		if n > 0 && heads > wire.MaxEntries/4 {
			break
		}
		n++
	}
	return buckets[:n]
}

// mendBuckets compares the heads of some buckets, and repairs what differs.
func (v *verification) mendBuckets(ctx context.Context, scope dataset.Scope, buckets []int, listed *wire.Page) error {
	there := listed.Entries
	here, damaged, err := v.node.Sender.BucketHeads(ctx, scope, buckets...)
	if err != nil {
		return err
	}
	wrong, extra := differences(here, there)
	if v.keeps {
		v.kept[buckets[0]] = len(wrong)+len(damaged) == 0
		extra = nil
	}
	if err := v.damagedAbove(ctx, damagedIn(there)); err != nil {
		return err
	}
	for i := range wrong {
		if v.params.mends() && slices.ContainsFunc(damaged, func(d dataset.Damaged) bool { return d.Key == wrong[i].Key() }) {
			continue // mendDamaged says so
		}
		v.note("%s %q differs from the parent's, is missing or damaged here", wrong[i].Kind, wrong[i].ID)
	}
	for _, key := range extra {
		v.note("%s %q is here and not at the parent", key.Kind, key.ID)
	}
	v.out.Different += len(wrong) + len(extra)
	if !v.params.mends() || len(wrong)+len(extra)+len(damaged) == 0 {
		return nil
	}
	if _, err := v.mendDamaged(ctx, scope.Languages, damaged); err != nil {
		return err
	}
	page := &wire.Page{Header: wire.Header{Type: v.params.Type, Settings: listed.Settings}, Entries: wrong}
	if err := v.fillIn(ctx, v.neighbour, page, scope.Languages); err != nil {
		return err
	}
	for _, key := range extra {
		page.Entries = append(page.Entries, dataset.Entry{Head: document.Head{Kind: key.Kind, ID: key.ID}, Removed: true})
	}
	outcome, err := v.repair(ctx, v.neighbour, page)
	if err != nil {
		return err
	}
	v.out.Repaired += len(wrong) + len(extra) - len(outcome.Quarantined)
	v.count(page, outcome)
	return nil
}

// mendAbove does for the parent what mendBuckets does for this site: it is sent what it lacks or holds otherwise, and told
// what is not here. What is damaged here comes back from there, by digest.
func (v *verification) mendAbove(ctx context.Context, scope dataset.Scope, buckets []int, listed *wire.Page) error {
	there := listed.Entries
	here, damaged, err := v.node.Sender.BucketHeads(ctx, scope, buckets...)
	if err != nil {
		return err
	}
	hurt := damagedIn(there)
	if err := v.offer(ctx, hurt); err != nil {
		return err
	}
	wrong, extra := differences(there, here)
	var digests []document.Digest
	for i := range wrong {
		key := wrong[i].Key()
		if slices.ContainsFunc(hurt, func(d dataset.Damaged) bool { return d.Key == key && d.Digest == wrong[i].Digest }) {
			continue // a good copy was offered
		}
		digests = append(digests, wrong[i].Digest)
		v.note("%s %q is missing at the parent, or differs there", key.Kind, key.ID)
	}
	for _, key := range extra {
		v.note("%s %q is at the parent and not here", key.Kind, key.ID)
	}
	v.out.Different += len(digests) + len(extra) + len(damaged)
	if !v.params.mends() {
		return nil
	}
	mended, err := v.mendDamaged(ctx, nil, damaged)
	if err != nil {
		return err
	}
	refused, err := v.up.Apart(ctx, scope, digests, extra)
	for _, r := range refused {
		v.note("the parent refused %s %q: %s", r.Kind, r.ID, r.Reason)
	}
	v.out.Repaired += mended + len(digests) + len(extra) - len(refused)
	return err
}

// differences are the entries that the one end (there) has and the other (here) lacks or has otherwise, and what is here alone.
func differences(here, there []dataset.Entry) (wrong []dataset.Entry, extra []dataset.Key) {
	own := make(map[string]*dataset.Entry, len(here))
	name := func(e *dataset.Entry) string {
		if e.Held {
			return fmt.Sprintf("%s/%s/%s", e.Kind, e.ID, e.Digest)
		}
		return fmt.Sprintf("%s/%s", e.Kind, e.ID)
	}
	for i := range here {
		own[name(&here[i])] = &here[i]
	}
	for i := range there {
		e := &there[i]
		mine := own[name(e)]
		delete(own, name(e))
		if e.Damaged() {
			continue // the other end keeps its own
		}
		if mine == nil || mine.Digest != e.Digest || mine.Origin != e.Origin || !bytes.Equal(mine.Signature, e.Signature) {
			wrong = append(wrong, *e)
		}
	}
	for _, e := range own {
		if !e.Held {
			extra = append(extra, e.Key())
		}
	}
	slices.SortFunc(extra, dataset.Key.Compare)
	return wrong, extra
}

// damagedIn are the entries that the parent holds in name alone: its copies fail their digest or signature.
func damagedIn(there []dataset.Entry) (list []dataset.Damaged) {
	for i := range there {
		if e := &there[i]; e.Damaged() {
			list = append(list, dataset.Damaged{Key: e.Key(), Digest: e.Digest})
		}
	}
	return list
}

// mendDamaged puts good copies in the place of bodies that fail their digest here, and counts them.
func (v *verification) mendDamaged(ctx context.Context, languages []string, damaged []dataset.Damaged) (mended int, err error) {
	digests := make([]document.Digest, 0, len(damaged))
	for _, d := range damaged {
		v.note("%s %q does not match its digest here", d.Kind, d.ID)
		digests = append(digests, d.Digest)
	}
	err = v.bodies(ctx, languages, digests, func(_ []document.Digest, came *wire.Page) error {
		got := came.Entries
		docs := make([]document.Document, 0, len(got))
		for i := range got {
			if got[i].Body != nil {
				docs = append(docs, got[i].Document())
			}
		}
		n, err := v.node.Replicas.Mend(ctx, v.neighbour, docs)
		mended += n
		return err
	})
	return mended, err
}

// damagedAbove has the parent mended where this verification mends, and says what is damaged there where it does not.
func (v *verification) damagedAbove(ctx context.Context, damaged []dataset.Damaged) error {
	for _, d := range damaged {
		if v.above == nil {
			v.above = map[dataset.Key]bool{}
		}
		if !v.above[d.Key] && !v.params.mends() {
			v.above[d.Key] = true
			v.out.Different++
			v.note("%s %q is damaged at the parent", d.Kind, d.ID)
		}
	}
	return v.offer(ctx, damaged)
}

// offer gives the parent what it lacks: documents whose bodies are damaged there and good here. The parent asked for them
// by digest, and checks digest and signature of what it gets.
func (v *verification) offer(ctx context.Context, damaged []dataset.Damaged) error {
	v.damaged = v.damaged || len(damaged) > 0
	if len(damaged) == 0 || !v.params.mends() {
		return nil
	}
	scope, err := v.scope(ctx)
	if err != nil {
		return err
	}
	digests := make([]document.Digest, 0, len(damaged))
	for _, d := range damaged[:min(len(damaged), someDocuments)] {
		digests = append(digests, d.Digest)
	}
	docs, _, err := v.node.Sender.Bodies(ctx, scope, digests)
	if err != nil || len(docs) == 0 {
		return err
	}
	given, taken, portion := len(docs), 0, wire.Portion(v.said().Limits.Rate, someBytes)
	for len(docs) > 0 {
		page, bytes := &wire.Page{Header: wire.Header{Type: v.params.Type}}, 0
		for len(page.Entries) < len(docs) && bytes < portion {
			doc := docs[len(page.Entries)]
			bytes += len(doc.Body)
			page.Entries = append(page.Entries, dataset.Entry{Head: doc.Head, Body: append([]byte{}, doc.Body...), Size: len(doc.Body)})
		}
		answer, err := v.client.Push(ctx, wire.PathMend, page)
		if err != nil {
			return err
		}
		taken += answer.Mended
		docs = docs[len(page.Entries):]
	}
	v.out.MendedAbove += taken
	v.note("the parent was given good copies of %d documents that are damaged there, and took %d", given, taken)
	return nil
}
