package check

import (
	"errors"
	"log/slog"
	"sync/atomic"

	"thatch/catalog/content"
	"thatch/node/store/local"
)

const payloadPrefix = "payload/"

// memory keeps in the node's own file what the payload store knows of its files.
type memory struct {
	own    *local.Local
	log    *slog.Logger
	silent atomic.Bool // that it fails was said
}

// Memory is the payload store's, in the node's own file. What it fails to keep is read again after the next start, so
// its failures are said once and hold up nothing.
func Memory(own *local.Local, log *slog.Logger) content.Memory { return &memory{own: own, log: log} }

// Recall implements content.Memory.
func (m *memory) Recall(digest string) []byte {
	record, err := m.own.Get(payloadPrefix + digest)
	if errors.Is(err, local.ErrNotFound) {
		return nil
	}
	m.say(err)
	return record
}

// Keep implements content.Memory.
func (m *memory) Keep(digest string, record []byte) { m.say(m.own.Put(payloadPrefix+digest, record)) }

// Forget implements content.Memory.
func (m *memory) Forget(digest string) { m.say(m.own.Delete(payloadPrefix + digest)) }

func (m *memory) say(err error) {
	if err == nil {
		m.silent.Store(false)
		return
	}
	if !m.silent.Swap(true) {
		m.log.Warn("what was verified is not kept in the node's own file: the next start reads payloads again", "error", err)
	}
}
