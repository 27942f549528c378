package compliance

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"thatch/node/bulletins/live"
	"thatch/node/computers"
	"thatch/node/computers/compliance/report"
	"thatch/node/store"
)

// UpdateStatus is how one update stands on one computer.
type UpdateStatus struct {
	ID          string           `json:"id"`
	Number      uint32           `json:"number"`
	Update      string           `json:"update"`
	KB          string           `json:"kb,omitempty"`
	Bulletin    string           `json:"bulletin"`
	Product     string           `json:"product"`
	Severity    string           `json:"severity"`
	Exploited   bool             `json:"exploited"`
	Status      computers.Status `json:"status"`
	Text        string           `json:"text,omitempty"` // why
	LastApplied string           `json:"last_applied"`   // time, or Never
	Starts      time.Time        `json:"starts,omitzero"`
	Policy      string           `json:"policy,omitempty"` // id
	Ordered     bool             `json:"ordered"`          // by a policy in force
}

// Order is an update that policies in force order on a computer.
type Order struct {
	Number uint32
	// Alone is the ordered revision where agents judge it by its own rules alone, because the catalog's are others, or
	// none; else nil.
	Alone *live.Update
}

// Attempt is one run of an installer, with the name of its update.
type Attempt struct {
	computers.Attempt
	Update string `json:"update"` // its number where the catalog has it no more
}

// Detail is everything of one computer.
type Detail struct {
	report.ComputerRow
	MachineID   string           `json:"machine_id"`
	Hardware    string           `json:"hardware"`
	Certificate string           `json:"certificate"` // serial of the present one
	Enrolled    time.Time        `json:"enrolled"`
	Facts       *computers.Facts `json:"facts"` // nil: it never reported
	Counter     uint64           `json:"reports"`
	Updates     []*UpdateStatus  `json:"updates"`  // ordered, applicable, or not to be told; by status, then name
	Attempts    []Attempt        `json:"attempts"` // newest first
}

// Find returns the id of the computer with an id, or with a name that it alone bears among those that are not retired.
func (r *Room) Find(name string) (string, error) {
	if m := r.computers.Member(name); m != nil {
		return m.ID, nil
	}
	var found []string
	r.computers.Look(func(v computers.View) {
		for _, m := range v.Members() {
			if strings.EqualFold(m.Name, name) && m.Retired.IsZero() {
				found = append(found, m.ID)
			}
		}
	})
	switch len(found) {
	case 0:
		return "", store.NotFound("computer", name)
	case 1:
		return found[0], nil
	}
	slices.Sort(found)
	return "", store.Invalid("several computers are called %q; give the id of one: %s", name, strings.Join(found[:min(5, len(found))], ", "))
}

// Show returns everything of the computer with an id or a name. Ordered are the updates that policies in force order
// there, by number.
func (r *Room) Show(ctx context.Context, name string, ordered func(ctx context.Context, computer string) ([]Order, error)) (*Detail, error) {
	id, err := r.Find(name)
	if err != nil {
		return nil, err
	}
	orders, err := ordered(ctx, id)
	if err != nil {
		return nil, err
	}
	held, err := r.computers.Detail(ctx, id)
	if err != nil {
		return nil, err
	}
	d := &Detail{
		MachineID: held.MachineID, Hardware: held.Hardware, Certificate: held.Certificate, Enrolled: held.Enrolled, Facts: held.Facts, Counter: held.Counter,
		Attempts: []Attempt{}, Updates: []*UpdateStatus{},
	}
	err = r.look(ctx, func(s *snapshot, v computers.View) error {
		s.computers.refresh(v)
		item := s.computers.item(held.Number)
		d.ComputerRow = item.row
		d.Missing, d.Percent = item.both[0].missing, item.both[0].percent
		d.LastSeen = held.LastSeen
		return nil
	})
	if err != nil {
		return nil, err
	}
	err = r.catalog.Read(ctx, func(v *live.View) error {
		judge := newJudge(&held, orders, v)
		d.Updates = judge.all()
		for _, a := range held.Attempts {
			name := fmt.Sprint(a.Number)
			if u := judge.named(a.Number); u != nil {
				name = u.Name
			}
			d.Attempts = append(d.Attempts, Attempt{Attempt: a, Update: name})
		}
		return nil
	})
	slices.SortFunc(d.Updates, func(a, b *UpdateStatus) int {
		return cmp.Or(cmp.Compare(order(a.Status), order(b.Status)), cmp.Compare(a.Update, b.Update), cmp.Compare(a.Number, b.Number))
	})
	return d, err
}

// Status is how an update of the catalog, by its id, stands on a computer, whether or not it concerns it, with everything that the
// computer said.
func (r *Room) Status(ctx context.Context, computer, update string, ordered func(ctx context.Context, computer string) ([]Order, error)) (*UpdateStatus, *computers.Detail, error) {
	id, err := r.Find(computer)
	if err != nil {
		return nil, nil, err
	}
	orders, err := ordered(ctx, id)
	if err != nil {
		return nil, nil, err
	}
	held, err := r.computers.Detail(ctx, id)
	if err != nil {
		return nil, nil, err
	}
	var status *UpdateStatus
	err = r.catalog.Read(ctx, func(v *live.View) error {
		judge := newJudge(&held, orders, v)
		found := v.UpdateByID(update)
		for _, o := range orders {
			if o.Alone != nil && o.Alone.ID == update {
				found = o.Alone
			}
		}
		if found == nil {
			return store.NotFound("update", update)
		}
		status = judge.update(found)
		return nil
	})
	return status, &held, err
}

