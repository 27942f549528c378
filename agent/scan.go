package agent

import (
	"context"
	"fmt"
	"slices"
	"time"

	"thatch/agent/facts"
	"thatch/agentapi"
	"thatch/catalog"
	"thatch/catalog/rule"
)

// standing is how an update stands on this computer.
type standing int

const (
	unknown    standing = iota // what cannot be told is neither patched nor not applicable
	absent                     // not applicable
	applicable                 // missing
	installed
	superseded // by something that is installed
)

type verdict struct {
	standing standing
	why      string
}

// known is what later decisions ask of an update of the catalog.
type known struct {
	number   uint32
	name     string
	verdict  verdict
	detector bool
}

// scan is one look at the computer.
type scan struct {
	at         time.Time
	cursor     string
	epoch      string
	machine    facts.Machine
	facts      *rule.Facts
	evaluator  *rule.Evaluator
	knowledge  rule.Knowledge
	updates    map[string]*known   // by document id
	successors map[string][]string // by document id: what supersedes it directly
	refused    map[uint32]string
}

// read asks the source, and adds what the agent itself knows.
func (a *Agent) read(ctx context.Context) (*rule.Facts, error) {
	read, err := a.cfg.Source.Read(ctx)
	if err != nil {
		return nil, fmt.Errorf("read facts: %w", err)
	}
	own := *read
	own.History = history(a.orders)
	return &own, nil
}

// history is what this agent installed: rule.History.
type history map[string]*progress

// Once implements rule.History. Rules name updates by their documents' ids.
func (h history) Once(update string) (bool, error) {
	p := h[update]
	return p != nil && p.LastApplied != nil, nil
}

// look reads the computer, and judges every update of the catalog.
func (a *Agent) look(ctx context.Context) (*scan, error) {
	machine, err := a.machine(ctx)
	if err != nil {
		return nil, err
	}
	read, err := a.read(ctx)
	if err != nil {
		return nil, err
	}
	s := &scan{
		at: a.cfg.Now(), cursor: a.rules.cursor, epoch: a.rules.epoch, machine: machine, facts: read,
		updates: map[string]*known{}, successors: map[string][]string{}, refused: a.rules.refused,
	}
	var all []numbered
	err = a.rules.each(func(update *agentapi.NumberedUpdate) error {
		body, err := catalog.Decode[catalog.Update](update.Document.Body)
		one := numbered{number: update.Number, id: update.Document.ID, month: update.Month, update: body}
		if err != nil {
			one.update = catalog.Update{NoRule: err.Error()}
		}
		all = append(all, one)
		return nil
	})
	if err != nil {
		return nil, err
	}
	s.knowledge = knowledge(all)
	s.evaluator = rule.NewEvaluator(read, s.knowledge)
	if err := s.judgeAll(ctx, all); err != nil {
		return nil, err
	}
	return s, nil
}

// numbered is a decoded update of the catalog.
type numbered struct {
	number uint32
	id     string
	month  string
	update catalog.Update
}

func (s *scan) judgeAll(ctx context.Context, all []numbered) error {
	for i := range all {
		if i%256 == 0 {
			if err := ctx.Err(); err != nil {
				return err
			}
		}
		one := &all[i]
		s.updates[one.id] = &known{
			number: one.number, name: one.update.Name, detector: one.update.Detector, verdict: s.judge(&one.update),
		}
		for _, former := range one.update.Supersedes {
			s.successors[former] = append(s.successors[former], one.id)
		}
	}
	for i := range all {
		one := s.updates[all[i].id]
		if one.verdict.standing == applicable {
			one.verdict = s.prerequisites(one.verdict, all[i].update.Prerequisites)
		}
	}
	for id, one := range s.updates {
		one.verdict = s.overtaken(id, one.verdict)
	}
	return nil
}

// overtaken lowers the verdict on a missing update that something installed supersedes.
func (s *scan) overtaken(id string, v verdict) verdict {
	if v.standing != applicable {
		return v
	}
	by := s.successor(id, func(_ string, k *known) bool { return k.verdict.standing == installed })
	if by == "" {
		return v
	}
	return verdict{superseded, fmt.Sprintf("superseded by %s, which is installed", s.nameOf(by))}
}

