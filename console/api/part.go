package api

import (
	"context"
	"encoding/json"
	"slices"
	"strings"

	"thatch/node/identity"
	"thatch/node/store"
)

// Reach says what of the site a route is about, for callers who are limited to a part of it. A route that says nothing is
// closed to them.
type Reach struct {
	Free  bool                // open to them all the same: it tells nothing of computers, or narrows its answer itself
	Whole bool                // open to them, and counts the computers of the whole site: callers are told (see HeaderCounts)
	Check func(c *Call) error // refuses what is outside of their part
	Group string              // column of a list that names the group of a row's computer
	Site  string              // column of a list that names the site of a row, by its id
}

// HeaderCounts of an answer says "the whole site" where it counts computers beyond the part of the site that its caller is
// limited to.
const HeaderCounts = "X-Thatch-Counts"

const wholeSite = "the whole site"

// CountsWhole notes that the answer counts computers of the whole site.
func (c *Call) CountsWhole() { c.whole = c.whole || !c.OwnSite() }

// within refuses what a caller who is limited to a part of the site may not do at all.
func (c *Call) within() error {
	reach := c.route.Reach
	switch {
	case c.Who.Part.Whole():
		return nil
	case reach.Check != nil:
		return reach.Check(c)
	case reach.Whole:
		c.CountsWhole()
		return nil
	case reach.Free, reach.Group != "", reach.Site != "":
		return nil
	}
	return c.Outside("this is about the whole site")
}

// Allows is nil where an operator may call a route at all, whatever it would be sent: pages show what may be done. Names of
// the path that are not known yet stand in it as {name}; then it is asked for the route alone.
func (s *Server) Allows(ctx context.Context, who identity.Operator, method, path string) error {
	c, err := s.call(ctx, who, Request{Method: method, Path: path})
	if err != nil {
		return err
	}
	c.Who = who
	if err := who.Require(c.route.Scope); err != nil {
		return err
	}
	if c.route.Reach.Check != nil && strings.Contains(path, "{") {
		return nil
	}
	if err := c.unescape(); err != nil {
		return err
	}
	return c.within()
}

// Outside refuses what is not in the caller's part of the site, and says what it is.
func (c *Call) Outside(format string, args ...any) error {
	return identity.Forbidden(format+", and %s may act on a part of it alone (%s)", append(args, c.Who.Name, c.Who.Part)...)
}

// narrow has a list hold what is in the caller's part alone.
func (c *Call) narrow(q *store.Query) error {
	reach := c.route.Reach
	switch {
	case c.Who.Part.Whole():
	case reach.Site != "":
		sites, err := c.sites()
		if err != nil {
			return err
		}
		q.Only = map[string][]string{reach.Site: sites}
	case reach.Group != "" && !c.OwnSite():
		q.Only = map[string][]string{reach.Group: c.Who.Part.Groups}
	}
	return nil
}

// OwnSite says whether all computers of this site are in the caller's part.
func (c *Call) OwnSite() bool {
	return c.Who.Part.Whole() || slices.Contains(c.Who.Part.Sites, c.Node.Site().ID)
}

// SeesGroup says whether the computers of a group of this site are in the caller's part.
func (c *Call) SeesGroup(group string) bool {
	return c.OwnSite() || slices.Contains(c.Who.Part.Groups, group)
}

// sites are the ids of the sites in the caller's part: those that are named, and all below them.
func (c *Call) sites() ([]string, error) {
	all := slices.Clone(c.Who.Part.Sites)
	for _, site := range c.Who.Part.Sites {
		below, err := c.Node.Sites.DescendantsOf(c.Context(), site)
		if err != nil {
			return nil, err
		}
		all = append(all, below...)
	}
	return all, nil
}

// SeesSite says whether a site is in the caller's part, by its id.
func (c *Call) SeesSite(id string) (bool, error) {
	if c.Who.Part.Whole() {
		return true, nil
	}
	sites, err := c.sites()
	return slices.Contains(sites, id), err
}

// CheckSite refuses a site that is outside of the caller's part.
func (c *Call) CheckSite(id, name string) error {
	sees, err := c.SeesSite(id)
	if err == nil && !sees {
		err = c.Outside("site %s is not in it", name)
	}
	return err
}

// HasBody says whether the call carries anything.
func (c *Call) HasBody() bool { return len(c.body) > 0 }

// Peek reads of the call's body what its reach depends on, before the route reads the whole.
func (c *Call) Peek(into any) error {
	if err := json.Unmarshal(c.body, into); err != nil {
		return store.Invalid("the request's JSON: %v", err)
	}
	return nil
}

// ComputerReach is that of routes whose {id} is a computer; it may be moved only within the part.
var ComputerReach = Reach{Check: func(c *Call) error {
	id, err := c.Node.Compliance.Find(c.Var("id"))
	if err != nil || c.OwnSite() {
		return err
	}
	if m := c.Node.Computers.Member(id); m != nil && !c.SeesGroup(m.Group) {
		return c.Outside("computer %s is in the group %q", m.Name, m.Group)
	}
	var to struct{ Group *string }
	if c.HasBody() {
		if err := c.Peek(&to); err != nil {
			return err
		}
	}
	if to.Group != nil && !c.SeesGroup(*to.Group) {
		return c.Outside("the group %q is not in it", *to.Group)
	}
	return nil
}}
