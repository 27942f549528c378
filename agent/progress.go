package agent

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"time"

	"thatch/agent/folder"
	"thatch/agent/order"
	"thatch/agentapi"
)

// progress is how far an ordered update has come; it is written down at every step.
type progress struct {
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

func progressFile(update string) string {
	sum := sha256.Sum256([]byte(update))
	return filepath.Join(ordersFolder, hex.EncodeToString(sum[:16])+".json")
}

func loadOrders(f folder.Folder, log *slog.Logger) (map[string]*progress, error) {
	if err := os.MkdirAll(f.Path(ordersFolder), 0o700); err != nil {
		return nil, fmt.Errorf("open orders: %w", err)
	}
	entries, err := os.ReadDir(f.Path(ordersFolder))
	if err != nil {
		return nil, fmt.Errorf("open orders: %w", err)
	}
	orders := map[string]*progress{}
	for _, entry := range entries {
		if !strings.HasSuffix(entry.Name(), ".json") {
			continue
		}
		p := &progress{}
		raw, err := os.ReadFile(filepath.Join(f.Path(ordersFolder), entry.Name()))
		if err == nil {
			err = json.Unmarshal(raw, p)
		}
		if err != nil {
			// The rules say whether it is installed; only the count of its tries is lost.
			log.Warn("progress of an ordered update is not readable", "file", entry.Name(), "error", err)
			continue
		}
		orders[p.Update] = p
	}
	return orders, nil
}

func (a *Agent) save(p *progress) error {
	if err := os.MkdirAll(a.folder.Path(ordersFolder), 0o700); err != nil {
		return fmt.Errorf("write progress: %w", err)
	}
	a.orders[p.Update] = p
	return a.folder.Write(progressFile(p.Update), p)
}

func (a *Agent) drop(update string) error {
	delete(a.orders, update)
	if err := os.Remove(a.folder.Path(progressFile(update))); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("drop progress of %s: %w", update, err)
	}
	return nil
}

// progressOf finds the progress of an order, new when the order was not seen before or was revised.
func (a *Agent) progressOf(o *order.Order) (*progress, error) {
	key := o.Assigned.Document.Digest.String()
	p, now := a.orders[o.ID()], a.cfg.Now()
	if p != nil && p.Order == key {
		// A clock that ran ahead and was set right must not hold up anything.
		if p.Ordered.After(now) {
			p.Ordered = now
		}
		if p.Next.Sub(now) > 2*a.cfg.Retry {
			p.Next = now
		}
		return p, nil
	}
	fresh := &progress{Update: o.ID(), Order: key, Ordered: now}
	if p != nil {
		fresh.LastApplied, fresh.Running = p.LastApplied, p.Running
		fresh.RestartBoot, fresh.Restarting = p.RestartBoot, p.Restarting
	}
	return fresh, a.save(fresh)
}
