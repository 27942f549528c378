package bulletins

import (
	"context"
	"database/sql"
	"fmt"
	"strings"

	"github.com/google/uuid"

	"thatch/catalog"
	"thatch/catalog/document"
	"thatch/node/bulletins/live"
	"thatch/node/store"
)

const maxName = 100

// SeverityRow is one custom severity of a list.
type SeverityRow struct {
	ID        string `json:"id"`
	Name      string `json:"severity"`
	Order     int    `json:"order"` // higher is more severe
	Bulletins int    `json:"bulletins"`
	Origin    string `json:"origin"`         // id of the site that made it
	Site      string `json:"site,omitempty"` // its name; only that site changes the severity
	FromAbove bool   `json:"from_above"`     // another site made it
	Version   string `json:"version"`        // changes say which version they were made from
}

var severityColumns = []store.Column[*SeverityRow]{
	{Name: "id", Value: func(r *SeverityRow) any { return r.ID }},
	{Name: "severity", Value: func(r *SeverityRow) any { return r.Name }, Search: true},
	{Name: "order", Kind: store.Number, Value: func(r *SeverityRow) any { return r.Order }},
	{Name: "bulletins", Kind: store.Number, Value: func(r *SeverityRow) any { return r.Bulletins }},
	{Name: "origin", Value: func(r *SeverityRow) any { return r.Origin }},
	{Name: "site", Value: func(r *SeverityRow) any { return r.Site }, Search: true},
	{Name: "from_above", Kind: store.Flag, Value: func(r *SeverityRow) any { return r.FromAbove }},
}

// SeverityColumns names what the list of custom severities can be filtered and sorted by.
func SeverityColumns() []string { return store.ColumnNames(severityColumns) }

// Severities returns a page of the custom severities, most severe first, and how many fit the query.
func (b *Bulletins) Severities(ctx context.Context, q store.Query) (page []*SeverityRow, total int, err error) {
	var rows []*SeverityRow
	err = b.catalog.Read(ctx, func(v *live.View) error {
		for _, s := range v.Severities() {
			rows = append(rows, severityRow(v, s))
		}
		return nil
	})
	if err == nil {
		err = b.nameMakers(ctx, rows)
	}
	if err != nil {
		return nil, 0, err
	}
	return store.Select(q, rows, severityColumns)
}

