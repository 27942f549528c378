// Package upward sends a parent what goes up: who the sites here and below are, which languages they need, how they fare.
package upward

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"thatch/catalog/document"
	"thatch/node"
	"thatch/node/replicas/dataset"
	"thatch/node/scopes"
	"thatch/node/sites"
	"thatch/node/store"
	"thatch/replication/timing"
	"thatch/replication/wire"
)

// pause gathers changes before they go up; againAfter is when a push that failed is tried again.
const (
	pause      = 200 * time.Millisecond
	againAfter = 10 * time.Second
)

// Link is what stands between a child's node and its parent.
type Link struct {
	Node   *node.Node
	Log    *slog.Logger
	Parent sites.Parent
	Client *wire.Client
	Said   func() wire.LinkResponse // by the parent, last
	Ask    func()                   // has the parent asked again how far it holds what went up
}

// Pusher sends what goes up over one connection with the parent.
type Pusher struct {
	Link
	again chan struct{} // something may go up

	wantedMu sync.Mutex
	wanted   map[dataset.Type][]dataset.Key // by the parent, out of their turn

	mu      sync.Mutex
	cursors map[dataset.Type]dataset.Cursor // how far the parent holds what went up
}

// New makes one.
func New(l Link) *Pusher {
	return &Pusher{Link: l, again: make(chan struct{}, 1), cursors: map[dataset.Type]dataset.Cursor{}}
}

// Look has a Pusher that runs look whether something may go up.
func (p *Pusher) Look() {
	select {
	case p.again <- struct{}{}:
	default: // it will
	}
}

// Run sends up what changed of what goes up, until ctx ends. The language alert is first, always.
func (p *Pusher) Run(ctx context.Context) error {
	watch := p.Node.Watch(store.TopicDocuments, sites.Topic)
	defer watch.Close()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-watch.C:
			timer.Reset(pause)
			continue
		case <-p.again:
		case <-timer.C:
		}
		if err := p.all(ctx); err != nil {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			p.Log.Warn("what goes up could not be sent and is tried again", "error", err)
			timer.Reset(max(againAfter, wire.After(err)))
		}
	}
}

func (p *Pusher) all(ctx context.Context) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if _, err := p.Types(ctx); err != nil {
		return err
	}
	return p.sendWanted(ctx)
}

// Want has documents sent out of their turn, which the parent wants to judge again.
func (p *Pusher) Want(keys map[dataset.Type][]dataset.Key) {
	if len(keys) == 0 {
		return
	}
	p.wantedMu.Lock()
	p.wanted = keys
	p.wantedMu.Unlock()
	p.Look()
}

// sendWanted sends what the parent wants to judge again, and says what of it is not there.
func (p *Pusher) sendWanted(ctx context.Context) error {
	p.wantedMu.Lock()
	wanted := p.wanted
	p.wanted = nil
	p.wantedMu.Unlock()
	for t, keys := range wanted {
		scope, err := p.Scope(ctx, t)
		if err != nil {
			return err
		}
		digests, gone, err := p.Node.Sender.Current(ctx, scope, keys)
		if err == nil {
			_, err = p.Apart(ctx, scope, digests, gone)
		}
		if err != nil {
			p.Ask() // the parent names them again
			return fmt.Errorf("send up what the parent wants of %s: %w", t, err)
		}
	}
	return nil
}

// Alone has nothing else go up until release is called, so that what differs at both ends does so for no reason of that kind.
func (p *Pusher) Alone() (release func()) {
	p.mu.Lock()
	return p.mu.Unlock
}

// Types sends up what changed, and counts the documents that went. It is for whoever is Alone.
func (p *Pusher) Types(ctx context.Context) (sent int, err error) {
	for _, t := range dataset.Types(dataset.Up) {
		n, err := p.push(ctx, t, false)
		if sent += n; err != nil {
			return sent, fmt.Errorf("send up %s: %w", t, err)
		}
	}
	return sent, nil
}

// Alert sends up everything of who the sites are and what languages they need: the parent lacks the language alert,
// whatever is remembered of having sent it.
func (p *Pusher) Alert(ctx context.Context) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	_, err := p.push(ctx, dataset.Languages, true)
	return err
}

// Scope is what of a type goes up to this parent: without kinds that it does not know.
func (p *Pusher) Scope(ctx context.Context, t dataset.Type) (dataset.Scope, error) {
	scope, err := scopes.Up(ctx, p.Node.Sites, t)
	scope.Audience.Withheld = Withheld(p.Said(), t)
	return scope, err
}

// Withheld are kinds of some types that would go up and that the parent does not know; before it has said anything, all.
func Withheld(said wire.LinkResponse, of ...dataset.Type) (kinds []document.Kind) {
	for _, t := range of {
		kinds = append(kinds, dataset.Kinds(t, dataset.Up)...)
	}
	return slices.DeleteFunc(kinds, func(k document.Kind) bool { return slices.Contains(said.Kinds, k) })
}

