package store

import "sync"

// TopicDocuments is the topic of every batch that writes the journal.
const TopicDocuments = "documents"

// Watch says that something of its topics changed. Changes that come faster than they are read are one.
type Watch struct {
	C      <-chan struct{}
	c      chan struct{}
	topics []string
	all    *watches
}

// Watch tells of batches that name one of the topics; without topics, of every batch that names any. A new Watch has
// something to tell at once, so that whoever reads first and watches then misses nothing. Close it.
func (db *DB) Watch(topics ...string) *Watch {
	c := make(chan struct{}, 1)
	c <- struct{}{}
	w := &Watch{C: c, c: c, topics: topics, all: &db.watches}
	db.watches.mu.Lock()
	defer db.watches.mu.Unlock()
	if db.watches.list == nil {
		db.watches.list = map[*Watch]struct{}{}
	}
	db.watches.list[w] = struct{}{}
	return w
}

// Close ends the watch. Its channel is not closed.
func (w *Watch) Close() {
	w.all.mu.Lock()
	defer w.all.mu.Unlock()
	delete(w.all.list, w)
}

type watches struct {
	mu   sync.Mutex
	list map[*Watch]struct{}
}

// tell wakes those who watch one of the topics.
func (w *watches) tell(topics map[string]bool) {
	if len(topics) == 0 {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for watch := range w.list {
		if watch.wants(topics) {
			watch.wake()
		}
	}
}

// tellAll wakes everyone: the whole file was replaced.
func (w *watches) tellAll() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for watch := range w.list {
		watch.wake()
	}
}

func (w *Watch) wants(topics map[string]bool) bool {
	for _, topic := range w.topics {
		if topics[topic] {
			return true
		}
	}
	return len(w.topics) == 0
}

func (w *Watch) wake() {
	select {
	case w.c <- struct{}{}:
	default:
	}
}
