package wire

import (
	"fmt"
	"time"

	"thatch/catalog/document"
	"thatch/node/replicas/dataset"
	"thatch/node/sites"
	"thatch/node/store"
)

// Paths of a link, all of them POST but the stream and payloads.
const (
	PathLink       = Prefix + "link"
	PathStream     = Prefix + "stream" // GET
	PathPage       = Prefix + "page"
	PathComplete   = Prefix + "complete"
	PathBodies     = Prefix + "bodies"
	PathUrgent     = Prefix + "urgent"
	PathUp         = Prefix + "up"
	PathBuckets    = Prefix + "buckets"
	PathBucketHead = Prefix + "bucket-heads"
	PathMend       = Prefix + "mend"
	// These are as those without up, about what came up from the child.
	PathUpBuckets    = Prefix + "up/buckets"
	PathUpBucketHead = Prefix + "up/bucket-heads"
	PathUpBodies     = Prefix + "up/bodies"
	PathRan          = Prefix + "ran"
	PathPayload      = Prefix + "payloads/" // GET, followed by the SHA-256 and ?document= the digest of the payload document that names it
)

// Limits of requests.
const (
	MaxRequest = 4 << 20
	MaxDigests = 2000 // of BodiesRequest
	MaxEvent   = 256 << 10
)

// LinkRequest tells the parent who calls, at the beginning of each connection and whenever that changes.
type LinkRequest struct {
	Name      string          `json:"name"`
	Version   string          `json:"version"` // of the program
	Epoch     string          `json:"epoch"`
	Languages []string        `json:"languages"` // managed now
	Kinds     []document.Kind `json:"kinds"`     // upward kinds that the child knows
	At        time.Time       `json:"at"`        // the child's clock: a wrong one is told
	// Orders are the ids of the runs that the calling node was asked for and has not served: the answer names those that it
	// lacks, and those of which nothing is waited for any more. Null: a child of an earlier version, which asks for neither.
	Orders []string `json:"orders"`
}

// LinkResponse is what the parent says of the link.
type LinkResponse struct {
	Site      string                           `json:"site"` // id
	Name      string                           `json:"name"`
	Version   string                           `json:"version"`
	Epoch     string                           `json:"epoch"`
	Languages []string                         `json:"languages"` // that the parent manages
	Rules     []Rule                           `json:"rules"`
	Kinds     []document.Kind                  `json:"kinds"`             // upward kinds that the parent takes
	Cursors   map[dataset.Type]*dataset.Cursor `json:"cursors,omitempty"` // of what went up
	Alerted   bool                             `json:"alerted"`           // the language alert has arrived and says what Languages said
	Compares  bool                             `json:"compares"`          // the parent knows PathUpBuckets: what went up can be verified
	Limits    sites.Limits                     `json:"limits"`
	Alarms    []string                         `json:"alarms,omitempty"` // about this link, at the parent
	Nodes     []string                         `json:"nodes,omitempty"`  // addresses of the parent's nodes: https://HOST:PORT
	Asks
	At time.Time `json:"at"`
}

// Asks are what the parent asks of the node that calls.
type Asks struct {
	Orders []RunOrder `json:"orders,omitempty"` // that the child was asked for, and whose node does not name them
	Over   []string   `json:"over,omitempty"`   // ids of orders that it names, and nobody waits for
	// Wanted are documents of what went up that are in quarantine at the parent and that somebody wants tried again: the child
	// sends what it has of them out of its turn, and says of the others that they are not there.
	Wanted map[dataset.Type][]dataset.Key `json:"wanted,omitempty"`
}

// Sends says whether a rule that is on sends something of a type.
func (l *LinkResponse) Sends(t dataset.Type) bool {
	for _, rule := range l.Rules {
		if rule.Type == t && rule.Enabled {
			return true
		}
	}
	return false
}

