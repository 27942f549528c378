package policies

import (
	"context"
	"fmt"

	"thatch/catalog/document"
	"thatch/catalog/policy"
	"thatch/node/store"
)

// inForce reads what the site that made a policy says of it, where that has arrived; until then it is off.
const inForce = `coalesce((SELECT json_extract(CAST(r.body AS TEXT), '$.%s') FROM document d JOIN revision r ON r.digest = d.digest
  WHERE d.kind = 'policy-state' AND d.id = ?1), 0)`

var (
	foreignRow = `INSERT INTO policy (id, name, enabled, paused, version, created, created_by, changed, idx)
VALUES (?1, ?2, ` + fmt.Sprintf(inForce, "enabled") + `, ` + fmt.Sprintf(inForce, "paused") + `, 1, ?3, ?4, ?3, ?5)
ON CONFLICT (id) DO UPDATE SET name = excluded.name, enabled = excluded.enabled, paused = excluded.paused,
  version = policy.version + 1, changed = excluded.changed, idx = excluded.idx`

	foreignState = `UPDATE policy SET enabled = ` + fmt.Sprintf(inForce, "enabled") + `, paused = ` + fmt.Sprintf(inForce, "paused") + `,
  version = version + 1, changed = ?2, idx = ?3 WHERE id = ?1`
)

// Received implements replicas.Hook for policies of other sites and their states. A policy that nobody here could read is
// refused.
func (r *Room) Received(_ context.Context, doc document.Document) ([]store.Statement, error) {
	now := stamp(r.cfg.Now())
	switch doc.Kind {
	case document.Policy:
		body, err := policy.Decode(doc.Body)
		if err != nil {
			return nil, err
		}
		return []store.Statement{{
			SQL: foreignRow, Args: []any{doc.ID, body.Name, now, "site " + doc.Origin, store.Index{}},
		}}, nil
	case document.PolicyState:
		return []store.Statement{{SQL: foreignState, Args: []any{doc.ID, now, store.Index{}}}}, nil
	}
	return nil, nil
}

// Gone implements replicas.Hook.
func (r *Room) Gone(_ context.Context, kind document.Kind, id string) ([]store.Statement, error) {
	switch kind {
	case document.Policy:
		return []store.Statement{
			{SQL: `DELETE FROM policy WHERE id = ?`, Args: []any{id}},
			{SQL: `DELETE FROM policy_bulletin WHERE policy = ?`, Args: []any{id}},
			{SQL: `DELETE FROM policy_turn WHERE policy = ?`, Args: []any{id}},
		}, nil
	case document.PolicyState:
		return []store.Statement{{SQL: foreignState, Args: []any{id, stamp(r.cfg.Now()), store.Index{}}}}, nil
	}
	return nil, nil
}

// PinsArrived implements replicas.Pinning: revisions arrived that policies of other sites pin.
func (r *Room) PinsArrived(policies []string) []store.Statement {
	var statements []store.Statement
	for _, id := range policies {
		statements = append(statements, store.Statement{SQL: `UPDATE policy SET idx = ? WHERE id = ?`, Args: []any{store.Index{}, id}})
	}
	return statements
}
