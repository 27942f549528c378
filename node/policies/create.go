package policies

import (
	"context"
	"strings"

	"thatch/catalog/document"
	"thatch/catalog/federation"
	"thatch/catalog/policy"
	"thatch/node/bulletins/live"
	"thatch/node/computers"
	"thatch/node/policies/approval"
	"thatch/node/policies/contents"
	"thatch/node/policies/outlook"
	"thatch/node/store"
	"thatch/node/store/rows"
)

// Draft is what a person orders.
type Draft struct {
	Name        string   `json:"name"`
	Description string   `json:"description,omitempty"`
	Bulletins   []string `json:"bulletins"` // ids or names; all are staged
	// Disable and Commands name updates by id, name or number: those that are not to be installed yet, and the arguments
	// that replace those of their packages' installers.
	Disable         []string          `json:"disable,omitempty"`
	Commands        map[string]string `json:"commands,omitempty"`
	Target          *policy.Target    `json:"target,omitempty"` // nil: the computers that need it
	Plan            *policy.Plan      `json:"plan,omitempty"`   // nil: as soon as possible
	OverrideWindows bool              `json:"override_windows,omitempty"`
	Attempts        int               `json:"attempts,omitempty"`
	Off             bool              `json:"off,omitempty"`   // made, but not switched on
	Local           bool              `json:"local,omitempty"` // sites below may pause it and switch it off for themselves
}

// Created is the answer to Create and Revise.
type Created struct {
	ID      string             `json:"id"`
	Name    string             `json:"policy"`
	Version int64              `json:"version"`
	Updates int                `json:"updates"`
	Changed int                `json:"changed"`                   // of Revise: updates with another pin than before, added or removed
	Awaits  bool               `json:"awaits_approval,omitempty"` // it is off until an approver enables it
	LeftOut []contents.LeftOut `json:"left_out"`                  // updates without a package that matters to this site
}

// body makes the policy that a draft means.
func (d *Draft) body(c *contents.Contents) (policy.Policy, error) {
	p := policy.Policy{
		Name: strings.TrimSpace(d.Name), Description: strings.TrimSpace(d.Description), Updates: c.Updates,
		Target: policy.Target{NeedsIt: true}, Plan: policy.Plan{When: policy.StartASAP},
		OverrideWindows: d.OverrideWindows, Attempts: d.Attempts,
	}
	if d.Target != nil {
		p.Target = *d.Target
	}
	if d.Plan != nil {
		p.Plan = *d.Plan
	}
	return p, setApart(c, d.Disable, d.Commands)
}

// Create makes a policy of staged bulletins that are all there. Updates without a package that matters to this site are
// left out, and named in the answer.
func (r *Room) Create(ctx context.Context, d Draft) (Created, error) {
	c, err := contents.Collect(ctx, r.cfg.Reader, r.cfg.Bulletins, d.Bulletins)
	if err != nil {
		return Created{}, err
	}
	body, err := d.body(c)
	if err == nil {
		err = r.check(&body, nil)
	}
	if err != nil {
		return Created{}, err
	}
	o, err := r.load(ctx)
	if err != nil {
		return Created{}, err
	}
	alone, err := o.free(body.Name, "")
	if err != nil {
		return Created{}, err
	}
	doc, err := r.cfg.Sign(document.Policy, r.cfg.NewID(document.Policy), c.Languages, body)
	if err != nil {
		return Created{}, err
	}
	judged, err := approval.Of(ctx, r.cfg.Approval)
	if err != nil {
		return Created{}, err
	}
	on := !d.Off && !judged.Holds()
	now := rows.Stamp(r.cfg.Now())
	statements := append([]store.Statement{alone}, store.Put(doc, "", store.Former{Absent: true})...)
	statements = append(statements, store.Statement{
		SQL: `INSERT INTO policy (id, name, enabled, paused, version, created, created_by, changed, idx, maker)
			VALUES (?, ?, ?, 0, 1, ?, ?, ?, ?, ?)`,
		Args: []any{doc.ID, body.Name, on, now, store.ActorOf(ctx), now, store.Index{}, judged.Maker()}, Want: 1,
	})
	for _, id := range c.Bulletins {
		statements = append(statements, store.Statement{
			SQL: `INSERT INTO policy_bulletin (policy, bulletin) VALUES (?, ?)`, Args: []any{doc.ID, id}, Want: 1,
		})
	}
	said, err := r.say(ctx, doc.ID, federation.State{Enabled: on, Local: d.Local})
	if err != nil {
		return Created{}, err
	}
	statements = append(append(statements, said...), pins(doc.ID, body.Updates)...)
	created := Created{
		ID: doc.ID, Name: body.Name, Version: 1, Updates: len(body.Updates), LeftOut: orEmpty(c.Left), Awaits: judged.Holds(),
	}
	return created, r.cfg.Write(ctx, "create policy "+body.Name+judged.Words(), statements...)
}

// Preview tells what Create would make of a draft, and for whom. Query chooses a page of the computers that miss something,
// by Search, Offset and Limit.
func (r *Room) Preview(ctx context.Context, d Draft, q store.Query) (*outlook.Outlook, error) {
	c, err := contents.Gather(ctx, r.cfg.Reader, r.cfg.Bulletins, d.Bulletins)
	if err != nil {
		return nil, err
	}
	body, err := d.body(c)
	if err != nil {
		return nil, err
	}
	o, err := r.load(ctx)
	if err != nil {
		return nil, err
	}
	if len(body.Updates) > 0 {
		if err := r.check(&body, nil); err != nil {
			return nil, err
		}
	}
	if _, err := o.free(body.Name, ""); err != nil {
		return nil, err
	}
	var found *outlook.Outlook
	err = r.cfg.Bulletins.Catalog().Read(ctx, func(v *live.View) error {
		r.cfg.Computers.Look(func(memory computers.View) {
			found = outlook.Make(v, memory, outlook.Asked{Policy: &body, Contents: c, Windows: o.windows, Now: r.cfg.Now()}, q)
		})
		return nil
	})
	return found, err
}

// pins are the statements that keep what a policy means. A revision that is not there any more is a conflict.
func pins(id string, updates []policy.Update) []store.Statement {
	var statements []store.Statement
	for _, u := range updates {
		statements = append(statements, store.Pin(id, u.Digest, true))
		for _, p := range u.Packages {
			statements = append(statements, store.Pin(id, p.Digest, true), store.Pin(id, p.PayloadDigest, true))
		}
	}
	return statements
}

func orEmpty[T any](list []T) []T {
	if list == nil {
		return []T{}
	}
	return list
}
