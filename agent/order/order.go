// Package order holds what is ordered for a computer against what was signed and pinned: nothing leaves it that a
// verified policy does not name by digest.
package order

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"
	"strings"

	"thatch/agent/scan"
	"thatch/agentapi"
	"thatch/catalog"
	"thatch/catalog/document"
	"thatch/catalog/policy"
	"thatch/catalog/rule"
	"thatch/schedule"
)

// ErrRefused wraps everything that will not be installed because it cannot be verified.
var ErrRefused = errors.New("refused")

// Order is one update that a policy orders for this computer, held against the policy's pins.
type Order struct {
	Assigned *agentapi.AssignedPolicy
	Given    *agentapi.OrderedUpdate
	Policy   *policy.Policy // verified; nil with Err
	Pin      *policy.Update
	Update   catalog.Update
	Err      error // why it is refused; wraps ErrRefused
}

// ID is the update's document id.
func (o *Order) ID() string { return o.Given.Update.ID }

// Assignments are what is ordered, as the node said it last.
type Assignments struct {
	Answer  agentapi.AssignmentsResponse
	Epoch   string
	Orders  []*Order
	Windows schedule.Windows
	Closed  string // why a window cannot be judged and stays closed, ""
}

// Updates are those that are ordered and verified, by document id. None are ordered by no assignments.
func (as *Assignments) Updates() map[string]*catalog.Update {
	ordered := map[string]*catalog.Update{}
	if as == nil {
		return ordered
	}
	for _, o := range as.Orders {
		if o.Err == nil && ordered[o.ID()] == nil {
			ordered[o.ID()] = &o.Update
		}
	}
	return ordered
}

// Reader verifies with the signing keys that the agent knows.
type Reader struct {
	Keys document.Keyring
	Log  *slog.Logger
}

// Read verifies everything in an answer. What is refused stays, with why.
func (r Reader) Read(answer agentapi.AssignmentsResponse, epoch string) *Assignments {
	as := &Assignments{Answer: answer, Epoch: epoch}
	for i := range as.Answer.Policies {
		assigned := &as.Answer.Policies[i]
		body, err := r.readPolicy(assigned)
		for j := range assigned.Updates {
			o := &Order{Assigned: assigned, Given: &assigned.Updates[j], Policy: body, Err: err}
			if o.Err == nil {
				o.Err = r.readOrder(o)
			}
			if o.Err == nil && !o.Pin.Enabled {
				continue
			}
			as.Orders = append(as.Orders, o)
		}
	}
	for i := range as.Answer.Windows {
		window, err := r.readWindow(&as.Answer.Windows[i])
		if err != nil {
			// A window that cannot be read is closed. The others still open.
			r.Log.Warn("a maintenance window is refused", "error", err)
			as.Closed = err.Error()
			continue
		}
		as.Windows = append(as.Windows, window)
	}
	return as
}

func (r Reader) verified(doc *document.Document, kind document.Kind) error {
	if doc.Kind != kind {
		return fmt.Errorf("%w: %s %q stands where a %s belongs", ErrRefused, doc.Kind, doc.ID, kind)
	}
	if err := r.Keys.Verify(doc); err != nil {
		return fmt.Errorf("%w: %w", ErrRefused, err)
	}
	return nil
}

func (r Reader) readPolicy(assigned *agentapi.AssignedPolicy) (*policy.Policy, error) {
	if err := r.verified(&assigned.Document, document.Policy); err != nil {
		return nil, err
	}
	body, err := policy.Decode(assigned.Document.Body)
	if err != nil {
		return nil, fmt.Errorf("%w: policy %s: %w", ErrRefused, assigned.Document.ID, err)
	}
	return body, nil
}

// readOrder checks that the update is the one that the policy pins.
func (r Reader) readOrder(o *Order) error {
	doc := &o.Given.Update
	if err := r.verified(doc, document.Update); err != nil {
		return err
	}
	o.Pin = o.Policy.Find(doc.ID)
	if o.Pin == nil || o.Pin.Digest != doc.Digest {
		return fmt.Errorf("%w: update %s with digest %s is not what policy %q pins", ErrRefused, doc.ID, doc.Digest, o.Policy.Name)
	}
	var err error
	if o.Update, err = catalog.Decode[catalog.Update](doc.Body); err != nil {
		return fmt.Errorf("%w: update %s: %w", ErrRefused, doc.ID, err)
	}
	return nil
}

