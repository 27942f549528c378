package server

import (
	"net/http"

	"thatch/catalog/federation"
	"thatch/node/identity"
	"thatch/node/places"
	"thatch/node/sites"
	"thatch/node/store"
	"thatch/replication/wire"
)

// invited lets whoever brings a child token in, before anything is read of what it sends.
func (s *server) invited(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		token, err := tokenOf(r)
		if err == nil {
			err = s.node.Sites.Invited(r.Context(), token)
		}
		if err != nil {
			places.Unread(w)
			s.fail(w, r, err)
			return
		}
		next.ServeHTTP(w, r)
	})
}

func tokenOf(r *http.Request) (federation.Token, error) {
	token, err := federation.ParseToken(places.Bearer(r))
	if err != nil {
		return token, wire.Refuse(wire.CodeTokenUnknown, "%v", err)
	}
	return token, nil
}

// join takes a site as a child: whoever brings a child token and proves to be the site that it says.
func (s *server) join(r *http.Request, q wire.JoinRequest) (*wire.JoinResponse, error) {
	token, err := tokenOf(r)
	if err != nil {
		return nil, err
	}
	q.Token = token.String()
	if !federation.IsSiteID(q.Site) {
		return nil, wire.Refuse(wire.CodeInvalid, "%.80q is no id of a site", q.Site)
	}
	authority, err := identity.ParseAuthority(q.Site, q.Authority, s.node.Now())
	if err != nil {
		return nil, err
	}
	if err := identity.VerifyVouch(authority, wire.PurposeJoin, q.Proved(), q.Proof); err != nil {
		return nil, wire.Refuse(wire.CodeRefused, "%v", err)
	}
	ctx := store.WithCaller(r.Context(), &store.Caller{Actor: actor(q.Site)})
	welcome, err := s.node.Sites.Admit(ctx, sites.Asked{
		Token: token, Site: q.Site, Authority: q.Authority, Below: q.Below, Documents: q.Documents,
	})
	if err != nil {
		return nil, err
	}
	s.log.Info("a site joined as a child", "child", q.Site, "from", r.RemoteAddr)
	return &wire.JoinResponse{
		Site: welcome.Site, Name: welcome.Name, Authority: welcome.Authority, Above: welcome.Above, Documents: welcome.Documents,
	}, nil
}

// leave forgets a child that goes.
func (s *server) leave(r *http.Request, child sites.Child, _ wire.LeaveRequest) (*wire.LeaveResponse, error) {
	if err := s.node.Sites.Remove(r.Context(), child.ID, "let go child"); err != nil {
		return nil, err
	}
	s.log.Info("a child left", "child", child.Name, "id", child.ID)
	return &wire.LeaveResponse{}, nil
}
