package policies_test

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"testing"

	"thatch/catalog"
	"thatch/catalog/document"
	"thatch/catalog/policy"
	"thatch/catalog/rule"
	"thatch/node/bulletins/bulletinstest"
	"thatch/node/policies"
)

// model is a naive site: plain values, no digests kept but those of documents that it makes itself, nothing computed
// ahead. What the rooms say is held against it.
type model struct {
	updates   map[string]*modelUpdate
	packages  map[string]*modelPackage
	payloads  map[string]modelPayload // the current payload documents
	held      map[string]bool         // files, by SHA-256
	languages map[string]bool         // managed
	staged    map[string]bool         // bulletins
	policies  []*modelPolicy
	computers []*modelComputer
}

type modelUpdate struct {
	bulletin  string
	gone      bool
	withdrawn bool
	title     int
	needed    bool // what its rule says of everybody
}

type modelPackage struct {
	update, language string
	edition          int
}

type modelPayload struct {
	of      document.Digest // package revision
	digest  document.Digest
	file    string
	edition int
}

type modelPin struct {
	update  string
	digest  document.Digest
	needed  bool // by the pinned rule
	enabled bool
	pieces  []modelPiece
}

type modelPiece struct {
	id, language, file string
	pack, payload      document.Digest
}

type modelPolicy struct {
	id, name   string
	on, paused bool
	target     policy.Target
	bulletins  []string
	pins       []*modelPin
}

type modelComputer struct {
	id, name, language, platform string
	applicable, installed        map[string]bool // as it reported
	has                          map[string]bool // what is installed, reported or not
	said                         map[string]string
	reports                      uint64
}

func newModel() *model {
	m := &model{
		updates: map[string]*modelUpdate{
			"u1": {bulletin: "b1", needed: true}, "u2": {bulletin: "b1", needed: true}, "u3": {bulletin: "b1", needed: true},
			"u4": {bulletin: "b2", needed: true},
		},
		packages: map[string]*modelPackage{
			"u1-en": {update: "u1", language: "en"}, "u1-de": {update: "u1", language: "de"}, "u1-fr": {update: "u1", language: "fr"},
			"u2-neutral": {update: "u2"}, "u4-fr": {update: "u4", language: "fr"}, "u4-neutral": {update: "u4"},
		},
		payloads: map[string]modelPayload{}, held: map[string]bool{}, languages: map[string]bool{"de": true, "en": true},
		staged: map[string]bool{"b1": true, "b2": true},
	}
	for _, c := range []*modelComputer{
		{name: "en-1", language: "en-us", platform: "windows"},
		{name: "de-1", language: "de-at", platform: "windows"},
		{name: "fr-1", language: "fr-fr", platform: "windows"},
		{name: "deb-1", language: "en-us", platform: "debian"},
	} {
		c.applicable, c.installed, c.has, c.said = map[string]bool{}, map[string]bool{}, map[string]bool{}, map[string]string{}
		m.computers = append(m.computers, c)
	}
	return m
}

func (m *model) updateDoc(t testing.TB, id string) document.Document {
	u := m.updates[id]
	test := "False"
	if u.needed {
		test = "True"
	}
	return bulletinstest.Doc(t, document.Update, id, nil, catalog.Update{
		Name: "Update " + id, Bulletin: u.bulletin, Source: "sdp", Title: fmt.Sprint("title ", u.title), Withdrawn: u.withdrawn,
		Product: catalog.Product{Name: "Windows"}, Rules: catalog.Rules{Applicable: rule.Test(test)},
	})
}

func (m *model) packageDoc(t testing.TB, id string) document.Document {
	p := m.packages[id]
	var languages []string
	if p.language != "" {
		languages = []string{p.language}
	}
	return bulletinstest.Doc(t, document.Package, id, languages, catalog.Package{
		Update: p.update, Name: id, Files: []catalog.File{{Name: id + ".msi"}},
		Installer: catalog.Installer{Type: catalog.MSI, File: id + ".msi", Arguments: fmt.Sprint("/edition ", p.edition)},
	})
}

