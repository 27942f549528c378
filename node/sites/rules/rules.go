// Package rules keeps the replication rules of a site: what is sent to which children, and when. What a rule selects of a
// type is written on the documents themselves, as their audience.
package rules

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/google/uuid"

	"thatch/catalog/document"
	"thatch/catalog/federation"
	"thatch/node/store"
	"thatch/node/store/rows"
	"thatch/schedule"
)

// maxName bounds the name of a rule, in bytes.
const maxName = federation.MaxName

// Room is safe for use by several goroutines.
type Room struct {
	reader store.Reader
	writer store.Writer
	topics []string
}

// New makes the room. Its batches name the topics.
func New(reader store.Reader, writer store.Writer, topics ...string) *Room {
	return &Room{reader: reader, writer: writer, topics: topics}
}

// Mode is how much a run compares.
type Mode string

// The modes of a rule.
const (
	Differential Mode = "differential"
	Complete     Mode = "complete"
)

// Schedules of a rule beside recurrences.
const (
	AtOnce               = ""
	StandardDifferential = "differential" // the site's setting replication.differential
	StandardComplete     = "complete"     // the site's setting replication.complete
)

// The types of replication rules.
const (
	TypeLanguages = "languages" // language alerting
	TypeData      = "data"      // what imports and staging bring
	TypePolicies  = "policies"
	TypeSettings  = "settings" // custom severities, their assignments, maintenance windows
)

var ruleTypes = []string{TypeLanguages, TypeData, TypePolicies, TypeSettings}

// selectable are the kinds of which a rule of a type may select some documents. Rules of the other types take everything.
var selectable = map[string][]document.Kind{
	TypePolicies: {document.Policy},
	TypeSettings: {document.Severity, document.Assignment, document.Window},
}

// Limits of a rule.
const (
	MaxSelected     = 1_000
	standardPercent = 10
)

// Rule says what is sent to children, when, and how much of it is verified.
type Rule struct {
	ID        string `json:"id"`
	Name      string `json:"name"`
	Type      string `json:"type"`
	Enabled   bool   `json:"enabled"`
	Children  Names  `json:"children"`  // ids
	Documents Names  `json:"documents"` // KIND/ID of those that are sent
	Mode      Mode   `json:"mode"`
	Schedule  string `json:"schedule"` // "": at once; differential or complete: as the site's settings say; or a recurrence
	Verify    int    `json:"verify"`   // percent
	Version   int    `json:"version"`
}

// Names are names of things, of which nil stands for all: in JSON the list that holds nothing but "all".
type Names []string

const everything = "all"

// MarshalJSON implements json.Marshaler.
func (n Names) MarshalJSON() ([]byte, error) {
	if n == nil {
		return json.Marshal([]string{everything})
	}
	return json.Marshal([]string(n))
}

// UnmarshalJSON implements json.Unmarshaler.
func (n *Names) UnmarshalJSON(raw []byte) error {
	var list []string
	if err := json.Unmarshal(raw, &list); err != nil {
		return err
	}
	if len(list) == 1 && list[0] == everything {
		list = nil
	}
	*n = list
	return nil
}

// takes says whether a rule is about a child.
func (r Rule) takes(child string) bool {
	return r.Children == nil || slices.Contains(r.Children, child)
}

var ruleColumns = rows.Columns{
	From: `id, name, type, enabled, children, documents, mode, schedule, verify, version FROM replication_rule`,
	Names: map[string]string{
		"id": "id", "name": "name", "type": "type", "enabled": "enabled", "mode": "mode", "schedule": "schedule", "verify": "verify",
	},
	Kinds: map[string]store.Kind{"enabled": store.Flag, "verify": store.Number}, Search: []string{"name", "type", "id"}, Order: "type, name, id",
}

// Columns are those of Rules, for doors.
var Columns = ruleColumns.Known()

func scanRule(row *sql.Rows) (rule Rule, err error) {
	var children, documents string
	err = row.Scan(&rule.ID, &rule.Name, &rule.Type, &rule.Enabled, &children, &documents, &rule.Mode, &rule.Schedule, &rule.Verify, &rule.Version)
	if err != nil {
		return rule, err
	}
	if rule.Children, err = readList(children); err == nil {
		rule.Documents, err = readList(documents)
	}
	if err != nil {
		return rule, fmt.Errorf("replication rule %s: %w", rule.ID, err)
	}
	return rule, nil
}

