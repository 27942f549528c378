package wire

import (
	"context"
	"net/http"
)

// headerByHand says of a request that a person asked for what it serves, here or at the parent: it asks no windows.
const headerByHand = "Thatch-By-Hand"

type byHandKey struct{}

// ByHand has the calls under a context say that a person asked for them.
func ByHand(ctx context.Context) context.Context { return context.WithValue(ctx, byHandKey{}, true) }

// KeepByHand marks the context under which a request is answered, where the request says so.
func KeepByHand(ctx context.Context, r *http.Request) context.Context {
	if r.Header.Get(headerByHand) == "" {
		return ctx
	}
	return ByHand(ctx)
}

// IsByHand says whether a context is so marked.
func IsByHand(ctx context.Context) bool { return ctx.Value(byHandKey{}) != nil }

func markByHand(r *http.Request) {
	if IsByHand(r.Context()) {
		r.Header.Set(headerByHand, "yes")
	}
}
