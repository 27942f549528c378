package policies

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"thatch/catalog/document"
	"thatch/catalog/policy"
	"thatch/node/bulletins/live"
	"thatch/node/policies/above"
	"thatch/node/policies/approval"
	"thatch/node/policies/contents"
	"thatch/node/policies/outlook"
	"thatch/node/store"
	"thatch/node/store/rows"
)

// Edit changes parts of a policy; nil leaves a part as it is. Enable, Disable and the keys of Commands name updates by
// id, name or number.
type Edit struct {
	Name            *string           `json:"name,omitempty"`
	Description     *string           `json:"description,omitempty"`
	Enable          []string          `json:"enable,omitempty"`
	Disable         []string          `json:"disable,omitempty"`
	Commands        map[string]string `json:"commands,omitempty"` // "" takes the packages' own again
	Target          *policy.Target    `json:"target,omitempty"`
	Plan            *policy.Plan      `json:"plan,omitempty"`
	OverrideWindows *bool             `json:"override_windows,omitempty"`
	Attempts        *int              `json:"attempts,omitempty"`
	Local           *bool             `json:"local,omitempty"` // sites below may pause it and switch it off for themselves
}

func (e *Edit) apply(p *policy.Policy, c *contents.Contents) error {
	set(&p.Name, e.Name)
	set(&p.Description, e.Description)
	set(&p.Target, e.Target)
	set(&p.Plan, e.Plan)
	set(&p.OverrideWindows, e.OverrideWindows)
	set(&p.Attempts, e.Attempts)
	p.Name = strings.TrimSpace(p.Name)
	if err := each(c, e.Enable, func(pin *policy.Update, _ string) { pin.Enabled = true }); err != nil {
		return err
	}
	return setApart(c, e.Disable, e.Commands)
}

// setApart sets for single updates, as people name them, that they are not to be installed, and the commands of others.
func setApart(c *contents.Contents, disable []string, commands map[string]string) error {
	if err := each(c, disable, func(pin *policy.Update, _ string) { pin.Enabled = false }); err != nil {
		return err
	}
	return each(c, slices.Sorted(maps.Keys(commands)), func(pin *policy.Update, name string) { pin.CommandLine = commands[name] })
}

// each finds the updates that people name, in turn.
func each(c *contents.Contents, names []string, set func(pin *policy.Update, name string)) error {
	for _, name := range names {
		pin, err := c.Find(name)
		if err != nil {
			return err
		}
		set(pin, name)
	}
	return nil
}

func set[T any](field *T, value *T) {
	if value != nil {
		*field = *value
	}
}

// at finds a policy to be changed, and the version the change is made from: the one that was seen, or for 0 the
// present one.
func (r *Room) at(ctx context.Context, name string, version int64) (*order, int64, error) {
	o, err := r.load(ctx)
	if err != nil {
		return nil, 0, err
	}
	found, err := o.find(name)
	if err != nil {
		return nil, 0, err
	}
	return found, cmp.Or(version, found.Version), store.AllOwn(ctx, r.cfg.Reader, r.cfg.Site, found.document.Head)
}

// touch is the guarded statement of every change of a policy.
func (r *Room) touch(id string, version int64, column string, value any) store.Statement {
	return store.Statement{
		SQL:  `UPDATE policy SET ` + column + ` = ?, version = version + 1, changed = ?, idx = ? WHERE id = ? AND version = ?`,
		Args: []any{value, rows.Stamp(r.cfg.Now()), store.Index{}, id, version}, Want: 1,
	}
}

// Change edits a policy. Version is the one that was seen; 0 takes the present one.
func (r *Room) Change(ctx context.Context, name string, version int64, e Edit) error {
	found, version, err := r.at(ctx, name, version)
	if err != nil {
		return err
	}
	if found.broken != "" && found.Above == nil {
		return store.Invalid("change policy %s: %s: revise it, or delete it", found.Name, found.broken)
	}
	body, err := found.editable()
	if err != nil {
		return err
	}
	if err := e.apply(&body, contents.Of(body.Updates, found.pins)); err != nil {
		return err
	}
	if err := r.check(&body, found.body); err != nil {
		return err
	}
	var more []store.Statement
	if !strings.EqualFold(body.Name, found.Name) {
		o, err := r.load(ctx)
		if err != nil {
			return err
		}
		alone, err := o.free(body.Name, found.ID)
		if err != nil {
			return err
		}
		more = append(more, alone)
	}
	next := edition{found, version, body, found.document.Languages, found.Local}
	set(&next.local, e.Local)
	return r.replace(ctx, "change policy "+found.Name, next, more...)
}

// editable is a copy of the body that may be changed. The id of a policy names the site that made it, and sites below take it
// from no other.
func (p *order) editable() (body policy.Policy, err error) {
	if p.Above != nil {
		return body, left(p.Name)
	}
	if err := json.Unmarshal(p.document.Body, &body); err != nil {
		return body, store.Invalid("policy %s is damaged (%v): delete it, and make it anew", p.Name, err)
	}
	return body, nil
}

// left refuses to change what a former parent left behind.
func left(name string) error {
	return store.Conflicting("policy %s was made by a former parent of this site: delete it, and make one of your own", name)
}

// edition is a new revision of a policy, and the version it was made from.
type edition struct {
	of        *order
	version   int64
	body      policy.Policy
	languages []string
	local     bool
}

