package policies

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"thatch/catalog/document"
	"thatch/catalog/policy"
	"thatch/node/bulletins"
	"thatch/node/bulletins/live"
	"thatch/node/bulletins/staging"
	"thatch/node/store"
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
	Off             bool              `json:"off,omitempty"` // made, but not switched on
}

// LeftOut is an update of the bulletins that no policy can hold.
type LeftOut struct {
	Update   string         `json:"update"`
	Product  string         `json:"product"`
	Bulletin string         `json:"bulletin"`
	Status   staging.Status `json:"status"`
	Text     string         `json:"text"`
}

// Created is the answer to Create and Revise.
type Created struct {
	ID      string    `json:"id"`
	Name    string    `json:"policy"`
	Version int64     `json:"version"`
	Updates int       `json:"updates"`
	Changed int       `json:"changed"`  // of Revise: updates with another pin than before, added or removed
	LeftOut []LeftOut `json:"left_out"` // updates without a package that matters to this site
}

// contents is what a policy of some bulletins pins now.
type contents struct {
	bulletins []string
	updates   []policy.Update
	named     map[string]string // what people may call an update: its id, its name where it is unique, its number
	languages []string          // of the packages pinned; nil when one is neutral
	neutral   bool
	left      []LeftOut
}

// collect finds what a policy of the bulletins pins. It is an error when one is not staged, or an update that has
// packages is not all there.
func (r *Room) collect(ctx context.Context, names []string) (*contents, error) {
	if len(names) == 0 {
		return nil, store.Invalid("a policy is made from at least one bulletin")
	}
	c := &contents{named: make(map[string]string)}
	var unique []string // names of c.bulletins, as they were given
	for _, name := range names {
		id, err := r.cfg.Bulletins.Find(ctx, name)
		if err != nil {
			return nil, err
		}
		if !slices.Contains(c.bulletins, id) {
			c.bulletins, unique = append(c.bulletins, id), append(unique, name)
		}
	}
	state, err := staging.Load(ctx, r.cfg.Reader)
	if err != nil {
		return nil, err
	}
	var missing []string
	for i, id := range c.bulletins {
		if _, staged := state.Staged[id]; !staged {
			return nil, store.Invalid("bulletin %s is not staged; stage it first: thatch bulletins stage %s", unique[i], unique[i])
		}
		ready, not, err := r.cfg.Bulletins.ReadyUpdates(ctx, id)
		if err != nil {
			return nil, err
		}
		for _, one := range ready {
			c.pin(one)
		}
		missing = append(missing, c.leave(unique[i], not)...)
	}
	if len(missing) > 0 {
		return nil, store.Invalid("not everything is there yet (%d of the updates): %s", len(missing), first(missing, 5))
	}
	if len(c.updates) == 0 {
		return nil, store.Invalid("none of the updates has a package that matters to this site: %s", c.whyEmpty())
	}
	if c.neutral {
		c.languages = nil
	}
	return c, nil
}

func first(list []string, most int) string {
	if len(list) > most {
		return strings.Join(list[:most], "; ") + "; and more"
	}
	return strings.Join(list, "; ")
}

// whyEmpty names each reason once, with how many updates it concerns and the first of them.
func (c *contents) whyEmpty() string {
	var why []string
	named := map[string][]string{}
	for _, l := range c.left {
		if named[l.Text] == nil {
			why = append(why, l.Text)
		}
		named[l.Text] = append(named[l.Text], called(l.Update, l.Product))
	}
	for i, text := range why {
		why[i] = fmt.Sprintf("%s (%d updates: %s)", text, len(named[text]), first(named[text], 3))
	}
	return first(why, 3)
}

// called is how people tell an update from the others of its bulletin, which may all bear one name.
func called(name, product string) string {
	if strings.Contains(name, product) {
		return name
	}
	return name + " for " + product
}

// pin adds an update with its packages.
func (c *contents) pin(one bulletins.Ready) {
	pin := policy.Update{Update: one.Update.ID, Digest: one.Update.Digest, Enabled: true}
	for _, p := range one.Packages {
		pin.Packages = append(pin.Packages, policy.Pin{
			ID: p.Package.ID, Digest: p.Package.Digest, PayloadDigest: p.Payload.Digest, Languages: p.Package.Languages,
		})
		c.neutral = c.neutral || len(p.Package.Languages) == 0
		c.languages = append(c.languages, p.Package.Languages...)
	}
	c.updates = append(c.updates, pin)
	c.call(one.Update)
}