// readList reads what listText wrote.
func readList(text string) (list []string, err error) {
	if text != "" {
		err = json.Unmarshal([]byte(text), &list)
	}
	return list, err
}

// Rules is a page of the replication rules.
func (r *Room) Rules(ctx context.Context, q store.Query) ([]Rule, int, error) {
	return rows.List(ctx, r.reader, q, ruleColumns, scanRule)
}

func allRules(ctx context.Context, tx *sql.Tx) ([]Rule, error) {
	list, err := tx.QueryContext(ctx, `SELECT `+ruleColumns.From+` ORDER BY type, name, id`)
	if err != nil {
		return nil, fmt.Errorf("read the replication rules: %w", err)
	}
	defer list.Close()
	var all []Rule
	for list.Next() {
		rule, err := scanRule(list)
		if err != nil {
			return nil, err
		}
		all = append(all, rule)
	}
	return all, list.Err()
}

func (r *Room) readRules(ctx context.Context) (all []Rule, err error) {
	err = r.reader.View(ctx, func(tx *sql.Tx) (err error) {
		all, err = allRules(ctx, tx)
		return err
	})
	return all, err
}

// Rule is a rule by its id, or by its name where no other has it.
func (r *Room) Rule(ctx context.Context, which string) (Rule, error) {
	all, err := r.readRules(ctx)
	if err != nil {
		return Rule{}, err
	}
	return pickRule(all, which)
}

func pickRule(all []Rule, which string) (Rule, error) {
	var named []Rule
	for _, rule := range all {
		if rule.ID == which {
			return rule, nil
		}
		if strings.EqualFold(rule.Name, which) {
			named = append(named, rule)
		}
	}
	switch len(named) {
	case 0:
		return Rule{}, store.NotFound("replication rule", which)
	case 1:
		return named[0], nil
	}
	return Rule{}, store.Conflicting("%d replication rules are called %q; say which by its id", len(named), which)
}

// RulesOf are the rules about a child, those that are off among them.
func (r *Room) RulesOf(ctx context.Context, child string) ([]Rule, error) {
	all, err := r.readRules(ctx)
	return slices.DeleteFunc(all, func(rule Rule) bool { return !rule.takes(child) }), err
}

// CreateRule makes a rule.
func (r *Room) CreateRule(ctx context.Context, rule Rule) (Rule, error) {
	rule.ID, rule.Version = uuid.NewString(), 1
	return r.changeRules(ctx, "create replication rule "+rule.Name, func(ctx context.Context, tx *sql.Tx, all []Rule) (Rule, Rule, error) {
		if err := rule.complete(ctx, tx); err != nil {
			return rule, rule, err
		}
		for _, other := range all {
			if strings.EqualFold(other.Name, rule.Name) {
				return rule, rule, store.Conflicting("there is a replication rule called %q", other.Name)
			}
		}
		return Rule{}, rule, nil
	})
}

// ChangeRule replaces everything of a rule but its id and type. Version is that of the rule which the change was made
// from, -1 any.
func (r *Room) ChangeRule(ctx context.Context, which string, to Rule, version int) (Rule, error) {
	return r.changeRules(ctx, "change replication rule "+which, func(ctx context.Context, tx *sql.Tx, all []Rule) (Rule, Rule, error) {
		now, err := pickRule(all, which)
		if err != nil {
			return now, now, err
		}
		if version >= 0 && version != now.Version {
			return now, now, store.Conflicting("replication rule %s was changed meanwhile", now.Name)
		}
		if to.Type != "" && to.Type != now.Type {
			return now, now, store.Invalid("a rule's type stays as it is: delete replication rule %s and make another", now.Name)
		}
		next := to
		next.ID, next.Type, next.Version = now.ID, now.Type, now.Version+1
		for _, other := range all {
			if other.ID != now.ID && strings.EqualFold(other.Name, next.Name) {
				return now, now, store.Conflicting("there is another replication rule called %q", other.Name)
			}
		}
		return now, next, next.complete(ctx, tx)
	})
}

