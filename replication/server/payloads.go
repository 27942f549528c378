package server

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"

	"thatch/catalog"
	"thatch/catalog/content"
	"thatch/catalog/document"
	"thatch/node/bulletins/staging"
	"thatch/node/replicas/dataset"
	"thatch/node/sites"
	"thatch/replication/wire"
)

// Limits of payloads on their way to children.
const (
	maxPayloads = 64
	maxOfChild  = 6               // to one child at once
	recheck     = 2 * time.Second // how often it is asked, while bytes flow, whether the child is one still
	hold        = 5 * time.Second // how long a child waits in its request for what is brought in
)

// payload sends a payload file, or a range of it, to a child for which it is. The store verifies what it sends. What is not
// here is brought in.
func (s *server) payload(w http.ResponseWriter, r *http.Request) {
	child, err := s.admit(r.Context(), r.TLS)
	if err != nil {
		s.fail(w, r, err)
		return
	}
	if !s.payloads.Take(child.ID) {
		refuse(w, busy(r.RemoteAddr, "as many payloads as this node sends at once are on their way"))
		return
	}
	defer s.payloads.GiveBack(child.ID)
	if err := s.closed(r.Context(), child, dataset.Data); err != nil {
		s.fail(w, r, err)
		return
	}
	w = s.slowed(w, r, child)
	sum := strings.ToLower(r.PathValue("sha256"))
	doc, err := s.payloadFor(r.Context(), child, sum, r.URL.Query().Get("document"))
	if err != nil {
		s.fail(w, r, err)
		return
	}
	err = s.give(w, r, sum)
	if errors.Is(err, content.ErrNotHeld) || errors.Is(err, content.ErrAltered) {
		wait, cancel := context.WithTimeout(r.Context(), hold)
		err = s.node.Staging.Bring(wait, doc, sum)
		cancel()
		if err == nil {
			err = s.give(w, r, sum)
		}
	}
	var later *staging.Later
	switch {
	case err == nil:
	case errors.As(err, &later):
		refuse(w, &wire.Error{Code: wire.CodeNotHeld, Text: "not here yet: " + later.Text, After: max(int(later.After/time.Second), 1)})
	case errors.Is(err, content.ErrNotHeld), errors.Is(err, content.ErrAltered): // it came, and is gone or damaged again
		refuse(w, &wire.Error{Code: wire.CodeNotHeld, Text: err.Error(), After: 2})
	default:
		s.fail(w, r, err)
	}
}

// give sends a file that is here.
func (s *server) give(w http.ResponseWriter, r *http.Request, sum string) error {
	return s.node.Content.Serve(&known{ResponseWriter: w, asked: time.Now(), still: func() error {
		_, err := s.admit(r.Context(), r.TLS)
		return err
	}}, r, sum)
}

// payloadFor finds the payload document that a child names, where that is for the child and names the file: as current data,
// or pinned by a policy that is for it. What is not for the child is not told from what is not there.
func (s *server) payloadFor(ctx context.Context, child sites.Child, sum, named string) (document.Document, error) {
	digest, err := document.ParseDigest(named)
	if err != nil {
		return document.Document{}, wire.Refuse(wire.CodeInvalid, "a payload is asked for with the digest of the payload document that names it: %v", err)
	}
	told, err := s.node.Sites.Alert(ctx, child.ID)
	if err != nil && !errors.Is(err, sites.ErrNoAlert) {
		return document.Document{}, err
	}
	var refusal error
	for _, t := range []dataset.Type{dataset.Data, dataset.Policies} {
		scope, err := s.scope(ctx, child, t, told.Languages)
		if wire.CodeOf(err) != "" {
			refusal = err
			continue
		}
		if err != nil {
			return document.Document{}, err
		}
		docs, damaged, err := s.node.Sender.Bodies(ctx, scope, []document.Digest{digest})
		if err != nil {
			return document.Document{}, err
		}
		s.damaged(ctx, damaged)
		if len(docs) == 1 && names(&docs[0], sum) {
			return docs[0], nil
		}
	}
	if refusal != nil {
		return document.Document{}, refusal
	}
	return document.Document{}, wire.Refuse(wire.CodeRefused, "site %s has no payload document %.12s for %s that names the file %.12s", s.node.Site().Name, named, child.Name, sum)
}

func names(doc *document.Document, sum string) bool {
	if doc.Kind != document.Payload {
		return false
	}
	body, err := catalog.Decode[catalog.Payload](doc.Body)
	return err == nil && slices.ContainsFunc(body.Files, func(f catalog.StagedFile) bool { return strings.EqualFold(f.SHA256, sum) })
}

// known writes as long as its reader is a child still.
type known struct {
	http.ResponseWriter
	still func() error
	asked time.Time
}

// Write implements io.Writer.
func (k *known) Write(part []byte) (int, error) {
	if now := time.Now(); now.Sub(k.asked) >= recheck {
		if err := k.still(); err != nil {
			return 0, err
		}
		k.asked = now
	}
	return k.ResponseWriter.Write(part)
}

// Unwrap lets a response controller find the connection.
func (k *known) Unwrap() http.ResponseWriter { return k.ResponseWriter }
