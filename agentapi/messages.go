// Package agentapi is the contract between agents and the nodes of their site: messages, paths and the client. The
// other half is in agentapi/server. Everything is JSON over TLS 1.3; all calls but Enrol carry the agent's
// certificate.
package agentapi

import (
	"time"

	"thatch/catalog/document"
	"thatch/catalog/rule"
)

// Paths of the calls. Enrol, Renew, Rules, Report, Assignments, Wait and Nodes are POSTs of the request type of the same name,
// Payload is a GET with ranges of Payload + sha256 in hexadecimal, Here a GET that says nothing and is measured.
const (
	PathEnrol       = "/agent/v1/enrol"
	PathRenew       = "/agent/v1/renew"
	PathRules       = "/agent/v1/rules"
	PathReport      = "/agent/v1/report"
	PathAssignments = "/agent/v1/assignments"
	PathWait        = "/agent/v1/wait"
	PathNodes       = "/agent/v1/nodes"
	PathHere        = "/agent/v1/here"
	PathPayload     = "/agent/v1/payloads/"
)

// Protocol is what agents of this version understand; they tell their site in their facts. Those of before, which say
// nothing, do not call PathWait.
const Protocol = 2

// Limits of what a node reads from an agent, in bytes and counts.
const (
	MaxRequest = 8 << 20
	MaxSet     = 200_000 // numbers in one set
	MaxText    = 2_000   // bytes of a reason or an installer's output
)

// EnrolRequest is made once, with a token (see Token).
type EnrolRequest struct {
	Token     string   `json:"-"`          // goes before the request, as its bearer (see Token)
	CSR       []byte   `json:"csr"`        // DER; the agent made the key itself
	Name      string   `json:"name"`       // computer name
	MachineID string   `json:"machine_id"` // of the installed system (MachineGuid, machine-id): tells a clone from a reinstallation
	Hardware  string   `json:"hardware"`   // serial or UUID of the machine where known
	Platform  string   `json:"platform"`
	Languages []string `json:"languages,omitempty"`
	Simulated bool     `json:"simulated,omitempty"`
}

// EnrolResponse makes the agent a computer of the site.
type EnrolResponse struct {
	Computer    string              `json:"computer"`    // id
	Certificate []byte              `json:"certificate"` // DER
	Authority   []byte              `json:"authority"`   // DER of the site's authority
	Site        Site                `json:"site"`
	Keys        []document.Document `json:"keys"` // signing keys, kind signing-key
}

// Site names the agent's site.
type Site struct {
	ID    string `json:"id"`
	Name  string `json:"name"`
	Epoch string `json:"epoch"` // a new epoch voids numbers, cursors and counters
}

// RenewRequest asks for a new certificate under the present one.
type RenewRequest struct {
	CSR []byte `json:"csr"`
}

// RenewResponse carries the new certificate.
type RenewResponse struct {
	Certificate []byte `json:"certificate"`
	Authority   []byte `json:"authority"`
}

// RulesRequest asks for the updates that changed since a cursor.
type RulesRequest struct {
	Epoch    string `json:"epoch,omitempty"`  // empty at first
	Cursor   string `json:"cursor,omitempty"` // opaque; empty: from the beginning
	Platform string `json:"platform"`
}

// RulesResponse is one page. Reset says that the agent drops what it holds before it takes this page.
type RulesResponse struct {
	Epoch   string           `json:"epoch"`
	Cursor  string           `json:"cursor"`
	More    bool             `json:"more,omitempty"`
	Reset   bool             `json:"reset,omitempty"`
	Updates []NumberedUpdate `json:"updates,omitempty"`
	Removed []uint32         `json:"removed,omitempty"`
	// Keys are signing keys the agent needs to verify the updates' origins.
	Keys []document.Document `json:"keys,omitempty"`
}

// NumberedUpdate is an update document under its site-local number.
type NumberedUpdate struct {
	Number   uint32            `json:"number"`
	Month    string            `json:"month,omitempty"` // "2019-02"; computed by the site, for alternatives and as-of
	Document document.Document `json:"document"`
}