// leave notes the updates that no policy can hold, and returns those that must be there first, in words.
func (c *contents) leave(bulletin string, not []bulletins.NotReady) (missing []string) {
	for _, one := range not {
		if !one.Blocks {
			c.left = append(c.left, LeftOut{
				Update: one.Name, Product: one.Update.Product.Name, Bulletin: bulletin, Status: one.Status, Text: one.Text,
			})
			continue
		}
		why := fmt.Sprintf("%s is %s", called(one.Name, one.Update.Product.Name), one.Status)
		if one.Text != "" {
			why += " (" + one.Text + ")"
		}
		missing = append(missing, why)
	}
	return missing
}

// call notes what people may call an update; a name that several bear is none.
func (c *contents) call(u *live.Update) {
	for _, name := range []string{u.Name, u.KB} {
		name = strings.ToLower(name)
		if _, taken := c.named[name]; taken {
			c.named[name] = ""
		} else if name != "" {
			c.named[name] = u.ID
		}
	}
	c.named[strings.ToLower(u.ID)], c.named[fmt.Sprint(u.Number)] = u.ID, u.ID
}

// find returns the pin of the update that a person named.
func (c *contents) find(name string) (*policy.Update, error) {
	id, known := c.named[strings.ToLower(name)]
	if known && id == "" {
		return nil, store.Invalid("several updates of the policy are called %q; give the id of one", name)
	}
	for i := range c.updates {
		if known && c.updates[i].Update == id {
			return &c.updates[i], nil
		}
	}
	return nil, store.Invalid("no update of the policy is called %q", name)
}

// body makes the policy that a draft means.
func (d *Draft) body(c *contents) (policy.Policy, error) {
	p := policy.Policy{
		Name: strings.TrimSpace(d.Name), Description: strings.TrimSpace(d.Description), Updates: c.updates,
		Target: policy.Target{NeedsIt: true}, Plan: policy.Plan{When: policy.StartASAP},
		OverrideWindows: d.OverrideWindows, Attempts: d.Attempts,
	}
	if d.Target != nil {
		p.Target = *d.Target
	}
	if d.Plan != nil {
		p.Plan = *d.Plan
	}
	for _, name := range d.Disable {
		pin, err := c.find(name)
		if err != nil {
			return p, err
		}
		pin.Enabled = false
	}
	for _, name := range slices.Sorted(maps.Keys(d.Commands)) {
		pin, err := c.find(name)
		if err != nil {
			return p, err
		}
		pin.CommandLine = d.Commands[name]
	}
	return p, nil
}

// Create makes a policy of staged bulletins that are all there. Updates without a package that matters to this site are
// left out, and named in the answer.
func (r *Room) Create(ctx context.Context, d Draft) (Created, error) {
	c, err := r.collect(ctx, d.Bulletins)
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
	doc, err := r.signed(document.Policy, r.newID("policy"), c.languages, body)
	if err != nil {
		return Created{}, err
	}
	now := stamp(r.cfg.Now())
	statements := append([]store.Statement{alone}, store.Put(doc, "", store.Former{Absent: true})...)
	statements = append(statements, store.Statement{
		SQL: `INSERT INTO policy (id, name, enabled, paused, version, created, created_by, changed, idx)
			VALUES (?, ?, ?, 0, 1, ?, ?, ?, ?)`,
		Args: []any{doc.ID, body.Name, !d.Off, now, store.ActorOf(ctx), now, store.Index{}}, Want: 1,
	})
	for _, id := range c.bulletins {
		statements = append(statements, store.Statement{
			SQL: `INSERT INTO policy_bulletin (policy, bulletin) VALUES (?, ?)`, Args: []any{doc.ID, id}, Want: 1,
		})
	}
	statements = append(statements, pins(doc.ID, body.Updates)...)
	created := Created{ID: doc.ID, Name: body.Name, Version: 1, Updates: len(body.Updates), LeftOut: orEmpty(c.left)}
	return created, r.write(ctx, "create policy "+body.Name, statements...)
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
