package replication_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"thatch/catalog/document"
	"thatch/node/replicas"
	"thatch/node/replicas/dataset"
	"thatch/node/sites"
	"thatch/node/tasks"
	"thatch/replication"
	"thatch/replication/replicationtest"
	"thatch/replication/wire"
)

// asked has a child make a run that a person asks for.
func asked(t *testing.T, child *replicationtest.Linked, p replication.Params) (result wire.RunResult) {
	t.Helper()
	var id string
	child.Eventually(t, "a run of its own", func() (err error) {
		id, err = child.Link.Start(t.Context(), p)
		return err
	})
	run, err := child.Tasks.Wait(t.Context(), id)
	if err != nil || run.State != tasks.Done {
		t.Fatalf("run %+v, %v", run, err)
	}
	if err := json.Unmarshal(run.Result, &result); err != nil {
		t.Fatal(err)
	}
	return result
}

// alarmSays wants an alarm of a kind that stands and says something.
func alarmSays(t *testing.T, s *replicationtest.Linked, kind, says string) {
	t.Helper()
	standing, err := s.Sites.Standing(t.Context())
	if err != nil || !slices.ContainsFunc(standing, func(a sites.Alarm) bool { return a.Kind == kind && strings.Contains(a.Text, says) }) {
		t.Errorf("no alarm %q says %q: %+v, %v", kind, says, standing, err)
	}
}

// TestDamageAtTheParentIsTold: a verification that is not to repair leaves a damaged document at the parent as it is, and
// says so; one that is has it mended; either way the parent's people hear of it.
func TestDamageAtTheParentIsTold(t *testing.T) {
	parent, child := pair(t, replicationtest.Config{}, replicationtest.Config{}, 10)
	const altered = `UPDATE revision SET body = CAST('{"note":"bulletiN 7"}' AS BLOB) WHERE kind = 'bulletin' AND id = 'b-7'`
	behind(t, parent, altered)
	for range 2 {
		v := asked(t, child, replication.Params{Type: dataset.Data, Verify: 100}).Verified
		if v.Equal || v.MendedAbove != 0 || v.Repaired != 0 || v.Different != 1 || !slices.Equal(v.Lines, []string{`bulletin "b-7" is damaged at the parent`}) {
			t.Errorf("without repair: %+v", v)
		}
	}
	alarmSays(t, parent, sites.Damaged, `bulletin "b-7"`)
	v := asked(t, child, replication.Params{Type: dataset.Data, Verify: 100, Repair: true}).Verified
	if v.MendedAbove != 1 {
		t.Errorf("with repair: %+v", v)
	}
	alarmSays(t, parent, sites.Damaged, "mended from good copies of child North")
	if v := asked(t, child, replication.Params{Type: dataset.Data, Verify: 100}).Verified; !v.Equal {
		t.Errorf("afterwards: %+v", v)
	}
	// Damage here is told once.
	behind(t, child, altered)
	v = asked(t, child, replication.Params{Type: dataset.Data, Verify: 100, Repair: true}).Verified
	if len(v.Lines) != 1 || v.Repaired != 1 {
		t.Errorf("damaged at the child: %+v", v)
	}
}

