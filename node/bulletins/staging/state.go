// Package staging downloads the packages of staged bulletins. Staged is a fact of the site; what is there follows from
// the payload documents and the holdings, and what is not from the failures kept beside them.
package staging

import (
	"context"
	"database/sql"
	"encoding/hex"
	"fmt"
	"strings"
	"time"

	"thatch/catalog"
	"thatch/catalog/document"
	"thatch/node/bulletins/live"
	"thatch/node/bulletins/staging/transit"
	"thatch/node/store"
	"thatch/node/store/sqlite"
)

// Status is where a package or an update stands.
type Status string

// The statuses, as people see them.
const (
	NotStaged   Status = "not staged"
	Downloading Status = "downloading"
	Ready       Status = "ready"
	Failed      Status = "failed"     // the vendor has it no more, sent something else, or does not answer
	Refused     Status = "refused"    // its signature is missing or not trusted
	NoPackage   Status = "no package" // none that is neutral or in a managed language is known
	Withdrawn   Status = "withdrawn"  // the vendor expired the update
	// NeverOffered is that of updates that no policy can pin, by whatever of them is here.
	NeverOffered Status = "never offered"
)

// Staged says since when the site stages a bulletin, and who asked for it.
type Staged struct {
	Since time.Time `json:"since"`
	Actor string    `json:"actor"`
}

// Reason is why a package could not be staged.
type Reason string

// The reasons. Unreachable alone is tried again without being asked.
const (
	Gone        Reason = "gone"        // not hosted any more
	Digest      Reason = "digest"      // what came is something else
	Location    Reason = "location"    // neither an address nor a digest to go by
	TooLarge    Reason = "too large"   // larger than the site's limit
	Unsigned    Reason = "unsigned"    // no Authenticode signature, or a broken one
	Untrusted   Reason = "untrusted"   // signed by somebody who is not trusted
	Unreachable Reason = "unreachable" // the vendor does not answer
	Waits       Reason = "awaited"     // it is no failure: the site above has it later, or there is no link
)

// refusal says whether the bytes came and were turned down.
func (r Reason) refusal() bool { return r == Unsigned || r == Untrusted }

// Failure is the outcome of a package that could not be staged.
type Failure struct {
	Digest document.Digest // of the package document that was tried
	Reason Reason
	Detail string
	At     time.Time
}

// tried is a revision of a package.
type tried struct {
	pack   string
	digest document.Digest
}

// State is what the site knows of staging beside its documents.
type State struct {
	Languages []string // managed
	Staged    map[string]Staged
	failures  map[tried]Failure
	held      map[[32]byte]bool
	transit   *transit.Files // of this node; nil: not asked for
}

const selectLanguages = `SELECT tag FROM language ORDER BY tag`