// nameMakers fills in the names of the sites that made custom severities.
func (b *Bulletins) nameMakers(ctx context.Context, rows []*SeverityRow) error {
	err := b.cfg.Reader.View(ctx, func(tx *sql.Tx) error {
		origins := make([]string, 0, len(rows))
		for _, row := range rows {
			origins = append(origins, row.Origin)
		}
		names, err := store.SiteNames(ctx, tx, origins...)
		for _, row := range rows {
			row.Site, row.FromAbove = names[row.Origin], row.Origin != b.cfg.Site
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("read who made the custom severities: %w", err)
	}
	return nil
}

func severityRow(v *live.View, s *live.Severity) *SeverityRow {
	return &SeverityRow{
		ID: s.ID, Name: s.Name, Order: s.Order, Bulletins: len(v.AssignedTo(s.ID)), Origin: s.Origin,
		Version: s.Digest.String(),
	}
}

// CreateSeverity adds a custom severity and returns its id. Without an order it becomes the most severe one.
func (b *Bulletins) CreateSeverity(ctx context.Context, name string, order *int) (id string, err error) {
	next := 10
	err = b.catalog.Read(ctx, func(v *live.View) error {
		if all := v.Severities(); len(all) > 0 {
			next = all[0].Order + 10
		}
		return freeName(v, "", name)
	})
	if err != nil {
		return "", err
	}
	if order != nil {
		next = *order
	}
	id = b.newID("severity")
	doc, err := encoded(document.Severity, id, nil, catalog.CustomSeverity{Name: strings.TrimSpace(name), Order: next})
	if err != nil {
		return "", err
	}
	return id, b.write(ctx, "create custom severity "+name, edit{doc: doc, was: absent})
}

// ChangeSeverity renames a custom severity, or gives it another place in the order; nil leaves a part as it is.
// Version is the one that was seen; "" takes the present one.
func (b *Bulletins) ChangeSeverity(ctx context.Context, name, version string, newName *string, order *int) error {
	var id, now string
	var body catalog.CustomSeverity
	err := b.catalog.Read(ctx, func(v *live.View) error {
		found, err := findSeverity(v, name)
		if err != nil {
			return err
		}
		id, body, now = found.ID, found.CustomSeverity, found.Digest.String()
		if newName != nil {
			body.Name = strings.TrimSpace(*newName)
			return freeName(v, id, body.Name)
		}
		return nil
	})
	if err != nil {
		return err
	}
	if order != nil {
		body.Order = *order
	}
	doc, err := encoded(document.Severity, id, nil, body)
	if err != nil {
		return err
	}
	return b.write(ctx, "change custom severity "+name, edit{doc: doc, was: orNow(version, now)})
}

// DeleteSeverity removes a custom severity. One that bulletins have is refused, unless reassign names another custom
// severity for them, or is "none".
func (b *Bulletins) DeleteSeverity(ctx context.Context, name, version, reassign string) error {
	var edits []edit
	err := b.catalog.Read(ctx, func(v *live.View) error {
		found, err := findSeverity(v, name)
		if err != nil {
			return err
		}
		used := v.AssignedTo(found.ID)
		if len(used) > 0 && reassign == "" {
			return store.Invalid("custom severity %q is that of %d bulletins; give them another one, or none", found.Name, len(used))
		}
		for _, bulletin := range used {
			e, err := assign(v, bulletin, found.ID, reassign)
			if err != nil {
				return err
			}
			edits = append(edits, e)
		}
		edits = append(edits, removal(document.Severity, found.ID, orNow(version, found.Digest.String())))
		return nil
	})
	if err != nil {
		return err
	}
	return b.write(ctx, "delete custom severity "+name, edits...)
}

// AssignSeverity gives bulletins, by id or name, a custom severity, or takes it away where severity is "none". All of
// them are changed, or none.
func (b *Bulletins) AssignSeverity(ctx context.Context, severity string, bulletins ...string) error {
	return b.decide(ctx, "assign custom severity "+severity, bulletins, func(v *live.View, id string) (edit, error) {
		return assign(v, id, "", severity)
	})
}

// NeverOffer has bulletins, by id or name, never be offered, or offered again: those that are not go into no new policy, and
// are not missing where they are not installed. All of them are changed, or none.
func (b *Bulletins) NeverOffer(ctx context.Context, never bool, bulletins ...string) error {
	reason := "offer bulletins again"
	if never {
		reason = "never offer bulletins"
	}
	return b.decide(ctx, reason, bulletins, func(v *live.View, id string) (edit, error) {
		return decide(v, id, func(a *catalog.Assignment) { a.Never = never })
	})
}

// decide makes one edit for each of some bulletins.
func (b *Bulletins) decide(ctx context.Context, reason string, bulletins []string, make func(v *live.View, id string) (edit, error)) error {
	var edits []edit
	err := b.catalog.Read(ctx, func(v *live.View) error {
		for _, name := range bulletins {
			found, err := find(v, name)
			if err != nil {
				return err
			}
			e, err := make(v, found.ID)
			if err != nil {
				return err
			}
			if e.doc.ID != "" {
				edits = append(edits, e)
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	return b.write(ctx, reason, edits...)
}

// assign makes the edit that gives a bulletin a custom severity by name; an empty edit where nothing changes.
func assign(v *live.View, bulletin, former, severity string) (edit, error) {
	id := ""
	if !strings.EqualFold(severity, "none") {
		found, err := findSeverity(v, severity)
		if err != nil {
			return edit{}, err
		}
		if id = found.ID; id == former {
			return edit{}, store.Invalid("custom severity %q is the one that is to go; name another one, or none", severity)
		}
	}
	return decide(v, bulletin, func(a *catalog.Assignment) { a.Severity = id })
}

// decide makes the edit that changes what was decided of a bulletin; an empty edit where nothing changes.
func decide(v *live.View, bulletin string, change func(a *catalog.Assignment)) (edit, error) {
	was, to := absent, catalog.Assignment{Bulletin: bulletin}
	if held := v.Assignment(bulletin); held != nil {
		was, to = held.Digest.String(), held.Assignment
	}
	change(&to)
	if to.Severity == "" && !to.Never {
		if was == absent {
			return edit{}, nil
		}
		return removal(document.Assignment, bulletin, was), nil
	}
	doc, err := encoded(document.Assignment, bulletin, nil, to)
	if err != nil || doc.Digest.String() == was {
		return edit{}, err
	}
	return edit{doc: doc, was: was}, nil
}

func findSeverity(v *live.View, name string) (*live.Severity, error) {
	if found := v.Severity(name); found != nil {
		return found, nil
	}
	for _, s := range v.Severities() {
		if strings.EqualFold(s.Name, name) {
			return s, nil
		}
	}
	return nil, store.NotFound("custom severity", name)
}

// freeName checks a name for a custom severity.
func freeName(v *live.View, id, name string) error {
	name = strings.TrimSpace(name)
	if name == "" || len(name) > maxName || strings.EqualFold(name, "none") {
		return store.Invalid("%.120q is no name for a custom severity: 1 to %d bytes, and not \"none\"", name, maxName)
	}
	for _, s := range v.Severities() {
		if s.ID != id && strings.EqualFold(s.Name, name) {
			return store.Conflicting("there is a custom severity %q already", s.Name)
		}
	}
	return nil
}

// newID makes an id that holds the site's, so that those of different sites never collide.
func (b *Bulletins) newID(kind string) string {
	return kind + ":" + b.cfg.Site + ":" + uuid.NewString()
}

func orNow(version, now string) string {
	if version == "" {
		return now
	}
	return version
}

// encoded makes an unsigned document.
func encoded(kind document.Kind, id string, languages []string, body any) (document.Document, error) {
	raw, err := catalog.Encode(body)
	if err != nil {
		return document.Document{}, err
	}
	doc, err := document.New(kind, id, languages, raw)
	if err != nil {
		return doc, fmt.Errorf("%w: %w", store.ErrInvalid, err)
	}
	return doc, nil
}