// push sends up one type: what is newer than the parent's cursor, or everything where that is asked for or the parent's
// cursor does not fit. It counts the documents that went.
func (p *Pusher) push(ctx context.Context, t dataset.Type, complete bool) (sent int, err error) {
	scope, err := p.Scope(ctx, t)
	if err != nil {
		return 0, err
	}
	cursor, ok := p.cursors[t]
	if !ok {
		if told := p.Said().Cursors[t]; told != nil {
			cursor = *told
		}
	}
	complete = complete || cursor.Zero()
	after, from := dataset.Key{}, dataset.Cursor{}
	for {
		var page dataset.Page
		if complete {
			page, err = p.Node.Sender.Complete(ctx, scope, from, after, p.limits())
		} else {
			page, err = p.Node.Sender.Page(ctx, scope, cursor, p.limits())
			if callsForComplete(err) {
				complete = true
				continue
			}
		}
		if err != nil {
			return sent, err
		}
		if len(page.Entries) == 0 && !page.Complete && !page.More && page.Tail.Index-cursor.Mark.Index < timing.FarBehind {
			return sent, nil // nothing to tell: the parent's cursor is moved when there is
		}
		if t != dataset.Languages { // sites and keys that came since this page's documents did go before them
			n, err := p.push(ctx, dataset.Languages, false)
			if sent += n; err != nil {
				return sent, err
			}
		}
		answer, err := p.send(ctx, scope, page)
		if err != nil {
			delete(p.cursors, t)
			p.Ask() // the parent's cursor may be another now
			return sent, err
		}
		sent += len(page.Entries)
		if complete {
			from, after = page.From, page.Next
		}
		if !page.More {
			p.cursors[t] = answer.Cursor
			_, err := p.Apart(ctx, scope, answer.Wanted, nil)
			return sent, err
		}
		if !complete && answer.Cursor.At[""].Compare(cursor.At[""]) <= 0 { // else this would go on without end
			delete(p.cursors, t)
			p.Ask()
			return sent, fmt.Errorf("the parent took %d documents, there are more, and its cursor stays at %d.%d",
				len(page.Entries), answer.Cursor.At[""].Index, answer.Cursor.At[""].Position)
		}
		cursor = answer.Cursor
	}
}

// atOnce is how many bodies are read at once for pages out of their turn.
const atOnce = 50

// Apart sends documents out of their turn, and the names of what is not there any more: what the parent could not judge
// when it came, or holds otherwise. What it refuses is returned.
func (p *Pusher) Apart(ctx context.Context, scope dataset.Scope, digests []document.Digest, gone []dataset.Key) (refused []wire.Refusal, err error) {
	page, bytes, limits := &wire.Page{Header: wire.Header{Type: scope.Type}}, 0, p.limits()
	flush := func() error {
		if len(page.Entries) == 0 {
			return nil
		}
		answer, err := p.deliver(ctx, page)
		refused = append(refused, answer.Refused...)
		page.Entries, bytes = nil, 0
		return err
	}
	for some := range slices.Chunk(digests, atOnce) {
		docs, _, err := p.Node.Sender.Bodies(ctx, scope, some)
		if err != nil {
			return refused, err
		}
		for _, doc := range docs {
			page.Entries = append(page.Entries, dataset.Entry{Head: doc.Head, Body: append([]byte{}, doc.Body...), Size: len(doc.Body)})
			if bytes += len(doc.Body); bytes >= limits.Bytes || len(page.Entries) >= limits.Documents {
				if err := flush(); err != nil {
					return refused, err
				}
			}
		}
	}
	for _, key := range gone {
		page.Entries = append(page.Entries, dataset.Entry{Head: document.Head{Kind: key.Kind, ID: key.ID}, Removed: true})
		if len(page.Entries) >= limits.Documents {
			if err := flush(); err != nil {
				return refused, err
			}
		}
	}
	return refused, flush()
}

// limits are those of a page that goes up.
func (p *Pusher) limits() dataset.Limits {
	return dataset.Limits{Documents: 300, Bytes: wire.Portion(p.Said().Limits.Rate, 600<<10)}
}

func (p *Pusher) send(ctx context.Context, scope dataset.Scope, page dataset.Page) (wire.UpResponse, error) {
	var digests []document.Digest
	for i := range page.Entries {
		if e := &page.Entries[i]; !e.Removed {
			digests = append(digests, e.Digest)
		}
	}
	docs, refused, err := p.Node.Sender.Bodies(ctx, scope, digests)
	if err != nil {
		return wire.UpResponse{}, err
	}
	for _, r := range refused {
		p.Log.Error("a document that should go up is damaged here; it is not sent", "kind", r.Kind, "id", r.ID, "error", r.Err)
	}
	return p.deliver(ctx, wire.FromDataset(page, docs))
}

// deliver sends up a page, and has people know what the parent refuses.
func (p *Pusher) deliver(ctx context.Context, page *wire.Page) (wire.UpResponse, error) {
	answer, err := p.Client.Push(ctx, wire.PathUp, page)
	for _, r := range answer.Refused {
		p.Log.Warn("the parent refused a document", "kind", r.Kind, "id", r.ID, "reason", r.Reason)
		if r.Forbidden {
			err = errors.Join(err, p.Node.Sites.RaiseRefusedAbove(ctx, p.Parent, r.Reason))
		}
	}
	return answer, err
}

// callsForComplete says whether the cursor does not fit this site's journal, so that everything is to be sent.
func callsForComplete(err error) bool {
	for _, reason := range []error{dataset.ErrOld, dataset.ErrEpoch, dataset.ErrDiverged, dataset.ErrAudience} {
		if errors.Is(err, reason) {
			return true
		}
	}
	return false
}
