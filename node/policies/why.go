package policies

import (
	"context"
	"slices"

	"thatch/catalog/policy"
	"thatch/node/computers"
	"thatch/node/policies/ordering"
	"thatch/node/policies/pinned"
	"thatch/node/policies/windows"
	"thatch/node/store"
	"thatch/schedule"
)

// Why says how every policy that pins an update stands to it on a computer, and which windows are the computer's.
func (r *Room) Why(ctx context.Context, computer, update string) (found []*ordering.Ordering, open []windows.At, err error) {
	m := r.cfg.Computers.Member(computer)
	if m == nil {
		return nil, nil, store.NotFound("computer", computer)
	}
	o, err := r.load(ctx)
	if err != nil {
		return nil, nil, err
	}
	list, err := r.choose(ctx, o, m)
	if err != nil {
		return nil, nil, err
	}
	mine := o.windows.For(pinned.Computer(m, false))
	open = []windows.At{}
	for _, w := range mine {
		open = append(open, w.At(r.cfg.Now(), pinned.Zone(m)))
	}
	for _, p := range o.policies {
		i := slices.IndexFunc(p.body.Updates, func(u policy.Update) bool { return u.Update == update })
		if i < 0 {
			continue
		}
		one, err := r.why(ctx, p, &p.body.Updates[i], m, list)
		if err != nil {
			return nil, nil, err
		}
		start, err := planOf(p.body.Plan).Start(p.Changed, schedule.Recurrence{}, pinned.Zone(m), schedule.Key(m.ID, p.ID))
		if err == nil && one.Ordered {
			one.Schedule(start, r.cfg.Now(), pinned.Zone(m), mine)
		}
		found = append(found, one)
	}
	return found, open, nil
}

// why is how one policy stands to the update that a pin of it means.
func (r *Room) why(ctx context.Context, p *order, pin *policy.Update, m *computers.Member, list []chosen) (*ordering.Ordering, error) {
	asked := ordering.Asked{ID: p.ID, Name: p.Name, Enabled: p.Enabled, Held: p.held(), Body: p.body, Pins: p.pins, Pin: pin}
	for _, c := range list {
		for _, pick := range c.Choices {
			if c.order.ID == p.ID && pick.Update == pin.Digest {
				asked.Told, asked.Alone, asked.Packages = true, pick.alone, pick.Pins
			}
		}
	}
	return asked.Answer(ctx, r.cfg.Reader, r.turns(), m)
}
