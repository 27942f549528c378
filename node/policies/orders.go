package policies

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"

	"thatch/catalog/document"
	"thatch/catalog/policy"
	"thatch/node/policies/above"
	"thatch/node/policies/pinned"
	"thatch/node/policies/windows"
	"thatch/node/store"
	"thatch/node/store/rows"
)

// orders is what is ordered at the site, in memory. It is never changed, only replaced.
type orders struct {
	mark     mark
	policies []*order // by name, then id
	byID     map[string]*order
	windows  windows.Set
}

// mark says whether anything of the orders changed.
type mark struct {
	policies, policyIndex, windows, windowIndex int64
	languages                                   string // managed, comma-joined
	settings                                    above.Standing
}

// order is one policy with what it pins.
type order struct {
	Row
	document document.Document
	body     *policy.Policy
	pins     *pinned.Pins
	stated   string // how far settings must have come, see above.Settings
	// Why nothing is installed by it, in words, "" where that is not why.
	broken    string // it cannot be read
	unsettled string // maintenance windows have not come
}

// find looks for a policy by id or, where one alone bears it, by name.
func (o *orders) find(name string) (*order, error) {
	if found := o.byID[name]; found != nil {
		return found, nil
	}
	var found *order
	for _, p := range o.policies {
		if !strings.EqualFold(p.Name, name) {
			continue
		}
		if found != nil {
			return nil, store.Invalid("several policies are called %q; give the id of one: %s of site %s, %s of site %s",
				name, found.ID, found.Origin, p.ID, p.Origin)
		}
		found = p
	}
	if found == nil {
		return nil, store.NotFound("policy", name)
	}
	return found, nil
}

// load returns what is ordered now, or at least at the index of the context.
func (r *Room) load(ctx context.Context) (*orders, error) {
	if err := store.Await(ctx, r.cfg.Reader); err != nil {
		return nil, fmt.Errorf("read what is ordered: %w", err)
	}
	r.loading.Lock()
	defer r.loading.Unlock()
	var found *orders
	err := r.cfg.Reader.View(ctx, func(tx *sql.Tx) error {
		m, err := readMark(ctx, tx)
		if err != nil {
			return err
		}
		r.mu.RLock()
		found = r.orders
		r.mu.RUnlock()
		if found != nil && found.mark == m {
			return nil
		}
		found, err = readOrders(ctx, tx, r.cfg.Site, m, found)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("read what is ordered: %w", err)
	}
	r.mu.Lock()
	r.orders = found
	r.mu.Unlock()
	return found, nil
}

func readMark(ctx context.Context, tx *sql.Tx) (m mark, err error) {
	err = tx.QueryRowContext(ctx, `SELECT (SELECT count(*) FROM policy), (SELECT coalesce(max(idx), 0) FROM policy),
		(SELECT count(*) FROM document WHERE kind = 'window'),
		(SELECT coalesce(max(idx), 0) FROM document WHERE kind = 'window'),
		coalesce((SELECT group_concat(tag, ',' ORDER BY tag) FROM language), '')`).
		Scan(&m.policies, &m.policyIndex, &m.windows, &m.windowIndex, &m.languages)
	if err == nil {
		m.settings, err = above.ReadStanding(ctx, tx)
	}
	return m, err
}

func readOrders(ctx context.Context, tx *sql.Tx, site string, m mark, former *orders) (*orders, error) {
	o := &orders{mark: m, byID: make(map[string]*order)}
	if former == nil || former.mark.languages != m.languages {
		former = &orders{}
	}
	if err := o.readRows(ctx, tx); err != nil {
		return nil, err
	}
	for _, p := range o.policies {
		if err := p.read(ctx, tx, site, m, former.byID[p.ID]); err != nil {
			return nil, fmt.Errorf("policy %s: %w", p.Name, err)
		}
	}
	var err error
	o.windows, err = windows.Read(ctx, tx)
	return o, err
}

// read reads what stands behind a policy's row. What was read before and is complete is not read again. A policy that
// cannot be read is ordered to nobody, and shown.
func (p *order) read(ctx context.Context, tx *sql.Tx, site string, m mark, former *order) error {
	current, err := store.Document(ctx, tx, document.Policy, p.ID)
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return err
	}
	own := current.Origin == site
	p.document, p.Origin = current.Document, current.Origin
	p.settle(own)
	if former != nil && former.document.Digest == current.Digest && former.whole() {
		p.body, p.pins = former.body, former.pins
	} else if broken := p.readBody(ctx, tx, own, m.managed()); broken != nil {
		p.body, p.pins = &policy.Policy{Name: p.Name}, &pinned.Pins{}
		p.broken = fmt.Sprintf("it cannot be read here, until it is mended: %v", broken)
	}
	if own {
		return nil
	}
	p.Bulletins = p.pins.Bulletins()
	p.unsettled, err = m.settings.Awaits(p.stated)
	return err
}

