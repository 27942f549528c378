package policies

import (
	"context"
	"errors"
	"slices"

	"thatch/node/computers"
	"thatch/node/policies/turns"
	"thatch/node/policies/windows"
	"thatch/node/store"
)

func (r *Room) turns() *turns.Turns {
	return &turns.Turns{Reader: r.cfg.Reader, Writer: r.cfg.Writer, Now: r.cfg.Now}
}

// turn finds out whether it is the computer's turn in a policy.
func (r *Room) turn(ctx context.Context, m *computers.Member, c *chosen, all windows.Set) error {
	limit := c.order.body.Plan.Simultaneous
	if limit == 0 || c.Paused {
		return nil
	}
	had, err := r.turns().Of(ctx, c.order.ID, m.Number)
	if err != nil {
		return err
	}
	now := r.cfg.Now()
	switch wants := c.wants(); {
	case !wants && !had.Granted.IsZero():
		return unlessUnavailable(r.turns().GiveBack(ctx, m.Number, c.order.ID))
	case !wants:
		return nil
	case had.Until.After(now):
		return unlessUnavailable(r.turns().GoOn(ctx, c.order.ID, m.Number, had))
	}
	c.Wait = true
	if had.UsedUp(now) || !r.open(m, c.order, all) {
		return nil
	}
	taken, err := r.turns().Take(ctx, c.order.ID, m.Number, limit)
	c.Wait = !taken
	return unlessUnavailable(err)
}

// unlessUnavailable has computers hear what is ordered for them also while nothing can be written: nobody's turn begins then,
// and who has one keeps it.
func unlessUnavailable(err error) error {
	if errors.Is(err, store.ErrUnavailable) || errors.Is(err, store.ErrUncertain) {
		return nil
	}
	return err
}

// wants says whether there is something to install.
func (c *chosen) wants() bool {
	return slices.ContainsFunc(c.Choices, func(pick choice) bool { return pick.missing && pick.Held })
}

// GiveBack ends the turns of a computer that has nothing left to install, so that the next one need not wait until it
// asks again. It is called when a computer reported; without turns it costs one query.
func (r *Room) GiveBack(ctx context.Context, computer string) error {
	m := r.cfg.Computers.Member(computer)
	if m == nil {
		return store.NotFound("computer", computer)
	}
	held, err := r.turns().Held(ctx, m.Number)
	if err != nil || len(held) == 0 {
		return err
	}
	o, err := r.load(ctx)
	if err != nil {
		return err
	}
	list, err := r.choose(ctx, o, m)
	if err == nil {
		err = r.findHeld(ctx, list)
	}
	if err != nil {
		return err
	}
	return r.turns().GiveBack(ctx, m.Number, slices.DeleteFunc(held, func(policy string) bool {
		return slices.ContainsFunc(list, func(c chosen) bool { return c.order.ID == policy && c.wants() })
	})...)
}
