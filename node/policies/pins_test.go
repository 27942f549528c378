package policies_test

import (
	"database/sql"
	"errors"
	"fmt"
	"testing"

	"pgregory.net/rapid"

	"thatch/node/bulletins/staging"
	"thatch/node/policies"
	"thatch/node/store"
)

// Whatever people do to policies while the catalog changes: what a policy pins is held, and nothing is held that is
// neither current nor pinned.
func TestPinsAreWhatIsHeld(t *testing.T) {
	s := newSite(t)
	edition, count, made := 0, 0, []policies.Created{}
	packages := []string{"u1-en", "u1-de", "u1-neutral", "u2-neutral"}
	rapid.Check(t, func(rt *rapid.T) {
		for range rapid.IntRange(1, 5).Draw(rt, "steps") {
			switch act := rapid.SampledFrom([]string{"import", "stage", "create", "change", "revise", "delete", "stale"}).Draw(rt, "act"); act {
			case "import":
				edition++
				s.catalog(t, fmt.Sprint("edition ", edition))
			case "stage":
				s.restage(t, rapid.SampledFrom(packages).Draw(rt, "package"))
			case "create":
				if count++; len(made) < 4 {
					made = append(made, s.create(t, policies.Draft{Name: fmt.Sprint("p", count), Bulletins: []string{"b1"}}))
				}
			default:
				if len(made) == 0 {
					continue
				}
				at := rapid.IntRange(0, len(made)-1).Draw(rt, "policy")
				if err := s.act(t, act, made[at].ID); err != nil {
					rt.Fatalf("%s: %v", act, err)
				}
				if act == "delete" {
					made = append(made[:at], made[at+1:]...)
				}
			}
		}
		for _, p := range made {
			if !s.assignedUpdate(t, p) {
				rt.Fatalf("something that policy %s pins is not held", p.Name)
			}
		}
		if loose := s.loose(t); len(loose) > 0 {
			rt.Fatalf("held, but neither current nor pinned: %v", loose)
		}
	})
}

func (s *site) act(t testing.TB, act, id string) error {
	ctx := t.Context()
	switch act {
	case "change":
		return s.Change(ctx, id, 0, policies.Edit{Disable: []string{"u1"}})
	case "revise":
		_, err := s.Revise(ctx, id, 0)
		return err
	case "delete":
		return s.Delete(ctx, id, 0)
	}
	name := "never"
	if err := s.Change(ctx, id, 1<<40, policies.Edit{Name: &name}); !errors.Is(err, store.ErrConflict) {
		return fmt.Errorf("a stale change: %w", err)
	}
	return nil
}

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