// judge holds an update's own rules against the computer.
func (s *scan) judge(u *catalog.Update) verdict {
	if u.NoRule != "" {
		return verdict{unknown, u.NoRule}
	}
	has := s.evaluator.Evaluate(u.Installed)
	if has.Answer == rule.True {
		return verdict{standing: installed}
	}
	can := s.evaluator.Evaluate(u.Applicable)
	switch can.Answer {
	case rule.False:
		return verdict{standing: absent}
	case rule.Unknown:
		return verdict{unknown, can.Because}
	}
	if has.Answer == rule.Unknown {
		return verdict{unknown, has.Because}
	}
	if u.Superseded != nil {
		switch over := s.evaluator.Evaluate(u.Superseded); over.Answer {
		case rule.True:
			return verdict{superseded, "its own rule says that something newer is installed"}
		case rule.Unknown:
			return verdict{unknown, over.Because}
		}
	}
	return verdict{standing: applicable}
}

// prerequisites lowers the verdict on an applicable update: of every group one update must be installed. One that is
// missing can be installed first, so the update still counts; where all are not applicable, so is the update.
func (s *scan) prerequisites(v verdict, groups [][]string) verdict {
	for _, group := range groups {
		if len(group) == 0 {
			continue
		}
		switch g := s.group(group); g.standing {
		case absent:
			return verdict{standing: absent}
		case unknown:
			v = g
		}
	}
	return v
}

// group judges one group of prerequisites: installed when one is, applicable when one could be installed first.
func (s *scan) group(ids []string) verdict {
	g := verdict{standing: absent}
	for _, id := range ids {
		k := s.updates[id]
		switch {
		case k != nil && (k.verdict.standing == installed || k.verdict.standing == superseded):
			return verdict{standing: installed}
		case k != nil && k.verdict.standing == applicable && !k.detector:
			g = verdict{standing: applicable}
		case g.standing == applicable:
		case k == nil:
			g = verdict{unknown, fmt.Sprintf("its prerequisite %s is not known here", id)}
		case k.verdict.standing == unknown:
			g = verdict{unknown, fmt.Sprintf("its prerequisite %s: %s", s.nameOf(id), k.verdict.why)}
		}
	}
	return g
}

// lacking names the first group of prerequisites of which nothing is installed, "" when there is none.
func (s *scan) lacking(groups [][]string) string {
	for _, group := range groups {
		has := slices.ContainsFunc(group, func(id string) bool {
			k := s.updates[id]
			return k != nil && (k.verdict.standing == installed || k.verdict.standing == superseded)
		})
		if !has && len(group) > 0 {
			return s.nameOf(group[0])
		}
	}
	return ""
}

// successor finds an update that supersedes id, directly or through others, and satisfies want. Circles end the search.
func (s *scan) successor(id string, want func(id string, k *known) bool) string {
	seen := map[string]bool{id: true}
	queue := s.successors[id]
	for len(queue) > 0 {
		next := queue[0]
		queue = queue[1:]
		if seen[next] {
			continue
		}
		seen[next] = true
		if k := s.updates[next]; k != nil && want(next, k) {
			return next
		}
		queue = append(queue[:len(queue):len(queue)], s.successors[next]...)
	}
	return ""
}

func (s *scan) nameOf(id string) string {
	if k := s.updates[id]; k != nil && k.name != "" {
		return k.name
	}
	return id
}

// sets are the scan as it is reported. Detectors are rules that others share, and nothing to report.
func (s *scan) sets() (sets sets, reasons map[uint32]string) {
	reasons = map[uint32]string{}
	for _, k := range s.updates {
		if k.detector {
			continue
		}
		switch k.verdict.standing {
		case applicable:
			sets.Applicable = append(sets.Applicable, k.number)
		case installed:
			sets.Installed = append(sets.Installed, k.number)
		case unknown:
			sets.Unknown = append(sets.Unknown, k.number)
			reasons[k.number] = k.verdict.why
		}
	}
	for number, why := range s.refused {
		sets.Unknown = append(sets.Unknown, number)
		reasons[number] = why
	}
	slices.Sort(sets.Applicable)
	slices.Sort(sets.Installed)
	slices.Sort(sets.Unknown)
	return sets, reasons
}

func (s *scan) languages() []string {
	if s.facts.System == nil {
		return nil
	}
	return s.facts.System.Languages
}