// documents is the catalog as its vendor file says it.
func (m *model) documents(t testing.TB) []document.Document {
	docs := []document.Document{
		bulletinstest.Doc(t, document.Bulletin, "b1", nil, catalog.Bulletin{Name: "KB1", Source: "sdp"}),
		bulletinstest.Doc(t, document.Bulletin, "b2", nil, catalog.Bulletin{Name: "KB2", Source: "sdp"}),
	}
	for _, id := range keys(m.updates) {
		if !m.updates[id].gone {
			docs = append(docs, m.updateDoc(t, id))
		}
	}
	for _, id := range keys(m.packages) {
		if !m.updates[m.packages[id].update].gone {
			docs = append(docs, m.packageDoc(t, id))
		}
	}
	return docs
}

func keys[V any](of map[string]V) []string {
	all := make([]string, 0, len(of))
	for key := range of {
		all = append(all, key)
	}
	slices.Sort(all)
	return all
}

// payloadDoc is what staging a package as it is now makes.
func (m *model) payloadDoc(t testing.TB, id string, edition int) (document.Document, modelPayload) {
	pack := m.packageDoc(t, id)
	sum := sha256.Sum256(fmt.Appendf(nil, "%s edition %d", id, m.packages[id].edition))
	file := hex.EncodeToString(sum[:])
	doc := bulletinstest.Doc(t, document.Payload, id, pack.Languages, catalog.Payload{
		Package: id, PackageDigest: pack.Digest, Files: []catalog.StagedFile{{Name: id + ".msi", SHA256: file, Size: int64(1 + edition)}},
	})
	return doc, modelPayload{of: pack.Digest, digest: doc.Digest, file: file, edition: edition}
}

// collect is what a policy of bulletins pins now; nil: none can be made.
func (m *model) collect(t testing.TB, bulletins []string) []*modelPin {
	var pins []*modelPin
	for _, b := range bulletins {
		if !m.staged[b] {
			return nil
		}
		for _, id := range keys(m.updates) {
			u := m.updates[id]
			if u.bulletin != b || u.gone || u.withdrawn {
				continue
			}
			pin := &modelPin{update: id, digest: m.updateDoc(t, id).Digest, needed: u.needed, enabled: true}
			for _, name := range keys(m.packages) {
				p := m.packages[name]
				if p.update != id || p.language != "" && !m.languages[p.language] {
					continue
				}
				now, staged := m.payloads[name], m.packageDoc(t, name).Digest
				if now.of != staged || !m.held[now.file] {
					return nil
				}
				pin.pieces = append(pin.pieces, modelPiece{name, p.language, now.file, staged, now.digest})
			}
			if len(pin.pieces) > 0 {
				pins = append(pins, pin)
			}
		}
	}
	return pins
}

// revise follows the catalog, and keeps what was set for single updates.
func (p *modelPolicy) revise(pins []*modelPin) {
	for _, pin := range pins {
		for _, former := range p.pins {
			if former.update == pin.update {
				pin.enabled = former.enabled
			}
		}
	}
	p.pins = pins
}

// alone says whether only the pinned revision's rules can say who needs an update.
func (m *model) alone(pin *modelPin) bool {
	u := m.updates[pin.update]
	return u.gone || u.withdrawn || u.needed != pin.needed
}

// told are the pins of a policy that a computer is told of, whoever the target is.
func (m *model) told(p *modelPolicy, c *modelComputer) (told []*modelPin) {
	for _, pin := range p.pins {
		is := c.applicable[pin.update] || c.installed[pin.update]
		if m.alone(pin) {
			is = c.platform == "windows"
		}
		if pin.enabled && is {
			told = append(told, pin)
		}
	}
	return told
}

func (c *modelComputer) meant(t policy.Target, needs bool) bool {
	speaks := len(t.Languages) == 0
	for _, l := range t.Languages {
		speaks = speaks || strings.HasPrefix(c.language, l)
	}
	named := len(t.Names) == 0 || slices.Contains(t.Names, c.name)
	return (needs || !t.NeedsIt) && speaks && named
}