// ReportRequest says what changed on a computer since the report numbered Base. Base 0 is a whole report: the Add sets
// are everything.
type ReportRequest struct {
	Epoch      string            `json:"epoch"`
	Base       uint64            `json:"base"`
	Cursor     string            `json:"cursor"` // of the rules it evaluated
	At         time.Time         `json:"at"`
	Applicable Change            `json:"applicable"`
	Installed  Change            `json:"installed"`
	Unknown    Change            `json:"unknown"`
	Reasons    map[uint32]string `json:"reasons,omitempty"` // of Unknown.Add, at most MaxText bytes each
	Facts      *Facts            `json:"facts,omitempty"`   // when changed
	States     []UpdateState     `json:"states,omitempty"`  // of ordered updates, when changed
	Attempts   []Attempt         `json:"attempts,omitempty"`
	// Hardware is EnrolRequest.Hardware of the machine that reports: a clone of a disk shows itself by another one, and
	// is answered CodeClone.
	Hardware string `json:"hardware,omitempty"`
}

// Change is a differential set of update numbers, sorted.
type Change struct {
	Add    []uint32 `json:"add,omitempty"`
	Remove []uint32 `json:"remove,omitempty"`
}

// Facts is what a site knows of a computer.
type Facts struct {
	Name         string      `json:"name"`
	Domain       string      `json:"domain,omitempty"`
	Addresses    []string    `json:"addresses,omitempty"`
	System       rule.System `json:"system"`
	Hotfixes     []string    `json:"hotfixes,omitempty"`
	Manufacturer string      `json:"manufacturer,omitempty"`
	Model        string      `json:"model,omitempty"`
	Serial       string      `json:"serial,omitempty"`
	TimeZone     string      `json:"time_zone,omitempty"` // IANA name where known
	Agent        string      `json:"agent"`               // version
	Protocol     int         `json:"protocol,omitempty"`  // what the agent understands, see agentapi.Protocol
	Simulated    bool        `json:"simulated,omitempty"`
}

// Status is what people see of an ordered update; the texts are the product's words.
type Status string

// The statuses of an update on a computer.
const (
	FailedToInstall     Status = "Failed to Install"
	FailedRescheduled   Status = "Installation Failed - Rescheduled"
	Installed           Status = "Installed"
	Scheduled           Status = "Installation Scheduled"
	NotApplicable       Status = "Not Applicable"
	Pending             Status = "Pending"
	DownloadRequired    Status = "Download required"
	Retry               Status = "Retry"
	Superseded          Status = "Superseded"
	CannotTell          Status = "Cannot tell"
	WaitingForRestart   Status = "Waiting for restart"
	WaitingForSuccessor Status = "Waiting for its site"
)

// UpdateState is where one ordered update stands.
type UpdateState struct {
	Number      uint32     `json:"number"`
	Policy      string     `json:"policy"`
	Status      Status     `json:"status"`
	Text        string     `json:"text,omitempty"` // why, for people
	Starts      *time.Time `json:"starts,omitempty"`
	LastApplied *time.Time `json:"last_applied,omitempty"` // nil: never by this agent
}

// Attempt is one run of an installer.
type Attempt struct {
	ID       string    `json:"id"` // made by the agent, so that a repeated report adds nothing
	Number   uint32    `json:"number"`
	Policy   string    `json:"policy"`
	Package  string    `json:"package"`
	Started  time.Time `json:"started"`
	Ended    time.Time `json:"ended"`
	Code     int       `json:"code"`
	Success  bool      `json:"success"`
	Restart  bool      `json:"restart,omitempty"`
	Text     string    `json:"text,omitempty"`
	Remained bool      `json:"remained,omitempty"` // the installer succeeded, the rules still say not installed
}

// ReportResponse acknowledges a report. Resend says that Base was not the site's: send a whole report.
type ReportResponse struct {
	Counter uint64 `json:"counter"`
	Resend  bool   `json:"resend,omitempty"`
	// CheckIn is in how many seconds the agent should come again, spread by the site.
	CheckIn int `json:"check_in"`
}

// AssignmentsRequest asks what is ordered for this computer.
type AssignmentsRequest struct {
	Epoch string `json:"epoch"`
	Tag   string `json:"tag,omitempty"` // of the answer held; equal: Unchanged
}

// AssignmentsResponse is everything ordered for this computer, whole. Windows and orders come in one answer, so that
// no order is carried out under windows that are older.
type AssignmentsResponse struct {
	Tag       string              `json:"tag"`
	Unchanged bool                `json:"unchanged,omitempty"`
	Policies  []AssignedPolicy    `json:"policies,omitempty"`
	Windows   []document.Document `json:"windows,omitempty"` // kind window
	Keys      []document.Document `json:"keys,omitempty"`    // kind signing-key
	Settings  Settings            `json:"settings"`
}