func (p *order) whole() bool { return p.broken == "" && len(p.pins.Missing) == 0 }

func (p *order) readBody(ctx context.Context, tx *sql.Tx, own bool, managed []string) (err error) {
	if p.body, err = policy.Decode(p.document.Body); err != nil {
		return err
	}
	if own {
		p.pins, err = pinned.Read(ctx, tx, p.body)
	} else {
		p.pins, err = pinned.Arrived(ctx, tx, p.body, managed)
	}
	return err
}

func (m mark) managed() []string {
	if m.languages == "" {
		return nil
	}
	return strings.Split(m.languages, ",")
}

func (o *orders) readRows(ctx context.Context, tx *sql.Tx) error {
	found, err := tx.QueryContext(ctx, `SELECT p.id, p.name, p.enabled, p.paused, p.settings,
			coalesce(s.enabled, 0), coalesce(s.paused, 0), coalesce(s.local, 0), p.version, p.created, p.created_by, p.changed, p.maker,
			coalesce((SELECT group_concat(bulletin, char(10)) FROM (
				SELECT bulletin FROM policy_bulletin b WHERE b.policy = p.id ORDER BY bulletin)), '')
		FROM policy p LEFT JOIN policy_state s ON s.policy = p.id ORDER BY p.name, p.id`)
	if err != nil {
		return err
	}
	defer found.Close()
	for found.Next() {
		p := &order{}
		p.Above = &Switch{}
		var created, changed, from string
		err := found.Scan(&p.ID, &p.Name, &p.Here.Enabled, &p.Here.Paused, &p.stated, &p.Above.Enabled, &p.Above.Paused, &p.Local,
			&p.Version, &created, &p.By, &changed, &p.Unapproved, &from)
		if err != nil {
			return err
		}
		p.Created, p.Changed, p.Bulletins = rows.Unstamp(created), rows.Unstamp(changed), []string{}
		if from != "" {
			p.Bulletins = strings.Split(from, "\n")
		}
		o.policies, o.byID[p.ID] = append(o.policies, p), p
	}
	return found.Err()
}

// named fills in the names of the sites that made policies.
func (r *Room) named(ctx context.Context, rows ...*Row) error {
	origins := make([]string, 0, len(rows))
	for _, row := range rows {
		origins = append(origins, row.Origin)
	}
	slices.Sort(origins)
	err := r.cfg.Reader.View(ctx, func(tx *sql.Tx) error {
		names, err := store.SiteNames(ctx, tx, slices.Compact(origins)...)
		for _, row := range rows {
			row.Site = names[row.Origin]
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("read who made the policies: %w", err)
	}
	return nil
}

// SettingsBehind says whether policies from above wait for settings that have not come.
func (r *Room) SettingsBehind(ctx context.Context) (bool, error) {
	o, err := r.load(ctx)
	if err != nil {
		return false, err
	}
	for _, p := range o.policies {
		if p.Above == nil || p.unsettled == "" {
			continue
		}
		if behind, err := o.mark.settings.Behind(p.stated); err != nil || behind {
			return behind, err
		}
	}
	return false, nil
}
