package live

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"thatch/catalog"
	"thatch/catalog/document"
	"thatch/catalog/supersedence"
	"thatch/node/store"
)

// Held is what every current document has in the view.
type Held struct {
	ID        string
	Languages []string
	Digest    document.Digest
	Origin    string
	Changed   store.Sequence // sequence of its last change
}

// Update is an update of the catalog without its rules, which Catalog.Updates reads. It never changes: a new revision
// is a new Update.
type Update struct {
	Held
	catalog.Update
	Number    uint32
	Evaluable bool // it has an applicability rule
	Rules     RulesMark
}

// Platform is the kind of system that the update is for: that of its source.
func (u *Update) Platform() string {
	switch u.Source {
	case "msrc", "sdp", "wsusscn2":
		return "windows"
	}
	return u.Source
}

// Bulletin is a bulletin of the catalog.
type Bulletin struct {
	Held
	catalog.Bulletin
	Month     string // "2019-02", "" where no vendor file names one
	Exploited bool   // one of its CVEs was seen exploited
	Disclosed bool
}

// Package is a package of the catalog without its rules.
type Package struct {
	Held
	catalog.Package
}

// Payload is what staging learned of a package.
type Payload struct {
	Held
	catalog.Payload
}

// Severity is a custom severity.
type Severity struct {
	Held
	catalog.CustomSeverity
}

// Assignment is what was decided of a bulletin.
type Assignment struct {
	Held
	catalog.Assignment
}

// View is the catalog at a sequence. It is valid only inside Catalog.Read; the values it hands out may be kept, and
// must not be changed.
type View struct {
	Epoch   string
	At      store.Sequence // of the journal
	Changed store.Sequence // since when the catalog itself is as it is, at the latest

	updates     map[uint32]*Update
	byID        map[string]*Update
	bulletins   map[string]*Bulletin
	packages    map[string]*Package
	payloads    map[string]*Payload
	severities  map[string]*Severity
	assignments map[string]*Assignment

	edges
	trail trail
	graph *supersedence.Graph
	knows *supersedence.View // of today
}

// edges lead from one thing to others.
type edges struct {
	updatesOf    links // bulletin -> updates
	packagesOf   links // update -> packages
	supersededBy links // update -> updates that supersede it
}

func newView() *View {
	graph := supersedence.NewGraph()
	return &View{
		graph: graph, knows: graph.View(time.Time{}),
		updates: map[uint32]*Update{}, byID: map[string]*Update{},
		bulletins: map[string]*Bulletin{}, packages: map[string]*Package{}, payloads: map[string]*Payload{},
		severities: map[string]*Severity{}, assignments: map[string]*Assignment{},
		edges: edges{links{}, links{}, links{}},
		trail: trail{removed: map[uint32]store.Sequence{}},
	}
}

// links are edges from one id to many, sorted.
type links map[string][]string

func (l links) add(from, to string) {
	at, found := slices.BinarySearch(l[from], to)
	if !found {
		l[from] = slices.Insert(slices.Clip(l[from]), at, to)
	}
}

func (l links) remove(from, to string) {
	at, found := slices.BinarySearch(l[from], to)
	switch {
	case !found:
	case len(l[from]) == 1:
		delete(l, from)
	default:
		l[from] = slices.Delete(slices.Clone(l[from]), at, at+1)
	}
}

// change is one changed document: its current revision, or none.
type change struct {
	kind   document.Kind
	held   Held
	body   []byte
	number uint32 // of an update
	gone   bool
}

// apply brings the view up to one change. A body that cannot be read leaves the document out: it is an error of its
// own and holds up nothing else.
func (v *View) apply(c change) error {
	v.forget(c)
	if c.gone {
		if c.kind == document.Update && c.number > 0 {
			v.trail.removed[c.number] = c.held.Changed
			v.trail.add(c.held.Changed, c.number)
		}
		return nil
	}
	if err := v.put(c); err != nil {
		return fmt.Errorf("%s %q: %w", c.kind, c.held.ID, err)
	}
	return nil
}

