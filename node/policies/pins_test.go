package policies_test

import (
	"database/sql"
	"testing"

	"thatch/node/bulletins/staging"
)

// restage makes another payload document of a package, as when its signature was looked at again.
func (s *site) restage(t testing.TB, id string) {
	t.Helper()
	state, err := staging.Load(t.Context(), s.db)
	if err != nil || !state.Held(fileOf(id)) {
		t.Fatal("the payload is not held", err)
	}
	s.sql(t, `DELETE FROM holding`)
	for _, each := range []string{"u1-en", "u1-de", "u1-neutral", "u2-neutral"} {
		if each != id {
			s.hold(t, each)
		}
	}
	s.stage(t, id)
}

// loose lists the revisions that nothing needs.
func (s *site) loose(t testing.TB) (found []string) {
	t.Helper()
	err := s.db.View(t.Context(), func(tx *sql.Tx) error {
		rows, err := tx.Query(`SELECT r.kind || ' ' || r.id FROM revision r
			WHERE NOT EXISTS (SELECT 1 FROM document d WHERE d.digest = r.digest) AND NOT EXISTS (SELECT 1 FROM pin p WHERE p.digest = r.digest)
			UNION ALL
			SELECT 'pin of no policy ' || p.policy FROM pin p WHERE NOT EXISTS (SELECT 1 FROM policy o WHERE o.id = p.policy)`)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var what string
			if err := rows.Scan(&what); err != nil {
				return err
			}
			found = append(found, what)
		}
		return rows.Err()
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}
