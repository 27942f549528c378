package quorum

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/hashicorp/raft"

	"thatch/node/store"
	"thatch/node/store/batch"
)

// Forwarder carries an encoded batch to the node that leads, whose Accept answers. An error that wraps ErrNotLeader
// says that the other did not take it; with any other, what became of the batch is taken to be unknown.
type Forwarder interface {
	Forward(ctx context.Context, leader Voter, encoded []byte) (store.Applied, error)
}

var _ store.Writer = (*Quorum)(nil)

// Write has a batch ordered by the site's leader and answers when it is durable on a majority and applied: here if
// this node leads, there else. A write waits a while for a leader (ErrUnavailable). Once handed over it ends with its
// answer, or with ErrUncertain when the leader is lost or ctx ends first; a batch with a request id is then tried again
// as long as it may wait. Sites with a Forwarder give every batch a request id.
func (q *Quorum) Write(ctx context.Context, b store.Batch) (store.Applied, error) {
	if q.config.Forward != nil && b.Request == "" {
		b.Request = uuid.NewString()
	}
	encoded, err := batch.Encode(b)
	if err != nil {
		return store.Applied{}, err
	}
	limit, cancel := context.WithTimeout(ctx, q.config.Wait)
	defer cancel()
	var doubt error // an attempt of which nobody knows what became
	for {
		applied, err := q.attempt(ctx, limit, encoded)
		if err == nil {
			return applied, nil
		}
		switch {
		case errors.Is(err, ErrUncertain):
			doubt = err
		case doubt != nil:
			err = fmt.Errorf("%w; then: %w", doubt, err)
		}
		again := b.Request != "" && doubt != nil || doubt == nil && errors.Is(err, ErrNotLeader)
		if again && ctx.Err() == nil && q.pause(limit) == nil {
			continue
		}
		switch {
		case doubt != nil || !errors.Is(err, ErrNotLeader):
		case q.Err() != nil:
			err = q.Err()
		case ctx.Err() == nil:
			err = fmt.Errorf("%w since %s: %w", ErrUnavailable, q.config.Wait, err)
		}
		return store.Applied{}, err
	}
}

// attempt writes once, here or through the leader.
func (q *Quorum) attempt(ctx, limit context.Context, encoded []byte) (store.Applied, error) {
	if err := q.Err(); err != nil {
		return store.Applied{}, err
	}
	if err := ctx.Err(); err != nil {
		return store.Applied{}, err
	}
	if leading, _, _ := q.Leading(); leading || q.config.Forward == nil {
		return q.Accept(ctx, encoded)
	}
	address, id := q.raft.LeaderWithID()
	if id == "" || string(id) == q.config.ID {
		return store.Applied{}, ErrNotLeader
	}
	applied, err := q.config.Forward.Forward(limit, Voter{ID: string(id), Address: string(address)}, encoded)
	if err != nil && !errors.Is(err, ErrNotLeader) && !errors.Is(err, ErrUncertain) {
		err = fmt.Errorf("%w: forwarding to node %s: %w", ErrUncertain, id, err)
	}
	return applied, err
}

// pause waits for the leadership to change, or a little while.
func (q *Quorum) pause(limit context.Context) error {
	_, _, changed := q.lead.now()
	timer := time.NewTimer(q.config.Tuning.Heartbeat / 20)
	defer timer.Stop()
	select {
	case <-changed:
	case <-timer.C:
	case <-q.stop.done:
		return q.Err()
	case <-limit.Done():
		return limit.Err()
	}
	return nil
}

// Accept has an encoded batch ordered if this node leads, else answers ErrNotLeader. It is the other end of a
// Forwarder.
func (q *Quorum) Accept(ctx context.Context, encoded []byte) (store.Applied, error) {
	if leading, _, _ := q.Leading(); !leading {
		return store.Applied{}, ErrNotLeader
	}
	future := q.raft.Apply(encoded, q.config.Wait)
	if err := q.await(ctx, future); err != nil {
		return store.Applied{}, err
	}
	switch response := future.Response().(type) {
	case store.Applied:
		return response, nil
	case error:
		return store.Applied{}, fmt.Errorf("%w: %w", ErrUncertain, response)
	default:
		return store.Applied{}, fmt.Errorf("raft answered with a %T", response)
	}
}

// failure says what raft's errors mean to a writer.
func (q *Quorum) failure(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, raft.ErrNotLeader), errors.Is(err, raft.ErrLeadershipTransferInProgress),
		errors.Is(err, raft.ErrEnqueueTimeout):
		return fmt.Errorf("%w: %w", ErrNotLeader, err)
	case q.Err() != nil:
		return fmt.Errorf("%w: %w", ErrUncertain, q.Err())
	default:
		return fmt.Errorf("%w: %w", ErrUncertain, err)
	}
}