// order puts what calls for a person first.
func order(s computers.Status) int {
	switch s {
	case computers.FailedToInstall:
		return 0
	case computers.FailedRescheduled, computers.Retry:
		return 1
	case computers.CannotTell:
		return 3
	case computers.Superseded:
		return 4
	case computers.Installed:
		return 5
	case computers.NotApplicable:
		return 6
	}
	return 2
}

// judge says how updates stand on one computer.
type judge struct {
	held    *computers.Detail
	ordered map[uint32]Order
	view    *live.View
}

func newJudge(held *computers.Detail, orders []Order, v *live.View) *judge {
	j := &judge{held: held, ordered: make(map[uint32]Order, len(orders)), view: v}
	for _, o := range orders {
		j.ordered[o.Number] = o
	}
	return j
}

// all are the updates that are worth a line. What is ordered in a revision of its own stands by that one.
func (j *judge) all() []*UpdateStatus {
	found := []*UpdateStatus{}
	for _, u := range j.view.Updates() {
		if j.ordered[u.Number].Alone != nil {
			continue
		}
		if status := j.update(u); j.concerns(u, status) {
			found = append(found, status)
		}
	}
	for _, o := range j.ordered {
		if o.Alone == nil {
			continue
		}
		if status := j.update(o.Alone); status.Status != computers.NotApplicable {
			found = append(found, status)
		}
	}
	return found
}

// named finds an update of the catalog, or one that is ordered although it left it.
func (j *judge) named(number uint32) *live.Update {
	if u := j.view.Update(number); u != nil {
		return u
	}
	return j.ordered[number].Alone
}

func (j *judge) update(u *live.Update) *UpdateStatus {
	number := u.Number
	order, ordered := j.ordered[number]
	q := computers.Question{
		Covered: j.held.Known && j.held.Cursor.Compare(cursorOf(u.Changed)) >= 0, Superseded: j.view.Superseded(u.ID), Never: j.view.NeverOffered(u.Bulletin),
		Applicable: j.held.Sets.Applicable.Contains(number), Installed: j.held.Sets.Installed.Contains(number),
		Unknown: j.held.Sets.Unknown.Contains(number), Ordered: ordered, Alone: order.Alone != nil,
	}
	if q.Unknown {
		q.Reason = j.held.Reasons.Of(number)
	}
	if !u.Evaluable {
		q.Unknown, q.Reason = true, cmp.Or(u.NoRule, "its vendor's rules could not be read")
	}
	status := &UpdateStatus{
		ID: u.ID, Number: number, Update: u.Name, KB: u.KB, Product: u.Product.Name, Severity: string(u.Severity), Ordered: ordered,
	}
	if b := j.view.Bulletin(u.Bulletin); b != nil {
		status.Bulletin = b.Name
		for _, c := range b.CVEs {
			status.Exploited = status.Exploited || c.Exploited && slices.Contains(u.CVEs, c.ID)
		}
	}
	if state, known := j.held.States[number]; known {
		q.State, status.Policy = &state, state.Policy
	}
	answer := computers.Judge(q)
	status.Status, status.Text, status.LastApplied, status.Starts = answer.Status, answer.Text, answer.Applied(), answer.Starts
	return status
}

// concerns says whether an update is worth a line: it is ordered, applicable, installed or reported as not to be told.
// That no rule could be made for an update of some product is said once, in the report by update.
func (j *judge) concerns(u *live.Update, s *UpdateStatus) bool {
	if u.Detector || u.Withdrawn || u.Platform() != j.held.Platform {
		return false
	}
	number := u.Number
	sets := j.held.Sets
	return s.Ordered || s.Policy != "" || sets.Applicable.Contains(number) || sets.Installed.Contains(number) || sets.Unknown.Contains(number) ||
		s.Status == computers.Pending
}

var statusColumns = []store.Column[*UpdateStatus]{
	{Name: "id", Value: func(s *UpdateStatus) any { return s.ID }},
	{Name: "number", Kind: store.Number, Value: func(s *UpdateStatus) any { return int(s.Number) }},
	{Name: "update", Value: func(s *UpdateStatus) any { return s.Update }, Search: true},
	{Name: "kb", Value: func(s *UpdateStatus) any { return s.KB }, Search: true},
	{Name: "bulletin", Value: func(s *UpdateStatus) any { return s.Bulletin }, Search: true},
	{Name: "product", Value: func(s *UpdateStatus) any { return s.Product }, Search: true},
	{Name: "severity", Value: func(s *UpdateStatus) any { return s.Severity }},
	{Name: "exploited", Kind: store.Flag, Value: func(s *UpdateStatus) any { return s.Exploited }},
	{Name: "status", Value: func(s *UpdateStatus) any { return string(s.Status) }},
	{Name: "last_applied", Kind: store.Time, Value: func(s *UpdateStatus) any { return s.LastApplied }},
	{Name: "policy", Value: func(s *UpdateStatus) any { return s.Policy }},
	{Name: "ordered", Kind: store.Flag, Value: func(s *UpdateStatus) any { return s.Ordered }},
}

// StatusColumns names what the updates of a computer can be filtered and sorted by.
var StatusColumns = store.ColumnNames(statusColumns)

// Page returns a page of the updates of a computer.
func (d *Detail) Page(q store.Query) (page []*UpdateStatus, total int, err error) {
	return store.Select(q, d.Updates, statusColumns)
}
