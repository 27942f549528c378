// Package machine holds what a computer says of itself: everything that is kept, and the part that memory holds of each.
package machine

import (
	"encoding/json"
	"strconv"

	"thatch/catalog/rule"
)

// Facts is what a site knows of a computer beside its rows.
type Facts struct {
	Name         string      `json:"name"`
	Domain       string      `json:"domain,omitempty"`
	Addresses    []string    `json:"addresses,omitempty"`
	System       rule.System `json:"system"`
	Hotfixes     []string    `json:"hotfixes,omitempty"`
	Manufacturer string      `json:"manufacturer,omitempty"`
	Model        string      `json:"model,omitempty"`
	Serial       string      `json:"serial,omitempty"`
	TimeZone     string      `json:"time_zone,omitempty"`
	Agent        string      `json:"agent"`
	Protocol     int         `json:"protocol,omitempty"` // what the agent understands, see agentapi.Protocol
	Simulated    bool        `json:"simulated,omitempty"`
}

// Known are the facts that targets, windows and lists ask.
type Known struct {
	System   rule.System `json:"system"`
	TimeZone string      `json:"time_zone"`
	Machine
}

// Machine is what lists say of the machine itself.
type Machine struct {
	Domain       string   `json:"domain,omitempty"`
	Addresses    []string `json:"addresses,omitempty"`
	Manufacturer string   `json:"manufacturer,omitempty"`
	Model        string   `json:"model,omitempty"`
	Serial       string   `json:"serial,omitempty"`
	Agent        string   `json:"agent,omitempty"`        // version
	Protocol     int      `json:"protocol,omitempty"`     // what the agent understands
	Build        string   `json:"build,omitempty"`        // of the operating system: "17763.379"
	Architecture string   `json:"architecture,omitempty"` // x86, x64, arm, arm64, ia64
}

// Decode reads what is known from the facts as tables keep them: JSON.
func Decode(body []byte) (Known, error) {
	var k Known
	if err := json.Unmarshal(body, &k); err != nil {
		return k, err
	}
	k.Architecture, k.Build = k.System.Architecture, ""
	if k.System.Build > 0 {
		k.Build = strconv.Itoa(k.System.Build)
		if k.System.Revision >= 0 {
			k.Build += "." + strconv.Itoa(k.System.Revision)
		}
	}
	return k, nil
}