// replace puts another revision of a policy's document. Its pins stay, unless more changes them. Where an approver is asked
// for, the policy is off until one enables it.
func (r *Room) replace(ctx context.Context, reason string, e edition, more ...store.Statement) error {
	doc, err := r.cfg.Sign(document.Policy, e.of.ID, e.languages, e.body)
	if err != nil {
		return err
	}
	state := e.of.said()
	state.Local = e.local
	if doc.Digest == e.of.document.Digest && len(more) == 0 && e.version == e.of.Version && state == e.of.said() {
		return nil
	}
	var statements []store.Statement
	if doc.Digest != e.of.document.Digest {
		statements = store.Receive(doc, false, store.Former{Digest: e.of.document.Digest})
		judged, err := approval.Of(ctx, r.cfg.Approval)
		if err != nil {
			return err
		}
		statements, reason = append(statements, judged.Changed(e.of.ID)...), reason+judged.Words()
		if judged.Holds() && state.Enabled {
			state.Enabled = false
			statements = append(statements, store.Statement{SQL: `UPDATE policy SET enabled = 0 WHERE id = ?`, Args: []any{e.of.ID}, Want: 1})
		}
	}
	if state != e.of.said() {
		said, err := r.say(ctx, e.of.ID, state)
		if err != nil {
			return err
		}
		statements = append(statements, said...)
	}
	statements = append(statements, r.touch(e.of.ID, e.version, "name", e.body.Name))
	return r.cfg.Write(ctx, reason, append(statements, more...)...)
}

// Delete removes a policy and what it alone pinned. Version is the one that was seen; 0 takes the present one.
func (r *Room) Delete(ctx context.Context, name string, version int64) error {
	found, version, err := r.at(ctx, name, version)
	if err != nil {
		return err
	}
	statements := []store.Statement{{
		SQL: `DELETE FROM policy WHERE id = ? AND version = ?`, Args: []any{found.ID, version}, Want: 1,
	}}
	statements = append(statements, store.Remove(document.Policy, found.ID, store.Former{})...)
	statements = append(statements, store.Unpin(found.ID)...)
	statements = append(statements, above.Deleted(found.ID)...)
	silent, err := r.sayNothing(ctx, found.ID)
	if err != nil {
		return err
	}
	statements = append(statements, silent...)
	return r.cfg.Write(ctx, "delete policy "+found.Name, statements...)
}

// Revision tells what Revise would change now.
func (r *Room) Revision(ctx context.Context, name string) (*outlook.Revision, error) {
	found, _, err := r.at(ctx, name, 0)
	if err != nil {
		return nil, err
	}
	body, err := found.editable()
	if err != nil {
		return nil, err
	}
	answer := &outlook.Revision{Policy: found.Name, Problems: []string{}, Changes: []outlook.Change{}}
	c, err := contents.Gather(ctx, r.cfg.Reader, r.cfg.Bulletins, found.Bulletins)
	if errors.Is(err, store.ErrNotFound) || errors.Is(err, store.ErrInvalid) { // a bulletin left the catalog
		answer.Problems = append(answer.Problems, err.Error())
		return answer, nil
	}
	if err != nil {
		return nil, err
	}
	answer.Problems, answer.LeftOut = append(answer.Problems, c.Problems...), orEmpty(c.Left)
	err = r.cfg.Bulletins.Catalog().Read(ctx, func(v *live.View) error {
		answer.Changes = outlook.Compare(v, body.Updates, c.Updates, found.pins)
		return nil
	})
	return answer, err
}

// Revise pins the present revisions of what a policy was made from, and updates that its bulletins have since. What
// was set for single updates stays. Version is the one that was seen; 0 takes the present one.
func (r *Room) Revise(ctx context.Context, name string, version int64) (Created, error) {
	found, version, err := r.at(ctx, name, version)
	if err != nil {
		return Created{}, err
	}
	body, err := found.editable()
	if err != nil {
		return Created{}, err
	}
	c, err := contents.Collect(ctx, r.cfg.Reader, r.cfg.Bulletins, found.Bulletins)
	if err != nil {
		return Created{}, fmt.Errorf("revise policy %s: %w", found.Name, err)
	}
	changed := keep(body.Updates, c.Updates)
	body.Updates = c.Updates
	if err := r.check(&body, found.body); err != nil {
		return Created{}, err
	}
	answer := Created{ID: found.ID, Name: found.Name, Version: version, Updates: len(body.Updates), Changed: changed, LeftOut: orEmpty(c.Left)}
	if changed == 0 {
		return answer, nil
	}
	answer.Version++
	more := append(store.Unpin(found.ID), pins(found.ID, body.Updates)...)
	return answer, r.replace(ctx, "revise policy "+found.Name, edition{found, version, body, c.Languages, found.Local}, more...)
}

// keep carries over what was set for single updates, and counts those whose pins differ.
func keep(former, next []policy.Update) (changed int) {
	before := make(map[string]policy.Update, len(former))
	for _, u := range former {
		before[u.Update] = u
	}
	for i := range next {
		u := &next[i]
		old, known := before[u.Update]
		delete(before, u.Update)
		if known {
			u.Enabled, u.CommandLine = old.Enabled, old.CommandLine
		}
		if !known || !u.SamePins(&old) {
			changed++
		}
	}
	return changed + len(before)
}
