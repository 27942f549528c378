package staging

import (
	"context"
	"database/sql"
	"encoding/hex"
	"fmt"

	"thatch/node/bulletins/live"
	"thatch/node/store"
	"thatch/node/store/sqlite"
)

// Reconcile brings the holdings of this node in line with the payloads that are really in its store: what is gone from
// the disk is staged again, what came back counts again. Call it at the start.
func (s *Stager) Reconcile(ctx context.Context) error {
	held, err := s.cfg.Content.List()
	if err != nil {
		return fmt.Errorf("reconcile holdings: %w", err)
	}
	onDisk := make(map[string]int64, len(held))
	for _, info := range held {
		onDisk[info.SHA256] = info.Size
	}
	recorded, err := s.recorded(ctx)
	if err != nil || len(recorded) == 0 && len(onDisk) == 0 {
		return err
	}
	var statements []store.Statement
	for sum := range recorded {
		if _, here := onDisk[sum]; !here {
			statements = append(statements, s.lost(sum))
		}
	}
	back := func(sum string, want int64) {
		if size, here := onDisk[sum]; here && size == want && !recorded[sum] {
			recorded[sum] = true
			statements = append(statements, s.holds(sum, want))
		}
	}
	pinned, err := s.pinned(ctx)
	if err != nil {
		return err
	}
	for _, one := range pinned {
		if !one.foreign { // the next run judges those, and asks nobody for them
			back(one.SHA256, one.Size)
		}
	}
	err = s.cfg.Catalog.Read(ctx, func(v *live.View) error {
		for _, p := range v.Packages() {
			if payload := v.PayloadOf(p); payload != nil && !s.foreign(payload.Origin) {
				for _, f := range payload.Files {
					back(f.SHA256, f.Size)
				}
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	return s.write(ctx, "reconcile holdings", statements)
}

// Lost records that this node holds a payload no longer: it was found altered on disk.
func (s *Stager) Lost(ctx context.Context, sha256 string) error {
	return s.write(ctx, "a payload is not held any more", []store.Statement{s.lost(sha256)})
}

func (s *Stager) lost(sha256 string) store.Statement {
	raw, _ := hex.DecodeString(sha256) // from the database, or from the payload store
	return store.Statement{SQL: `DELETE FROM holding WHERE sha256 = ? AND node = ?`, Args: []any{raw, s.cfg.Node}}
}

func (s *Stager) recorded(ctx context.Context) (map[string]bool, error) {
	found := map[string]bool{}
	err := s.cfg.Reader.View(ctx, func(tx *sql.Tx) error {
		sums, err := sqlite.Texts(ctx, tx, `SELECT lower(hex(sha256)) FROM holding WHERE node = ?`, s.cfg.Node)
		for _, sum := range sums {
			found[sum] = true
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("read holdings: %w", err)
	}
	return found, nil
}

// Alarm is something of a staged bulletin that calls for a person.
type Alarm struct {
	Bulletin string `json:"bulletin"` // name
	Update   string `json:"update"`   // name
	ID       string `json:"id"`       // of the update
	Product  string `json:"product"`
	Status   Status `json:"status"` // no package, failed or refused
	Text     string `json:"text"`
}

// Alarms lists what calls for a person of one staged bulletin, or of all ("").
func (s *State) Alarms(v *live.View, bulletin string) []Alarm {
	alarms := []Alarm{}
	for _, b := range v.Bulletins() {
		if _, staged := s.Staged[b.ID]; !staged || bulletin != "" && b.ID != bulletin {
			continue
		}
		for _, u := range v.UpdatesOf(b.ID) {
			if u.Detector {
				continue
			}
			us := s.Update(v, u)
			if us.Status == NoPackage || us.Status == Failed || us.Status == Refused {
				alarms = append(alarms, Alarm{b.Name, u.Name, u.ID, u.Product.Name, us.Status, us.Text})
			}
		}
	}
	return alarms
}
