// Package catalog holds the pure values of what can be installed: bulletins, updates, packages and their severities.
// Each type is the body of a document of the kind of the same name (see catalog/document), encoded with Encode.
//
// A body says only what its maker said. What follows from other documents (closures, a KB's month, staging) is
// computed where it is read.
package catalog

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"

	"thatch/catalog/document"
	"thatch/catalog/rule"
)

// Severity is the vendor's own rating.
type Severity string

// The severities in use, most severe first; the empty one says that the vendor named none.
const (
	Critical    Severity = "Critical"
	Important   Severity = "Important"
	Moderate    Severity = "Moderate"
	Low         Severity = "Low"
	None        Severity = "None"
	Unspecified Severity = ""
)

// Rank orders severities: 5 for Critical down to 0 for unspecified or unknown ones.
func (s Severity) Rank() int {
	switch s {
	case Critical:
		return 5
	case Important:
		return 4
	case Moderate:
		return 3
	case Low:
		return 2
	case None:
		return 1
	}
	return 0
}

// Worse returns the more severe of two.
func (s Severity) Worse(other Severity) Severity {
	if other.Rank() > s.Rank() {
		return other
	}
	return s
}

// Restart says whether installing asks for a restart of the computer.
type Restart string

// The restart behaviours; the empty one says that the vendor did not tell.
const (
	RestartNever  Restart = "no"
	RestartMaybe  Restart = "maybe"
	RestartAlways Restart = "yes"
)

// Bulletin is a set of updates released together. Its document is always neutral.
type Bulletin struct {
	Name        string    `json:"name"`   // what people call it: "KB4487017", "sp94801"
	Source      string    `json:"source"` // importer that made it: "msrc", "sdp"
	Vendor      string    `json:"vendor"`
	Title       string    `json:"title"`
	Description string    `json:"description,omitempty"`
	Severity    Severity  `json:"severity,omitempty"` // highest of its updates
	Released    string    `json:"released,omitempty"` // RFC 3339 date or time, UTC
	Revised     string    `json:"revised,omitempty"`
	URL         string    `json:"url,omitempty"`
	CVEs        []CVE     `json:"cves,omitempty"`  // sorted by id
	Named       []NamedBy `json:"named,omitempty"` // vendor files that name it, sorted by file
}

// CVE is one vulnerability as the bulletin's vendor describes it.
type CVE struct {
	ID        string   `json:"id"` // CVE-yyyy-nnnn or ADVnnnnnn
	Title     string   `json:"title,omitempty"`
	Severity  Severity `json:"severity,omitempty"`
	Score     float64  `json:"score,omitempty"` // CVSS base score, 0 when none is given
	Vector    string   `json:"vector,omitempty"`
	Exploited bool     `json:"exploited,omitempty"`
	Disclosed bool     `json:"disclosed,omitempty"`
}

// NamedBy counts the vulnerabilities for which a vendor file names a bulletin. A bulletin's month follows from it.
type NamedBy struct {
	File     string `json:"file"` // the vendor's id, such as "2019-Feb"
	CVEs     int    `json:"cves"`
	Released string `json:"released,omitempty"` // day on which the file was first published, as it says itself
}

// Update is what may be installed on one product. Its document is always neutral.
type Update struct {
	Name     string   `json:"name"`
	Bulletin string   `json:"bulletin"` // document id
	Source   string   `json:"source"`
	Vendor   string   `json:"vendor"`
	Title    string   `json:"title,omitempty"`
	KB       string   `json:"kb,omitempty"` // digits alone
	Product  Product  `json:"product"`
	Severity Severity `json:"severity,omitempty"`
	CVEs     []string `json:"cves,omitempty"`
	Nature
	Relations
	Withdrawn bool `json:"withdrawn,omitempty"` // the vendor expired it
	Detector  bool `json:"detector,omitempty"`  // a rule that others share; never installed
	Rules
	Texts []Text `json:"texts,omitempty"` // in further languages, sorted by them; Title is in the vendor's own
}

// Nature is what kind of update the vendor calls it.
type Nature struct {
	Class      string  `json:"class,omitempty"` // vendor's class, normalised: "monthlyrollup", "securityonly", "Critical Updates"
	Restart    Restart `json:"restart,omitempty"`
	FixedBuild string  `json:"fixed_build,omitempty"` // as the vendor wrote it
	URL        string  `json:"url,omitempty"`
}

// Relations are what an update has to do with others, by their document ids.
type Relations struct {
	Supersedes    []string   `json:"supersedes,omitempty"` // forward edges only; may dangle
	Prerequisites [][]string `json:"prerequisites,omitempty"`
	Bundles       []string   `json:"bundles,omitempty"`
}

// Rules tell on a computer how it stands with an update.
type Rules struct {
	Applicable *rule.Rule `json:"applicable,omitempty"` // nil together with NoRule
	Installed  *rule.Rule `json:"installed,omitempty"`
	Superseded *rule.Rule `json:"superseded,omitempty"`
	NoRule     string     `json:"no_rule,omitempty"` // why no rule could be made
}

// Text is what an update is called in one language.
type Text struct {
	Language    string `json:"language"` // lower-case BCP 47
	Title       string `json:"title"`
	Description string `json:"description,omitempty"`
}

