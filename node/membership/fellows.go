package membership

import "time"

// Fellow is a node of the site as this one sees it.
type Fellow struct {
	ID, Name string
	Votes    bool
	Living   bool          // it answers; this one does
	Silent   time.Duration // for how long it does not answer, as far as is known here
	Trip     time.Duration // how long an answer takes
}

// Fellows are the nodes of the site that were not removed, this one among them.
func (m *Membership) Fellows() []Fellow {
	heard, now := m.heard.all(), m.cfg.Now()
	var list []Fellow
	for _, n := range *m.table.Load() {
		if !n.Removed.IsZero() {
			continue
		}
		one := Fellow{ID: n.ID, Name: n.Name, Votes: n.Votes, Living: true}
		if h := heard[n.ID]; n.ID != m.cfg.Self.ID {
			one.Living, one.Trip = h.Err == nil && !h.At.IsZero(), h.Trip
			if h.Err != nil {
				one.Silent = now.Sub(h.Since)
			}
		}
		list = append(list, one)
	}
	return list
}
