package rules

import (
	"context"
	"database/sql"
	"errors"
	"slices"
	"strings"

	"thatch/catalog/document"
	"thatch/node/replicas/dataset"
	"thatch/node/store"
)

// companions are the kinds of documents that go with one that a rule selects, under the same id.
var companions = map[document.Kind][]document.Kind{document.Policy: {document.PolicyState}}

// AudienceOf is what of a type's documents is meant for a child, as the union of its rules. Ruled is false where no rule
// that is on sends it anything of the type.
func (r *Room) AudienceOf(ctx context.Context, child string, t dataset.Type) (audience dataset.Audience, ruled bool, err error) {
	rules, err := r.RulesOf(ctx, child)
	for _, rule := range rules {
		switch {
		case rule.Type != string(t):
		case !rule.Enabled:
			audience.KeepOthers = true
		case rule.Documents == nil:
			audience.All, ruled = true, true
		default:
			audience.Rules, ruled = append(audience.Rules, rule.ID), true
		}
	}
	slices.Sort(audience.Rules)
	return audience, ruled, err
}

// changeAudiences makes the statements that give documents to other audiences when one rule becomes another.
func changeAudiences(ctx context.Context, tx *sql.Tx, all []Rule, was, next Rule) ([]store.Statement, error) {
	after := slices.DeleteFunc(slices.Clone(all), func(rule Rule) bool { return rule.ID == was.ID })
	if next.ID != "" {
		after = append(after, next)
	}
	touched := append(slices.Clone(was.Documents), next.Documents...)
	slices.Sort(touched)
	var statements []store.Statement
	for _, name := range slices.Compact(touched) {
		kind, id, _ := splitDocument(name)
		audience := audienceIn(after, name)
		for _, k := range append([]document.Kind{kind}, companions[kind]...) {
			now, err := store.Document(ctx, tx, k, id)
			if errors.Is(err, store.ErrNotFound) || err == nil && now.Audience == audience {
				continue
			}
			if err != nil {
				return nil, err
			}
			statements = append(statements, store.SetAudience(k, id, audience, store.Former{Digest: now.Digest})...)
		}
	}
	return statements, nil
}

// audienceIn are the ids of the rules that select a document, sorted and joined by commas.
func audienceIn(rules []Rule, name string) string {
	var selecting []string
	for _, rule := range rules {
		if slices.Contains(rule.Documents, name) {
			selecting = append(selecting, rule.ID)
		}
	}
	slices.Sort(selecting)
	return strings.Join(selecting, ",")
}

// Selected is the audience of a document that is about to be made: whoever puts a document of a kind that goes with one
// that rules select, such as the state of a policy, gives it this one.
func Selected(ctx context.Context, tx *sql.Tx, kind document.Kind, id string) (string, error) {
	for main, with := range companions {
		if slices.Contains(with, kind) {
			kind = main
		}
	}
	all, err := allRules(ctx, tx)
	return audienceIn(all, string(kind)+"/"+id), err
}
