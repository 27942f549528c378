package replication

import (
	"context"
	"fmt"

	"thatch/node/replicas"
	"thatch/node/replicas/dataset"
	"thatch/node/tasks"
	"thatch/replication/wire"
)

// rounds is how often buckets that differ are compared again after catching up: while documents change at the parent,
// both ends are seldom at the same place.
const rounds = 5

// bucketsAtOnce are compared in one request.
const bucketsAtOnce = 512

// verification compares what both ends hold of a type, bucket by bucket.
type verification struct {
	*run
	out       wire.Verified
	neighbour replicas.Neighbour
	except    []dataset.Key
	here      map[int]dataset.Bucket
	there     map[int]dataset.Bucket
}

// verify compares some percent of the buckets, mends what differs, and says what it found.
func (r *run) verify(ctx context.Context) (wire.Verified, error) {
	v := &verification{run: r, here: map[int]dataset.Bucket{}, there: map[int]dataset.Bucket{}}
	v.out = wire.Verified{Type: r.params.Type, Percent: min(r.params.Verify, 100), At: r.now().UTC()}
	var err error
	if v.neighbour, err = r.above(ctx); err != nil {
		return v.out, err
	}
	which, err := r.node.Replicas.Turn(ctx, v.neighbour, r.params.Type, v.out.Percent)
	if err != nil {
		return v.out, err
	}
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
	}
	v.sum(differing)
	r.job.Log("%s.", v.out.Sentence())
	return v.out, r.node.Replicas.Turned(ctx, v.neighbour, r.params.Type, which)
}

