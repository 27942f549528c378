package replicastest

import (
	"context"
	"errors"

	"thatch/catalog/document"
	"thatch/node/replicas"
	"thatch/node/replicas/dataset"
)

// Verified is the outcome of a verification.
type Verified struct {
	Compared  int
	Different []int // buckets
	Here      int   // documents mended or repaired at this site
	There     int   // at its parent
}

// Verify compares some buckets of a type with the parent, nil for all, and repairs what differs, as the wire does: each
// side mends what is damaged with it from the other, then this site takes what the parent has.
func (s *Site) Verify(t T, of dataset.Type, which []int) (v Verified) {
	t.Helper()
	there, here := s.Sums(t, of, which)
	v.Compared = here.Count
	for i, b := range there.Buckets {
		if here.Buckets[i] != b {
			v.Different = append(v.Different, b.Number)
		}
	}
	if len(v.Different) == 0 {
		return v
	}
	if err := s.repair(t, of, &v); err != nil {
		t.Fatalf("site %s repairs %s: %v", s.ID, of, err)
	}
	return v
}

func (s *Site) repair(t T, of dataset.Type, v *Verified) error {
	ctx := context.Background()
	above, own := s.Scopes(t, of)
	_, bad, err := s.Parent.Sender.BucketHeads(ctx, above, v.Different...)
	if err != nil {
		return err
	}
	if v.There, err = mend(ctx, s.Parent.Room, replicas.Neighbour{ID: s.ID, Direction: dataset.Up}, s.Sender, own, bad); err != nil {
		return err
	}
	there, _, err := s.Parent.Sender.BucketHeads(ctx, above, v.Different...)
	if err != nil {
		return err
	}
	_, bad, err = s.Sender.BucketHeads(ctx, own, v.Different...)
	if err != nil {
		return err
	}
	if v.Here, err = mend(ctx, s.Room, s.Above(), s.Parent.Sender, above, bad); err != nil {
		return err
	}
	here, _, err := s.Sender.BucketHeads(ctx, own, v.Different...)
	if err != nil {
		return err
	}
	entries := differences(there, here)
	report := Report{}
	if err := s.fill(ctx, above, entries, &report); err != nil {
		return err
	}
	outcome, err := s.Room.Repair(ctx, s.Above(), of, entries)
	v.Here += outcome.Changed + outcome.Removed + outcome.Held
	return err
}

// mend asks the other side for good copies.
func mend(ctx context.Context, room *replicas.Room, from replicas.Neighbour, other *dataset.Sender, scope dataset.Scope, bad []dataset.Damaged) (int, error) {
	var digests []document.Digest
	for _, d := range bad {
		digests = append(digests, d.Digest)
	}
	docs, _, err := other.Bodies(ctx, scope, digests)
	if err != nil {
		return 0, err
	}
	n, err := room.Mend(ctx, from, docs)
	if errors.Is(err, document.ErrSignature) {
		err = nil // the other side's is no better
	}
	return n, err
}

// differences are what this site has to take to be like its parent; of what is damaged there it keeps its own.
func differences(there, here []dataset.Entry) (list []dataset.Entry) {
	type one struct {
		key  dataset.Key
		held document.Digest
	}
	name := func(e *dataset.Entry) one {
		o := one{key: e.Key()}
		if e.Held {
			o.held = e.Digest
		}
		return o
	}
	wanted, has := map[one]bool{}, map[one]dataset.Entry{}
	for _, e := range here {
		has[name(&e)] = e
	}
	for _, e := range there {
		wanted[name(&e)] = true
		mine, there := has[name(&e)]
		if e.Damaged() {
			continue
		}
		if !there || mine.Digest != e.Digest || mine.Origin != e.Origin || string(mine.Signature) != string(e.Signature) {
			list = append(list, e)
		}
	}
	for _, e := range here {
		if !wanted[name(&e)] && !e.Held {
			list = append(list, dataset.Entry{Head: document.Head{Kind: e.Kind, ID: e.ID}, Removed: true})
		}
	}
	return list
}
