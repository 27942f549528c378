// Package report says to the site what changed on the computer since it was last told.
package report

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"hash/fnv"
	"time"
	"unicode/utf8"

	"thatch/agent/scan"
	"thatch/agentapi"
	"thatch/catalog/rule"
)

// Memory is what the site knows of this computer, as far as it was acknowledged, and what it is still to be told.
type Memory struct {
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

// Scene is what a report is made under.
type Scene struct {
	Epoch, Cursor string // of the rules that were evaluated
	At            time.Time
	Agent         string // version
	Simulated     bool
}

// Draft is a report, and the memory that holds once it is acknowledged.
type Draft struct {
	Request agentapi.ReportRequest
	Next    Memory
}

// Silent says whether a report has nothing new in it.
func (d *Draft) Silent() bool {
	q := &d.Request
	said := len(q.States) + len(q.Attempts)
	for _, c := range []agentapi.Change{q.Applicable, q.Installed, q.Unknown} {
		said += len(c.Add) + len(c.Remove)
	}
	return said == 0 && q.Facts == nil
}

// Draft makes the report of a scan. States are those of everything that is ordered.
func (m *Memory) Draft(s *scan.Scan, states []agentapi.UpdateState, scene Scene) Draft {
	former := *m
	if former.Counter == 0 {
		former = Memory{Outbox: m.Outbox}
	}
	sets, reasons := s.Report()
	d := Draft{
		Next: Memory{
			Epoch: scene.Epoch, Sent: sets, Scanned: scene.At, Refetched: m.Refetched,
			Reasons: map[uint32]uint32{}, States: map[uint32]string{},
		},
		Request: agentapi.ReportRequest{
			Epoch: scene.Epoch, Base: former.Counter, Cursor: scene.Cursor, At: scene.At, Hardware: s.Machine.Hardware,
			Applicable: scan.Difference(former.Sent.Applicable, sets.Applicable),
			Installed:  scan.Difference(former.Sent.Installed, sets.Installed),
			Unknown:    scan.Difference(former.Sent.Unknown, sets.Unknown),
			Attempts:   former.Outbox,
		},
	}
	d.addReasons(former, sets.Unknown, reasons)
	current := described(s, scene)
	if d.Next.Facts = digestOf(current); d.Next.Facts != former.Facts {
		d.Request.Facts = current
	}
	for _, state := range states {
		d.Next.States[state.Number] = digestOf(state)
		if former.States[state.Number] != d.Next.States[state.Number] {
			d.Request.States = append(d.Request.States, state)
		}
	}
	return d
}

// addReasons adds why each unknown update cannot be told, and names again those whose reason changed.
func (d *Draft) addReasons(former Memory, numbers []uint32, reasons map[uint32]string) {
	limit := maxReason
	if len(numbers) > manyReasons {
		limit = shortReason
	}
	d.Request.Reasons = map[uint32]string{}
	var again []uint32
	for _, number := range numbers {
		text := Cut(reasons[number], limit)
		d.Next.Reasons[number] = hashOf(text)
		sent, told := former.Reasons[number]
		if told && sent == d.Next.Reasons[number] {
			continue
		}
		d.Request.Reasons[number] = text
		again = append(again, number)
	}
	d.Request.Unknown.Add = again
}

func hashOf(text string) uint32 {
	hash := fnv.New32a()
	hash.Write([]byte(text))
	return hash.Sum32()
}

// Cut shortens a text without breaking a character.
func Cut(text string, limit int) string {
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
func described(s *scan.Scan, scene Scene) *agentapi.Facts {
	m := s.Machine
	f := &agentapi.Facts{
		Name: m.Name, Domain: m.Domain, Addresses: m.Addresses, Manufacturer: m.Manufacturer, Model: m.Model, Serial: m.Serial,
		TimeZone: m.TimeZone, Agent: scene.Agent, Protocol: agentapi.Protocol, Simulated: scene.Simulated || s.Facts.Simulated,
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
