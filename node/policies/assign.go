package policies

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	"thatch/catalog/document"
	"thatch/catalog/policy"
	"thatch/node/bulletins/live"
	"thatch/node/computers"
	"thatch/node/computers/compliance"
	"thatch/node/policies/pinned"
	"thatch/node/policies/windows"
	"thatch/node/store"
	"thatch/schedule"
)

// Assigned is everything ordered for one computer. Windows and policies are of one moment.
type Assigned struct {
	Tag      string
	Policies []AssignedPolicy
	Windows  []document.Document
	Waits    bool // for its turn in one of the policies
}

// AssignedPolicy is a policy in force for the computer.
type AssignedPolicy struct {
	Document document.Document
	Paused   bool
	Wait     bool // as many computers as the plan allows at once are installing
	Updates  []Ordered
}

// Ordered is the pinned revision of an update that is applicable to the computer, or that only its agent can judge, with
// the packages in its language or neutral.
type Ordered struct {
	Number   uint32
	Update   document.Document
	Packages []document.Document
	Payloads []document.Document
	Held     bool // a node of the site holds every payload file
}

// choice is what an Ordered will be, by digests: enough to tell whether anything changed.
type choice struct {
	Number  uint32
	Update  document.Digest
	Pins    []policy.Pin
	Held    bool
	files   []string // SHA-256 of what must be held
	missing bool     // not installed yet
	alone   bool     // judged by the pinned rules alone
}

type chosen struct {
	order   *order
	Policy  document.Digest
	Paused  bool
	Wait    bool
	Choices []choice
}

// Assigned returns what is ordered for the computer with an id. When that is what tag stands for, only the tag and
// Waits are filled in.
func (r *Room) Assigned(ctx context.Context, computer, tag string) (Assigned, error) {
	m := r.cfg.Computers.Member(computer)
	if m == nil {
		return Assigned{}, store.NotFound("computer", computer)
	}
	o, err := r.load(ctx)
	if err != nil {
		return Assigned{}, err
	}
	open := o.windows.For(pinned.Computer(m, false))
	list, err := r.choose(ctx, o, m)
	if err == nil {
		err = r.findHeld(ctx, list)
	}
	if err != nil {
		return Assigned{}, err
	}
	answer := Assigned{}
	for i := range list {
		if err := r.turn(ctx, m, &list[i], open); err != nil {
			return Assigned{}, err
		}
		answer.Waits = answer.Waits || list[i].Wait
	}
	if answer.Tag, err = tagOf(list, open); err != nil || answer.Tag == tag {
		return answer, err
	}
	for _, w := range open {
		answer.Windows = append(answer.Windows, w.Doc)
	}
	documents, err := r.documents(ctx, list)
	if err != nil {
		return Assigned{}, fmt.Errorf("read what is ordered for %s: %w", m.Name, err)
	}
	for i := range list {
		assigned, err := list[i].with(documents)
		if err != nil {
			return Assigned{}, err
		}
		answer.Policies = append(answer.Policies, assigned)
	}
	return answer, nil
}

// choose finds the policies in force for a computer, and of each the updates that it is told of.
func (r *Room) choose(ctx context.Context, o *orders, m *computers.Member) ([]chosen, error) {
	var list []chosen
	if !m.Retired.IsZero() {
		return nil, nil
	}
	err := r.cfg.Bulletins.Catalog().Read(ctx, func(v *live.View) error {
		r.cfg.Computers.Look(func(memory computers.View) {
			for _, p := range o.policies {
				if !p.Enabled {
					continue
				}
				c := chosen{order: p, Policy: p.document.Digest, Paused: p.held(), Choices: p.choices(v, memory, m)}
				if p.body.Target.Match(pinned.Computer(m, len(c.Choices) > 0)) && len(c.Choices) > 0 {
					list = append(list, c)
				}
			}
		})
		return nil
	})
	return list, err
}

// held says whether nothing may be installed by a policy that is on: it is paused, or came before the maintenance windows
// that it was made under.
func (p *order) held() bool { return p.Paused || p.unsettled != "" }

// choices are the updates of a policy that a computer is told of: those that are applicable to it or installed on it, and
// those that only its agent can judge (see pinned.Alone).
func (p *order) choices(v *live.View, memory computers.View, m *computers.Member) []choice {
	var found []choice
	for i := range p.body.Updates {
		pin := &p.body.Updates[i]
		if !pin.Enabled || !p.pins.Here(pin) {
			continue
		}
		u := p.pins.Update(pin)
		c := choice{Number: u.Number, Update: pin.Digest, alone: p.pins.Alone(pin, v)}
		column, ordered := memory.Column(u.Number), false
		if c.alone {
			ordered, c.missing = pinned.For(u, column, m)
		} else if column != nil {
			ordered = column.Applicable.Contains(m.Number) || column.Installed.Contains(m.Number)
			c.missing = !column.Installed.Contains(m.Number) && !column.Unknown.Contains(m.Number)
		}
		if !ordered {
			continue
		}
		c.Pins = p.pins.Speaking(pin.Packages, pinned.Computer(m, true).System.Languages)
		for _, k := range c.Pins {
			c.files = append(c.files, p.pins.Package(k).Files...)
		}
		found = append(found, c)
	}
	return found
}

