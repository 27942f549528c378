// Package importer defines what a source of catalogs is and runs one: it fetches the vendor files that changed,
// parses them as a stream, merges what several files say of the same thing, and hands documents to a sink.
package importer

import (
	"context"
	"io"
	"time"

	"thatch/catalog/document"
)

// Request says what to import and for whom.
type Request struct {
	Source    string    // name of the source: "msrc", "sdp"
	From      string    // file, folder or http(s) location; empty: the vendor's own
	Languages []string  // managed languages of the site
	Exclude   []string  // product families to leave out
	At        time.Time // the run's clock reading
	Limits    Limits    // zero: the defaults
	Scratch   string    // folder for what a run does not hold in memory; empty: the system's own
}

// Limits bound what a run holds in memory and what one save brings. A zero field is its default.
type Limits struct {
	Save  int // bytes of parts in one save: what a file says beyond it waits on disk, and is saved in several
	Keys  int // keys in one save
	Small int // bytes of parts up to which a file is saved together with those beside it; negative: each alone
}

// File is one vendor file, not yet read.
type File struct {
	Name        string // the vendor's id of it where there is one ("2019-Feb"), else its base name
	Guessed     bool   // Name is only what the file is called where it lies: another vendor's may be called so too
	Path        string // where it came from, for messages
	Fingerprint string // changes when the file, our languages, exclusions or the importer change; see Fingerprint
	Revision    string // the vendor's own revision of the file, later ones compare greater; empty where it has none
	Size        int64  // bytes, -1 unknown
	// Open starts reading it, decompressed. It is called at most once.
	Open func(ctx context.Context) (io.ReadCloser, error)
}

// Part is what one vendor file says of one thing (for MSRC: of one KB), encoded by the source for itself.
type Part struct {
	Source string
	File   string // File.Name
	Key    string // "KB4487017", a PackageID
	Body   []byte
}

// MaxPart is the largest body of a part, in bytes. A larger one is not imported, and a failure says so.
const MaxPart = 768 << 10

// Warning is an irregularity that was handled, or an element that was left out.
type Warning struct {
	File    string `json:"file"`
	Element string `json:"element,omitempty"` // where in the file: "Vulnerability CVE-2019-0540, Remediation 3"
	Text    string `json:"text"`              // what, and what was done
	Kind    string `json:"kind"`              // stable name for counting: "supercedence-truncated"
	Failed  bool   `json:"failed,omitempty"`  // something of the file was not imported
	Times   int    `json:"times,omitempty"`   // how often it was seen, where a source says it once for all; 0: once
}

// Source knows one vendor's format. Implementations are safe for use by several runs at once.
type Source interface {
	Name() string
	// Files lists the vendor files at the location, cheaply: only what a fingerprint needs is read.
	Files(ctx context.Context, req Request) ([]File, error)
	// Parse reads one file as a stream and emits its parts; a part's key occurs once, unless the source is a Joiner.
	// The name it returns replaces File.Name where the file itself names its id. With an error, what was emitted
	// before it counts for nothing.
	Parse(ctx context.Context, req Request, file File, emit func(Part) error, warn func(Warning)) (name string, err error)
	// Merge makes the documents of one key from all its parts, given in any order; none means that no file names the
	// key any more, and no document is made. Documents are unsigned.
	Merge(key string, parts []Part, warn func(Warning)) ([]document.Document, error)
}

// Joiner is a Source whose Parse may emit a key more than once, so that it need not hold what it has read.
type Joiner interface {
	// Join makes one body of what one file says of a key, in the order in which it was emitted: two at least. None
	// (nil) means that in the end the file does not name the key.
	Join(key string, bodies [][]byte) ([]byte, error)
}

// Sink keeps what a run brings. What Save wrote is durable when it returns. Cut in the middle it may leave some keys
// written and others not, but never a part without its documents, and never a fingerprint: the files are then done
// again, and end as if nothing had happened.
type Sink interface {
	// Known returns the fingerprint of every file of a source that was imported; see Whole for those that were not
	// imported whole.
	Known(ctx context.Context, source string) (map[string]string, error)
	// Failures returns what could not be imported of files that were.
	Failures(ctx context.Context, source string) ([]Failure, error)
	// Parts returns the parts kept of the given keys, from all files, and the keys that a file named before.
	Parts(ctx context.Context, source string, keys []string) ([]Part, error)
	FileKeys(ctx context.Context, source, file string) ([]string, error)
	// Save puts parts, removes those that are gone, puts documents whose digest is new, and withdraws those of keys
	// that have none any more. It returns how many documents really changed.
	Save(ctx context.Context, s Saved) (changed int, err error)
}

// Preparer is a Sink that can do part of a Save before its turn, while others are being saved. Preparing changes nothing
// that is kept; what it did is used by a Save of the same value.
type Preparer interface {
	Prepare(ctx context.Context, s *Saved) error
}

// Starter is a Sink that can begin a Save while the one before is on its way to the disk. A run begins one only when
// its keys are none of those on their way, and no file is brought to its end while another save of it is; it waits for
// all in the order in which they began. Wait says what Save would; what was begun and fails leaves nothing, as a Save
// does.
type Starter interface {
	Begin(ctx context.Context, s Saved) (wait func() (changed int, err error), err error)
}

// Saved is what one save changes: what a vendor file says, or several small ones, or a portion of what a large one says.
// What it does not name stays as it is.
type Saved struct {
	Source    string
	Files     []FileState
	Keys      []string // every key whose documents are told here: named by the files now or before; sorted
	Parts     []Part   // new ones, and those that take the place of the file's former part of the key
	Gone      []Part   // of which only File and Key count: the file names the key no more
	Documents []Keyed  // of all Keys; documents of a key that are not here any more are withdrawn
	Failures  []Failure
	At        time.Time

	of []*Saved // those that were joined to make this one
}

// FileState is how far a save brings a vendor file.
type FileState struct {
	Name string
	// Fingerprint is empty while more of the file follows. Then, and while a save needs several steps, the file counts
	// as not imported whole, whatever was known of it before (Interrupted).
	Fingerprint string
}

// Failure is what could not be imported of a file that was. It is kept, so that every later run names it that finds the
// file unchanged. A save replaces those without a key of the files that it brings to their end, and those of every key
// that it names.
type Failure struct {
	File     string
	Key      string    // the key that could not be merged; empty: what the file says elsewhere
	Warnings []Warning // all Failed
}

// Keyed is a document with the key it was made for.
type Keyed struct {
	Key string
	document.Document
}

// Progress is how far a run has come.
type Progress struct {
	Files   int    `json:"files"` // to be read or skipped, all of them
	Done    int    `json:"done"`
	Bytes   int64  `json:"bytes"`             // read of vendor files so far
	Current string `json:"current,omitempty"` // the file saved last, or being read
}

// Result is the end of a run.
type Result struct {
	Files     int            `json:"documents"` // vendor files read
	Skipped   int            `json:"skipped"`   // unchanged, or older than what was imported
	Failed    int            `json:"failed"`    // vendor files, or things in them, with an error
	Changed   int            `json:"changed"`   // documents that changed
	Bytes     int64          `json:"bytes"`
	Warnings  []Warning      `json:"warnings"` // the first of each kind; Counts has all
	Counts    map[string]int `json:"warning_counts"`
	StartedAt time.Time      `json:"started_at"`
	EndedAt   time.Time      `json:"ended_at"`
}
