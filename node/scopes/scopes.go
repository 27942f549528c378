// Package scopes says which of a site's documents are for a neighbour, from the tree and the rules (node/sites), in the
// words of the room that reads them (node/replicas/dataset). Both ends of a link, and whoever reads a site's file alone,
// mean the same set by it.
package scopes

import (
	"context"

	"thatch/node/replicas/dataset"
	"thatch/node/sites"
)

// Down is what of a type goes down to a child that manages some languages. Ruled is false where no rule that is on sends
// anything of the type; who the sites above are is told whatever the rules say.
func Down(ctx context.Context, room *sites.Room, child string, t dataset.Type, languages []string) (scope dataset.Scope, ruled bool, err error) {
	tree, err := room.Tree(ctx)
	if err != nil {
		return scope, false, err
	}
	scope = dataset.Scope{
		Type: t, Direction: dataset.Down, Languages: languages, Audience: dataset.Audience{All: true},
		Not: append(tree.Below(child), child),
	}
	if t == dataset.Languages {
		scope.Origins = append(tree.Above(tree.Self), tree.Self)
		return scope, true, nil
	}
	scope.Audience, ruled, err = room.AudienceOf(ctx, child, t)
	return scope, ruled, err
}

// FromAbove is what of a type came down to a site that manages some languages.
func FromAbove(ctx context.Context, room *sites.Room, t dataset.Type, languages []string) (dataset.Scope, error) {
	tree, err := room.Tree(ctx)
	if err != nil {
		return dataset.Scope{}, err
	}
	scope := dataset.Scope{
		Type: t, Direction: dataset.Down, Languages: languages, Audience: dataset.Audience{All: true},
		Not: append(tree.Below(tree.Self), tree.Self),
	}
	if t == dataset.Languages { // what is left of sites that went is nobody's
		scope.Origins = tree.Above(tree.Self)
	}
	return scope, nil
}

// FromBelow is what of a type came up from a child: of the child itself and of those below it.
func FromBelow(ctx context.Context, room *sites.Room, child string, t dataset.Type) (dataset.Scope, error) {
	tree, err := room.Tree(ctx)
	if err != nil {
		return dataset.Scope{}, err
	}
	return dataset.Scope{
		Type: t, Direction: dataset.Up, Audience: dataset.Audience{All: true}, Origins: append(tree.Below(child), child),
	}, nil
}

// Up is what of a type goes up to the parent: of the site itself and of those below it.
func Up(ctx context.Context, room *sites.Room, t dataset.Type) (dataset.Scope, error) {
	tree, err := room.Tree(ctx)
	if err != nil {
		return dataset.Scope{}, err
	}
	return dataset.Scope{
		Type: t, Direction: dataset.Up, Audience: dataset.Audience{All: true}, Origins: append(tree.Below(tree.Self), tree.Self),
	}, nil
}
