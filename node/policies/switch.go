package policies

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"thatch/catalog/document"
	"thatch/catalog/federation"
	"thatch/node/policies/above"
	"thatch/node/policies/approval"
	"thatch/node/store"
)

// Enable switches a policy on or off: everywhere where this site made it, else for this site alone, where the site that
// made it allows that. Version is the one that was seen; 0 takes the present one.
func (r *Room) Enable(ctx context.Context, name string, version int64, on bool) error {
	return r.flag(ctx, name, version, "enabled", on)
}

// Pause holds a policy's installs, or lets them go on, likewise. Computers keep what they downloaded.
func (r *Room) Pause(ctx context.Context, name string, version int64, on bool) error {
	return r.flag(ctx, name, version, "paused", on)
}

func (r *Room) flag(ctx context.Context, name string, version int64, column string, on bool) error {
	o, err := r.load(ctx)
	if err != nil {
		return err
	}
	found, err := o.find(name)
	if err != nil {
		return err
	}
	if version == 0 {
		version = found.Version
	}
	word := map[string]map[bool]string{"enabled": {true: "enable", false: "disable"}, "paused": {true: "pause", false: "resume"}}
	reason := word[column][on] + " policy " + found.Name
	statements := []store.Statement{r.touch(found.ID, version, column, on)}
	switch {
	case found.Above == nil:
		state := found.said()
		if column == "enabled" {
			state.Enabled = on
		} else {
			state.Paused = on
		}
		if column == "enabled" && on {
			judged, err := approval.Of(ctx, r.cfg.Approval)
			if err != nil {
				return err
			}
			approved, err := judged.Enable(found.ID, found.Name, found.Unapproved)
			if err != nil {
				return err
			}
			if len(approved) > 0 {
				reason = "approve and enable policy " + found.Name + " of " + found.Unapproved
			}
			statements = append(statements, approved...)
		}
		said, err := r.say(ctx, found.ID, state)
		if err != nil {
			return err
		}
		statements = append(statements, said...)
	case !found.Local:
		if err := store.AllOwn(ctx, r.cfg.Reader, r.cfg.Site, found.document.Head); err != nil {
			return fmt.Errorf("%s: %w, because it was not made with --local-control", reason, err)
		}
		return left(found.Name)
	default:
		reason += " for this site"
	}
	return r.cfg.Write(ctx, reason, statements...)
}

// said is what the site says of a policy of its own.
func (p *order) said() federation.State {
	return federation.State{Enabled: p.Enabled, Paused: p.Paused, Local: p.Local}
}

// say makes the statements by which this site says of a policy of its own whether it is in force, here and to the sites
// below for which the policy is.
func (r *Room) say(ctx context.Context, id string, state federation.State) ([]store.Statement, error) {
	body, err := federation.Encode(state)
	if err != nil {
		return nil, err
	}
	doc, err := document.New(document.PolicyState, id, nil, body)
	if err != nil {
		return nil, err
	}
	r.cfg.Signer.Sign(&doc)
	var statements []store.Statement
	err = r.cfg.Reader.View(ctx, func(tx *sql.Tx) error {
		statements = []store.Statement{above.State(id, state)}
		now, err := store.Document(ctx, tx, document.PolicyState, id)
		switch {
		case err == nil && now.Digest == doc.Digest:
			return nil
		case err == nil:
			statements = append(statements, store.Receive(doc, false, store.Former{Digest: now.Digest})...)
			return nil
		case !errors.Is(err, store.ErrNotFound):
			return err
		}
		audience := ""
		if r.cfg.Selected != nil {
			if audience, err = r.cfg.Selected(ctx, tx, document.PolicyState, id); err != nil {
				return err
			}
		}
		statements = append(statements, store.Put(doc, audience, store.Former{Absent: true})...)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("what is said of policy %s: %w", id, err)
	}
	return statements, nil
}

// sayNothing makes the statements by which a policy's state goes with it.
func (r *Room) sayNothing(ctx context.Context, id string) ([]store.Statement, error) {
	statements := []store.Statement{above.NoState(id)}
	err := r.cfg.Reader.View(ctx, func(tx *sql.Tx) error {
		_, err := store.Document(ctx, tx, document.PolicyState, id)
		if err == nil {
			statements = append(statements[:1], store.Remove(document.PolicyState, id, store.Former{})...)
		}
		if errors.Is(err, store.ErrNotFound) {
			return nil
		}
		return err
	})
	return statements, err
}

// SayAll says of every policy that this site made whether it is in force, where that was never said: policies of the
// first version of this program have no such document.
func (r *Room) SayAll(ctx context.Context) error {
	o, err := r.load(ctx)
	if err != nil {
		return err
	}
	for _, p := range o.policies {
		if p.Above != nil {
			continue
		}
		silent, err := r.sayNothing(ctx, p.ID)
		if err != nil {
			return err
		}
		if len(silent) > 1 { // there is a document to remove
			continue
		}
		said, err := r.say(ctx, p.ID, p.said())
		if err != nil {
			return err
		}
		err = r.cfg.Write(ctx, "say of policy "+p.Name+" whether it is in force", said...)
		if err != nil && !errors.Is(err, store.ErrConflict) { // another node of the site said it meanwhile
			return err
		}
	}
	return nil
}
