package agent

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"os"
	"time"

	"thatch/agentapi"
)

// Waits of an agent that its site does not know, or not any more.
const (
	firstIdle = 5 * time.Minute
	longIdle  = 24 * time.Hour
	glance    = 15 * time.Second // from one look for a new enrolment to the next
)

// Run makes rounds until ctx ends, each when it is due, and after a failure when the node or the back-off allow. An agent
// that is not enrolled, is retired, or is a clone stays up and idle: another start would end the same way. It leaves its
// folder to an enrolment, goes on as soon as there is one, and otherwise asks again, ever more seldom.
func (a *Agent) Run(ctx context.Context) error {
	backoff := agentapi.Backoff{First: 30 * time.Second, Most: time.Hour, Random: a.cfg.Random}
	idle := idling{backoff: agentapi.Backoff{First: firstIdle, Most: longIdle, Random: a.cfg.Random}}
	failures := 0
	for ctx.Err() == nil {
		cycle, err := a.turn(ctx)
		var wait time.Duration
		switch {
		case ctx.Err() != nil:
			return nil
		case lasting(err):
			if failed := a.idle(ctx, &idle, err); failed != nil || ctx.Err() != nil {
				return failed
			}
			continue
		case err == nil:
			failures, idle.rounds, idle.told = 0, 0, ""
			wait = max(cycle.Next.Sub(a.cfg.Now()), leastWait)
			a.cfg.Log.Info("round", "installed", cycle.Installed, "failed", cycle.Failed, "missing", cycle.Counts.Missing,
				"superseded", cycle.Counts.Superseded, "cannot_tell", cycle.Counts.Unknown, "next", cycle.Next)
		default:
			failures++
			wait = backoff.Wait(failures, err)
			a.cfg.Log.Warn("round failed", "error", err, "again_in", wait)
			if ofNode(err) {
				if soon, moved := a.node.Move(ctx, err); moved {
					wait = min(wait, soon)
				}
				a.pause(ctx, wait)
				continue
			}
		}
		a.rest(ctx, a.cfg.Now().Add(wait))
	}
	return nil
}

// pause waits, no longer than ctx lasts.
func (a *Agent) pause(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-a.cfg.After(d):
	}
}

// ofNode says whether a round failed because of the node that was called, or of the way to it.
func ofNode(err error) bool {
	var answer *agentapi.Error
	return errors.As(err, &answer) || agentapi.Unreachable(err) || errors.Is(err, agentapi.ErrUntrusted)
}

// lasting says whether another round would end with the same error, until somebody does something.
func lasting(err error) bool {
	return errors.Is(err, ErrNotEnrolled) || errors.Is(err, ErrClone) ||
		agentapi.HasCode(err, agentapi.CodeRetired) || agentapi.HasCode(err, agentapi.CodeClone)
}

// idling is how long an agent has had nothing to do, and what it said of that.
type idling struct {
	backoff agentapi.Backoff
	rounds  int    // that ended so, in turn
	told    string // what was logged, once
}

// idle waits until the folder holds another identity, or until it is time to ask again.
func (a *Agent) idle(ctx context.Context, i *idling, why error) error {
	i.rounds++
	again := a.cfg.Now().Add(i.backoff.Wait(i.rounds, why))
	if text := why.Error(); text != i.told {
		i.told = text
		a.cfg.Log.Warn("nothing to do until this computer is enrolled again; this agent waits for that, and asks again now and then", "error", why)
	}
	note := outcome{At: a.cfg.Now(), Cycle: Cycle{Next: again}, Error: why.Error(), Idle: true}
	if err := a.folder.Write(outcomeFile, note); err != nil {
		a.cfg.Log.Warn("why nothing is done is not written down", "error", err)
	}
	former := a.identityBytes()
	if err := a.release(); err != nil {
		return err
	}
	for {
		wait := min(again.Sub(a.cfg.Now()), glance)
		select {
		case <-ctx.Done():
			return nil
		case <-a.cfg.After(max(wait, 0)):
		}
		enrolled := !bytes.Equal(a.identityBytes(), former)
		if !enrolled && a.cfg.Now().Before(again) {
			continue
		}
		err := a.acquire()
		if err == nil && enrolled {
			i.rounds = 0
		}
		if !errors.Is(err, ErrLocked) { // an enrolment is under way
			return err
		}
		again = later(again, a.cfg.Now().Add(leastWait))
	}
}

// identityBytes is the identity as it is in the folder, nil when there is none.
func (a *Agent) identityBytes() []byte {
	raw, err := os.ReadFile(a.folder.Path(identityFile))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		a.cfg.Log.Warn("whether this computer is enrolled again cannot be read", "error", err)
	}
	return raw
}
