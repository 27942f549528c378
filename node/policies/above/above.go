// Package above keeps the tables of policies true to what comes from the sites above: policies, what the sites that made
// them say of them, and maintenance windows.
package above

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"thatch/catalog/document"
	"thatch/catalog/federation"
	"thatch/catalog/policy"
	"thatch/node/policies/windows"
	"thatch/node/replicas/dataset"
	"thatch/node/store"
	"thatch/node/store/rows"
)

// Hook implements replicas.Hook, replicas.Pinning and replicas.Stating for the kinds policy, policy-state and window.
type Hook struct{ Now func() time.Time }

const (
	// The switch that this site has for itself stays as it is, also where the policy was away meanwhile; a new policy is on
	// here, and not paused.
	receivedPolicy = `INSERT INTO policy (id, name, enabled, paused, version, created, created_by, changed, idx)
VALUES (?1, ?2, coalesce((SELECT enabled FROM policy_switch WHERE policy = ?1), 1),
  coalesce((SELECT paused FROM policy_switch WHERE policy = ?1), 0), 1, ?3, ?4, ?3, ?5)
ON CONFLICT (id) DO UPDATE SET name = excluded.name, version = policy.version + 1, changed = excluded.changed, idx = excluded.idx`

	receivedState = `INSERT INTO policy_state (policy, enabled, paused, local) VALUES (?, ?, ?, ?)
ON CONFLICT (policy) DO UPDATE SET enabled = excluded.enabled, paused = excluded.paused, local = excluded.local`

	keepSwitch = `INSERT INTO policy_switch (policy, enabled, paused, gone)
SELECT id, enabled, paused, ?2 FROM policy WHERE id = ?1 AND (NOT enabled OR paused) ORDER BY id
ON CONFLICT (policy) DO UPDATE SET enabled = excluded.enabled, paused = excluded.paused, gone = excluded.gone`

	touch = `UPDATE policy SET version = version + 1, changed = ?, idx = ? WHERE id = ?`
)

// State returns the statement that keeps what the site that made a policy says of it.
func State(id string, s federation.State) store.Statement {
	return store.Statement{SQL: receivedState, Args: []any{id, s.Enabled, s.Paused, s.Local}}
}

// NoState returns the statement after which nothing is said of a policy.
func NoState(id string) store.Statement {
	return store.Statement{SQL: `DELETE FROM policy_state WHERE policy = ?`, Args: []any{id}}
}

// Received implements replicas.Hook. What nobody here could read is refused, and so is what another site than the one
// that the id names made: nobody but its maker says that a policy is on.
func (h Hook) Received(_ context.Context, doc document.Document) ([]store.Statement, error) {
	switch doc.Kind {
	case document.Policy:
		if err := madeThere(doc); err != nil {
			return nil, err
		}
		body, err := policy.Decode(doc.Body)
		if err != nil {
			return nil, err
		}
		return []store.Statement{
			{SQL: receivedPolicy, Args: []any{doc.ID, body.Name, rows.Stamp(h.Now()), "site " + doc.Origin, store.Index{}}},
			{SQL: `DELETE FROM policy_switch WHERE policy = ?`, Args: []any{doc.ID}},
		}, nil
	case document.PolicyState:
		if err := madeThere(doc); err != nil {
			return nil, err
		}
		state, err := federation.Decode[federation.State](doc.Body)
		if err != nil {
			return nil, err
		}
		return []store.Statement{State(doc.ID, state), h.touch(doc.ID)}, nil
	case document.Window:
		return nil, windows.New(doc).Err
	}
	return nil, nil
}

// madeThere checks that a policy, or its state, was made by the site whose name its id bears.
func madeThere(doc document.Document) error {
	if rest, ok := strings.CutPrefix(doc.ID, string(document.Policy)+":"); ok {
		if site, _, _ := strings.Cut(rest, ":"); site == doc.Origin {
			return nil
		}
	}
	return fmt.Errorf("%s %.200q cannot be of site %s: its id does not name that site", doc.Kind, doc.ID, doc.Origin)
}

func (h Hook) touch(id string) store.Statement {
	return store.Statement{SQL: touch, Args: []any{rows.Stamp(h.Now()), store.Index{}, id}}
}

// keepGone is how long the site's own switch of a policy that went is remembered.
const keepGone = 2 * 365 * 24 * time.Hour

// Gone implements replicas.Hook. A policy of which nothing is said is off. One that goes may come again, when a rule
// selects it once more: what this site said of it for itself is remembered.
func (h Hook) Gone(_ context.Context, kind document.Kind, id string) ([]store.Statement, error) {
	switch kind {
	case document.Policy:
		return append([]store.Statement{
			{SQL: keepSwitch, Args: []any{id, rows.Stamp(h.Now())}},
			{SQL: `DELETE FROM policy_switch WHERE gone < ?`, Args: []any{rows.Stamp(h.Now().Add(-keepGone))}},
		}, Deleted(id)...), nil
	case document.PolicyState:
		return []store.Statement{NoState(id), h.touch(id)}, nil
	}
	return nil, nil
}

// Deleted are the statements by which the rows of a policy go.
func Deleted(id string) []store.Statement {
	return []store.Statement{
		{SQL: `DELETE FROM policy WHERE id = ?`, Args: []any{id}},
		{SQL: `DELETE FROM policy_bulletin WHERE policy = ?`, Args: []any{id}},
		{SQL: `DELETE FROM policy_turn WHERE policy = ?`, Args: []any{id}},
	}
}

// PinsArrived implements replicas.Pinning: revisions arrived that policies of other sites pin.
func (h Hook) PinsArrived(policies []string) []store.Statement {
	var statements []store.Statement
	for _, id := range policies {
		statements = append(statements, store.Statement{SQL: `UPDATE policy SET idx = ? WHERE id = ?`, Args: []any{store.Index{}, id}})
	}
	return statements
}

// Settings is how far the settings of a site stood when it sent policies.
type Settings struct {
	Site string `json:"site"`
	dataset.Stand
}

// Stated implements replicas.Stating: policies are not acted on before the settings of the site that sent them have come
// as far as it states. The zero Stand: it sends none.
func (h Hook) Stated(site string, settings dataset.Stand, policies []string) ([]store.Statement, error) {
	text := ""
	if settings != (dataset.Stand{}) {
		raw, err := json.Marshal(Settings{Site: site, Stand: settings})
		if err != nil {
			return nil, fmt.Errorf("what settings policies await: %w", err)
		}
		text = string(raw)
	}
	var statements []store.Statement
	for _, id := range policies {
		statements = append(statements, store.Statement{
			SQL: `UPDATE policy SET settings = ?1, idx = ?2 WHERE id = ?3 AND settings <> ?1`, Args: []any{text, store.Index{}, id},
		})
	}
	return statements, nil
}
