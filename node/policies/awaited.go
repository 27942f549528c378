package policies

import (
	"thatch/catalog"
	"thatch/node/bulletins/staging"
	"thatch/node/policies/pinned"
)

// Awaited is what a policy waits for at this site.
type Awaited struct {
	Documents int              `json:"documents"`        // pinned ones that matter here and have not arrived
	Payloads  int              `json:"payloads"`         // files of packages that are here, which no node of the site holds
	List      []pinned.Missing `json:"list"`             // the first documents
	Coming    *staging.Awaited `json:"coming,omitempty"` // how far the payload files are; absent: all are held
}

const maxAwaited = 100 // listed

func (p *order) awaited(state *staging.State) Awaited {
	a := Awaited{Documents: len(p.pins.Missing), List: []pinned.Missing{}}
	a.List = append(a.List, p.pins.Missing[:min(len(p.pins.Missing), maxAwaited)]...)
	var files []catalog.StagedFile
	for i := range p.body.Updates {
		for _, k := range p.body.Updates[i].Packages {
			if pack := p.pins.Package(k); pack != nil {
				files = append(files, pack.Staged...)
			}
		}
	}
	if a.Coming = state.Awaited(files); a.Coming != nil {
		a.Payloads = a.Coming.OfFiles - a.Coming.Files
	}
	return a
}
