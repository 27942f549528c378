package server

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"sync"
	"time"

	"thatch/catalog/document"
	"thatch/node"
	"thatch/node/replicas/dataset"
	"thatch/node/sites"
)

// keyring holds the signing keys whose documents agents of this site accept: its own, those of the sites above, and those
// of former ones of which something is held still. What a site below signed is nothing to them. Agents ask all the time,
// and the tree changes seldom: it is read again when it did.
type keyring struct {
	node    *node.Node
	changed <-chan struct{}
	turn    chan struct{} // of whoever reads; of capacity 1

	mu   sync.Mutex
	kept *keys // nil: to be read
}

// keys are some signing keys, also as JSON.
type keys struct {
	docs  []document.Document
	text  json.RawMessage
	until time.Time // zero: until the tree changes
}

// formerFor is how long it is not looked again whether something is held of a former parent: that is looked for in all
// documents.
const formerFor = time.Minute

func newKeyring(n *node.Node) *keyring {
	return &keyring{node: n, changed: n.Watch(sites.Topic, string(dataset.Languages)).C, turn: make(chan struct{}, 1)}
}

// now are the keys of this moment. One reads, and the others wait for it, each no longer than it has time.
func (k *keyring) now(ctx context.Context) (*keys, error) {
	if kept := k.current(); kept != nil {
		return kept, nil
	}
	select {
	case k.turn <- struct{}{}:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	defer func() { <-k.turn }()
	if kept := k.current(); kept != nil {
		return kept, nil
	}
	read, err := k.read(ctx)
	if err != nil {
		return nil, err
	}
	if read.text, err = json.Marshal(read.docs); err != nil {
		return nil, fmt.Errorf("encode signing keys: %w", err)
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.kept = read
	return read, nil
}

// current are the keys that were read, nil where they are to be read again. What changes while somebody reads is noticed by whoever
// comes next.
func (k *keyring) current() *keys {
	k.mu.Lock()
	defer k.mu.Unlock()
	select {
	case <-k.changed:
		k.kept = nil
	default:
	}
	if k.kept != nil && !k.kept.until.IsZero() && !k.node.Now().Before(k.kept.until) {
		k.kept = nil
	}
	return k.kept
}

func (k *keyring) read(ctx context.Context) (*keys, error) {
	tree, err := k.node.Sites.Tree(ctx)
	if err != nil {
		return nil, err
	}
	all, err := k.node.Identity.Keys(ctx)
	if err != nil {
		return nil, err
	}
	above, below := append(tree.Above(tree.Self), tree.Self), tree.Below(tree.Self)
	read := &keys{docs: []document.Document{}}
	for _, key := range all {
		wanted := slices.Contains(above, key.ID)
		if !wanted && !slices.Contains(below, key.ID) {
			read.until = k.node.Now().Add(formerFor)
			if wanted, err = k.node.Sites.MadeHere(ctx, key.ID); err != nil {
				return nil, err
			}
		}
		if wanted {
			read.docs = append(read.docs, key)
		}
	}
	return read, nil
}