func (r Reader) readWindow(doc *document.Document) (schedule.Window, error) {
	if err := r.verified(doc, document.Window); err != nil {
		return schedule.Window{}, err
	}
	var window schedule.Window
	if err := json.Unmarshal(doc.Body, &window); err != nil {
		return window, fmt.Errorf("%w: window %s: %w", ErrRefused, doc.ID, err)
	}
	if err := window.Validate(); err != nil {
		return window, fmt.Errorf("%w: %w", ErrRefused, err)
	}
	return window, nil
}

// Choice is the package that installs an order on this computer.
type Choice struct {
	Doc     document.Document
	Package catalog.Package
	Payload catalog.Payload
}

// Choose finds the package of the computer's language among those that the policy pins: the system's own language
// first, then its others, then a neutral one. Every document is verified here, each time.
func (r Reader) Choose(o *Order, s *scan.Scan) (*Choice, error) {
	var candidates []*Choice
	var failed error
	for i := range o.Given.Packages {
		c, err := r.Package(o, &o.Given.Packages[i])
		if err == nil {
			err = c.fits(s)
		}
		if err != nil {
			failed = errors.Join(failed, err)
			continue
		}
		candidates = append(candidates, c)
	}
	if best := inLanguage(candidates, s.Languages()); best != nil {
		return best, nil
	}
	if failed != nil {
		return nil, failed
	}
	return nil, fmt.Errorf("%w: none of its %d packages is neutral or in this computer's language (%s)",
		ErrRefused, len(o.Given.Packages), strings.Join(s.Languages(), ", "))
}

func inLanguage(candidates []*Choice, languages []string) *Choice {
	for _, language := range languages {
		for _, c := range candidates {
			if slices.ContainsFunc(c.Doc.Languages, func(tag string) bool {
				return policy.Speaks(language, tag) || policy.Speaks(tag, language)
			}) {
				return c
			}
		}
	}
	for _, c := range candidates {
		if len(c.Doc.Languages) == 0 {
			return c
		}
	}
	return nil
}

// fits says whether the package's own rules let it onto this computer. Of an update of several packages, those that
// are there already are not installed again.
func (c *Choice) fits(s *scan.Scan) error {
	if c.Package.Installed != nil {
		if v := s.Evaluate(c.Package.Installed); v.Answer == rule.True {
			return fmt.Errorf("%w: package %s is installed, and its update is not", ErrRefused, c.Package.Name)
		}
	}
	if c.Package.Applicable == nil {
		return nil
	}
	switch v := s.Evaluate(c.Package.Applicable); v.Answer {
	case rule.True:
		return nil
	case rule.False:
		return fmt.Errorf("%w: package %s is not applicable to this computer", ErrRefused, c.Package.Name)
	default:
		return fmt.Errorf("%w: package %s: %s", ErrRefused, c.Package.Name, v.Because)
	}
}

// Package verifies a package document of an order, and its payload's.
func (r Reader) Package(o *Order, doc *document.Document) (*Choice, error) {
	if err := r.verified(doc, document.Package); err != nil {
		return nil, err
	}
	body, err := catalog.Decode[catalog.Package](doc.Body)
	if err != nil {
		return nil, fmt.Errorf("%w: package %s: %w", ErrRefused, doc.ID, err)
	}
	if body.Update != o.ID() {
		return nil, fmt.Errorf("%w: package %s belongs to update %s", ErrRefused, doc.ID, body.Update)
	}
	index := slices.IndexFunc(o.Given.Payloads, func(p document.Document) bool { return p.ID == doc.ID })
	if index < 0 {
		return nil, fmt.Errorf("%w: package %s came without its payload document", ErrRefused, doc.ID)
	}
	payloadDoc := &o.Given.Payloads[index]
	if err := r.verified(payloadDoc, document.Payload); err != nil {
		return nil, err
	}
	payload, err := catalog.Decode[catalog.Payload](payloadDoc.Body)
	if err != nil {
		return nil, fmt.Errorf("%w: payload of %s: %w", ErrRefused, doc.ID, err)
	}
	if !o.Pin.Pinned(doc.Digest, payloadDoc.Digest) {
		return nil, fmt.Errorf("%w: package %s and its payload are not what policy %q pins", ErrRefused, doc.ID, o.Policy.Name)
	}
	if payload.PackageDigest != doc.Digest {
		return nil, fmt.Errorf("%w: the payload of %s was staged for another revision of the package", ErrRefused, doc.ID)
	}
	c := &Choice{Doc: *doc, Package: body, Payload: payload}
	return c, c.checkFiles()
}

