package computers

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"thatch/node/store"
)

// ErrClone says that another machine than the computer's own uses its certificate: it must enrol for itself.
var ErrClone = errors.New("another machine uses this computer's certificate")

// checkHardware refuses a report from other hardware than the computer's. A machine whose mainboard was changed is
// refused too and enrols again; nobody can tell it from a clone.
func checkHardware(c Computer, rep Report) error {
	hardware := NormalHardware(rep.Hardware)
	if hardware == "" || c.Hardware == "" || hardware == c.Hardware {
		return nil
	}
	return fmt.Errorf("%w: %s has hardware %q, this machine has %q: enrol it with a token", ErrClone, c.Name, c.Hardware, hardware)
}

// Where hardware is not known, two machines with one certificate show themselves by taking turns: each report of one
// makes the counter of the other wrong. A machine set back to a snapshot does that once.
const (
	rivalTurns  = 4
	rivalWithin = 24 * time.Hour
	doubtText   = "two machines seem to use its certificate: their reports contradict each other; enrol one of them anew"
)

// rivals counts wrong counters per computer.
type rivals struct {
	mu    *sync.Mutex
	turns map[uint32][]time.Time
}

func newRivals() rivals { return rivals{mu: new(sync.Mutex), turns: make(map[uint32][]time.Time)} }

// turn notes a wrong counter and says whether there have been too many.
func (v rivals) turn(number uint32, at time.Time) bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	recent := v.turns[number]
	for len(recent) > 0 && at.Sub(recent[0]) > rivalWithin {
		recent = recent[1:]
	}
	recent = append(recent, at)
	if len(recent) > rivalTurns {
		recent = recent[len(recent)-rivalTurns:]
	}
	v.turns[number] = recent
	return len(recent) >= rivalTurns
}

// rival notes that a report did not continue the site's, and after several of them marks the computer as doubtful.
func (r *Room) rival(ctx context.Context, c Computer) error {
	if !r.rivals.turn(c.Number, r.now()) || c.Doubt != "" {
		return nil
	}
	_, err := r.gatherer.Do(ctx, []store.Statement{{
		SQL:  `UPDATE computer SET doubt = ?, version = version + 1, idx = ? WHERE number = ? AND doubt = ''`,
		Args: []any{doubtText, store.Index{}, int64(c.Number)},
	}})
	return err
}
