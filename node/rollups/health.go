package rollups

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"time"

	"thatch/catalog/document"
	"thatch/catalog/federation"
	"thatch/node/computers"
	"thatch/node/settings"
	"thatch/node/store"
)

// sayAgain is how old a health document becomes: where nothing changes it is written again, so that those above, who may
// hear of the site through others alone, see that it lives.
const sayAgain = time.Hour

// health writes the site's health where it changed, or was last told long ago.
func (w *work) health(ctx context.Context, nodes []federation.Node) error {
	now := w.cfg.Now().UTC()
	health, err := w.judge(ctx, nodes, now)
	if err != nil {
		return fmt.Errorf("judge this site's health: %w", err)
	}
	var former store.Current
	err = w.cfg.Reader.View(ctx, func(tx *sql.Tx) error {
		former, err = store.Document(ctx, tx, document.Health, w.cfg.Site)
		return err
	})
	there := !errors.Is(err, store.ErrNotFound)
	if there && err != nil {
		return fmt.Errorf("read this site's health: %w", err)
	}
	if there && same(former.Body, health, now) {
		return nil
	}
	body, err := federation.Encode(health)
	if err != nil {
		return fmt.Errorf("this site's health: %w", err)
	}
	doc, err := document.New(document.Health, w.cfg.Site, nil, body)
	if err != nil {
		return fmt.Errorf("this site's health: %w", err)
	}
	w.cfg.Signer.Sign(&doc)
	w.changed++
	return w.builder.Add(store.Put(doc, "", store.Former{Absent: !there, Digest: former.Digest})...)
}

// same says whether a health document says what it would say now, and is not old.
func same(body []byte, health federation.Health, now time.Time) bool {
	told, err := federation.Decode[federation.Health](body)
	if err != nil {
		return false
	}
	at := moment(told.At)
	health.At = told.At
	return reflect.DeepEqual(told, health) && now.Sub(at).Abs() < sayAgain
}

// contacts are the times at which computers were heard of since this node started, by their numbers.
func (r *Room) contacts() map[uint32]time.Time {
	seen := map[uint32]time.Time{}
	r.cfg.Computers.LastSeen(func(number uint32, at time.Time) { seen[number] = at })
	return seen
}

func (w *work) judge(ctx context.Context, nodes []federation.Node, now time.Time) (federation.Health, error) {
	standing, err := w.cfg.Sites.Standing(ctx)
	if err != nil {
		return federation.Health{}, err
	}
	h := federation.Health{Version: clip(w.cfg.Version, federation.MaxVersion), At: now.Format(time.RFC3339), AlarmCount: len(standing)}
	h.Computers, h.NotReporting = w.count(w.silentSince())
	for _, a := range standing[:min(len(standing), federation.MaxAlarms)] {
		h.Alarms = append(h.Alarms, federation.Alarm{
			Kind: a.Kind, Subject: a.Subject, Text: clip(a.Text, federation.MaxText), Since: a.Since.UTC().Format(time.RFC3339),
		})
	}
	if len(nodes) > 0 {
		h.Nodes = nodes[:min(len(nodes), federation.MaxNodes)]
	}
	return h, nil
}

// silentSince is the time since which a computer that was not heard of is not reporting.
func (w *work) silentSince() time.Time {
	return w.at.Add(-time.Duration(settings.HealthSilent.In(w.values)) * time.Second)
}

// silent says whether a computer never reported, or was not heard of since a time.
func (w *work) silent(m *computers.Member, since time.Time) bool {
	heard := m.LastSeen
	if seen := w.seen[m.Number]; seen.After(heard) {
		heard = seen
	}
	return computers.Silent(m.Reported, heard, since)
}

// count counts the computers that are not retired and not another site's now, and those among them that are silent.
func (w *work) count(since time.Time) (all, silent int) {
	w.cfg.Computers.Look(func(v computers.View) {
		for number, m := range v.Members() {
			if !m.Retired.IsZero() || w.aside.Contains(number) {
				continue
			}
			all++
			if w.silent(m, since) {
				silent++
			}
		}
	})
	return all, silent
}

func clip(text string, most int) string {
	if len(text) > most {
		return strings.ToValidUTF8(text[:most], "")
	}
	return text
}

// moment reads a time that another site wrote.
func moment(text string) time.Time {
	at, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return time.Time{}
	}
	return at
}
