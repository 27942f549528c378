package backup

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"thatch/node/store/rows"
	"thatch/node/tasks"
	"thatch/schedule"
)

// Trouble is why the backups that are made by schedule cannot be relied on.
type Trouble struct {
	Text   string `json:"text"`
	Advice string `json:"advice"`
}

// patience is how long a backup may take that is due.
const patience = time.Hour

// trouble is what is wrong with scheduled backups; nil where nothing is, or where none are to be made.
func (s *Standing) trouble(task *tasks.Task, now time.Time) *Trouble {
	if s.Schedule == "" {
		return nil
	}
	var made time.Time
	if s.Last != nil {
		made = s.Last.Made
	}
	if run := task.Last; run != nil && (run.State == tasks.Failed || run.State == tasks.Interrupted) && run.Started.After(made) && !byHand(run.Params) {
		return &Trouble{
			fmt.Sprintf("The backup of %s failed (%s)", rows.Stamp(run.Started), clip(run.Error)),
			"mend what it says, then make one with thatch backup",
		}
	}
	if s.Last != nil && s.Last.State == Missing {
		return &Trouble{"The newest backup is not where it was written", "look for it, or make another with thatch backup"}
	}
	if due := s.missed(made); !due.IsZero() && now.After(due.Add(patience)) {
		return &Trouble{
			fmt.Sprintf("No backup was made since %s, although one was due at %s", rows.Stamp(made), rows.Stamp(due)),
			"look at the runs of the task backup, and make one with thatch backup",
		}
	}
	return nil
}

// missed is when the first backup was due by schedule after one that was made; zero where none was made.
func (s *Standing) missed(made time.Time) time.Time {
	times, err := schedule.ParseRecurrence(s.Schedule)
	if err != nil || made.IsZero() {
		return time.Time{}
	}
	return times.Next(made, time.Local)
}

func byHand(params json.RawMessage) bool {
	var p Params
	return json.Unmarshal(params, &p) == nil && p.Here
}

func clip(text string) string {
	text, _, _ = strings.Cut(text, "\n")
	if len(text) > 300 {
		return strings.ToValidUTF8(text[:300], "") + "..."
	}
	return text
}

// adopt records backups that this node wrote to a folder and did not come to record, for it was stopped in between: whole ones
// that are newer than any on record.
func (r *Room) adopt(ctx context.Context, folder string) (adopted []string, err error) {
	all, err := r.all(ctx)
	if err != nil {
		return nil, err
	}
	known := map[string]bool{}
	var newest time.Time
	for _, b := range all {
		known[b.Name] = true
		if b.Node == r.cfg.Settings.Node && b.Folder == folder && b.Made.After(newest) {
			newest = b.Made
		}
	}
	now, err := r.site(ctx)
	if err != nil {
		return nil, err
	}
	entries, err := os.ReadDir(folder)
	if err != nil {
		return nil, fmt.Errorf("read the folder of backups: %w", err)
	}
	for _, e := range entries {
		if known[e.Name()] || !strings.HasPrefix(e.Name(), prefix(now.Site, now.SiteID)) || !strings.HasSuffix(e.Name(), Extension) {
			continue
		}
		f, err := Look(filepath.Join(folder, e.Name()))
		if errors.Is(err, ErrDamaged) || err == nil && !f.Manifest.own(now, r.cfg.Settings.Node, newest) {
			continue // of somebody else, of before a restore, or forgotten and put back
		}
		if err == nil {
			err = r.record(ctx, r.made(f, folder))
		}
		if err != nil {
			return adopted, fmt.Errorf("record %s: %w", e.Name(), err)
		}
		adopted = append(adopted, e.Name())
	}
	slices.Sort(adopted)
	return adopted, nil
}

// own says whether a backup is of a site as it is now, by a node, and newer than another.
func (m *Manifest) own(now Content, node string, than time.Time) bool {
	return m.SiteID == now.SiteID && m.Epoch == now.Epoch && m.Settings.Node == node && m.Made.After(than)
}