// AssignedPolicy is a policy in force for this computer. What the policy pins is what may be installed: the agent
// checks that each document's digest is among the pins.
type AssignedPolicy struct {
	Document document.Document `json:"document"` // body: policy.Policy of catalog/policy
	Paused   bool              `json:"paused,omitempty"`
	// Wait says that as many computers as the policy's plan allows at once are installing: it is not this one's turn.
	Wait    bool            `json:"wait,omitempty"`
	Updates []OrderedUpdate `json:"updates,omitempty"`
}

// OrderedUpdate is an update of a policy with what is needed to install it. Package and payload are those in the
// computer's language, or neutral.
type OrderedUpdate struct {
	Number   uint32              `json:"number"`
	Update   document.Document   `json:"update"`
	Packages []document.Document `json:"packages"`
	Payloads []document.Document `json:"payloads"`
	Held     bool                `json:"held"` // a living node of the site holds every payload file
}

// WaitRequest asks whether there is something to do before the agent's next round is due. A node that has nothing to say
// may hold its answer back for as long as the agent is ready to wait.
type WaitRequest struct {
	Seconds int   `json:"seconds,omitempty"` // how long the agent is ready to wait
	Done    *Done `json:"done,omitempty"`    // what became of the last prompt; told until a node has answered
}

// Done says what became of a prompt.
type Done struct {
	Prompt string `json:"prompt"` // id
	Failed bool   `json:"failed,omitempty"`
	Text   string `json:"text,omitempty"` // for people
}

// WaitResponse is the answer: something to do, or when to ask again.
type WaitResponse struct {
	Prompt *Prompt `json:"prompt,omitempty"`
	After  int     `json:"after,omitempty"` // seconds before the next call; 0: at once
}

// Prompt is what an operator asks of the computer now.
type Prompt struct {
	ID   string `json:"id"`
	Kind string `json:"kind"` // PromptScan, PromptCycle; another one is passed over, and said to have failed
}

// HeaderNodes comes with every answer: the version of the list of the site's nodes. An agent that holds another one asks for
// the list.
const HeaderNodes = "Thatch-Nodes"

// NodesRequest asks for the nodes of the site.
type NodesRequest struct {
	Addresses []string `json:"addresses,omitempty"` // of the computer, for the administrator's hints
}

// NodesResponse is the list of the nodes of the site.
type NodesResponse struct {
	Version string     `json:"version"`
	Nodes   []SiteNode `json:"nodes"`
	// MoveSeconds is the time over which those whose node died come to the others, each at a time of its own.
	MoveSeconds int `json:"move_seconds,omitempty"`
}

// SiteNode is a node of the site.
type SiteNode struct {
	ID        string   `json:"id"`
	Name      string   `json:"name"`
	Addresses []string `json:"addresses"`        // HOST:PORT, those to try first first
	Hinted    bool     `json:"hinted,omitempty"` // the administrator wants computers of this one's subnet to talk to it
}

// Kinds of prompts. A scan reads facts and reports; a cycle also downloads and installs what is ordered, as far as windows
// and policies allow, like every round.
const (
	PromptScan  = "scan"
	PromptCycle = "cycle"
)

// Settings steer an agent; they come from the site.
type Settings struct {
	CheckInSeconds int    `json:"check_in_seconds"`
	ScanSeconds    int    `json:"scan_seconds"`
	InstallCron    string `json:"install_schedule,omitempty"` // agent's default schedule; empty: as soon as possible
	Attempts       int    `json:"attempts"`                   // installs tried before Failed to Install
	RequireSigned  bool   `json:"require_signed"`             // Authenticode of MSI, EXE and CAB is checked at the moment of use
	// Trusted are SHA-256 fingerprints, in hexadecimal, of certificates in payloads that are trusted: signers or
	// authorities. Roots are root certificates in PEM. With both empty the operating system's roots count.
	Trusted []string `json:"trusted,omitempty"`
	Roots   string   `json:"roots,omitempty"`
}

// Error is the body of every answer that is not 2xx.
type Error struct {
	Code  string `json:"code"`            // stable: "token_used", "retired", "clone", "busy"
	Text  string `json:"error"`           // what, where, what to do next
	After int    `json:"after,omitempty"` // seconds to wait before trying again
}