func (v *View) put(c change) error {
	switch c.kind {
	case document.Update:
		return v.putUpdate(c)
	case document.Bulletin:
		return v.putBulletin(c)
	case document.Package:
		body, err := decodePackage(c.body)
		if err != nil {
			return err
		}
		v.packages[c.held.ID] = &Package{Held: c.held, Package: body}
		v.packagesOf.add(body.Update, c.held.ID)
	case document.Payload:
		body, err := catalog.Decode[catalog.Payload](c.body)
		if err != nil {
			return err
		}
		v.payloads[c.held.ID] = &Payload{Held: c.held, Payload: body}
	case document.Severity:
		body, err := catalog.Decode[catalog.CustomSeverity](c.body)
		if err != nil {
			return err
		}
		v.severities[c.held.ID] = &Severity{Held: c.held, CustomSeverity: body}
	case document.Assignment:
		body, err := catalog.Decode[catalog.Assignment](c.body)
		if err != nil {
			return err
		}
		v.assignments[c.held.ID] = &Assignment{Held: c.held, Assignment: body}
	}
	return nil
}

func (v *View) putUpdate(c change) error {
	u := &Update{Held: c.held, Number: c.number}
	if err := u.decode(c.body); err != nil {
		return err
	}
	if c.number == 0 {
		return fmt.Errorf("no number is kept for it; the index tables are damaged")
	}
	v.updates[u.Number], v.byID[u.ID] = u, u
	delete(v.trail.removed, u.Number)
	v.trail.add(u.Changed, u.Number)
	v.graph.AddUpdate(u.ID, &u.Update)
	v.updatesOf.add(u.Bulletin, u.ID)
	for _, former := range u.Supersedes {
		if former != u.ID {
			v.supersededBy.add(former, u.ID)
		}
	}
	return nil
}

func (v *View) putBulletin(c change) error {
	body, err := catalog.Decode[catalog.Bulletin](c.body)
	if err != nil {
		return err
	}
	b := &Bulletin{Held: c.held, Bulletin: body, Month: month(body)}
	for _, cve := range body.CVEs {
		b.Exploited = b.Exploited || cve.Exploited
		b.Disclosed = b.Disclosed || cve.Disclosed
	}
	v.bulletins[b.ID] = b
	v.graph.AddBulletin(b.ID, &b.Bulletin)
	return nil
}

func (v *View) forget(c change) {
	id := c.held.ID
	switch c.kind {
	case document.Update:
		if u := v.byID[id]; u != nil {
			delete(v.byID, id)
			delete(v.updates, u.Number)
			v.graph.Remove(id)
			v.updatesOf.remove(u.Bulletin, id)
			for _, former := range u.Supersedes {
				v.supersededBy.remove(former, id)
			}
		}
	case document.Bulletin:
		delete(v.bulletins, id)
		v.graph.Remove(id)
	case document.Package:
		if p := v.packages[id]; p != nil {
			delete(v.packages, id)
			v.packagesOf.remove(p.Update, id)
		}
	case document.Payload:
		delete(v.payloads, id)
	case document.Severity:
		delete(v.severities, id)
	case document.Assignment:
		delete(v.assignments, id)
	}
}

// Update returns the update with a number, or nil.
func (v *View) Update(number uint32) *Update { return v.updates[number] }

// UpdateByID returns the update with a document id, or nil.
func (v *View) UpdateByID(id string) *Update { return v.byID[id] }

// Updates returns every update, by number.
func (v *View) Updates() []*Update {
	return slices.SortedFunc(maps.Values(v.updates), func(a, b *Update) int { return cmp.Compare(a.Number, b.Number) })
}

// Bulletin returns the bulletin with a document id, or nil.
func (v *View) Bulletin(id string) *Bulletin { return v.bulletins[id] }

// Bulletins returns every bulletin, by id.
func (v *View) Bulletins() []*Bulletin {
	return slices.SortedFunc(maps.Values(v.bulletins), func(a, b *Bulletin) int { return cmp.Compare(a.ID, b.ID) })
}

// UpdatesOf returns the updates of a bulletin, by id.
func (v *View) UpdatesOf(bulletin string) []*Update {
	found := make([]*Update, 0, len(v.updatesOf[bulletin]))
	for _, id := range v.updatesOf[bulletin] {
		found = append(found, v.byID[id])
	}
	return found
}

// PackagesOf returns the packages of an update, by id.
func (v *View) PackagesOf(update string) []*Package {
	found := make([]*Package, 0, len(v.packagesOf[update]))
	for _, id := range v.packagesOf[update] {
		found = append(found, v.packages[id])
	}
	return found
}

// Package returns the package with a document id, or nil.
func (v *View) Package(id string) *Package { return v.packages[id] }