// Rule is a replication rule as the child is told of it.
type Rule struct {
	ID         string       `json:"id"`
	Name       string       `json:"name"`
	Type       dataset.Type `json:"type"`
	Enabled    bool         `json:"enabled"`
	Complete   bool         `json:"complete,omitempty"`
	Schedule   string       `json:"schedule"` // recurrence; "" at once
	Verify     int          `json:"verify"`   // percent
	TakesAll   bool         `json:"takes_all"`
	Selected   int          `json:"selected,omitempty"` // documents that it selects
	OfStandard string       `json:"of_standard,omitempty"`
}

// Event is one line of the stream: what is set happened. An event without anything is a sign of life.
type Event struct {
	Tail   *store.Sequence `json:"tail,omitempty"`   // the journal has grown up to here
	Types  []dataset.Type  `json:"types,omitempty"`  // by documents of these types alone; empty: by any
	Link   bool            `json:"link,omitempty"`   // rules, limits or languages of the parent changed: call link again
	Urgent bool            `json:"urgent,omitempty"` // something is to be known at once: call urgent
	Run    *RunOrder       `json:"run,omitempty"`
	Cancel string          `json:"cancel,omitempty"` // id of an ordered run
}

// RunOrder asks the child for a run.
type RunOrder struct {
	ID       string       `json:"id"`
	Type     dataset.Type `json:"type,omitempty"` // empty: all
	Complete bool         `json:"complete,omitempty"`
	Verify   int          `json:"verify"` // percent; -1 as the rule says
	Repair   bool         `json:"repair,omitempty"`
}

// PageRequest asks for what is newer than a cursor.
type PageRequest struct {
	Type      dataset.Type   `json:"type"`
	Cursor    dataset.Cursor `json:"cursor"`
	Languages []string       `json:"languages"`
}

// CompleteRequest asks for the next page of heads of a complete run. The first is asked for with the zero cursor; then
// From and After are the last page's From and Next.
type CompleteRequest struct {
	Type      dataset.Type   `json:"type"`
	From      dataset.Cursor `json:"from,omitzero"`
	After     dataset.Key    `json:"after,omitzero"`
	Languages []string       `json:"languages"`
}

// BodiesRequest asks for documents by digest.
type BodiesRequest struct {
	Type      dataset.Type      `json:"type"`
	Languages []string          `json:"languages"`
	Digests   []document.Digest `json:"digests"`
}

// UrgentRequest asks for what is told ahead of the cursor. Known holds the digests that the child has.
type UrgentRequest struct {
	Languages []string                   `json:"languages"`
	Known     map[string]document.Digest `json:"known,omitempty"` // by policy id, of its state
	Held      []string                   `json:"held,omitempty"`  // ids of policies from above
}

// BucketsRequest asks for the digests of buckets.
type BucketsRequest struct {
	Type      dataset.Type  `json:"type"`
	Languages []string      `json:"languages"`
	Buckets   Numbers       `json:"buckets"`
	Except    []dataset.Key `json:"except,omitempty"` // in quarantine at the child: left out by both
}

// BucketsResponse answers with the state at a sequence. Buckets that hold nothing are left out.
type BucketsResponse struct {
	Sequence store.Sequence    `json:"sequence"`
	Buckets  Buckets           `json:"buckets"`
	Damaged  []dataset.Damaged `json:"damaged,omitempty"` // at the parent, which asks for good copies of them
	Except   []dataset.Key     `json:"except,omitempty"`  // of what came up: in quarantine at the parent, left out by both
}

// BucketHeadsRequest asks for the heads of some buckets.
type BucketHeadsRequest struct {
	Type      dataset.Type  `json:"type"`
	Languages []string      `json:"languages"`
	Buckets   []int         `json:"buckets"`
	Except    []dataset.Key `json:"except,omitempty"`
}

