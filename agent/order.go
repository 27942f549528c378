package agent

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"thatch/agentapi"
	"thatch/catalog"
	"thatch/catalog/document"
	"thatch/catalog/policy"
	"thatch/catalog/rule"
	"thatch/schedule"
)

// order is one update that a policy orders for this computer, held against the policy's pins.
type order struct {
	assigned *agentapi.AssignedPolicy
	given    *agentapi.OrderedUpdate
	body     *policy.Policy // verified; nil with err
	pin      *policy.Update
	update   catalog.Update
	err      error // why it is refused; wraps ErrRefused
}

func (o *order) id() string { return o.given.Update.ID }

// assignments are what is ordered, as the node said it last.
type assignments struct {
	answer  agentapi.AssignmentsResponse
	epoch   string
	orders  []*order
	windows schedule.Windows
	closed  string // why no window can be judged, ""
}

type storedAssignments struct {
	Epoch  string                       `json:"epoch"`
	Answer agentapi.AssignmentsResponse `json:"answer"`
}

// fetchAssignments asks what is ordered. It returns the former orders when nothing changed.
func (a *Agent) fetchAssignments(ctx context.Context, former *assignments) (*assignments, error) {
	epoch := a.rules.epoch
	request := agentapi.AssignmentsRequest{Epoch: epoch}
	if former != nil && former.epoch == epoch {
		request.Tag = former.answer.Tag
	}
	answer, err := a.client.Assignments(ctx, request)
	if err != nil {
		return nil, fmt.Errorf("ask for assignments: %w", err)
	}
	a.memory.Contact = a.cfg.Now()
	if err := a.learn(answer.Keys); err != nil {
		return nil, err
	}
	if answer.Unchanged && request.Tag != "" {
		answer.Policies, answer.Windows, answer.Tag = former.answer.Policies, former.answer.Windows, former.answer.Tag
		former.answer.Settings = answer.Settings
		return former, nil
	}
	if err := a.folder.write(assignmentsFile, storedAssignments{epoch, answer}); err != nil {
		return nil, err
	}
	return a.readAssignments(answer, epoch), nil
}

// storedAssignments reads what was ordered last, for what can be said of it without a node.
func (a *Agent) storedAssignments() *assignments {
	var stored storedAssignments
	if err := a.folder.read(assignmentsFile, &stored); err != nil {
		a.cfg.Log.Warn("the assignments held are not readable", "error", err)
		return nil
	}
	if stored.Answer.Tag == "" {
		return nil
	}
	return a.readAssignments(stored.Answer, stored.Epoch)
}

func (a *Agent) readAssignments(answer agentapi.AssignmentsResponse, epoch string) *assignments {
	as := &assignments{answer: answer, epoch: epoch}
	for i := range as.answer.Policies {
		assigned := &as.answer.Policies[i]
		body, err := a.readPolicy(assigned)
		for j := range assigned.Updates {
			o := &order{assigned: assigned, given: &assigned.Updates[j], body: body, err: err}
			if o.err == nil {
				o.err = a.readOrder(o)
			}
			if o.err == nil && !o.pin.Enabled {
				continue
			}
			as.orders = append(as.orders, o)
		}
	}
	for i := range as.answer.Windows {
		window, err := a.readWindow(&as.answer.Windows[i])
		if err != nil {
			// A window that cannot be read is closed. The others still open.
			a.cfg.Log.Warn("a maintenance window is refused", "error", err)
			as.closed = err.Error()
			continue
		}
		as.windows = append(as.windows, window)
	}
	return as
}

func (a *Agent) verified(doc *document.Document, kind document.Kind) error {
	if doc.Kind != kind {
		return fmt.Errorf("%w: %s %q stands where a %s belongs", ErrRefused, doc.Kind, doc.ID, kind)
	}
	if err := a.identity.Keys.Verify(doc); err != nil {
		return fmt.Errorf("%w: %w", ErrRefused, err)
	}
	return nil
}

func (a *Agent) readPolicy(assigned *agentapi.AssignedPolicy) (*policy.Policy, error) {
	if err := a.verified(&assigned.Document, document.Policy); err != nil {
		return nil, err
	}
	body, err := policy.Decode(assigned.Document.Body)
	if err != nil {
		return nil, fmt.Errorf("%w: policy %s: %w", ErrRefused, assigned.Document.ID, err)
	}
	return body, nil
}

// readOrder checks that the update is the one that the policy pins.
func (a *Agent) readOrder(o *order) error {
	doc := &o.given.Update
	if err := a.verified(doc, document.Update); err != nil {
		return err
	}
	o.pin = o.body.Find(doc.ID)
	if o.pin == nil || o.pin.Digest != doc.Digest {
		return fmt.Errorf("%w: update %s with digest %s is not what policy %q pins", ErrRefused, doc.ID, doc.Digest, o.body.Name)
	}
	var err error
	if o.update, err = catalog.Decode[catalog.Update](doc.Body); err != nil {
		return fmt.Errorf("%w: update %s: %w", ErrRefused, doc.ID, err)
	}
	return nil
}