// checkFiles holds the staged files against the package: each by name, with the sizes and digests that the vendor gave.
func (c *Choice) checkFiles() error {
	fail := func(format string, args ...any) error {
		return fmt.Errorf("%w: package %s: %s", ErrRefused, c.Package.Name, fmt.Sprintf(format, args...))
	}
	runs := false
	for _, staged := range c.Payload.Files {
		if staged.Name == "" || staged.Name != filepath.Base(staged.Name) || strings.ContainsAny(staged.Name, `/\:"`) || staged.Name == ".." {
			return fail("file name %.80q is not plain", staged.Name)
		}
		index := slices.IndexFunc(c.Package.Files, func(f catalog.File) bool { return strings.EqualFold(f.Name, staged.Name) })
		if index < 0 {
			return fail("its payload has a file %s that it does not name", staged.Name)
		}
		vendor := c.Package.Files[index]
		if vendor.SHA256 != "" && !strings.EqualFold(vendor.SHA256, staged.SHA256) || vendor.Size != 0 && vendor.Size != staged.Size {
			return fail("its payload's %s is not the vendor's", staged.Name)
		}
		runs = runs || strings.EqualFold(staged.Name, c.Package.Installer.File)
	}
	if len(c.Payload.Files) != len(c.Package.Files) || !runs {
		return fail("its payload lacks files: it has %d of %d", len(c.Payload.Files), len(c.Package.Files))
	}
	return nil
}

// Meant says whether the policy's target means this computer. Whether it needs an update is judged per update.
func (o *Order) Meant(s *scan.Scan) bool {
	if o.Err != nil {
		return true // its policy or its update cannot be read, which people are to see
	}
	computer := policy.Computer{Name: s.Machine.Name, Needs: true}
	if s.Facts.System != nil {
		computer.System = *s.Facts.System
	}
	return o.Policy.Target.Match(computer)
}

// Successor finds an update that supersedes the ordered one and is itself ordered for this computer, held by the site,
// and missing here.
func (as *Assignments) Successor(o *Order, s *scan.Scan) string {
	return s.Successor(o.ID(), func(id string) bool {
		for _, other := range as.Orders {
			if other.Err == nil && other.ID() == id && other.Given.Held && other.Meant(s) {
				return s.Of(other.ID(), &other.Update).Standing == scan.Applicable
			}
		}
		return false
	})
}

// IsInstalled asks the rules after an install: the package's own where it has one, because an update of several
// packages is not installed before the last of them, else the update's.
func (o *Order) IsInstalled(s *scan.Scan, pack *catalog.Package) rule.Verdict {
	v := s.Evaluate(o.Update.Installed)
	if v.Answer != rule.True && pack != nil && pack.Installed != nil {
		return s.Evaluate(pack.Installed)
	}
	return v
}

const defaultAttempts = 3

// Attempts is how often an install is tried.
func (o *Order) Attempts(as *Assignments) int {
	switch {
	case o.Policy.Attempts > 0:
		return o.Policy.Attempts
	case as.Answer.Settings.Attempts > 0:
		return as.Answer.Settings.Attempts
	}
	return defaultAttempts
}

// Restarts says how an install is expected to end: 0 without a restart, 1 perhaps with one, 2 with one.
func (o *Order) Restarts(c *Choice) int {
	restart := c.Package.Restart
	if restart == "" {
		restart = o.Update.Restart
	}
	switch restart {
	case catalog.RestartNever:
		return 0
	case catalog.RestartAlways:
		return 2
	}
	return 1
}