// tagOf stands for everything an answer says.
func tagOf(list []chosen, open windows.Set) (string, error) {
	digests := make([]document.Digest, 0, len(open))
	for _, w := range open {
		digests = append(digests, w.Doc.Digest)
	}
	raw, err := json.Marshal(struct {
		Policies []chosen
		Windows  []document.Digest
	}{list, digests})
	if err != nil {
		return "", fmt.Errorf("tag of what is ordered: %w", err)
	}
	sum := sha256.Sum256(raw)
	return hex.EncodeToString(sum[:12]), nil
}

// findHeld finds out which updates the site holds everything of.
func (r *Room) findHeld(ctx context.Context, list []chosen) error {
	var files []string
	for _, c := range list {
		for _, pick := range c.Choices {
			files = append(files, pick.files...)
		}
	}
	held, err := pinned.Held(ctx, r.cfg.Reader, files)
	if err != nil {
		return err
	}
	for _, c := range list {
		for i := range c.Choices {
			pick := &c.Choices[i]
			pick.Held = len(pick.Pins) > 0 && !slices.ContainsFunc(pick.files, func(file string) bool { return !held[file] })
		}
	}
	return nil
}

// documents reads everything that is chosen, by digest.
func (r *Room) documents(ctx context.Context, list []chosen) (map[document.Digest]document.Document, error) {
	wanted := map[document.Digest]bool{}
	for _, c := range list {
		for _, pick := range c.Choices {
			wanted[pick.Update] = true
			for _, pin := range pick.Pins {
				wanted[pin.Digest], wanted[pin.PayloadDigest] = true, true
			}
		}
	}
	documents, err := r.cfg.Bulletins.Catalog().Documents(ctx, slices.Collect(maps.Keys(wanted)))
	found := make(map[document.Digest]document.Document, len(documents))
	for _, doc := range documents {
		found[doc.Digest] = doc
	}
	return found, err
}

// with makes the answer from the documents that were read.
func (c *chosen) with(documents map[document.Digest]document.Document) (AssignedPolicy, error) {
	answer := AssignedPolicy{Document: c.order.document, Paused: c.Paused, Wait: c.Wait}
	for _, pick := range c.Choices {
		ordered := Ordered{Number: pick.Number, Held: pick.Held}
		var held bool
		if ordered.Update, held = documents[pick.Update]; !held {
			return answer, fmt.Errorf("policy %s pins an update that is not there any more: %s", c.order.Name, pick.Update)
		}
		for _, pin := range pick.Pins {
			pack, hasPack := documents[pin.Digest]
			payload, hasPayload := documents[pin.PayloadDigest]
			if !hasPack || !hasPayload {
				return answer, fmt.Errorf("policy %s pins package %s, which is not there any more", c.order.Name, pin.ID)
			}
			ordered.Packages, ordered.Payloads = append(ordered.Packages, pack), append(ordered.Payloads, payload)
		}
		answer.Updates = append(answer.Updates, ordered)
	}
	return answer, nil
}

// open says whether installs of a policy may begin on a computer now: its plan has started there and a window is open.
func (r *Room) open(m *computers.Member, p *order, all windows.Set) bool {
	now, zone := r.cfg.Now(), pinned.Zone(m)
	if p.body.Plan.When == policy.StartAt {
		start, err := planOf(p.body.Plan).Start(p.Changed, schedule.Recurrence{}, zone, schedule.Key(m.ID, p.ID))
		if err != nil || now.Before(start) {
			return false
		}
	}
	if p.body.OverrideWindows || len(all) == 0 {
		return true
	}
	times := make(schedule.Windows, 0, len(all))
	for _, w := range all {
		times = append(times, w.Body.Window)
	}
	_, open := times.Open(now, zone)
	return open
}

// Orders returns the updates that policies in force order on a computer, by number.
func (r *Room) Orders(ctx context.Context, computer string) ([]compliance.Order, error) {
	m := r.cfg.Computers.Member(computer)
	if m == nil {
		return nil, store.NotFound("computer", computer)
	}
	o, err := r.load(ctx)
	if err != nil {
		return nil, err
	}
	list, err := r.choose(ctx, o, m)
	var found []compliance.Order
	for _, c := range list {
		for _, pick := range c.Choices {
			one := compliance.Order{Number: pick.Number}
			if pick.alone {
				one.Alone = c.order.pins.Revision(pick.Update)
			}
			found = append(found, one)
		}
	}
	slices.SortStableFunc(found, func(a, b compliance.Order) int { return cmp.Compare(a.Number, b.Number) })
	return slices.CompactFunc(found, func(a, b compliance.Order) bool { return a.Number == b.Number }), err
}
