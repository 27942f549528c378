package rollups

import (
	"cmp"
	"context"
	"database/sql"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"thatch/catalog/document"
	"thatch/catalog/federation"
	"thatch/node/computers"
	"thatch/node/computers/compliance/report"
	"thatch/node/settings"
	"thatch/node/store"
	"thatch/node/store/rows"
)

// Bounds of what is told of single computers.
const (
	seenStep   = 24 * time.Hour // how far what is told of the last contact may lie behind
	maxInRound = 5_000          // documents of computers in one round of telling; the others are told in the next ones
)

// fleet is what other sites are told of this one's computers, one by one.
type fleet struct {
	held map[string]toldOf // by id
}

// toldOf is what is told of one computer.
type toldOf struct {
	digest document.Digest
	from   grounds
	seen   time.Time
}

// grounds are what a document of a computer is made from: while they are the same, so is the document.
type grounds struct {
	stamp            uint64 // of the member
	silent, machines bool
	federation.Standing
}

func newFleet() fleet { return fleet{map[string]toldOf{}} }

func (f *fleet) wrote(now map[string]toldOf) {
	for id, of := range now {
		if f.held[id] = of; of.digest == (document.Digest{}) {
			delete(f.held, id)
		}
	}
}

// computers writes the documents of computers of which other things are to be told, and takes those away that are the site's
// no more, or that the site does not tell of: some in each round.
func (w *work) computers(ctx context.Context) error {
	w.fleetNow = map[string]toldOf{}
	if w.whole {
		if err := w.readFleet(ctx); err != nil {
			return fmt.Errorf("read what other sites were told of computers: %w", err)
		}
	}
	named, due, err := w.dueComputers(ctx)
	if err != nil {
		return fmt.Errorf("tell of computers: %w", err)
	}
	for i := range due {
		if err := w.tellComputer(&due[i]); err != nil {
			return err
		}
	}
	for _, id := range slices.Sorted(maps.Keys(w.fleet.held)) {
		if named[id] || len(w.fleetNow) >= maxInRound {
			continue
		}
		w.fleetNow[id], w.changed = toldOf{}, w.changed+1
		key := federation.RollUpID(w.cfg.Site, id)
		if err := w.builder.Add(store.Remove(document.Computer, key, store.Former{Digest: w.fleet.held[id].digest})...); err != nil {
			return err
		}
	}
	return nil
}

// dueComputer is a computer of which something else may be to be told.
type dueComputer struct {
	member *computers.Member
	from   grounds
	seen   time.Time
}

// dueComputers are the computers that are told of at all, and those of them that something happened to.
func (w *work) dueComputers(ctx context.Context) (named map[string]bool, due []dueComputer, err error) {
	if !settings.HealthComputers.In(w.values) {
		return nil, nil, nil
	}
	since, machines := w.silentSince(), settings.HealthMachines.In(w.values)
	named = map[string]bool{}
	err = w.cfg.Compliance.Each(ctx, since, func(m *computers.Member, row *report.ComputerRow) {
		if w.aside.Contains(m.Number) {
			return
		}
		named[m.ID] = true
		one := dueComputer{m, grounds{m.Stamp, row.Silent, machines, federation.Standing{
			Applicable: row.Applicable, Installed: row.Installed, Missing: row.Missing, Failed: row.Failed, Unknown: row.Unknown,
		}}, row.LastSeen}
		former, there := w.fleet.held[m.ID]
		if len(due) < maxInRound && (!there || former.from != one.from || one.seen.Sub(former.seen) >= seenStep) {
			due = append(due, one)
		}
	})
	return named, due, err
}

// readFleet reads what is held of this site's computers.
func (w *work) readFleet(ctx context.Context) error {
	held := map[string]toldOf{}
	from := federation.RollUpID(w.cfg.Site, "")
	err := w.cfg.Reader.View(ctx, func(tx *sql.Tx) error {
		clear(held)
		rows, err := tx.QueryContext(ctx, `SELECT d.id, d.digest, coalesce(r.body, x'') FROM document d LEFT JOIN revision r ON r.digest = d.digest
WHERE d.kind = ? AND d.id >= ? AND d.id < ?`, string(document.Computer), from, from[:len(from)-1]+";")
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var id string
			var digest, body sql.RawBytes
			if err := rows.Scan(&id, &digest, &body); err != nil {
				return err
			}
			of := toldOf{digest: document.Digest(digest)}
			if c, err := federation.Decode[federation.Computer](body); err == nil {
				of.seen = moment(c.Seen)
			}
			held[strings.TrimPrefix(id, from)] = of
		}
		return rows.Err()
	})
	w.fleet.held = held
	return err
}

// tellComputer writes what is told of a computer, where that is something else, or it was heard of long after what is told.
func (w *work) tellComputer(one *dueComputer) error {
	former, there := w.fleet.held[one.member.ID]
	of := toldOf{from: one.from, seen: one.seen.UTC().Truncate(time.Hour)}
	if there && one.seen.Sub(former.seen) < seenStep { // it may say the same
		of.seen = former.seen
		doc, err := w.computer(one, former.seen)
		if err == nil && doc.Digest == former.digest {
			of.digest = doc.Digest
			w.fleet.held[one.member.ID] = of
			return nil
		}
		of.seen = one.seen.UTC().Truncate(time.Hour)
	}
	doc, err := w.computer(one, of.seen)
	if err != nil {
		w.cfg.Log.Error("a computer cannot be told of to other sites", "computer", one.member.ID, "error", err)
		return nil // the others can
	}
	of.digest = doc.Digest
	w.cfg.Signer.Sign(&doc)
	w.fleetNow[one.member.ID], w.changed = of, w.changed+1
	return w.builder.Add(store.Put(doc, "", store.Former{Absent: !there, Digest: former.digest})...)
}

