// Package document defines what crosses sites: a head and a verbatim body, held together by a digest and signed by
// the site that made it.
//
// The digest is SHA-256 over the length-prefixed kind, id, languages and body, so that two sites that hold equal
// digests hold equal documents. Bodies are stored and forwarded byte for byte; whoever reads one may ignore fields it
// does not know, but must never write the body again.
package document

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// MaxSize is the largest body, in bytes.
const MaxSize = 512 << 10

const (
	maxName      = 512
	maxLanguages = 256
)

// Kind says what a document is about. Unknown kinds are legal: they are stored and passed on.
type Kind string

// The kinds that this version reads.
const (
	Bulletin   Kind = "bulletin"
	Update     Kind = "update"
	Package    Kind = "package"
	Payload    Kind = "payload"
	Policy     Kind = "policy"
	Window     Kind = "window"
	Severity   Kind = "severity"
	Assignment Kind = "assignment"
	SigningKey Kind = "signing-key"
	// The documents in which sites tell of themselves: see catalog/federation.
	Site          Kind = "site"
	LanguageAlert Kind = "language-alert"
	PolicyState   Kind = "policy-state"
	Health        Kind = "health"
	RollUp        Kind = "roll-up"
	Computer      Kind = "computer"
	Machines      Kind = "machines"
	Moved         Kind = "moved"
)

// ErrDigest says that a document's bytes do not hash to the digest in its head.
var ErrDigest = errors.New("document does not match its digest")

// ErrSignature says that a document was not signed by the key it was held against.
var ErrSignature = errors.New("document is not signed by its origin")

// Digest is the SHA-256 of a document.
type Digest [sha256.Size]byte

// String is the digest as 64 lower-case hexadecimal digits.
func (d Digest) String() string { return hex.EncodeToString(d[:]) }

// MarshalText implements encoding.TextMarshaler.
func (d Digest) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (d *Digest) UnmarshalText(text []byte) error {
	parsed, err := ParseDigest(string(text))
	if err != nil {
		return err
	}
	*d = parsed
	return nil
}

// ParseDigest reads 64 hexadecimal digits.
func ParseDigest(text string) (Digest, error) {
	var d Digest
	raw, err := hex.DecodeString(text)
	if err != nil || len(raw) != len(d) {
		return d, fmt.Errorf("digest %.80q: want %d hexadecimal digits", text, 2*len(d))
	}
	copy(d[:], raw)
	return d, nil
}

// Head is everything of a document but its body. A change of head alone is a change.
type Head struct {
	Kind      Kind     `json:"kind"`
	ID        string   `json:"id"`
	Languages []string `json:"languages,omitempty"` // lower-case BCP 47, sorted, unique; empty: neutral
	Digest    Digest   `json:"digest"`
	Origin    string   `json:"origin"` // id of the site that made it
	Signature []byte   `json:"signature,omitempty"`
}

// Document is a head with its body.
type Document struct {
	Head
	Body []byte `json:"body"`
}

// New makes an unsigned document and computes its digest. Languages are normalised; the slice given is not changed.
func New(kind Kind, id string, languages []string, body []byte) (Document, error) {
	normal, err := NormalLanguages(languages)
	if err != nil {
		return Document{}, fmt.Errorf("document %s %q: %w", kind, id, err)
	}
	doc := Document{Head: Head{Kind: kind, ID: id, Languages: normal}, Body: body}
	if err := doc.checkSize(); err != nil {
		return Document{}, err
	}
	doc.Digest = doc.compute()
	return doc, nil
}

// NormalLanguages returns the tags lower-cased, sorted and unique.
func NormalLanguages(languages []string) ([]string, error) {
	if len(languages) == 0 {
		return nil, nil
	}
	if len(languages) > maxLanguages {
		return nil, fmt.Errorf("%d languages, at most %d are allowed", len(languages), maxLanguages)
	}
	normal := make([]string, 0, len(languages))
	for _, tag := range languages {
		lower := strings.ToLower(strings.TrimSpace(tag))
		if !isTag(lower) {
			return nil, fmt.Errorf("language %.40q is no BCP 47 tag such as \"de\" or \"pt-br\"", tag)
		}
		normal = append(normal, lower)
	}
	slices.Sort(normal)
	return slices.Compact(normal), nil
}

func isTag(tag string) bool {
	if len(tag) < 2 || len(tag) > 35 {
		return false
	}
	for _, part := range strings.Split(tag, "-") {
		if part == "" || len(part) > 8 {
			return false
		}
		for _, r := range part {
			if (r < 'a' || r > 'z') && (r < '0' || r > '9') {
				return false
			}
		}
	}
	return tag[0] >= 'a'
}

// Sign sets origin and signature.
func (d *Document) Sign(origin string, key ed25519.PrivateKey) {
	d.Origin = origin
	d.Signature = ed25519.Sign(key, d.Digest[:])
}

// Verify recomputes the digest from what the document really holds and checks the signature over it. It returns
// ErrDigest or ErrSignature, wrapped with the document's name.
func (d *Document) Verify(key ed25519.PublicKey) error {
	if err := d.VerifyDigest(); err != nil {
		return err
	}
	if len(key) != ed25519.PublicKeySize || !ed25519.Verify(key, d.Digest[:], d.Signature) {
		return fmt.Errorf("%s %q of site %q: %w", d.Kind, d.ID, d.Origin, ErrSignature)
	}
	return nil
}

// VerifyDigest recomputes the digest alone.
func (d *Document) VerifyDigest() error {
	if err := d.checkSize(); err != nil {
		return err
	}
	if got := d.compute(); !bytes.Equal(got[:], d.Digest[:]) {
		return fmt.Errorf("%s %q: %w: head says %s, content is %s", d.Kind, d.ID, ErrDigest, d.Digest, got)
	}
	return nil
}

// Matters says whether a document with these languages matters to a site that manages the given ones: it is neutral,
// or they share one. Both lists are normal.
func (h *Head) Matters(managed []string) bool {
	if len(h.Languages) == 0 {
		return true
	}
	for _, tag := range h.Languages {
		if slices.Contains(managed, tag) {
			return true
		}
	}
	return false
}

func (d *Document) checkSize() error {
	switch {
	case d.Kind == "" || len(d.Kind) > 64:
		return fmt.Errorf("document %q: kind %.80q must have 1 to 64 bytes", d.ID, d.Kind)
	case d.ID == "" || len(d.ID) > maxName:
		return fmt.Errorf("document of kind %s: id %.80q must have 1 to %d bytes", d.Kind, d.ID, maxName)
	case len(d.Body) > MaxSize:
		return fmt.Errorf("%s %q: body has %d bytes, at most %d are allowed", d.Kind, d.ID, len(d.Body), MaxSize)
	}
	return nil
}

func (d *Document) compute() Digest {
	hash := sha256.New()
	var size [8]byte
	put := func(field []byte) {
		binary.BigEndian.PutUint64(size[:], uint64(len(field)))
		hash.Write(size[:])
		hash.Write(field)
	}
	put([]byte(d.Kind))
	put([]byte(d.ID))
	put([]byte(strings.Join(d.Languages, ",")))
	put(d.Body)
	return Digest(hash.Sum(nil))
}