// EnableRule switches a rule on or off. One that is off sends nothing and removes nothing.
func (r *Room) EnableRule(ctx context.Context, which string, on bool) (Rule, error) {
	word := map[bool]string{true: "enable", false: "disable"}[on]
	return r.changeRules(ctx, word+" replication rule "+which, func(_ context.Context, _ *sql.Tx, all []Rule) (Rule, Rule, error) {
		now, err := pickRule(all, which)
		next := now
		if now.Enabled != on {
			next.Enabled = on
			next.Version++
		}
		return now, next, err
	})
}

// DeleteRule takes a rule away. What no other rule selects is removed from the children.
func (r *Room) DeleteRule(ctx context.Context, which string) error {
	_, err := r.changeRules(ctx, "delete replication rule "+which, func(_ context.Context, _ *sql.Tx, all []Rule) (Rule, Rule, error) {
		now, err := pickRule(all, which)
		return now, Rule{}, err
	})
	return err
}

// changeRules has judge decide what becomes of one rule (an empty one: there was none, or there is to be none), and writes
// it together with the audiences of the documents that it selects no more, or newly.
func (r *Room) changeRules(
	ctx context.Context, reason string, judge func(context.Context, *sql.Tx, []Rule) (was, next Rule, err error),
) (Rule, error) {
	var statements []store.Statement
	var next Rule
	err := r.reader.View(ctx, func(tx *sql.Tx) error {
		all, err := allRules(ctx, tx)
		if err != nil {
			return err
		}
		var was Rule
		if was, next, err = judge(ctx, tx, all); err != nil {
			return err
		}
		if statements = nil; was.Version == next.Version && was.ID == next.ID {
			return nil // nothing changes
		}
		row, err := ruleStatement(was, next)
		if err != nil {
			return err
		}
		audiences, err := changeAudiences(ctx, tx, all, was, next)
		statements = append([]store.Statement{row}, audiences...)
		return err
	})
	if err == nil && len(statements) > 0 {
		var applied store.Applied
		applied, err = r.writer.Write(ctx, store.Batch{Reason: reason, Topics: r.topics, Statements: statements})
		if err = errors.Join(err, applied.Err()); err != nil {
			err = fmt.Errorf("%s: %w", reason, err)
		}
	}
	return next, err
}