// ordered is what a computer is told, as text: each policy with its updates, their pieces in the computer's language or
// neutral, and whether they are held.
func (m *model) ordered(c *modelComputer) string {
	var lines []string
	for _, p := range m.policies {
		told := m.told(p, c)
		if !p.on || len(told) == 0 || !c.meant(p.target, true) {
			continue
		}
		for _, pin := range told {
			held, pieces := false, []string{}
			for _, piece := range pin.pieces {
				if piece.language == "" || strings.HasPrefix(c.language, piece.language) {
					held = m.held[piece.file] && (held || len(pieces) == 0)
					pieces = append(pieces, fmt.Sprintf("%s+%s", piece.pack, piece.payload))
				}
			}
			slices.Sort(pieces)
			lines = append(lines, fmt.Sprintf("%s paused=%v %s held=%v %s", p.id, p.paused, pin.digest, held, strings.Join(pieces, " ")))
		}
	}
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}

// progress counts the computers of a policy, one by one.
func (m *model) progress(p *modelPolicy) policies.Progress {
	var count policies.Progress
	for _, c := range m.computers {
		needs, missing := false, false
		for _, pin := range p.pins {
			switch {
			case !pin.enabled:
			case m.alone(pin):
				needs = needs || c.said[pin.update] == "Installed" || c.said[pin.update] == "Installation Scheduled"
				missing = missing || c.said[pin.update] == "Installation Scheduled"
			default:
				needs = needs || c.applicable[pin.update] || c.installed[pin.update]
				missing = missing || c.applicable[pin.update] && !c.installed[pin.update]
			}
		}
		if !c.meant(p.target, needs) {
			continue
		}
		count.Targeted++
		if missing {
			count.Waiting++
		} else {
			count.Done++
		}
	}
	return count
}

// standing is how the catalog stands to a pin.
func (m *model) standing(t testing.TB, pin *modelPin) string {
	u := m.updates[pin.update]
	switch {
	case u.gone:
		return "gone"
	case u.withdrawn:
		return "withdrawn"
	case m.updateDoc(t, pin.update).Digest != pin.digest:
		return "newer"
	}
	for _, piece := range pin.pieces {
		now := m.packageDoc(t, piece.id).Digest
		if now != piece.pack || m.payloads[piece.id].of == now && m.payloads[piece.id].digest != piece.payload {
			return "newer"
		}
	}
	return "current"
}

// pins are the rows that should be there: policy and digest, once each.
func (m *model) pins() []string {
	rows := map[string]bool{}
	for _, p := range m.policies {
		for _, pin := range p.pins {
			rows[p.id+" "+pin.digest.String()] = true
			for _, piece := range pin.pieces {
				rows[p.id+" "+piece.pack.String()], rows[p.id+" "+piece.payload.String()] = true, true
			}
		}
	}
	return keys(rows)
}

// revisions are the catalog documents that should be held: current ones, and earlier ones exactly while pinned.
func (m *model) revisions(t testing.TB) []string {
	rows := map[string]bool{}
	for _, doc := range m.documents(t) {
		rows[doc.Digest.String()] = true
	}
	for _, now := range m.payloads {
		rows[now.digest.String()] = true
	}
	for _, row := range m.pins() {
		rows[row[strings.LastIndex(row, " ")+1:]] = true
	}
	return keys(rows)
}

// said is what an agent says of an update by the pinned rule.
func (c *modelComputer) judge(pin *modelPin) string {
	switch {
	case c.has[pin.update]:
		return "Installed"
	case pin.needed:
		return "Installation Scheduled"
	}
	return "Not Applicable"
}

// states are what an agent reports of its orders: of one update that several policies order, the first by id.
func (m *model) states(c *modelComputer) map[string]string {
	states := map[string]string{}
	all := slices.SortedFunc(slices.Values(m.policies), func(a, b *modelPolicy) int { return cmp.Compare(a.id, b.id) })
	for _, p := range all {
		if !p.on || !c.meant(p.target, true) {
			continue
		}
		for _, pin := range m.told(p, c) {
			if _, first := states[pin.update]; !first {
				states[pin.update] = c.judge(pin)
			}
		}
	}
	return states
}
