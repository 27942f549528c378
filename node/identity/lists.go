package identity

import (
	"context"
	"database/sql"
	"encoding/json"
	"time"

	"thatch/node/store"
	"thatch/node/store/rows"
	"thatch/node/store/sweep"
)

// Entry is one change in the audit log.
type Entry struct {
	Index   uint64    `json:"index"` // of the batch
	At      time.Time `json:"at"`
	Actor   string    `json:"actor"`
	Action  string    `json:"action"`
	Request string    `json:"request,omitempty"`
	Detail  string    `json:"detail,omitempty"`  // what was asked for, as JSON, without secrets
	Subject string    `json:"subject,omitempty"` // path of what was changed, below /api/v1
	Changed string    `json:"changed,omitempty"` // the difference on one line
	Difference
}

// The lists of the room: what they can be filtered and sorted by.
var (
	auditColumns = rows.Columns{
		From:   `idx, at, actor, action, request, detail, subject, changes FROM audit`,
		Names:  map[string]string{"index": "idx", "at": "at", "actor": "actor", "action": "action", "request": "request", "subject": "subject"},
		Kinds:  map[string]store.Kind{"index": store.Number, "at": store.Time},
		Search: []string{"actor", "action", "detail", "subject", "changes"}, Order: "idx DESC, pos DESC",
	}
	enrolmentColumns = rows.Columns{
		From: `id, name, computer_group, use_limit, used, expires, created, created_by, revoked FROM enrolment_token`,
		Names: map[string]string{
			"id": "id", "name": "name", "group": "computer_group", "use_limit": "use_limit", "used": "used",
			"expires": "expires", "created": "created", "by": "created_by", "revoked": "revoked",
		},
		Kinds: map[string]store.Kind{
			"revoked": store.Flag, "use_limit": store.Number, "used": store.Number, "expires": store.Time, "created": store.Time,
		},
		Search: []string{"name", "computer_group", "created_by"}, Order: "created DESC, id",
	}
	apiColumns = rows.Columns{
		From: `id, name, scope, part, operator, expires, created, created_by, revoked FROM api_token`,
		Names: map[string]string{
			"id": "id", "name": "name", "scope": "scope", "expires": "expires", "created": "created",
			"by": "created_by", "revoked": "revoked", "part": "part", "owner": "operator",
		},
		Kinds:  map[string]store.Kind{"revoked": store.Flag, "expires": store.Time, "created": store.Time},
		Search: []string{"name", "created_by"}, Order: "created DESC, id",
	}
)

// Columns of the lists, for doors.
var (
	AuditColumns     = auditColumns.Known()
	EnrolmentColumns = enrolmentColumns.Known()
	APIColumns       = apiColumns.Known()
)

// Audit is a page of the audit log, newest first, and the number of all that match.
func (id *Identity) Audit(ctx context.Context, q store.Query) ([]Entry, int, error) {
	return rows.List(ctx, id.cfg.Reader, q, auditColumns,
		func(row *sql.Rows) (e Entry, err error) {
			var at, changes string
			err = row.Scan(&e.Index, &at, &e.Actor, &e.Action, &e.Request, &e.Detail, &e.Subject, &changes)
			e.At = rows.Unstamp(at)
			if err == nil && changes != "" {
				err = json.Unmarshal([]byte(changes), &e.Difference)
				e.Changed = e.Difference.String()
			}
			return e, err
		})
}

// EnrolmentTokens is a page of the enrolment tokens, newest first, without their secrets.
func (id *Identity) EnrolmentTokens(ctx context.Context, q store.Query) ([]EnrolmentToken, int, error) {
	return rows.List(ctx, id.cfg.Reader, q, enrolmentColumns,
		func(row *sql.Rows) (t EnrolmentToken, err error) {
			var expires, created string
			err = row.Scan(&t.ID, &t.Name, &t.Group, &t.Limit, &t.Used, &expires, &created, &t.By, &t.Revoked)
			t.Expires, t.Created = rows.Unstamp(expires), rows.Unstamp(created)
			return t, err
		})
}

// APITokens is a page of the API tokens, newest first, without their secrets.
func (id *Identity) APITokens(ctx context.Context, q store.Query) ([]APIToken, int, error) {
	return rows.List(ctx, id.cfg.Reader, q, apiColumns,
		func(row *sql.Rows) (t APIToken, err error) {
			var part, expires, created string
			err = row.Scan(&t.ID, &t.Name, &t.Scope, &part, &t.Owner, &expires, &created, &t.By, &t.Revoked)
			t.Part = ParsePart(part)
			t.Expires, t.Created = rows.Unstamp(expires), rows.Unstamp(created)
			return t, err
		})
}

// Keep is how much Prune leaves.
type Keep struct {
	Audit   time.Time // entries of the audit log made since then
	Entries int       // of the audit log, at most
	Tokens  time.Time // tokens that ended since then
}

// keepEnded is how long a certificate stays on record after its end: clocks are set back at times.
const keepEnded = 7 * 24 * time.Hour

// Prune forgets old entries of the audit log, tokens that ended, and certificates that ended a week ago: they are refused by
// their date.
func (id *Identity) Prune(ctx context.Context, sweeper *sweep.Sweeper, keep Keep) error {
	beyond, err := sweeper.Beyond(ctx, "audit", "at", keep.Entries)
	if err != nil {
		return err
	}
	for _, old := range []sweep.Rows{
		{Table: "audit", Key: []string{"idx", "pos"}, Old: `at < ? OR at <= ?`, Args: []any{rows.Stamp(keep.Audit), beyond}},
		{Table: "certificate", Key: []string{"serial"}, Old: `not_after < ?`, Args: []any{rows.Stamp(id.cfg.Now().Add(-keepEnded))}},
		{Table: "enrolment_token", Key: []string{"id"}, Old: `expires < ?`, Args: []any{rows.Stamp(keep.Tokens)}},
		{Table: "api_token", Key: []string{"id"}, Old: `expires < ?`, Args: []any{rows.Stamp(keep.Tokens)}},
	} {
		if err := sweeper.Sweep(ctx, old, "identity"); err != nil {
			return err
		}
	}
	return nil
}
