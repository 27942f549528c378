// Package memory holds the facts of a computer in memory: of recorded hosts, whose facts somebody collected and wrote
// down as JSON, and of simulated computers, whose installers change them.
//
// The JSON of a host has one member for each part of rule.Facts. A part that is not there was not collected, and rules
// that need it cannot tell.
package memory

import (
	"encoding/json"
	"fmt"

	"thatch/catalog/rule"
)

// MaxSize bounds the JSON of a host in bytes.
const MaxSize = 64 << 20

// Host is what is known of one computer. It is not for several goroutines at once.
type Host struct {
	Name      string         `json:"name,omitempty"`
	Simulated bool           `json:"simulated,omitempty"`
	System    *rule.System   `json:"system,omitempty"`
	Registry  *Registry      `json:"registry,omitempty"`
	Files     *Files         `json:"files,omitempty"`
	Installer *Installer     `json:"installer,omitempty"`
	WMI       *WMI           `json:"wmi,omitempty"`
	Hotfixes  *rule.Hotfixes `json:"hotfixes,omitempty"`
	Metrics   Metrics        `json:"metrics,omitempty"`
	Cluster   *Cluster       `json:"cluster,omitempty"`
	History   *History       `json:"history,omitempty"`
}

// Decode reads the JSON of a host. Members that this version does not know are ignored; a member that is not of its
// form is an error that names it. A system without a revision has an unknown one.
func Decode(data []byte) (*Host, error) {
	if len(data) > MaxSize {
		return nil, fmt.Errorf("facts of %d bytes: at most %d are read", len(data), MaxSize)
	}
	h := &Host{}
	if err := json.Unmarshal(data, h); err != nil {
		return nil, fmt.Errorf("facts: %w", err)
	}
	var optional struct {
		System struct {
			Revision *int `json:"revision"`
		} `json:"system"`
	}
	if err := json.Unmarshal(data, &optional); err != nil {
		return nil, fmt.Errorf("facts: %w", err)
	}
	if h.System != nil && optional.System.Revision == nil {
		h.System.Revision = -1
	}
	return h, nil
}

// Facts shows the host to rules. What is changed in the host later is seen there, parts that are exchanged are not.
func (h *Host) Facts() *rule.Facts {
	f := &rule.Facts{System: h.System, Hotfixes: h.Hotfixes, Simulated: h.Simulated}
	// A nil pointer in an interface would not be nil.
	if h.Registry != nil {
		f.Registry = views{h.Registry, h.System != nil && h.System.Architecture == "x86"}
	}
	if h.Files != nil {
		f.Files = h.Files
	}
	if h.Installer != nil {
		f.Installer = h.Installer
	}
	if h.WMI != nil {
		f.WMI = h.WMI
	}
	if h.Metrics != nil {
		f.Metrics = h.Metrics
	}
	if h.Cluster != nil {
		f.Cluster = h.Cluster
	}
	if h.History != nil {
		f.History = h.History
	}
	return f
}

// Metrics are answers of GetSystemMetrics by index.
type Metrics map[int]int

// Metric answers from the map; what is not in it was not collected.
func (m Metrics) Metric(index int) (int, error) {
	value, has := m[index]
	if !has {
		return 0, notCollected()
	}
	return value, nil
}

// Cluster is a computer's place in a failover cluster.
type Cluster struct {
	Member bool     `json:"member"`
	Owned  []string `json:"owned"` // names of resources
}

// Clustered implements rule.Cluster.
func (c *Cluster) Clustered() (bool, error) { return c.Member, nil }

// Owns implements rule.Cluster.
func (c *Cluster) Owns(resource string) (bool, error) { return containsFold(c.Owned, resource), nil }

// History lists the updates that an agent once installed.
type History struct {
	Updates []string `json:"updates"`
}

// Once implements rule.History.
func (h *History) Once(update string) (bool, error) { return containsFold(h.Updates, update), nil }

func notCollected() error { return fmt.Errorf("%w: it was not collected", rule.ErrUnknown) }