// TestALiarLeavesQuarantineOnRequest: a document that was not what it said it was is asked for again when a person wants
// that, and forgotten when nobody sends it.
func TestALiarLeavesQuarantineOnRequest(t *testing.T) {
	parent, child := pair(t, replicationtest.Config{}, replicationtest.Config{}, 1)
	doc := parent.Put(t, document.Bulletin, "b-true", `{"note":"true"}`)
	child.Eventually(t, "it is here", func() error { return child.Holds(document.Bulletin, 2) })
	lie := dataset.Entry{Head: doc.Head, Body: doc.Body, Size: len(doc.Body)}
	lie.ID = "b-false"
	from := replicas.Neighbour{ID: parent.Site().ID, Direction: dataset.Down}
	if o, err := child.Replicas.Repair(t.Context(), from, dataset.Data, []dataset.Entry{lie}); err != nil || len(o.Quarantined) != 1 {
		t.Fatalf("%+v, %v", o, err)
	}
	if err := child.Replicas.Retry(t.Context()); err != nil {
		t.Fatal(err)
	}
	child.Eventually(t, "nobody sends it", func() error {
		asked(t, child, replication.Params{Type: dataset.Data})
		left, err := child.Replicas.Quarantine(t.Context())
		if err == nil && len(left) > 0 {
			err = fmt.Errorf("left: %+v", left)
		}
		return err
	})
	if err := child.Holds(document.Bulletin, 2); err != nil {
		t.Error(err)
	}
	// One that is damaged at the parent is sent by somebody, and waited for.
	behind(t, parent, `UPDATE revision SET body = CAST('{"note":"trUe"}' AS BLOB) WHERE kind = 'bulletin' AND id = 'b-true'`)
	lie.ID, lie.Body = "b-true", nil
	behind(t, child, `DELETE FROM document WHERE kind = 'bulletin' AND id = 'b-true'`)
	behind(t, child, `DELETE FROM revision WHERE kind = 'bulletin' AND id = 'b-true'`)
	if o, err := child.Replicas.Repair(t.Context(), from, dataset.Data, []dataset.Entry{lie}); err != nil || len(o.Quarantined) != 1 {
		t.Fatalf("%+v, %v", o, err)
	}
	asked(t, child, replication.Params{Type: dataset.Data})
	if left, err := child.Replicas.Quarantine(t.Context()); err != nil || len(left) != 1 {
		t.Errorf("left: %+v, %v", left, err)
	}
}

// TestAHeadThatIsDamagedAtTheParentRemovesNothing alters heads at the parent so that its documents seem not to be for the
// child any more: the child keeps its good copies in a complete run, the parent's people are told, and a verification that
// repairs mends the parent.
func TestAHeadThatIsDamagedAtTheParentRemovesNothing(t *testing.T) {
	parent, child := pair(t, replicationtest.Config{Languages: []string{"de", "fr"}}, replicationtest.Config{}, 5)
	parent.Put(t, document.Package, "p-de", `{"note":"deutsch"}`, "de")
	parent.Put(t, document.Package, "p-fr", `{"note":"français"}`, "fr")
	child.Eventually(t, "the package", func() error { return child.Holds(document.Package, 1) })
	behind(t, parent, `UPDATE revision SET languages = 'fr' WHERE kind = 'package' AND id = 'p-de'`)
	behind(t, parent, `UPDATE revision SET origin = '`+child.Site().ID+`' WHERE kind = 'bulletin' AND id = 'b-1'`)
	behind(t, parent, `UPDATE revision SET origin = '' WHERE kind = 'bulletin' AND id = 'b-2'`)
	result := asked(t, child, replication.Params{Type: dataset.Data, Complete: true})
	if err := errors.Join(child.Holds(document.Bulletin, 5), child.Holds(document.Package, 1)); err != nil || result.Removed != 0 {
		t.Errorf("a complete run removed %d: %v", result.Removed, err)
	}
	alarmSays(t, parent, sites.Damaged, `bulletin "b-1"`)
	v := asked(t, child, replication.Params{Type: dataset.Data, Verify: 100, Repair: true}).Verified
	if v.MendedAbove != 3 {
		t.Errorf("with repair: %+v", v)
	}
	if v := asked(t, child, replication.Params{Type: dataset.Data, Complete: true, Verify: 100}).Verified; !v.Equal || v.Compared != 6 {
		t.Errorf("afterwards: %+v", v)
	}
}

