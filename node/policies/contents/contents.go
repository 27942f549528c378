// Package contents finds what a policy pins: of staged bulletins, every update with the packages that matter to the site.
package contents

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"thatch/catalog/policy"
	"thatch/node/bulletins"
	"thatch/node/bulletins/live"
	"thatch/node/bulletins/staging"
	"thatch/node/policies/pinned"
	"thatch/node/store"
)

// LeftOut is an update of the bulletins that no policy can hold.
type LeftOut struct {
	Update   string         `json:"update"`
	Product  string         `json:"product"`
	Bulletin string         `json:"bulletin"`
	Status   staging.Status `json:"status"`
	Text     string         `json:"text"`
	Of       *live.Update   `json:"-"`
}

// Contents is what a policy of some bulletins pins now.
type Contents struct {
	Bulletins []string // document ids
	Updates   []policy.Update
	Languages []string // of the packages pinned; nil when one is neutral
	Left      []LeftOut
	Waits     map[string]LeftOut // by id: updates that have packages which are not here yet
	Problems  []string           // why no policy can be made of it now
	neutral   bool
	named     map[string]string // what people may call an update: its id, its name where it is unique, its number
}

// Collect finds what a policy of the bulletins pins. It is an error when one is not staged, or an update that has
// packages is not all there.
func Collect(ctx context.Context, reader store.Reader, all *bulletins.Bulletins, names []string) (*Contents, error) {
	c, err := Gather(ctx, reader, all, names)
	if err != nil {
		return nil, err
	}
	if len(c.Problems) > 0 {
		return nil, store.Invalid("%s", c.Problems[0])
	}
	return c, nil
}

// Gather finds what a policy of the bulletins would pin, and what keeps it from being made now. Updates that are not all
// there are among them, without packages.
func Gather(ctx context.Context, reader store.Reader, all *bulletins.Bulletins, names []string) (*Contents, error) {
	if len(names) == 0 {
		return nil, store.Invalid("a policy is made from at least one bulletin")
	}
	c := &Contents{named: make(map[string]string), Waits: make(map[string]LeftOut)}
	var unique []string // names of c.Bulletins, as they were given
	for _, name := range names {
		id, err := all.Find(ctx, name)
		if err != nil {
			return nil, err
		}
		if !slices.Contains(c.Bulletins, id) {
			c.Bulletins, unique = append(c.Bulletins, id), append(unique, name)
		}
	}
	state, err := staging.Load(ctx, reader)
	if err != nil {
		return nil, err
	}
	var missing []string
	for i, id := range c.Bulletins {
		if _, staged := state.Staged[id]; !staged {
			c.problem("bulletin %s is not staged; stage it first: thatch bulletins stage %s", unique[i], unique[i])
			continue
		}
		ready, not, err := all.ReadyUpdates(ctx, id)
		if err != nil {
			return nil, err
		}
		for _, one := range ready {
			c.pin(one)
		}
		missing = append(missing, c.leave(unique[i], not)...)
	}
	if len(missing) > 0 {
		c.problem("not everything is there yet (%d of the updates): %s", len(missing), first(missing, 5))
	}
	if len(c.Updates) == 0 && len(c.Problems) == 0 {
		c.problem("none of the updates has a package that matters to this site: %s", c.whyEmpty())
	}
	if c.neutral {
		c.Languages = nil
	}
	return c, nil
}

func (c *Contents) problem(format string, args ...any) {
	c.Problems = append(c.Problems, fmt.Sprintf(format, args...))
}

func first(list []string, most int) string {
	if len(list) > most {
		return strings.Join(list[:most], "; ") + "; and more"
	}
	return strings.Join(list, "; ")
}

// whyEmpty names each reason once, with how many updates it concerns and the first of them.
func (c *Contents) whyEmpty() string {
	var why []string
	named := map[string][]string{}
	for _, l := range c.Left {
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
func (c *Contents) pin(one bulletins.Ready) {
	pin := policy.Update{Update: one.Update.ID, Digest: one.Update.Digest, Enabled: true}
	for _, p := range one.Packages {
		pin.Packages = append(pin.Packages, policy.Pin{
			ID: p.Package.ID, Digest: p.Package.Digest, PayloadDigest: p.Payload.Digest, Languages: p.Package.Languages,
		})
		c.neutral = c.neutral || len(p.Package.Languages) == 0
		c.Languages = append(c.Languages, p.Package.Languages...)
	}
	c.Updates = append(c.Updates, pin)
	c.call(one.Update)
}

// leave notes the updates that no policy can hold, and returns those that must be there first, in words.
func (c *Contents) leave(bulletin string, not []bulletins.NotReady) (missing []string) {
	for _, one := range not {
		left := LeftOut{
			Update: one.Name, Product: one.Update.Product.Name, Bulletin: bulletin, Status: one.Status, Text: one.Text, Of: one.Update,
		}
		if !one.Blocks {
			c.Left = append(c.Left, left)
			continue
		}
		c.Waits[one.Update.ID] = left
		c.Updates = append(c.Updates, policy.Update{Update: one.Update.ID, Digest: one.Update.Digest, Enabled: true})
		c.call(one.Update)
		why := fmt.Sprintf("%s is %s", called(one.Name, one.Update.Product.Name), one.Status)
		if one.Text != "" {
			why += " (" + one.Text + ")"
		}
		missing = append(missing, why)
	}
	return missing
}

// call notes what people may call an update; a name that several bear is none.
func (c *Contents) call(u *live.Update) {
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

// Find returns the pin of the update that a person named.
func (c *Contents) Find(name string) (*policy.Update, error) {
	id, known := c.named[strings.ToLower(name)]
	if known && id == "" {
		return nil, store.Invalid("several updates of the policy are called %q; give the id of one", name)
	}
	for i := range c.Updates {
		if known && c.Updates[i].Update == id {
			return &c.Updates[i], nil
		}
	}
	return nil, store.Invalid("no update of the policy is called %q", name)
}

// Of is what a policy pins already.
func Of(updates []policy.Update, pins *pinned.Pins) *Contents {
	c := &Contents{Updates: updates, named: make(map[string]string)}
	for i := range updates {
		c.call(pins.Update(&updates[i]))
	}
	return c
}