func (w *work) computer(one *dueComputer, seen time.Time) (document.Document, error) {
	c := computerOf(one.member, one.from)
	c.Seen = seen.UTC().Format(time.RFC3339)
	return made(document.Computer, federation.RollUpID(w.cfg.Site, one.member.ID), c)
}

// computerOf is what is told of a computer.
func computerOf(m *computers.Member, from grounds) federation.Computer {
	system := &m.Facts.System
	c := federation.Computer{
		Name: line(m.Name), Group: line(m.Group), Platform: line(m.Platform), Product: line(system.Product), Agent: line(m.Facts.Agent),
		NotReporting: from.silent, Simulated: m.Simulated, Standing: from.Standing,
	}
	if from.machines {
		c.Machine, _ = machineOf(&m.Computer)
	}
	if c.Product == "" {
		c.Product = line(system.Name)
	}
	if system.Build > 0 {
		c.Build = fmt.Sprint(system.Build)
		if system.Revision >= 0 {
			c.Build += "." + fmt.Sprint(system.Revision)
		}
	}
	for _, tag := range m.Languages {
		if normal, err := document.NormalLanguages([]string{tag}); err == nil {
			c.Languages = append(c.Languages, normal...)
		}
	}
	return c
}

// line is a text as a document takes it: one line, and not too long.
func line(text string) string {
	return clip(strings.Map(func(r rune) rune {
		if r < ' ' || r >= 0x7f && r < 0xa0 {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(text, "")), 200)
}

// ComputerRow is one computer of the tree's list.
type ComputerRow struct {
	ID     string `json:"id"` // at its site
	Site   string `json:"site"`
	SiteID string `json:"site_id"`
	federation.Computer
	AsOf time.Time `json:"as_of,omitzero"` // when what is said was last known to be true
	Age  int       `json:"age_seconds"`    // of that
}

// single is a computer of the list before it is picked.
type single struct {
	id string
	of *federation.Computer
	at *home
}

// home is the site of some computers.
type home struct {
	id, name string
	asOf     time.Time
}

var computerColumns = []store.Column[single]{
	{Name: "id", Value: func(s single) any { return s.id }},
	{Name: "site", Value: func(s single) any { return s.at.name }, Search: true},
	{Name: "site_id", Value: func(s single) any { return s.at.id }},
	{Name: "name", Value: func(s single) any { return s.of.Name }, Search: true},
	{Name: "group", Value: func(s single) any { return s.of.Group }, Search: true},
	{Name: "platform", Value: func(s single) any { return s.of.Platform }},
	{Name: "product", Value: func(s single) any { return s.of.Product }, Search: true},
	{Name: "build", Value: func(s single) any { return s.of.Build }},
	{Name: "languages", Value: func(s single) any { return s.of.Languages }},
	{Name: "agent", Value: func(s single) any { return s.of.Agent }},
	{Name: "seen", Kind: store.Time, Value: func(s single) any { return s.of.Seen }},
	{Name: "not_reporting", Kind: store.Flag, Value: func(s single) any { return s.of.NotReporting }},
	{Name: "simulated", Kind: store.Flag, Value: func(s single) any { return s.of.Simulated }},
	{Name: "applicable", Kind: store.Number, Value: func(s single) any { return s.of.Applicable }},
	{Name: "installed", Kind: store.Number, Value: func(s single) any { return s.of.Installed }},
	{Name: "missing", Kind: store.Number, Value: func(s single) any { return s.of.Missing }},
	{Name: "failed", Kind: store.Number, Value: func(s single) any { return s.of.Failed }},
	{Name: "unknown", Kind: store.Number, Value: func(s single) any { return s.of.Unknown }},
	{Name: "as_of", Kind: store.Time, Value: func(s single) any { return rows.Stamp(s.at.asOf) }},
}

// ComputerColumns are those of Computers, for doors.
var ComputerColumns = store.ColumnNames(computerColumns)

// Computers returns a page of the computers that sites tell of one by one, by site in the order of the tree, then by name. One
// that is another site's now is listed there alone.
func (r *Room) Computers(ctx context.Context, of Of, q store.Query) (page []*ComputerRow, total int, err error) {
	t, err := r.tree(ctx, of.Site)
	if err != nil {
		return nil, 0, err
	}
	var list []single
	err = r.look(ctx, func(told map[string]*told) {
		left := map[[2]string]bool{}
		for _, move := range unanswered(told, t.Self) {
			left[[2]string{move.From, move.Machine}] = true
		}
		for _, site := range t.scope(t.root, of.Own) {
			if from := told[site]; from != nil && len(from.computers) > 0 {
				first := len(list)
				at := &home{site, t.called(site), t.asOf(site, from)}
				for id, c := range from.computers {
					if c.Machine == "" || !left[[2]string{site, c.Machine}] {
						list = append(list, single{id, c, at})
					}
				}
				slices.SortFunc(list[first:], func(a, b single) int {
					return cmp.Or(cmp.Compare(a.of.Name, b.of.Name), cmp.Compare(a.id, b.id))
				})
			}
		}
	})
	if err != nil {
		return nil, 0, err
	}
	picked, total, err := store.Select(q, list, computerColumns)
	for _, s := range picked {
		page = append(page, &ComputerRow{
			ID: s.id, Site: s.at.name, SiteID: s.at.id, Computer: *s.of, AsOf: s.at.asOf, Age: int(t.now.Sub(s.at.asOf) / time.Second),
		})
	}
	return page, total, err
}
