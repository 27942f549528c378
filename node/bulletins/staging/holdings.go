package staging

import (
	"context"
	"fmt"
	"strings"

	"thatch/node/bulletins/holdings"
	"thatch/node/bulletins/live"
	"thatch/node/store"
)

// Reconcile brings the holdings of this node in line with the payloads that are really in its store: what is gone from
// the disk is staged again, or comes from another node; what came back counts again.
func (s *Stager) Reconcile(ctx context.Context) error {
	held, err := s.cfg.Content.List()
	if err != nil {
		return fmt.Errorf("reconcile holdings: %w", err)
	}
	onDisk := make(map[string]int64, len(held))
	for _, info := range held {
		onDisk[info.SHA256] = info.Size
	}
	recorded, err := holdings.Read(ctx, s.cfg.Reader)
	if err != nil || len(recorded) == 0 && len(onDisk) == 0 {
		return err
	}
	m := match{s, onDisk, make(map[string]bool, len(recorded)), nil}
	for i := range recorded {
		m.recorded(&recorded[i])
	}
	if len(onDisk) > len(m.done) {
		if err := m.named(ctx); err != nil {
			return err
		}
	}
	return s.write(ctx, "reconcile holdings", m.statements)
}

// match compares the holdings of this node with its disk.
type match struct {
	*Stager
	onDisk     map[string]int64
	done       map[string]bool // files on disk that are on record
	statements []store.Statement
}

// recorded takes up a file that some node is on record for. What another node of the site holds was judged by the site.
func (m *match) recorded(f *holdings.File) {
	size, here := m.onDisk[f.SHA256]
	here = here && size == f.Size
	on := f.On(m.cfg.Node)
	switch {
	case here:
		m.done[f.SHA256] = true
		if !on {
			m.statements = append(m.statements, m.holds(f.SHA256, f.Size))
		}
	case on:
		if _, err := m.cfg.Content.Stat(f.SHA256); err != nil { // else it came since the disk was looked at
			m.statements = append(m.statements, m.lost(f.SHA256))
		}
	}
}

// named takes up files that are on record for nobody and that this site's own documents name.
func (m *match) named(ctx context.Context) error {
	back := func(sum string, want int64) {
		if size, here := m.onDisk[sum]; here && size == want && !m.done[sum] {
			m.done[sum] = true
			m.statements = append(m.statements, m.holds(sum, want))
		}
	}
	pinned, err := m.pinned(ctx)
	if err != nil {
		return err
	}
	for _, one := range pinned {
		if !one.foreign { // the next run judges those, and asks nobody for them
			back(one.SHA256, one.Size)
		}
	}
	return m.cfg.Catalog.Read(ctx, func(v *live.View) error {
		for _, p := range v.Packages() {
			for _, f := range p.Files {
				if f.URL == "" && f.SHA256 != "" && !m.foreign(p.Origin) { // added by hand: this may be the only copy
					back(strings.ToLower(f.SHA256), f.Size)
				}
			}
			if payload := v.PayloadOf(p); payload != nil && !m.foreign(payload.Origin) {
				for _, f := range payload.Files {
					back(f.SHA256, f.Size)
				}
			}
		}
		return nil
	})
}

// Lost records that this node holds a payload no longer: it was found altered on disk.
func (s *Stager) Lost(ctx context.Context, sha256 string) error {
	return s.write(ctx, "a payload is not held any more", []store.Statement{s.lost(sha256)})
}

func (s *Stager) lost(sha256 string) store.Statement {
	return holdings.Drop(sha256, s.cfg.Node)
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