// Load reads the state.
func Load(ctx context.Context, reader store.Reader) (*State, error) {
	s := &State{Staged: map[string]Staged{}, failures: map[tried]Failure{}, held: map[[32]byte]bool{}}
	err := reader.View(ctx, func(tx *sql.Tx) (err error) {
		if s.Languages, err = sqlite.Texts(ctx, tx, selectLanguages); err != nil {
			return err
		}
		for _, part := range []struct {
			query string
			take  func(*sql.Rows) error
		}{
			{`SELECT bulletin, since, actor FROM staged`, s.takeStaged},
			{`SELECT package, digest, reason, detail, at FROM staging_failure`, s.takeFailure},
			{`SELECT DISTINCT sha256 FROM holding`, s.takeHolding},
		} {
			if err := each(ctx, tx, part.query, part.take); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read what is staged: %w", err)
	}
	return s, nil
}

func each(ctx context.Context, tx *sql.Tx, query string, take func(*sql.Rows) error) error {
	rows, err := tx.QueryContext(ctx, query)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		if err := take(rows); err != nil {
			return err
		}
	}
	return rows.Err()
}

func (s *State) takeStaged(rows *sql.Rows) error {
	var id, since string
	var staged Staged
	if err := rows.Scan(&id, &since, &staged.Actor); err != nil {
		return err
	}
	staged.Since, _ = time.Parse(time.RFC3339, since)
	s.Staged[id] = staged
	return nil
}

func (s *State) takeFailure(rows *sql.Rows) error {
	var id, at string
	var digest []byte
	var f Failure
	if err := rows.Scan(&id, &digest, &f.Reason, &f.Detail, &at); err != nil {
		return err
	}
	copy(f.Digest[:], digest)
	f.At, _ = time.Parse(time.RFC3339, at)
	s.failures[tried{id, f.Digest}] = f
	return nil
}

func (s *State) takeHolding(rows *sql.Rows) error {
	var sum []byte
	if err := rows.Scan(&sum); err != nil {
		return err
	}
	var key [32]byte
	copy(key[:], sum)
	s.held[key] = true
	return nil
}

// Held says whether a node of the site holds a payload file, by its SHA-256 in hexadecimal.
func (s *State) Held(sum string) bool {
	raw, err := hex.DecodeString(sum)
	if err != nil || len(raw) != 32 {
		return false
	}
	return s.held[[32]byte(raw)]
}

// PackageStatus is where one package stands.
type PackageStatus struct {
	Package *live.Package
	Payload *live.Payload // nil until it was staged
	Matters bool          // neutral or in a managed language
	Status  Status
	Reason  Reason // of Failed and Refused
	Text    string // why, for people
	Awaited *Awaited
}

// UpdateStatus is where one update stands. Packages holds all of its packages, those that do not matter too.
type UpdateStatus struct {
	Update   *live.Update
	Status   Status
	Text     string
	Packages []PackageStatus
	Awaited  *Awaited // while its packages come
}

// Package tells where a package of a staged or unstaged bulletin stands.
func (s *State) Package(v *live.View, p *live.Package, staged bool) PackageStatus {
	head := document.Head{Languages: p.Languages}
	ps := PackageStatus{Package: p, Payload: v.PayloadOf(p), Matters: head.Matters(s.Languages)}
	failure, failed := s.failures[tried{p.ID, p.Digest}]
	switch {
	case ps.Payload != nil && s.holdsAll(ps.Payload):
		ps.Status = Ready
	case failed && failure.Reason.refusal():
		ps.Status, ps.Reason, ps.Text = Refused, failure.Reason, failure.Detail
	case failed:
		ps.Status, ps.Reason, ps.Text = Failed, failure.Reason, failure.Detail
	case ps.Matters && ps.Payload != nil && (staged || s.moves(ps.Payload.Files)):
		ps.Status = Downloading
		if s.transit != nil {
			ps.Awaited = s.Awaited(ps.Payload.Files) // some are not held
			ps.Text = ps.Awaited.Sentence()
		}
	case !staged || !ps.Matters:
		ps.Status = NotStaged
		if !ps.Matters {
			ps.Text = "the site does not manage " + strings.Join(p.Languages, ", ")
		}
	default:
		ps.Status, ps.Text = Downloading, s.why(p)
	}
	return ps
}

func (s *State) holdsAll(p *live.Payload) bool {
	for _, f := range p.Files {
		if !s.Held(f.SHA256) {
			return false
		}
	}
	return true
}

// Update tells where an update stands: ready when every package that matters is there, else the worst of them.
func (s *State) Update(v *live.View, u *live.Update) UpdateStatus {
	us := UpdateStatus{Update: u}
	_, staged := s.Staged[u.Bulletin]
	worst, matter := 0, 0
	for _, p := range v.PackagesOf(u.ID) {
		ps := s.Package(v, p, staged)
		us.Packages = append(us.Packages, ps)
		if !ps.Matters {
			continue
		}
		matter++
		if weight := weigh(ps.Status); weight > worst {
			worst, us.Status, us.Text = weight, ps.Status, ps.Text
		}
	}
	if us.Status == Downloading {
		us.awaits(s)
	}
	if us.Awaited != nil {
		us.Text = us.Awaited.Sentence()
	}
	switch {
	case u.Withdrawn:
		us.Status, us.Text = Withdrawn, "the vendor withdrew it"
	case matter == 0:
		us.Status, us.Text = NoPackage, s.whyNone(u, us.Packages)
	}
	return us
}

// why says what a package waits for that nobody has staged yet.
func (s *State) why(p *live.Package) string {
	if s.transit == nil {
		return ""
	}
	for _, f := range p.Files {
		w := wanted{File: f, pack: p.ID}
		if at, known := s.transit.File(w.sum()); known && at.Why != "" {
			return at.Why
		}
	}
	return ""
}

// awaits sums up how far the packages of an update are.
func (us *UpdateStatus) awaits(s *State) {
	var files []catalog.StagedFile
	for i := range us.Packages {
		if ps := &us.Packages[i]; ps.Matters && ps.Payload != nil && s.transit != nil {
			files = append(files, ps.Payload.Files...)
		}
	}
	us.Awaited = s.Awaited(files)
}

func weigh(s Status) int {
	switch s {
	case Refused:
		return 5
	case Failed:
		return 4
	case NotStaged:
		return 3
	case Downloading:
		return 2
	}
	return 1
}

func (s *State) whyNone(u *live.Update, packages []PackageStatus) string {
	if len(packages) > 0 {
		return "none of its packages is neutral or in a managed language (" + strings.Join(s.Languages, ", ") + ")"
	}
	if u.Source == "msrc" {
		return "MSRC files name no payloads; add a package by hand, or import a source that names them"
	}
	return "its vendor names no package"
}

// Counts of a bulletin: its updates, and those of them that are ready. Detectors count as neither.
func (s *State) Counts(v *live.View, bulletin string) (updates, downloaded int) {
	for _, u := range v.UpdatesOf(bulletin) {
		if u.Detector {
			continue
		}
		updates++
		if s.Update(v, u).Status == Ready {
			downloaded++
		}
	}
	return updates, downloaded
}