// sum says what the comparison came to.
func (v *verification) sum(differing []int) {
	v.out.Buckets = len(v.here)
	list := func(of map[int]dataset.Bucket) []dataset.Bucket {
		all := make([]dataset.Bucket, 0, len(of))
		for _, b := range of {
			all = append(all, b)
		}
		return all
	}
	for _, b := range v.here {
		v.out.Compared += b.Count
		v.out.Bytes += b.Bytes
	}
	if len(v.here) == dataset.BucketCount {
		v.out.DigestHere, v.out.DigestThere = dataset.Fold(list(v.here)), dataset.Fold(list(v.there))
	}
	v.out.Quarantined = len(v.except)
	v.out.Equal = len(differing) == 0 && v.out.Different == 0 && v.out.Quarantined == 0 && v.out.MendedAbove == 0
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
		if err := v.take(ctx); err != nil {
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
	cursor, err := v.cursor(ctx, v.params.Type)
	if err != nil {
		return nil, err
	}
	if v.except, err = v.node.Replicas.Aside(ctx, v.neighbour, v.params.Type); err != nil {
		return nil, err
	}
	answer, err := wire.Call[wire.BucketsResponse](ctx, v.client, wire.PathBuckets, wire.BucketsRequest{
		Type: v.params.Type, Languages: scope.Languages, Cursor: cursor, Buckets: which, Except: v.except,
	})
	if err != nil {
		return nil, err
	}
	if len(answer.Buckets) != len(which) {
		return nil, fmt.Errorf("the parent answered with %d buckets, %d were asked for", len(answer.Buckets), len(which))
	}
	v.out.Sequence = answer.Sequence
	scope.Except = answer.Except
	v.except = answer.Except
	if len(answer.Damaged) > 0 {
		if err := v.offer(ctx, answer); err != nil {
			return nil, err
		}
	}
	own, damaged, err := v.node.Replicas.Sender().Buckets(ctx, scope, which)
	if err != nil {
		return nil, err
	}
	for _, d := range damaged {
		v.note("%s %q here does not match its digest", d.Kind, d.ID)
	}
	for i, number := range which {
		v.here[number], v.there[number] = own[i], answer.Buckets[i]
		if own[i].Digest != answer.Buckets[i].Digest {
			differing = append(differing, number)
		}
	}
	return differing, nil
}

// scope is what came from above of the run's type.
func (r *run) scope(ctx context.Context) (dataset.Scope, error) {
	languages, err := r.node.Languages(ctx)
	if err != nil {
		return dataset.Scope{}, fmt.Errorf("read the managed languages: %w", err)
	}
	tree, err := r.node.Sites.Tree(ctx)
	if err != nil {
		return dataset.Scope{}, err
	}
	return dataset.Scope{
		Type: r.params.Type, Direction: dataset.Down, Languages: languages, Audience: dataset.Audience{All: true},
		Not: append(tree.Below(tree.Self), tree.Self),
	}, nil
}

// note adds a line to what was found.
func (v *verification) note(format string, args ...any) {
	v.job.Log(format+".", args...)
	if len(v.out.Lines) < maxListed {
		v.out.Lines = append(v.out.Lines, fmt.Sprintf(format, args...))
	}
}

// mend lists what differs in buckets, and where that is asked for fetches it or takes it away.
func (v *verification) mend(ctx context.Context, buckets []int) error {
	for _, bucket := range buckets {
		scope, err := v.scope(ctx)
		if err != nil {
			return err
		}
		scope.Except = v.except
		page, err := v.client.Fetch(ctx, wire.PathBucketHead, wire.BucketHeadsRequest{
			Type: v.params.Type, Languages: scope.Languages, Bucket: bucket, Except: v.except,
		})
		if err != nil {
			return err
		}
		if err := v.mendBucket(ctx, scope, bucket, page.Entries); err != nil {
			return fmt.Errorf("mend bucket %d: %w", bucket, err)
		}
	}
	return nil
}

// mendBucket compares the heads of a bucket, and repairs what differs.
func (v *verification) mendBucket(ctx context.Context, scope dataset.Scope, bucket int, there []dataset.Entry) error {
	wrong, extra, err := v.node.Replicas.Differences(ctx, scope, bucket, there)
	if err != nil {
		return err
	}
	v.out.Different += len(wrong) + len(extra)
	for i := range wrong {
		v.note("%s %q differs from the parent's, or is missing or damaged here", wrong[i].Kind, wrong[i].ID)
	}
	for _, key := range extra {
		v.note("%s %q is here and not at the parent", key.Kind, key.ID)
	}
	if !v.params.mends() {
		return nil
	}
	page := &wire.Page{Entries: wrong}
	if err := v.fetchAll(ctx, page, scope.Languages); err != nil {
		return err
	}
	outcome, err := v.node.Replicas.RepairBucket(ctx, v.neighbour, v.params.Type, page.Entries, extra)
	if err != nil {
		return err
	}
	v.out.Repaired += outcome.Changed + outcome.Held + outcome.Removed
	v.count(page, outcome)
	return nil
}

// fetchAll fetches the bodies of entries, whether or not this site seems to hold them.
func (v *verification) fetchAll(ctx context.Context, page *wire.Page, languages []string) error {
	for i := range page.Entries {
		e := &page.Entries[i]
		got, err := v.bodies(ctx, languages, []dataset.Digest{e.Digest})
		if err != nil {
			return err
		}
		if len(got) == 1 {
			e.Body = got[0].Body
		}
	}
	return nil
}

// offer gives the parent what it lacks: documents whose bodies are damaged there and good here. The parent asked for them
// by digest, and checks digest and signature of what it gets.
func (v *verification) offer(ctx context.Context, answer wire.BucketsResponse) error {
	scope, err := v.scope(ctx)
	if err != nil {
		return err
	}
	docs, _, err := v.node.Replicas.Sender().Bodies(ctx, scope, answer.Damaged)
	if err != nil || len(docs) == 0 {
		return err
	}
	page := &wire.Page{Header: wire.Header{Type: v.params.Type}}
	for _, doc := range docs {
		page.Entries = append(page.Entries, dataset.Entry{Head: doc.Head, Body: append([]byte{}, doc.Body...), Size: len(doc.Body)})
	}
	mended, err := v.client.Push(ctx, wire.PathMend, page)
	if err != nil {
		return err
	}
	v.out.MendedAbove += len(docs) - len(mended.Refused)
	v.note("the parent was given %d documents that are damaged there", len(docs))
	return nil
}
