// Package progress keeps how far each ordered update has come, in one small file each, written at every step.
package progress

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"time"

	"thatch/agent/folder"
	"thatch/agent/order"
	"thatch/agentapi"
)

// Folder is where the files are, in the agent's own.
const Folder = "orders"

// Progress is how far an ordered update has come; it is written down at every step.
type Progress struct {
	Update string `json:"update"` // document id
	// Order is the digest of policy document and pins under which the tries below were counted: a revised policy
	// starts anew.
	Order    string    `json:"order"`
	Ordered  time.Time `json:"ordered"`            // when this agent first heard of it
	Attempts int       `json:"attempts,omitempty"` // that failed since
	Next     time.Time `json:"next"`               // not tried again before
	Text     string    `json:"text,omitempty"`     // of the last failure
	// Running is the attempt whose installer was started and has not ended, as far as is known.
	Running     *agentapi.Attempt `json:"running,omitempty"`
	LastApplied *time.Time        `json:"last_applied,omitempty"`
	RestartBoot string            `json:"restart_boot,omitempty"` // the start of the system in which it asked for a restart
	Restarting  bool              `json:"restarting,omitempty"`
}

// Store is the progress of everything that is ordered, or was installed once.
type Store struct {
	folder folder.Folder
	all    map[string]*Progress // by update document id
}

// FileOf is the name of an update's file in the agent's folder.
func FileOf(update string) string {
	sum := sha256.Sum256([]byte(update))
	return filepath.Join(Folder, hex.EncodeToString(sum[:16])+".json")
}

// Open reads all files. One that cannot be read is told of and left out: the rules say whether its update is installed,
// and only the count of its tries is lost.
func Open(f folder.Folder, log *slog.Logger) (*Store, error) {
	if err := os.MkdirAll(f.Path(Folder), 0o700); err != nil {
		return nil, fmt.Errorf("open orders: %w", err)
	}
	entries, err := os.ReadDir(f.Path(Folder))
	if err != nil {
		return nil, fmt.Errorf("open orders: %w", err)
	}
	s := &Store{f, map[string]*Progress{}}
	for _, entry := range entries {
		if !strings.HasSuffix(entry.Name(), ".json") {
			continue
		}
		p := &Progress{}
		raw, err := os.ReadFile(filepath.Join(f.Path(Folder), entry.Name()))
		if err == nil {
			err = json.Unmarshal(raw, p)
		}
		if err != nil {
			log.Warn("progress of an ordered update is not readable", "file", entry.Name(), "error", err)
			continue
		}
		s.all[p.Update] = p
	}
	return s, nil
}

// Get is the progress of an update, nil when there is none.
func (s *Store) Get(update string) *Progress { return s.all[update] }

// All iterates over everything. What is met may be saved or dropped meanwhile.
func (s *Store) All() iter.Seq2[string, *Progress] { return maps.All(s.all) }

// Save writes down. When it returns, the progress survives a power cut.
func (s *Store) Save(p *Progress) error {
	if err := os.MkdirAll(s.folder.Path(Folder), 0o700); err != nil {
		return fmt.Errorf("write progress: %w", err)
	}
	s.all[p.Update] = p
	return s.folder.Write(FileOf(p.Update), p)
}

// Keep drops what is not ordered any more and was never installed by this agent.
func (s *Store) Keep(ordered map[string]bool) error {
	for id, p := range s.all {
		if ordered[id] || p.Running != nil || p.LastApplied != nil {
			continue
		}
		delete(s.all, id)
		if err := os.Remove(s.folder.Path(FileOf(id))); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("drop progress of %s: %w", id, err)
		}
	}
	return nil
}

// Clear drops everything.
func (s *Store) Clear() error {
	clear(s.all)
	return s.folder.RemoveAll(Folder)
}

// Of finds the progress of an order, new when the order was not seen before or was revised. Retry is the longest that a
// next try may be away.
func (s *Store) Of(o *order.Order, now time.Time, retry time.Duration) (*Progress, error) {
	key := o.Assigned.Document.Digest.String()
	p := s.all[o.ID()]
	if p != nil && p.Order == key {
		// A clock that ran ahead and was set right must not hold up anything.
		if p.Ordered.After(now) {
			p.Ordered = now
		}
		if p.Next.Sub(now) > 2*retry {
			p.Next = now
		}
		return p, nil
	}
	fresh := &Progress{Update: o.ID(), Order: key, Ordered: now}
	if p != nil {
		fresh.LastApplied, fresh.Running = p.LastApplied, p.Running
		fresh.RestartBoot, fresh.Restarting = p.RestartBoot, p.Restarting
	}
	return fresh, s.Save(fresh)
}

// Again is the status of what will be tried again: an install that failed, or a step before the first.
func (p *Progress) Again() agentapi.Status {
	if p.Attempts > 0 {
		return agentapi.FailedRescheduled
	}
	return agentapi.Retry
}

// Once implements rule.History: what this agent installed. Rules name updates by their documents' ids.
func (s *Store) Once(update string) (bool, error) {
	p := s.all[update]
	return p != nil && p.LastApplied != nil, nil
}