func (a *Agent) readWindow(doc *document.Document) (schedule.Window, error) {
	if err := a.verified(doc, document.Window); err != nil {
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

// choice is the package that installs an order on this computer.
type choice struct {
	doc     document.Document
	body    catalog.Package
	payload catalog.Payload
}

// choose finds the package of the computer's language among those that the policy pins: the system's own language
// first, then its others, then a neutral one. Every document is verified here, each time.
func (a *Agent) choose(o *order, s *scan) (*choice, error) {
	var candidates []*choice
	var failed error
	for i := range o.given.Packages {
		c, err := a.readPackage(o, &o.given.Packages[i])
		if err == nil {
			err = c.fits(s)
		}
		if err != nil {
			failed = errors.Join(failed, err)
			continue
		}
		candidates = append(candidates, c)
	}
	if best := inLanguage(candidates, s.languages()); best != nil {
		return best, nil
	}
	if failed != nil {
		return nil, failed
	}
	return nil, fmt.Errorf("%w: none of its %d packages is neutral or in this computer's language (%s)",
		ErrRefused, len(o.given.Packages), strings.Join(s.languages(), ", "))
}

func inLanguage(candidates []*choice, languages []string) *choice {
	for _, language := range languages {
		for _, c := range candidates {
			if slices.ContainsFunc(c.doc.Languages, func(tag string) bool {
				return policy.Speaks(language, tag) || policy.Speaks(tag, language)
			}) {
				return c
			}
		}
	}
	for _, c := range candidates {
		if len(c.doc.Languages) == 0 {
			return c
		}
	}
	return nil
}

// fits says whether the package's own rules let it onto this computer. Of an update of several packages, those that
// are there already are not installed again.
func (c *choice) fits(s *scan) error {
	if c.body.Installed != nil {
		if v := s.evaluator.Evaluate(c.body.Installed); v.Answer == rule.True {
			return fmt.Errorf("%w: package %s is installed, and its update is not", ErrRefused, c.body.Name)
		}
	}
	if c.body.Applicable == nil {
		return nil
	}
	switch v := s.evaluator.Evaluate(c.body.Applicable); v.Answer {
	case rule.True:
		return nil
	case rule.False:
		return fmt.Errorf("%w: package %s is not applicable to this computer", ErrRefused, c.body.Name)
	default:
		return fmt.Errorf("%w: package %s: %s", ErrRefused, c.body.Name, v.Because)
	}
}

func (a *Agent) readPackage(o *order, doc *document.Document) (*choice, error) {
	if err := a.verified(doc, document.Package); err != nil {
		return nil, err
	}
	body, err := catalog.Decode[catalog.Package](doc.Body)
	if err != nil {
		return nil, fmt.Errorf("%w: package %s: %w", ErrRefused, doc.ID, err)
	}
	if body.Update != o.id() {
		return nil, fmt.Errorf("%w: package %s belongs to update %s", ErrRefused, doc.ID, body.Update)
	}
	index := slices.IndexFunc(o.given.Payloads, func(p document.Document) bool { return p.ID == doc.ID })
	if index < 0 {
		return nil, fmt.Errorf("%w: package %s came without its payload document", ErrRefused, doc.ID)
	}
	payloadDoc := &o.given.Payloads[index]
	if err := a.verified(payloadDoc, document.Payload); err != nil {
		return nil, err
	}
	payload, err := catalog.Decode[catalog.Payload](payloadDoc.Body)
	if err != nil {
		return nil, fmt.Errorf("%w: payload of %s: %w", ErrRefused, doc.ID, err)
	}
	if !o.pin.Pinned(doc.Digest, payloadDoc.Digest) {
		return nil, fmt.Errorf("%w: package %s and its payload are not what policy %q pins", ErrRefused, doc.ID, o.body.Name)
	}
	if payload.PackageDigest != doc.Digest {
		return nil, fmt.Errorf("%w: the payload of %s was staged for another revision of the package", ErrRefused, doc.ID)
	}
	c := &choice{doc: *doc, body: body, payload: payload}
	return c, c.checkFiles()
}

// checkFiles holds the staged files against the package: each by name, with the sizes and digests that the vendor gave.
func (c *choice) checkFiles() error {
	fail := func(format string, args ...any) error {
		return fmt.Errorf("%w: package %s: %s", ErrRefused, c.body.Name, fmt.Sprintf(format, args...))
	}
	runs := false
	for _, staged := range c.payload.Files {
		if staged.Name == "" || staged.Name != filepath.Base(staged.Name) || strings.ContainsAny(staged.Name, `/\:"`) || staged.Name == ".." {
			return fail("file name %.80q is not plain", staged.Name)
		}
		index := slices.IndexFunc(c.body.Files, func(f catalog.File) bool { return strings.EqualFold(f.Name, staged.Name) })
		if index < 0 {
			return fail("its payload has a file %s that it does not name", staged.Name)
		}
		vendor := c.body.Files[index]
		if vendor.SHA256 != "" && !strings.EqualFold(vendor.SHA256, staged.SHA256) || vendor.Size != 0 && vendor.Size != staged.Size {
			return fail("its payload's %s is not the vendor's", staged.Name)
		}
		runs = runs || strings.EqualFold(staged.Name, c.body.Installer.File)
	}
	if len(c.payload.Files) != len(c.body.Files) || !runs {
		return fail("its payload lacks files: it has %d of %d", len(c.payload.Files), len(c.body.Files))
	}
	return nil
}