// TestADocumentThatNamesAnotherRevisionIsMendedAtOnce alters, at either end, what the list of current documents says: one
// names the revision of another document, one that of a document which this site made itself, one what nobody holds.
func TestADocumentThatNamesAnotherRevisionIsMendedAtOnce(t *testing.T) {
	for what, revision := range map[string]string{
		"another's":       `(SELECT digest FROM document WHERE kind = 'bulletin' AND id = 'b-2')`,
		"another kind's":  `(SELECT digest FROM document WHERE kind = 'signing-key' AND id <> '%s')`,
		"this site's own": `(SELECT digest FROM document WHERE kind = 'signing-key' AND id = '%s')`,
		"nobody's":        `x'` + strings.Repeat("ab", 32) + `'`,
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			parent, child := pair(t, replicationtest.Config{}, replicationtest.Config{}, 5)
			child.Eventually(t, "health", func() error { return parent.HoldsID(document.Health, child.Site().ID) })
			alter := func(s *replicationtest.Linked, kind, id string) {
				t.Helper()
				named := revision
				if strings.Contains(named, "%s") {
					named = fmt.Sprintf(named, s.Site().ID)
				}
				behind(t, s, `UPDATE document SET digest = `+named+` WHERE kind = '`+kind+`' AND id = '`+id+`'`)
			}
			mended := func(p replication.Params) {
				t.Helper()
				first := asked(t, child, p)
				if v := first.Verified; v.Equal || v.Repaired+v.MendedAbove == 0 || len(first.Aside) > 0 {
					t.Errorf("%+v, in quarantine %v, refused %v", v, first.Aside, first.Refused)
				}
				p.Repair = false
				if v := asked(t, child, p).Verified; !v.Equal {
					t.Errorf("afterwards: %+v", v)
				}
			}
			alter(child, "bulletin", "b-1")
			mended(replication.Params{Type: dataset.Data, Verify: 100, Repair: true})
			alter(parent, "health", child.Site().ID)
			mended(replication.Params{Type: dataset.Health, Up: true, Verify: 100, Repair: true})
		})
	}
}

// TestAResultThatWouldBeTooLong: a run ends well with more in quarantine than its result can name, and says how many more.
func TestAResultThatWouldBeTooLong(t *testing.T) {
	parent, child := pair(t, replicationtest.Config{}, replicationtest.Config{}, 1)
	doc := parent.Put(t, document.Bulletin, "b-true", `{"note":"true"}`)
	from := replicas.Neighbour{ID: parent.Site().ID, Direction: dataset.Down}
	var lies []dataset.Entry
	for i := range 400 {
		lie, err := document.New(document.Bulletin, fmt.Sprintf("%s-%d", strings.Repeat("ü", 240), i), nil, doc.Body)
		if err != nil {
			t.Fatal(err)
		}
		if lie.Origin, lie.Signature = doc.Origin, make([]byte, 64); i == 0 {
			lie.Origin = strings.Repeat("é", 400) // its reason is longer than is kept
		}
		lies = append(lies, dataset.Entry{Head: lie.Head, Body: lie.Body, Size: len(lie.Body)})
	}
	for len(lies) > 0 {
		if o, err := child.Replicas.Repair(t.Context(), from, dataset.Data, lies[:100]); err != nil || len(o.Quarantined) != 100 {
			t.Fatalf("%d, %v", len(o.Quarantined), err)
		}
		lies = lies[100:]
	}
	aside, err := child.Replicas.Quarantine(t.Context())
	for _, q := range aside {
		if !utf8.ValidString(q.Detail) {
			t.Errorf("%q ends in half a letter", q.Detail)
		}
	}
	if err != nil || len(aside) != 400 {
		t.Fatalf("%d in quarantine, %v", len(aside), err)
	}
	r := asked(t, child, replication.Params{Type: dataset.Data})
	if len(r.Aside) == 0 || r.More[wire.ListAside] == 0 || len(r.Aside)+r.More[wire.ListAside] != 400 {
		t.Errorf("%d are named, %v more", len(r.Aside), r.More)
	}
}