// Product is what an update is installed on.
type Product struct {
	ID     string `json:"id,omitempty"` // vendor's id; names drift, ids do not
	Name   string `json:"name"`
	Family string `json:"family,omitempty"`
}

// Package is the payload of an update in one language, or neutral. The document carries the languages.
type Package struct {
	Update     string     `json:"update"` // document id
	Name       string     `json:"name"`
	Files      []File     `json:"files"`
	Installer  Installer  `json:"installer"`
	Uninstall  *Installer `json:"uninstall,omitempty"`
	Restart    Restart    `json:"restart,omitempty"`
	Exclusive  bool       `json:"exclusive,omitempty"` // nothing else may be installed in the same cycle step (firmware)
	UserInput  bool       `json:"user_input,omitempty"`
	Applicable *rule.Rule `json:"applicable,omitempty"` // beside the update's own; nil: always
	Installed  *rule.Rule `json:"installed,omitempty"`  // nil: the update's own decides
	Superseded *rule.Rule `json:"superseded,omitempty"`
	ByHand     bool       `json:"by_hand,omitempty"` // added by a person, not by a vendor
}

// File is one payload file. Either digest may be empty; SHA-1 alone is never enough to install.
type File struct {
	Name   string `json:"name"`
	Size   int64  `json:"size,omitempty"` // bytes; 0: unknown
	SHA1   string `json:"sha1,omitempty"` // hexadecimal
	SHA256 string `json:"sha256,omitempty"`
	URL    string `json:"url,omitempty"`
}

// InstallerType names the program that installs a package.
type InstallerType string

// The installers known.
const (
	MSI InstallerType = "msi"
	MSP InstallerType = "msp"
	EXE InstallerType = "exe"
)

// Installer says how a package is run and how its answer is read.
type Installer struct {
	Type           InstallerType `json:"type"`
	File           string        `json:"file"` // name of the file of the package that is run
	Arguments      string        `json:"arguments,omitempty"`
	ProductCode    string        `json:"product_code,omitempty"` // MSI
	PatchCode      string        `json:"patch_code,omitempty"`   // MSP
	DefaultResult  Result        `json:"default_result,omitempty"`
	DefaultRestart bool          `json:"default_restart,omitempty"`
	Codes          []ReturnCode  `json:"codes,omitempty"`
}

// Result is what a return code means.
type Result string

// The results of an installer.
const (
	Succeeded Result = "Succeeded"
	Failed    Result = "Failed"
	Cancelled Result = "Cancelled"
)

// ReturnCode maps one exit code to its meaning.
type ReturnCode struct {
	Code    int    `json:"code"`
	Result  Result `json:"result"`
	Restart bool   `json:"restart,omitempty"`
	Text    string `json:"text,omitempty"`
}

// Payload is what staging learned of a package: the document's id is the package's id.
type Payload struct {
	Package       string          `json:"package"`        // document id
	PackageDigest document.Digest `json:"package_digest"` // of the package document that was staged
	Files         []StagedFile    `json:"files"`
}

// StagedFile is one file of a staged package as it was really found.
type StagedFile struct {
	Name   string  `json:"name"`
	SHA256 string  `json:"sha256"`
	Size   int64   `json:"size"`
	Signer *Signer `json:"signer,omitempty"` // nil: the format carries no signature
}

// UnmarshalJSON implements json.Unmarshaler. Digests are compared as texts, and other sites may write them in capitals.
func (f *StagedFile) UnmarshalJSON(raw []byte) error {
	type plain StagedFile
	err := json.Unmarshal(raw, (*plain)(f))
	f.SHA256 = strings.ToLower(f.SHA256)
	return err
}

// Signer is the Authenticode signer of a file.
type Signer struct {
	Subject     string `json:"subject"`
	Fingerprint string `json:"fingerprint"` // SHA-256 of the certificate, hexadecimal
}

// CustomSeverity is a level that a site defines beside the vendor's.
type CustomSeverity struct {
	Name  string `json:"name"`
	Order int    `json:"order"` // higher is more severe
}

// Assignment is what a site decides of a bulletin: it gives it a custom severity, or never offers it. Its document's id is
// the bulletin's id.
type Assignment struct {
	Bulletin string `json:"bulletin"`
	Severity string `json:"severity"`              // document id of the custom severity, "" none
	Never    bool   `json:"never_offer,omitempty"` // it goes into no policy, and is not missing where it is not installed
}

// Encode writes a body: JSON with fields in the order of the type, no HTML escaping, no trailing newline. Equal values
// have equal bytes.
func Encode(body any) ([]byte, error) {
	if quick, ok := encodeQuickly(body); ok {
		return quick, nil
	}
	return encodeSlowly(body)
}

func encodeSlowly(body any) ([]byte, error) {
	var out bytes.Buffer
	enc := json.NewEncoder(&out)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(body); err != nil {
		return nil, fmt.Errorf("encode %T: %w", body, err)
	}
	return bytes.TrimSuffix(out.Bytes(), []byte("\n")), nil
}

// Decode reads a body, ignoring fields that this version does not know.
func Decode[T any](body []byte) (T, error) {
	var value T
	if err := json.Unmarshal(body, &value); err != nil {
		return value, fmt.Errorf("decode %T: %w", value, err)
	}
	return value, nil
}
