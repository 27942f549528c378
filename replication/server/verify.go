package server

import (
	"errors"
	"net/http"

	"thatch/catalog/document"
	"thatch/node/replicas"
	"thatch/node/replicas/dataset"
	"thatch/node/sites"
	"thatch/replication/wire"
)

// buckets answers with what some buckets hold as far as it is between this site and the child, and asks for good copies of
// what is damaged here.
func (s *server) buckets(of scoping) func(*http.Request, sites.Child, wire.BucketsRequest) (*wire.BucketsResponse, error) {
	return func(r *http.Request, child sites.Child, q wire.BucketsRequest) (*wire.BucketsResponse, error) {
		scope, err := of(r.Context(), child, q.Type, q.Languages)
		if err != nil {
			return nil, err
		}
		answer := &wire.BucketsResponse{Except: scope.Except}
		scope.Except = append(scope.Except, q.Except...)
		if q.Buckets == nil {
			q.Buckets = []int{}
		}
		sum, err := s.node.Sender.Buckets(r.Context(), scope, q.Buckets)
		if err != nil {
			return nil, err
		}
		for _, d := range sum.Damaged {
			s.log.Error("a document of this site does not match its digest; a good copy is asked for below", "kind", d.Kind, "id", d.ID, "child", child.Name)
		}
		if len(sum.Damaged) > 0 {
			s.alarmDamaged(r.Context(), sum.Damaged[0].Key)
		}
		answer.Sequence, answer.Buckets, answer.Damaged = sum.Tail, sum.Buckets, sum.Damaged
		return answer, nil
	}
}

// bucketHeads lists some buckets.
func (s *server) bucketHeads(of scoping) func(*http.Request, sites.Child, wire.BucketHeadsRequest) (*wire.Page, error) {
	return func(r *http.Request, child sites.Child, q wire.BucketHeadsRequest) (*wire.Page, error) {
		scope, err := of(r.Context(), child, q.Type, q.Languages)
		if err != nil {
			return nil, err
		}
		if len(q.Buckets) > dataset.BucketCount {
			return nil, wire.Refuse(wire.CodeInvalid, "the heads of %d buckets were asked for, there are %d", len(q.Buckets), dataset.BucketCount)
		}
		scope.Except = append(scope.Except, q.Except...)
		page := &wire.Page{Header: wire.Header{Type: q.Type}}
		page.Entries, _, err = s.node.Sender.BucketHeads(r.Context(), scope, q.Buckets...)
		if errors.Is(err, dataset.ErrManyHeads) {
			err = wire.Refuse(wire.CodeTooLarge, "%v", err)
		}
		if err != nil {
			return nil, err
		}
		s.damagedIn(r.Context(), page.Entries)
		page.Settings, err = s.settings(r.Context(), child, q.Type)
		return page, err
	}
}

// mend takes good copies of what is damaged here. Only what is held under the same digest, and signed as it should be, is
// taken.
func (s *server) mend(r *http.Request, child sites.Child, page *wire.Page) (*wire.UpResponse, error) {
	docs := make([]document.Document, 0, len(page.Entries))
	for i := range page.Entries {
		docs = append(docs, page.Entries[i].Document())
	}
	below, err := s.below(r.Context(), child)
	if err != nil {
		return nil, err
	}
	from := replicas.Neighbour{ID: child.ID, Direction: dataset.Up, Below: below}
	mended, err := s.node.Replicas.Mend(r.Context(), from, docs)
	if err != nil {
		s.log.Warn("a child offered copies of damaged documents that are no good", "child", child.Name, "error", err)
		if mended == 0 {
			return nil, wire.Refuse(wire.CodeRefused, "%v", err)
		}
	}
	if mended > 0 {
		s.log.Info("damaged documents were mended by a child's good copies", "child", child.Name, "documents", mended)
		if err := s.node.Sites.RaiseMended(r.Context(), child, mended); err != nil {
			s.log.Error("the alarm about damaged documents cannot be kept", "error", err)
		}
	}
	return &wire.UpResponse{Mended: mended}, nil
}