// UpResponse answers a page that went up.
type UpResponse struct {
	Cursor  dataset.Cursor `json:"cursor"`
	Refused []Refusal      `json:"refused,omitempty"`
	// Wanted are documents that could not be judged when they came and may be now: a page without cursors brings them.
	Wanted []document.Digest `json:"wanted,omitempty"`
	Mended int               `json:"mended,omitempty"` // of PathMend: how many of the copies took the place of damaged documents
}

// Refusal is a document that was not taken.
type Refusal struct {
	dataset.Key
	Reason string `json:"reason"`
	// Forbidden says that the sender must not send it; else it could not be accepted.
	Forbidden bool `json:"forbidden,omitempty"`
}

// RanRequest tells of a run that ended, or that an order is done, or refused: Error says why.
type RanRequest struct {
	Run    string       `json:"run"`             // id at the child
	Order  string       `json:"order,omitempty"` // RunOrder.ID
	Type   dataset.Type `json:"type,omitempty"`  // empty: the order is done
	Up     bool         `json:"up,omitempty"`    // a verification of what went up
	State  string       `json:"state"`
	Result RunResult    `json:"result"`
	Error  string       `json:"error,omitempty"`
}

// RunResult is what a run did.
type RunResult struct {
	Type     dataset.Type `json:"type,omitempty"`
	Complete bool         `json:"complete"`
	Why      string       `json:"why,omitempty"` // of a complete run that nobody asked for
	Started  time.Time    `json:"started"`
	Seconds  float64      `json:"seconds"`
	// OutsideWindow says that the link's windows were closed when it began, and that a person wanted it all the same.
	OutsideWindow bool `json:"outside_window,omitempty"`
	Moved
	HandedOver int            `json:"handed_over"`
	Yielded    []dataset.Key  `json:"yielded,omitempty"`
	Refused    []Refusal      `json:"refused,omitempty"` // into quarantine, by this run
	Aside      []dataset.Key  `json:"aside,omitempty"`   // in quarantine after it
	More       map[string]int `json:"more,omitempty"`    // of these lists, and the verification's lines: how many more there are
	Sequence   store.Sequence `json:"sequence"`
	Verified   *Verified      `json:"verified,omitempty"`
}

// Moved is what went over the link.
type Moved struct {
	Pages     int   `json:"pages"`
	Documents int   `json:"documents"`
	Removed   int   `json:"removed"`
	Bytes     int64 `json:"bytes"`      // on the wire, framing included, TLS not
	BodyBytes int64 `json:"body_bytes"` // of bodies, as they are
}

// Verified is the outcome of a verification.
type Verified struct {
	Type        dataset.Type   `json:"type,omitempty"`
	Sequence    store.Sequence `json:"sequence"`
	Percent     int            `json:"percent"`
	Buckets     int            `json:"buckets"`     // compared
	Compared    int            `json:"compared"`    // documents
	Different   int            `json:"different"`   // documents that differed after catching up
	Repaired    int            `json:"repaired"`    // of them
	Quarantined int            `json:"quarantined"` // left out by both
	MendedAbove int            `json:"mended_above,omitempty"`
	DigestHere  string         `json:"digest_here,omitempty"`  // at 100 percent
	DigestThere string         `json:"digest_there,omitempty"` // likewise
	Equal       bool           `json:"equal"`                  // nothing differed, nothing is in quarantine
	Bytes       int64          `json:"bytes"`                  // hashed here
	At          time.Time      `json:"at"`
	Lines       []string       `json:"lines,omitempty"` // what was found, for people
}

// Sentence says what a verification found.
func (v Verified) Sentence() string {
	text := fmt.Sprintf("Verified %d %% of %s at %d.%d: %d documents in %d buckets", v.Percent, v.Type, v.Sequence.Index, v.Sequence.Position, v.Compared, v.Buckets)
	if v.Equal {
		return text + ", equal"
	}
	return text + fmt.Sprintf(", %d differed, %d repaired, %d in quarantine, %d mended at the parent", v.Different, v.Repaired, v.Quarantined, v.MendedAbove)
}
