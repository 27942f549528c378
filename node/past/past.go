// Package past keeps what the reports of a site said, day by day, so that they can be had as of a past day.
package past

import (
	"context"
	"fmt"
	"log/slog"
	"runtime/debug"
	"time"

	"thatch/node/computers/compliance"
	"thatch/node/computers/history"
	"thatch/node/policies"
	"thatch/node/rollups"
	"thatch/node/settings"
	"thatch/node/store"
)

// Config is what the room needs.
type Config struct {
	Created    time.Time // of the site: nothing is kept of days before
	Reader     store.Reader
	Writer     store.Writer
	Compliance *compliance.Room
	RollUps    *rollups.Room
	Policies   *policies.Room
	Settings   *settings.Room
	Now        func() time.Time
	Log        *slog.Logger
}

// Room is safe for use by several goroutines.
type Room struct {
	*history.Room
	cfg Config
}

// New makes the room.
func New(cfg Config) *Room { return &Room{history.New(cfg.Reader, cfg.Writer), cfg} }

// lookAgain is how long after its end a day is kept at the latest, where the node runs.
const lookAgain = time.Minute

// Run keeps each day when it is over, until ctx ends: the node that leads the site does. Where no node ran then, the latest day that is over is made up for with what
// is known now; those before it stay without figures.
func (r *Room) Run(ctx context.Context) error {
	again := time.NewTicker(lookAgain)
	defer again.Stop()
	for {
		if err := r.attempt(ctx); err != nil && ctx.Err() == nil {
			r.cfg.Log.Warn("the figures of a day were not kept; it is tried again", "error", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-again.C:
		}
	}
}

// attempt is Due, of which a panic is an error: the node must not end by it.
func (r *Room) attempt(ctx context.Context) (err error) {
	defer func() {
		if failure := recover(); failure != nil {
			err = fmt.Errorf("a fault of this program: %v\n%s", failure, debug.Stack())
		}
	}()
	_, err = r.Due(ctx)
	return err
}

// Due keeps the latest day that is over, where that is to be done, and says which; "" there was nothing to do.
// Days that are older than the setting keep.figures_days says are forgotten.
func (r *Room) Due(ctx context.Context) (kept string, err error) {
	values, err := r.cfg.Settings.All(ctx)
	if err != nil {
		return "", err
	}
	now := r.cfg.Now()
	zone := settings.Zone(values)
	today := midnight(now, zone)
	if err := r.Prune(ctx, today.AddDate(0, 0, -settings.KeepFiguresDays.In(values))); err != nil {
		return "", err
	}
	day := today.AddDate(0, 0, -1).Format(time.DateOnly)
	if settings.KeepFiguresDays.In(values) == 0 || !r.cfg.Created.Before(today) {
		return "", nil
	}
	if there, err := r.Has(ctx, day); there || err != nil {
		return "", err
	}
	if err := r.keep(ctx, day, now); err != nil {
		return "", err
	}
	return day, nil
}

// midnight is when the day of a moment began.
func midnight(at time.Time, zone *time.Location) time.Time {
	year, month, day := at.In(zone).Date()
	return time.Date(year, month, day, 0, 0, 0, 0, zone)
}

func (r *Room) keep(ctx context.Context, day string, now time.Time) error {
	since, err := r.cfg.Settings.SilentSince(ctx, now)
	if err != nil {
		return err
	}
	all, err := r.cfg.Compliance.All(ctx, since)
	if err != nil {
		return err
	}
	sheets := history.Of(all)
	for _, of := range []func(ctx context.Context) (history.Kept, error){r.sites(Sites), r.sites(OwnSites), r.bulletins, r.policies} {
		kept, err := of(ctx)
		if err != nil {
			return err
		}
		sheets = append(sheets, kept)
	}
	bytes, err := r.Keep(ctx, history.Day{Day: day, Taken: now, Totals: history.Sum(all)}, sheets)
	if err == nil {
		r.cfg.Log.Info("the figures of a day are kept", "day", day, "bytes", bytes)
	}
	return err
}
