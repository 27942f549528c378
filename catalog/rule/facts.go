package rule

import (
	"errors"
	"time"
)

// ErrUnknown is wrapped by every error that says why a fact cannot be read. Evaluation turns any other error of a
// facts source into the same answer, cannot tell.
var ErrUnknown = errors.New("cannot tell")

// Facts is what is known of one computer. A nil part was not or cannot be read: rules that need it cannot tell.
type Facts struct {
	System    *System
	Registry  Registry
	Files     Files
	Installer Installer
	WMI       WMI
	Hotfixes  *Hotfixes
	Metrics   Metrics
	Cluster   Cluster
	History   History
	// Simulated says that a program made these facts up; whoever shows them says so.
	Simulated bool
}

// System is the operating system. Zero numbers are facts; what may be unknown has a way to say so.
type System struct {
	Platform string `json:"platform"` // "windows", "debian"
	Product  string `json:"product"`  // "Windows 10 Version 1809 for x64-based Systems"
	Name     string `json:"name"`     // as the system calls itself
	Major    int    `json:"major"`
	Minor    int    `json:"minor"`
	Build    int    `json:"build"`
	Revision int    `json:"revision"` // -1: unknown
	ServicePack
	ProductType      int      `json:"product_type"`      // 1 workstation, 2 domain controller, 3 server, 0 unknown
	InstallationType string   `json:"installation_type"` // client, server, servercore, "" unknown
	Edition          string   `json:"edition,omitempty"`
	Architecture     string   `json:"architecture"` // x86, x64, arm, arm64, ia64, "" unknown
	Languages        []string `json:"languages"`    // user interface languages, lower-case BCP 47, default first; empty: unknown
	MUI              bool     `json:"mui,omitempty"`
	Processors       int      `json:"processors,omitempty"` // 0: unknown
}

// ServicePack is what Windows counted besides its build before Windows 10, and the suites it still tells apart.
type ServicePack struct {
	ServicePackMajor int `json:"service_pack_major,omitempty"`
	ServicePackMinor int `json:"service_pack_minor,omitempty"`
	SuiteMask        int `json:"suite_mask,omitempty"`
}

// Hotfixes are the KBs that the system lists as installed.
type Hotfixes struct {
	KBs      []string `json:"kbs"`      // digits alone
	Complete bool     `json:"complete"` // false: others may be installed too
}

// View chooses between the two registries of a 64-bit system.
type View int

// The registry views.
const (
	Native View = iota
	WOW64       // RegType32=true
)

// Value is a registry value. Data is uint32 (REG_DWORD), uint64 (REG_QWORD), string (REG_SZ, REG_EXPAND_SZ),
// []string (REG_MULTI_SZ) or []byte.
type Value struct {
	Type string `json:"type"` // "REG_SZ" and so on
	Data any    `json:"data"`
}

// Registry reads HKEY_LOCAL_MACHINE. A missing key or value is (false, nil), an unreadable one an error.
type Registry interface {
	Key(view View, path string) (exists bool, err error)
	Value(view View, path, name string) (v Value, exists bool, err error)
	Subkeys(view View, path string) (names []string, exists bool, err error)
}

// FileInfo is what file rules ask.
type FileInfo struct {
	Version  [4]uint16 // zero when the file has no version resource
	Created  time.Time
	Modified time.Time
	Size     int64
	Language int // LANGID of the version resource, 0: none
}

// Files reads files. csidl is a CSIDL number or -1 for none.
type Files interface {
	Stat(csidl int, path string) (info FileInfo, exists bool, err error)
}

// Product is an installed Windows Installer product.
type Product struct {
	Code     string // {GUID}
	Version  string
	Language int
}

// Installer asks the Windows Installer. Only products in state local, source or default count.
type Installer interface {
	Product(code string) (p Product, installed bool, err error)
	Feature(product, feature string) (installed bool, err error)
	Component(product, component string) (installed bool, err error)
	Patch(product, patch string) (applied bool, err error)
	Related(upgradeCode string) (products []Product, err error)
}

// WMI answers whether a WQL query has at least one row. In a namespace or class that the computer does not have there
// are none; that is no error.
type WMI interface {
	Query(namespace, wql string) (rows bool, err error)
}

// Metrics answers GetSystemMetrics.
type Metrics interface {
	Metric(index int) (value int, err error)
}

// Cluster asks the Windows failover cluster that a server may belong to.
type Cluster interface {
	Clustered() (member bool, err error)
	// Owns says whether this computer owns the resource of that name; one that cannot be opened is not owned.
	Owns(resource string) (owns bool, err error)
}

// History knows what this computer's agent installed.
type History interface {
	// Once says whether an update, named as in the rule, was ever installed successfully by this agent.
	Once(update string) (installed bool, err error)
}

// Knowledge is what the catalog knows of KBs beside the rules themselves (see catalog/supersedence).
type Knowledge interface {
	// Satisfied says whether the installed KBs satisfy kb for a product, by themselves, by one that supersedes it, or
	// by an alternative. Where an installed KB that the catalog does not know could be a later cumulative one, the
	// error says so and wraps ErrUnknown.
	Satisfied(kb, product string, installed *Hotfixes) (by string, ok bool, err error)
}