func ruleStatement(was, next Rule) (store.Statement, error) {
	if next.ID == "" {
		return store.Statement{SQL: `DELETE FROM replication_rule WHERE id = ? AND version = ?`, Args: []any{was.ID, was.Version}, Want: 1}, nil
	}
	children, err := listText(next.Children)
	if err != nil {
		return store.Statement{}, err
	}
	documents, err := listText(next.Documents)
	if err != nil {
		return store.Statement{}, err
	}
	args := []any{
		next.Name, next.Enabled, children, documents, string(next.Mode), next.Schedule, next.Verify, next.Version, store.Index{}, next.ID,
	}
	if was.ID == "" {
		return store.Statement{
			SQL: `INSERT INTO replication_rule (name, enabled, children, documents, mode, schedule, verify, version, idx, id, type)
				VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
			Args: append(args, next.Type), Want: 1,
		}, nil
	}
	return store.Statement{
		SQL: `UPDATE replication_rule SET name = ?, enabled = ?, children = ?, documents = ?, mode = ?, schedule = ?, verify = ?,
			version = ?, idx = ? WHERE id = ? AND version = ?`,
		Args: append(args, was.Version), Want: 1,
	}, nil
}

// listText is a list as JSON, "" where there is none.
func listText(list []string) (string, error) {
	if list == nil {
		return "", nil
	}
	raw, err := json.Marshal(list)
	if err != nil {
		return "", fmt.Errorf("encode a list of a rule: %w", err)
	}
	return string(raw), nil
}

// complete says what is wrong with a rule, and brings its lists into order.
func (r *Rule) complete(ctx context.Context, tx *sql.Tx) error {
	switch {
	case r.Name == "" || len(r.Name) > maxName:
		return store.Invalid("a replication rule's name has 1 to %d bytes, this one has %d", maxName, len(r.Name))
	case !slices.Contains(ruleTypes, r.Type):
		return store.Invalid("a replication rule's type is %s, not %.40q", strings.Join(ruleTypes, ", "), r.Type)
	case r.Mode != Differential && r.Mode != Complete:
		return store.Invalid("a replication rule's mode is %s or %s, not %.40q", Differential, Complete, r.Mode)
	case r.Verify < 0 || r.Verify > 100:
		return store.Invalid("a replication rule verifies 0 to 100 percent, not %d", r.Verify)
	case r.Documents != nil && selectable[r.Type] == nil:
		return store.Invalid("rules of type %s take everything: only those of policies and settings select documents", r.Type)
	case len(r.Documents) > MaxSelected:
		return store.Invalid("the rule selects %d documents, at most %d are allowed; without a selection it takes all", len(r.Documents), MaxSelected)
	}
	if !slices.Contains([]string{AtOnce, StandardDifferential, StandardComplete}, r.Schedule) {
		if _, err := schedule.ParseRecurrence(r.Schedule); err != nil {
			return store.Invalid("a replication rule's schedule is empty for at once, %s or %s for the site's, or a recurrence: %v", StandardDifferential, StandardComplete, err)
		}
	}
	if err := r.completeChildren(ctx, tx); err != nil {
		return err
	}
	return r.completeDocuments(ctx, tx)
}

func (r *Rule) completeChildren(ctx context.Context, tx *sql.Tx) error {
	if r.Children == nil {
		return nil
	}
	found := []string{}
	for _, which := range r.Children {
		list, err := ids(ctx, tx, `SELECT id FROM child WHERE id = ?1 OR name = ?1 ORDER BY id = ?1 DESC`, which)
		switch {
		case err != nil:
			return fmt.Errorf("read the children: %w", err)
		case len(list) == 0:
			return store.NotFound("child", which)
		case len(list) > 1 && list[0] != which:
			return store.Conflicting("%d children are called %q; say which by its id", len(list), which)
		}
		found = append(found, list[0])
	}
	slices.Sort(found)
	r.Children = slices.Compact(found)
	return nil
}

func (r *Rule) completeDocuments(ctx context.Context, tx *sql.Tx) error {
	if r.Documents == nil {
		return nil
	}
	found := []string{}
	for _, name := range r.Documents {
		kind, id, ok := splitDocument(name)
		if !ok || !slices.Contains(selectable[r.Type], kind) {
			return store.Invalid("a rule of type %s selects documents %v as KIND/ID, not %.100q", r.Type, selectable[r.Type], name)
		}
		if _, err := store.Document(ctx, tx, kind, id); err != nil {
			return err
		}
		found = append(found, string(kind)+"/"+id)
	}
	slices.Sort(found)
	r.Documents = slices.Compact(found)
	return nil
}

func splitDocument(name string) (document.Kind, string, bool) {
	kind, id, ok := strings.Cut(name, "/")
	return document.Kind(kind), id, ok && id != ""
}

// First are the statements by which rules are made when the first child joins and nobody has made rules yet: everything to everybody, at once.
func First(ctx context.Context, tx *sql.Tx) ([]store.Statement, error) {
	all, err := allRules(ctx, tx)
	if err != nil || len(all) > 0 {
		return nil, err
	}
	var statements []store.Statement
	for _, t := range ruleTypes {
		statements = append(statements, store.Statement{
			SQL: `INSERT INTO replication_rule (id, type, name, enabled, children, documents, mode, schedule, verify, version, idx)
				VALUES (?, ?, ?, 1, '', '', ?, '', ?, 1, ?) ON CONFLICT DO NOTHING`,
			Args: []any{"standard-" + t, t, "Standard " + t, string(Differential), standardPercent, store.Index{}},
		})
	}
	return statements, nil
}

// Without are the statements that take a child out of the rules that name it.
func Without(ctx context.Context, tx *sql.Tx, child string) ([]store.Statement, error) {
	all, err := allRules(ctx, tx)
	if err != nil {
		return nil, err
	}
	var statements []store.Statement
	for _, rule := range all {
		if !slices.Contains(rule.Children, child) {
			continue
		}
		next := rule
		next.Children = slices.DeleteFunc(slices.Clone(rule.Children), func(id string) bool { return id == child })
		next.Version++
		s, err := ruleStatement(rule, next)
		if err != nil {
			return nil, err
		}
		statements = append(statements, s)
	}
	return statements, nil
}

func ids(ctx context.Context, tx *sql.Tx, query string, args ...any) ([]string, error) {
	list, err := tx.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	defer list.Close()
	var found []string
	for list.Next() {
		var id string
		if err := list.Scan(&id); err != nil {
			return nil, err
		}
		found = append(found, id)
	}
	return found, list.Err()
}
