package server

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"time"

	"thatch/node/replicas"
	"thatch/node/replicas/dataset"
	"thatch/node/sites"
	"thatch/replication/wire"
)

// skew is how far a child's clock may be off before both sides are told.
const skew = 5 * time.Minute

// maxKinds are looked at of those that a child says that it has.
const maxKinds = 100

// link tells a child how it stands with this site.
func (s *server) link(r *http.Request, child sites.Child, q wire.LinkRequest) (*wire.LinkResponse, error) {
	ctx := r.Context()
	languages, err := s.node.Languages(ctx)
	if err != nil {
		return nil, err
	}
	site, now := s.node.Site(), s.node.Now().UTC()
	answer := &wire.LinkResponse{
		Site: site.ID, Name: site.Name, Version: s.node.Version(), Epoch: site.Epoch, Languages: languages,
		Limits: child.Limits, Cursors: map[dataset.Type]*dataset.Cursor{}, Asks: wire.Asks{Wanted: map[dataset.Type][]dataset.Key{}}, Compares: true, At: now,
	}
	if answer.Nodes, err = s.node.URLs(ctx); err != nil {
		return nil, err
	}
	if off := q.At.Sub(now); off > skew || off < -skew {
		s.log.Warn("a child's clock is off", "child", child.Name, "by", off.Round(time.Second).String())
	}
	if told, err := s.node.Sites.Alert(ctx, child.ID); err == nil {
		answer.Alerted = slices.Equal(told.Languages, q.Languages) || len(told.Languages)+len(q.Languages) == 0
	}
	if answer.Rules, err = s.rules(r, child); err != nil {
		return nil, err
	}
	for _, t := range dataset.Types(dataset.Up) {
		answer.Kinds = append(answer.Kinds, dataset.Kinds(t, dataset.Up)...)
		cursor, _, err := s.node.Replicas.Cursor(ctx, replicas.Neighbour{ID: child.ID, Direction: dataset.Up}, t)
		if err != nil {
			return nil, err
		}
		if !cursor.Zero() {
			answer.Cursors[t] = &cursor
		}
		if err := s.wanted(ctx, child, t, answer); err != nil {
			return nil, err
		}
	}
	for _, kind := range q.Kinds[:min(len(q.Kinds), maxKinds)] {
		if !slices.Contains(answer.Kinds, kind) {
			s.log.Info("a child of a newer version has documents that this one does not know; they are not sent", "child", child.Name, "kind", fmt.Sprintf("%.40q", kind))
		}
	}
	if q.Orders != nil {
		answer.Orders, answer.Over = s.orders.missing(child.ID, q.Orders)
	}
	alarms, err := s.node.Sites.AlarmsAbout(ctx, child.ID)
	for _, alarm := range alarms {
		answer.Alarms = append(answer.Alarms, alarm.Text)
	}
	return answer, err
}

// wanted names what came up of a type, is in quarantine, and is to be tried again.
func (s *server) wanted(ctx context.Context, child sites.Child, t dataset.Type, answer *wire.LinkResponse) error {
	aside, err := s.node.Replicas.QuarantineOf(ctx, replicas.Neighbour{ID: child.ID, Direction: dataset.Up}, t)
	for _, q := range aside {
		if q.Due && len(answer.Wanted[t]) < maxWanted {
			answer.Wanted[t] = append(answer.Wanted[t], q.Key)
		}
	}
	return err
}

// rules are those of a child, with their schedules told in full.
func (s *server) rules(r *http.Request, child sites.Child) ([]wire.Rule, error) {
	rules, err := s.node.Sites.RulesOf(r.Context(), child.ID)
	if err != nil {
		return nil, err
	}
	standard, err := s.node.StandardSchedules(r.Context())
	if err != nil {
		return nil, err
	}
	told := make([]wire.Rule, 0, len(rules))
	for _, rule := range rules {
		t := wire.Rule{
			ID: rule.ID, Name: rule.Name, Type: dataset.Type(rule.Type), Enabled: rule.Enabled, Complete: rule.Mode == sites.Complete,
			Schedule: rule.Schedule, Verify: rule.Verify, TakesAll: rule.Documents == nil, Selected: len(rule.Documents),
		}
		if of, ok := standard[rule.Schedule]; ok {
			t.Schedule, t.OfStandard = of, rule.Schedule
		}
		told = append(told, t)
	}
	return told, nil
}

// ran keeps what a child says of a run that ended.
func (s *server) ran(r *http.Request, child sites.Child, q wire.RanRequest) (*struct{}, error) {
	if len(q.Run) > wire.MaxText || len(q.Error) > wire.MaxText || len(q.State) > 20 {
		return nil, wire.Refuse(wire.CodeInvalid, "the run's id, state or error is too long")
	}
	s.orders.ended(child.ID, q)
	if q.Type == "" {
		return &struct{}{}, nil
	}
	types := dataset.Types(dataset.Down)
	if q.Up {
		types = dataset.Types(dataset.Up)
	}
	if !slices.Contains(types, q.Type) {
		return nil, wire.Refuse(wire.CodeInvalid, "there are no runs of type %.40q", q.Type)
	}
	entry, err := q.History(child.ID, s.node.Now())
	if err != nil {
		return nil, err
	}
	entry.ID = child.ID + "/" + entry.ID // a child names its own runs alone
	if now := s.node.Now().UTC(); entry.Started.After(now) {
		entry.Started = now // its clock is ahead; history is shortened by date
	}
	return &struct{}{}, s.node.Sites.Ran(r.Context(), entry)
}
