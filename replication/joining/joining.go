// Package joining makes a site the child of another one, and ends that. What passes between the two afterwards is package
// replication.
package joining

import (
	"context"
	"errors"
	"fmt"
	"time"

	"thatch/catalog/federation"
	"thatch/node"
	"thatch/node/sites"
	"thatch/node/store"
	"thatch/replication/wire"
)

// Join has a node's site become a child of the site that made a token, at the address of one of its nodes. Where the site
// has a parent, move must say so: it is left when the new one has taken the site. A join that was cut short is done again
// with the same token.
func Join(ctx context.Context, n *node.Node, address, token string, move bool) (sites.Parent, error) {
	parsed, err := federation.ParseToken(token)
	if err != nil {
		return sites.Parent{}, fmt.Errorf("%w: %w", store.ErrInvalid, err)
	}
	base, err := wire.ParseAddress(address)
	if err != nil {
		return sites.Parent{}, store.Invalid("%v", err)
	}
	former, err := n.Sites.Parent(ctx)
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return former, err
	}
	attempt, err := n.Sites.BeginJoin(ctx, base.String(), move)
	if err != nil {
		return sites.Parent{}, err
	}
	attempt.Asked.Token = parsed
	parent, err := join(ctx, n, attempt)
	if err != nil {
		return parent, errors.Join(err, n.Sites.EndJoin(context.WithoutCancel(ctx), attempt))
	}
	if former.ID != "" && former.ID != parent.ID {
		if err := tellLeave(ctx, n, former); err != nil {
			n.Log().Warn("the former parent could not be told; its administrator can remove this site there", "parent", former.Name, "error", err)
		}
	}
	return parent, nil
}

func join(ctx context.Context, n *node.Node, attempt sites.Attempt) (sites.Parent, error) {
	a := attempt.Asked
	var site string
	var authority []byte
	config := n.Identity.JoinTLS(a.Token.Fingerprint, func(found string, der []byte) { site, authority = found, der })
	q := wire.JoinRequest{Token: a.Token.String(), Site: a.Site, Authority: a.Authority, Below: a.Below, Documents: a.Documents}
	var err error
	if q.Proof, err = n.Identity.Vouch(wire.PurposeJoin, q.Proved()); err != nil {
		return sites.Parent{}, err
	}
	door := wire.Door{Address: attempt.URL, TLS: config, Token: q.Token}
	answer, err := wire.CallOnce[wire.JoinResponse](ctx, door, wire.PathJoin, q)
	if leader := wire.LeaderOf(err); leader != "" {
		door.Address = leader
		answer, err = wire.CallOnce[wire.JoinResponse](ctx, door, wire.PathJoin, q)
	}
	if err != nil {
		return sites.Parent{}, err
	}
	if answer.Site != site || federation.Fingerprint(answer.Authority) != a.Token.Fingerprint {
		return sites.Parent{}, store.Invalid("the site at %s answers in the name of site %.80q, and its certificate is that of %s", attempt.URL, answer.Site, site)
	}
	return n.Sites.Joined(ctx, attempt, sites.Welcome{
		Site: answer.Site, Name: answer.Name, Authority: authority, Above: answer.Above, Documents: answer.Documents,
	})
}

// Leave has a node's site be a child no more. The parent is told first; where it cannot be reached, force leaves it all the
// same, and its administrator has to remove the site there.
func Leave(ctx context.Context, n *node.Node, force bool) error {
	parent, err := n.Sites.Parent(ctx)
	if err != nil {
		return err
	}
	if err := tellLeave(ctx, n, parent); err != nil {
		if !force {
			return fmt.Errorf("the parent %s could not be told (leave it all the same with: thatch child leave --force): %w", parent.Name, err)
		}
		n.Log().Warn("the parent could not be told; its administrator can remove this site there", "parent", parent.Name, "error", err)
	}
	return n.Sites.Leave(ctx)
}

// tellLeave tells a parent that the site goes. One that knows it no more, or shut it out, need not be told.
func tellLeave(ctx context.Context, n *node.Node, parent sites.Parent) error {
	config, err := n.Identity.ParentTLS(parent.ID, parent.Authority)
	if err != nil {
		return err
	}
	err = errors.New("no address of it is known")
	for _, address := range wire.Addresses(parent) {
		_, err = wire.CallOnce[wire.LeaveResponse](ctx, wire.Door{Address: address, TLS: config}, wire.PathLeave, wire.LeaveRequest{})
		if code := wire.CodeOf(err); err == nil || code == wire.CodeUnknown || code == wire.CodeRevoked {
			return nil
		}
	}
	return err
}

// Waits between attempts to join from the configuration.
const (
	joinFirst = time.Second
	joinMost  = time.Minute
)

// Keep joins the site where it has no parent, from what its configuration says, and tries again until that works,
// makes no sense, or ctx ends. A site that has a parent is left as it is.
func Keep(ctx context.Context, n *node.Node, address, token string) {
	for wait := joinFirst; ; wait = min(2*wait, joinMost) {
		if _, err := n.Sites.Parent(ctx); !errors.Is(err, store.ErrNotFound) {
			return // it has one, or the node cannot read and says so elsewhere
		}
		_, err := Join(ctx, n, address, token, false)
		switch {
		case err == nil || ctx.Err() != nil:
			return
		case final(err):
			n.Log().Error("the site cannot join the parent that its configuration names; join it with a good token: thatch child join", "parent", address, "error", err)
			if err := n.Sites.RaiseNotJoined(ctx, address, err.Error()); err != nil {
				n.Log().Error("an alarm could not be raised", "alarm", sites.NotJoined, "error", err)
			}
			return
		}
		n.Log().Warn("the site could not join the parent that its configuration names; it tries again", "parent", address, "error", err)
		timer := time.NewTimer(max(wait, wire.After(err)))
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return
		}
	}
}

// final says whether trying again cannot help.
func final(err error) bool {
	switch wire.CodeOf(err) {
	case wire.CodeTokenUnknown, wire.CodeTokenUsed, wire.CodeTokenExpired, wire.CodeLoop, wire.CodeRevoked, wire.CodeInvalid, wire.CodeRefused:
		return true
	}
	return errors.Is(err, store.ErrInvalid)
}
