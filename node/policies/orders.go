package policies

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"

	"thatch/catalog/document"
	"thatch/catalog/policy"
	"thatch/node/policies/pinned"
	"thatch/node/store"
)

// orders is what is ordered at the site, in memory. It is never changed, only replaced.
type orders struct {
	mark     mark
	policies []*order // by name, then id
	byID     map[string]*order
	windows  []*window // by name, then id
}

// mark says whether anything of the orders changed.
type mark struct{ policies, policyIndex, windows, windowIndex int64 }

// order is one policy with what it pins.
type order struct {
	Row
	document document.Document
	body     *policy.Policy
	pins     *pinned.Pins
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
			return nil, store.Invalid("several policies are called %q; give the id of one: %s, %s", name, found.ID, p.ID)
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
	r.loading.Lock()
	defer r.loading.Unlock()
	var found *orders
	err := r.cfg.Reader.View(ctx, func(tx *sql.Tx) error {
		var m mark
		err := tx.QueryRowContext(ctx, `SELECT (SELECT count(*) FROM policy), (SELECT coalesce(max(idx), 0) FROM policy),
			(SELECT count(*) FROM document WHERE kind = 'window'),
			(SELECT coalesce(max(idx), 0) FROM document WHERE kind = 'window')`).
			Scan(&m.policies, &m.policyIndex, &m.windows, &m.windowIndex)
		if err != nil {
			return err
		}
		r.mu.RLock()
		found = r.orders
		r.mu.RUnlock()
		if found != nil && found.mark == m {
			return nil
		}
		found, err = readOrders(ctx, tx, r.cfg.Site, found)
		if found != nil {
			found.mark = m
		}
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

func readOrders(ctx context.Context, tx *sql.Tx, site string, former *orders) (*orders, error) {
	o := &orders{byID: make(map[string]*order)}
	if err := o.readRows(ctx, tx); err != nil {
		return nil, err
	}
	all := o.policies
	o.policies = make([]*order, 0, len(all))
	for _, p := range all {
		current, err := store.Document(ctx, tx, document.Policy, p.ID)
		if err != nil {
			return nil, err
		}
		if former != nil && former.byID[p.ID] != nil && former.byID[p.ID].document.Digest == current.Digest {
			same := former.byID[p.ID]
			p.document, p.body, p.pins = same.document, same.body, same.pins
			o.policies = append(o.policies, p)
			continue
		}
		p.document = current.Document
		if p.body, err = policy.Decode(current.Body); err != nil {
			return nil, fmt.Errorf("policy %s: %w", p.Name, err)
		}
		p.pins, err = pinned.Read(ctx, tx, p.body)
		if errors.Is(err, store.ErrNotFound) && current.Origin != site {
			delete(o.byID, p.ID) // from above, and what it pins has not arrived: see PinsArrived
			continue
		}
		if err != nil {
			return nil, err
		}
		o.policies = append(o.policies, p)
	}
	return o, o.readWindows(ctx, tx)
}

func (o *orders) readRows(ctx context.Context, tx *sql.Tx) error {
	rows, err := tx.QueryContext(ctx, `SELECT p.id, p.name, p.enabled, p.paused, p.version, p.created, p.created_by, p.changed,
			coalesce((SELECT group_concat(bulletin, char(10)) FROM (
				SELECT bulletin FROM policy_bulletin b WHERE b.policy = p.id ORDER BY bulletin)), '')
		FROM policy p ORDER BY p.name, p.id`)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		p := &order{}
		var created, changed, from string
		if err := rows.Scan(&p.ID, &p.Name, &p.Enabled, &p.Paused, &p.Version, &created, &p.By, &changed, &from); err != nil {
			return err
		}
		p.Created, p.Changed, p.Bulletins = unstamp(created), unstamp(changed), []string{}
		if from != "" {
			p.Bulletins = strings.Split(from, "\n")
		}
		o.policies, o.byID[p.ID] = append(o.policies, p), p
	}
	return rows.Err()
}

func (o *orders) readWindows(ctx context.Context, tx *sql.Tx) error {
	for after := ""; ; {
		const page = 500
		list, err := store.Documents(ctx, tx, document.Window, after, page)
		if err != nil {
			return err
		}
		for _, current := range list {
			after = current.ID
			o.windows = append(o.windows, newWindow(current.Document))
		}
		if len(list) < page {
			break
		}
	}
	slices.SortFunc(o.windows, func(a, b *window) int {
		return cmp.Or(cmp.Compare(strings.ToLower(a.body.Name), strings.ToLower(b.body.Name)), cmp.Compare(a.doc.ID, b.doc.ID))
	})
	return nil
}
