// Package importertest holds conformance suites for what sits on either side of an import: sources and sinks.
package importertest

import (
	"context"
	"maps"
	"slices"
	"sync"

	"thatch/catalog/document"
	"thatch/catalog/importer"
)

// Memory is a sink that keeps everything in memory. The zero value is empty and ready.
type Memory struct {
	mu        sync.Mutex
	files     map[string]map[string]string                   // source: file: fingerprint
	parts     map[string]map[string]map[string]importer.Part // source: key: file
	documents map[string]map[string]document.Document        // source and key: kind and id
	failures  map[string]map[[2]string]importer.Failure      // source: file and key
	saves     int
	// Fail, when set, is asked before each save; its error fails the save.
	Fail func(importer.Saved) error
}

// Known implements importer.Sink.
func (m *Memory) Known(_ context.Context, source string) (map[string]string, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return maps.Clone(m.files[source]), nil
}

// Failures implements importer.Sink.
func (m *Memory) Failures(_ context.Context, source string) ([]importer.Failure, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Collect(maps.Values(m.failures[source])), nil
}

// Parts implements importer.Sink.
func (m *Memory) Parts(_ context.Context, source string, keys []string) ([]importer.Part, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var parts []importer.Part
	for _, key := range keys {
		for _, file := range slices.Sorted(maps.Keys(m.parts[source][key])) {
			parts = append(parts, m.parts[source][key][file])
		}
	}
	return parts, nil
}

// FileKeys implements importer.Sink.
func (m *Memory) FileKeys(_ context.Context, source, file string) ([]string, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.fileKeys(source, file), nil
}

func (m *Memory) fileKeys(source, file string) []string {
	var keys []string
	for key, byFile := range m.parts[source] {
		if _, ok := byFile[file]; ok {
			keys = append(keys, key)
		}
	}
	slices.Sort(keys)
	return keys
}

// Save implements importer.Sink.
func (m *Memory) Save(ctx context.Context, s importer.Saved) (int, error) {
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.Fail != nil {
		if err := m.Fail(s); err != nil {
			return 0, err
		}
	}
	m.ready(s.Source)
	m.replaceFailures(s)
	m.replaceParts(s)
	changed := m.replaceDocuments(s)
	m.saves++
	return changed, nil
}

func (m *Memory) ready(source string) {
	if m.files == nil {
		m.files = make(map[string]map[string]string)
		m.parts = make(map[string]map[string]map[string]importer.Part)
		m.documents = make(map[string]map[string]document.Document)
		m.failures = make(map[string]map[[2]string]importer.Failure)
	}
	if m.files[source] == nil {
		m.files[source] = make(map[string]string)
		m.parts[source] = make(map[string]map[string]importer.Part)
		m.failures[source] = make(map[[2]string]importer.Failure)
	}
}

func (m *Memory) replaceParts(s importer.Saved) {
	known := m.files[s.Source]
	for _, file := range s.Files {
		if was, held := known[file.Name]; file.Fingerprint != "" {
			known[file.Name] = file.Fingerprint
		} else if held {
			known[file.Name] = importer.Interrupted(was)
		}
	}
	for _, p := range s.Gone {
		delete(m.parts[s.Source][p.Key], p.File)
	}
	for _, p := range s.Parts {
		byFile := m.parts[s.Source][p.Key]
		if byFile == nil {
			byFile = make(map[string]importer.Part)
			m.parts[s.Source][p.Key] = byFile
		}
		byFile[p.File] = p
	}
}

func (m *Memory) replaceFailures(s importer.Saved) {
	named := make(map[string]bool)
	for _, key := range s.Keys {
		named[key] = true
	}
	for _, p := range slices.Concat(s.Parts, s.Gone) {
		named[p.Key] = true
	}
	ended := make(map[string]bool)
	for _, file := range s.Files {
		ended[file.Name] = file.Fingerprint != ""
	}
	held := m.failures[s.Source]
	maps.DeleteFunc(held, func(place [2]string, _ importer.Failure) bool {
		return named[place[1]] || place[1] == "" && ended[place[0]]
	})
	for _, f := range s.Failures {
		held[[2]string{f.File, f.Key}] = f
	}
}

func (m *Memory) replaceDocuments(s importer.Saved) (changed int) {
	fresh := make(map[string]map[string]document.Document)
	for _, key := range s.Keys {
		fresh[key] = make(map[string]document.Document)
	}
	for _, d := range s.Documents {
		fresh[d.Key][documentName(d.Document)] = d.Document
	}
	for key, docs := range fresh {
		before := m.documents[s.Source+"\x00"+key]
		for name, d := range docs {
			if was, ok := before[name]; !ok || was.Digest != d.Digest {
				changed++
			}
		}
		for name := range before {
			if _, ok := docs[name]; !ok {
				changed++
			}
		}
		m.documents[s.Source+"\x00"+key] = docs
	}
	return changed
}

func documentName(d document.Document) string { return string(d.Kind) + " " + d.ID }

// Documents returns what is in force: kind and id, and the document.
func (m *Memory) Documents() map[string]document.Document {
	m.mu.Lock()
	defer m.mu.Unlock()
	all := make(map[string]document.Document)
	for _, docs := range m.documents {
		maps.Copy(all, docs)
	}
	return all
}

// Saves counts the calls of Save that succeeded.
func (m *Memory) Saves() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.saves
}

// Digests returns the digest of every document in force.
func (m *Memory) Digests() map[string]document.Digest {
	digests := make(map[string]document.Digest)
	for name, d := range m.Documents() {
		digests[name] = d.Digest
	}
	return digests
}
