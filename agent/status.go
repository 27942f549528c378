package agent

import (
	"time"

	"thatch/agent/folder"
	"thatch/agent/line"
	"thatch/agent/report"
	"thatch/agentapi"
)

// outcome is how the last round went.
type outcome struct {
	At    time.Time `json:"at"`
	Cycle Cycle     `json:"cycle"`
	Error string    `json:"error,omitempty"`
	Idle  bool      `json:"idle,omitempty"` // nothing is done until somebody enrols this computer
}

// Status is what a folder says of its agent.
type Status struct {
	Enrolled    bool           `json:"enrolled"`
	Computer    string         `json:"computer,omitempty"`
	Site        *agentapi.Site `json:"site,omitempty"`
	Nodes       []string       `json:"nodes,omitempty"` // addresses of the site's nodes
	Node        string         `json:"node,omitempty"`  // address of the one that this agent talks to
	Certificate *time.Time     `json:"certificate_ends,omitempty"`
	Contact     *time.Time     `json:"last_contact,omitempty"`
	Round       *time.Time     `json:"last_round,omitempty"`
	Next        *time.Time     `json:"next_round,omitempty"`
	Error       string         `json:"error,omitempty"` // of the last round
	Idle        bool           `json:"idle,omitempty"`  // because of the error, until this computer is enrolled
	Counts      Counts         `json:"counts"`
	Updates     []UpdateStatus `json:"updates"`
	Simulated   bool           `json:"simulated,omitempty"`
}

// UpdateStatus is where an ordered update stands.
type UpdateStatus struct {
	agentapi.UpdateState
	Name string `json:"name"`
}

// ReadStatus reads the status of the agent in a folder, also while another process is that agent.
func ReadStatus(dir string) (Status, error) {
	status := Status{Updates: []UpdateStatus{}}
	f := folder.Folder{Dir: dir, Step: func(string) {}}
	id, err := loadIdentity(f)
	if err != nil {
		return status, err
	}
	if id != nil {
		status.Enrolled, status.Computer, status.Site = true, id.Computer, &id.Site
		status.Nodes, status.Node = line.Known(f, id.Computer, id.Nodes)
		status.Certificate, status.Simulated = &id.certificate.NotAfter, id.Simulated
	}
	var remembered report.Memory
	if err := f.Read(memoryFile, &remembered); err != nil {
		return status, err
	}
	status.Contact = when(remembered.Contact)
	var last outcome
	if err := f.Read(outcomeFile, &last); err != nil {
		return status, err
	}
	status.Round, status.Next, status.Error, status.Idle = when(last.At), when(last.Cycle.Next), last.Error, last.Idle
	status.Counts = last.Cycle.Counts
	for _, state := range last.Cycle.States {
		status.Updates = append(status.Updates, UpdateStatus{state, last.Cycle.Names[state.Number]})
	}
	return status, nil
}

func when(at time.Time) *time.Time {
	if at.IsZero() {
		return nil
	}
	return &at
}