// Packages returns every package, by id.
func (v *View) Packages() []*Package {
	return slices.SortedFunc(maps.Values(v.packages), func(a, b *Package) int { return cmp.Compare(a.ID, b.ID) })
}

// PayloadOf returns what staging learned of a package as it is now, or nil: a payload of an earlier revision of the
// package does not count.
func (v *View) PayloadOf(p *Package) *Payload {
	if found := v.payloads[p.ID]; found != nil && found.PackageDigest == p.Digest {
		return found
	}
	return nil
}

// BulletinsNamed returns the bulletins that people call by a name; case does not matter.
func (v *View) BulletinsNamed(name string) []*Bulletin {
	var found []*Bulletin
	for _, b := range v.bulletins {
		if strings.EqualFold(b.Name, name) {
			found = append(found, b)
		}
	}
	slices.SortFunc(found, func(a, b *Bulletin) int { return cmp.Compare(a.ID, b.ID) })
	return found
}

// BulletinSuperseded says whether every update of a bulletin is superseded; one without updates is not.
func (v *View) BulletinSuperseded(bulletin string) bool {
	for _, id := range v.updatesOf[bulletin] {
		if !v.byID[id].Detector && !v.Superseded(id) {
			return false
		}
	}
	return len(v.updatesOf[bulletin]) > 0
}

// AnyPayload returns what staging learned of a package in whatever revision, or nil.
func (v *View) AnyPayload(packageID string) *Payload { return v.payloads[packageID] }

// SupersededBy returns the known updates that supersede one directly, by id.
func (v *View) SupersededBy(update string) []*Update {
	found := make([]*Update, 0, len(v.supersededBy[update]))
	for _, id := range v.supersededBy[update] {
		if u := v.byID[id]; !u.Withdrawn {
			found = append(found, u)
		}
	}
	return found
}

// Superseded says whether the catalog holds something that makes an update needless: an update that supersedes it, or
// for KB articles a later one of its series (see supersedence.View).
func (v *View) Superseded(update string) bool {
	for _, id := range v.supersededBy[update] {
		if !v.byID[id].Withdrawn {
			return true
		}
	}
	u := v.byID[update]
	return u != nil && u.KB != "" && v.knows.Superseded(update)
}

// Graph is what supersedes what. It may be used after Read ends, and then sees later changes.
func (v *View) Graph() *supersedence.Graph { return v.graph }

// Severities returns the custom severities, most severe first.
func (v *View) Severities() []*Severity {
	return slices.SortedFunc(maps.Values(v.severities), func(a, b *Severity) int {
		return cmp.Or(cmp.Compare(b.Order, a.Order), cmp.Compare(a.Name, b.Name), cmp.Compare(a.ID, b.ID))
	})
}

// Severity returns the custom severity with a document id, or nil.
func (v *View) Severity(id string) *Severity { return v.severities[id] }

// SeverityOf returns the custom severity that a bulletin was given, or nil.
func (v *View) SeverityOf(bulletin string) *Severity {
	if given := v.assignments[bulletin]; given != nil {
		return v.severities[given.Severity]
	}
	return nil
}

// NeverOffered says whether a bulletin is kept from policies, and from what counts as missing.
func (v *View) NeverOffered(bulletin string) bool {
	given := v.assignments[bulletin]
	return given != nil && given.Never
}

// Assignment returns what was decided of a bulletin, or nil.
func (v *View) Assignment(bulletin string) *Assignment { return v.assignments[bulletin] }

// AssignedTo returns the bulletins that have a custom severity, sorted.
func (v *View) AssignedTo(severity string) []string {
	var found []string
	for bulletin, given := range v.assignments {
		if given.Severity == severity {
			found = append(found, bulletin)
		}
	}
	slices.Sort(found)
	return found
}

// MonthOf is the month of an update's bulletin, "" unknown.
func (v *View) MonthOf(u *Update) string {
	if b := v.bulletins[u.Bulletin]; b != nil {
		return b.Month
	}
	return ""
}

// decodePackage reads a package and leaves its rules out.
func decodePackage(body []byte) (catalog.Package, error) {
	var light struct {
		catalog.Package
		Applicable json.RawMessage `json:"applicable"`
		Installed  json.RawMessage `json:"installed"`
		Superseded json.RawMessage `json:"superseded"`
	}
	if err := json.Unmarshal(body, &light); err != nil {
		return catalog.Package{}, fmt.Errorf("decode package: %w", err)
	}
	return light.Package, nil
}
