package agent

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"hash/fnv"
	"time"
	"unicode/utf8"

	"thatch/agent/scan"
	"thatch/agentapi"
	"thatch/catalog/rule"
)

// memory is what the site knows of this computer, as far as it was acknowledged, and what it is still to be told.
type memory struct {
	Epoch     string             `json:"epoch,omitempty"`
	Counter   uint64             `json:"counter,omitempty"` // of the last report that was acknowledged; 0: none
	Sent      scan.Sets          `json:"sent"`
	Reasons   map[uint32]uint32  `json:"reasons,omitempty"` // hash of the reason of each unknown one
	Facts     string             `json:"facts,omitempty"`   // digest
	States    map[uint32]string  `json:"states,omitempty"`  // digest of each state
	Outbox    []agentapi.Attempt `json:"outbox,omitempty"`
	Scanned   time.Time          `json:"scanned"`
	Refetched time.Time          `json:"refetched"`
	Contact   time.Time          `json:"contact"` // last answer of a node
}

// A whole report of a computer that can tell nothing must still fit into a request.
const (
	maxReason   = 400
	shortReason = 100
	manyReasons = 10_000
)

// reportChanges reports where there is something new to say.
func (a *Agent) reportChanges(ctx context.Context, s *scan.Scan, states []agentapi.UpdateState) (time.Duration, error) {
	if a.memory.Counter != 0 && a.memory.Epoch == a.rules.Epoch {
		if d := a.draft(s, states); d.silent() {
			return 0, nil
		}
	}
	return a.report(ctx, s, states)
}

// silent says whether a report has nothing new in it.
func (d *draft) silent() bool {
	q := &d.request
	said := len(q.States) + len(q.Attempts)
	for _, c := range []agentapi.Change{q.Applicable, q.Installed, q.Unknown} {
		said += len(c.Add) + len(c.Remove)
	}
	return said == 0 && q.Facts == nil
}

// report tells the site what it does not know yet, and returns in how long it wants to hear again, 0 if it did not say.
func (a *Agent) report(ctx context.Context, s *scan.Scan, states []agentapi.UpdateState) (time.Duration, error) {
	if a.memory.Epoch != a.rules.Epoch {
		// Numbers of another epoch mean nothing; attempts keep their meaning only with theirs.
		a.memory = memory{Epoch: a.rules.Epoch, Scanned: a.memory.Scanned, Refetched: a.memory.Refetched}
	}
	for range 2 {
		draft := a.draft(s, states)
		answer, err := a.client.Report(ctx, draft.request)
		if err != nil {
			return 0, fmt.Errorf("report: %w", err)
		}
		if answer.Resend {
			a.memory.Counter = 0
			continue
		}
		a.step("reported")
		draft.next.Counter, draft.next.Contact = answer.Counter, a.cfg.Now()
		a.memory = draft.next
		if err := a.folder.Write(memoryFile, a.memory); err != nil {
			return 0, err
		}
		return time.Duration(answer.CheckIn) * time.Second, nil
	}
	return 0, fmt.Errorf("report: the node asks for a whole report and does not take it")
}

// draft is a report and the memory that holds once it is acknowledged.
type draft struct {
	request agentapi.ReportRequest
	next    memory
}

func (a *Agent) draft(s *scan.Scan, states []agentapi.UpdateState) draft {
	former := a.memory
	if former.Counter == 0 {
		former = memory{Outbox: a.memory.Outbox}
	}
	sets, reasons := s.Report()
	next := memory{
		Epoch: a.rules.Epoch, Sent: sets, Scanned: a.cfg.Now(), Refetched: a.memory.Refetched,
		Reasons: map[uint32]uint32{}, States: map[uint32]string{},
	}
	request := agentapi.ReportRequest{
		Epoch: a.rules.Epoch, Base: former.Counter, Cursor: a.rules.Cursor, At: a.cfg.Now(), Hardware: s.Machine.Hardware,
		Applicable: scan.Difference(former.Sent.Applicable, sets.Applicable),
		Installed:  scan.Difference(former.Sent.Installed, sets.Installed),
		Unknown:    scan.Difference(former.Sent.Unknown, sets.Unknown),
		Attempts:   former.Outbox,
	}
	a.addReasons(&request, &next, former, sets.Unknown, reasons)
	current := a.described(s)
	if next.Facts = digestOf(current); next.Facts != former.Facts {
		request.Facts = current
	}
	for _, state := range states {
		next.States[state.Number] = digestOf(state)
		if former.States[state.Number] != next.States[state.Number] {
			request.States = append(request.States, state)
		}
	}
	return draft{request, next}
}

// addReasons adds why each unknown update cannot be told, and names again those whose reason changed.
func (a *Agent) addReasons(request *agentapi.ReportRequest, next *memory, former memory, numbers []uint32, reasons map[uint32]string) {
	limit := maxReason
	if len(numbers) > manyReasons {
		limit = shortReason
	}
	request.Reasons = map[uint32]string{}
	var again []uint32
	for _, number := range numbers {
		text := cut(reasons[number], limit)
		next.Reasons[number] = hashOf(text)
		sent, told := former.Reasons[number]
		if told && sent == next.Reasons[number] {
			continue
		}
		request.Reasons[number] = text
		again = append(again, number)
	}
	request.Unknown.Add = again
}

func hashOf(text string) uint32 {
	hash := fnv.New32a()
	hash.Write([]byte(text))
	return hash.Sum32()
}

// cut shortens a text without breaking a character.
func cut(text string, limit int) string {
	if len(text) <= limit {
		return text
	}
	for limit > 0 && !utf8.RuneStart(text[limit]) {
		limit--
	}
	return text[:limit]
}

func digestOf(value any) string {
	raw, err := json.Marshal(value)
	if err != nil {
		return "" // never equal to a digest: it is sent again
	}
	sum := sha256.Sum256(raw)
	return hex.EncodeToString(sum[:12])
}

// described is what the site sees of the computer.
func (a *Agent) described(s *scan.Scan) *agentapi.Facts {
	m := s.Machine
	f := &agentapi.Facts{
		Name: m.Name, Domain: m.Domain, Addresses: m.Addresses, Manufacturer: m.Manufacturer, Model: m.Model, Serial: m.Serial,
		TimeZone: m.TimeZone, Agent: a.cfg.Version, Simulated: a.cfg.Simulated || s.Facts.Simulated,
	}
	if s.Facts.System != nil {
		f.System = *s.Facts.System
	} else {
		f.System = rule.System{Revision: -1}
	}
	if s.Facts.Hotfixes != nil {
		f.Hotfixes = s.Facts.Hotfixes.KBs
	}
	return f
}
