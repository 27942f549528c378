package above

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"

	"thatch/node/replicas/dataset"
	"thatch/node/store"
)

// Standing is how far this site holds the settings of its parent. It can be compared.
type Standing struct {
	parent      string // id, "" there is none
	ruled       bool   // the parent sends settings
	cursor      string // JSON
	quarantined int    // windows that this site could not accept
}

// A link that was damaged rules nothing; what the parent says next mends it.
const standing = `SELECT p.id,
  EXISTS (SELECT 1 FROM json_each(CASE WHEN json_valid(p.link) THEN p.link ELSE '{}' END, '$.rules') r
    WHERE json_extract(r.value, '$.type') = 'settings' AND json_extract(r.value, '$.enabled')),
  coalesce((SELECT c.state FROM cursor c WHERE c.neighbour = p.id AND c.direction = 'down' AND c.type = 'settings'), ''),
  (SELECT count(*) FROM quarantine q WHERE q.neighbour = p.id AND q.direction = 'down' AND q.kind = 'window')
FROM parent p`

// ReadStanding reads it.
func ReadStanding(ctx context.Context, tx *sql.Tx) (s Standing, err error) {
	err = tx.QueryRowContext(ctx, standing).Scan(&s.parent, &s.ruled, &s.cursor, &s.quarantined)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return s, fmt.Errorf("how far settings have come: %w", err)
	}
	return s, nil
}

// Behind says whether settings have not come as far as a policy wants. Stated is what Stated kept with it.
func (s Standing) Behind(stated string) (bool, error) {
	if stated == "" || !s.ruled {
		return false, nil
	}
	var asked Settings
	if err := json.Unmarshal([]byte(stated), &asked); err != nil {
		return false, fmt.Errorf("what settings it awaits: %w", err)
	}
	if asked.Site != s.parent || asked.At == (store.Sequence{}) {
		return false, nil // of a former parent, which sends nothing any more; or there never was a setting
	}
	var cursor dataset.Cursor
	if s.cursor != "" {
		if err := json.Unmarshal([]byte(s.cursor), &cursor); err != nil {
			return false, fmt.Errorf("how far settings have come: %w", err)
		}
	}
	return cursor.Epoch != asked.Epoch || !cursor.Holds(asked.At), nil
}

// Awaits says, in words, why a policy from above is not to be acted on yet: the maintenance windows that the parent had
// when it sent the policy are not all here. "" says that they are, or that the parent sends none. Stated is what Stated
// kept with the policy.
func (s Standing) Awaits(stated string) (why string, err error) {
	behind, err := s.Behind(stated)
	switch {
	case err != nil || stated == "" || !s.ruled:
		return "", err
	case s.quarantined > 0:
		return fmt.Sprintf("it waits for maintenance windows: %d from above could not be accepted here", s.quarantined), nil
	case behind:
		return "it waits for maintenance windows: what the parent had of them when it sent this policy has not arrived yet", nil
	}
	return "", nil
}
