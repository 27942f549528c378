// Package authenticode judges the Authenticode signature of a payload: Windows programs (PE), Windows Installer
// packages and patches (compound files), and cabinets. It asks no operating system, so that a node on Linux and an
// agent on Windows judge alike.
package authenticode

import (
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/sassoftware/relic/v7/lib/pkcs9"

	"thatch/catalog"
)

// The verdicts against a file; all are wrapped with its name and what was found.
var (
	// ErrFormat says that a file is of no format that carries a signature known here.
	ErrFormat = errors.New("no format that carries an Authenticode signature")
	// ErrUnsigned says that a file could carry a signature and carries none.
	ErrUnsigned = errors.New("file is not signed")
	// ErrTampered says that a signature is there and does not hold: the file was changed, or the signature is broken.
	ErrTampered = errors.New("signature does not hold")
	// ErrUntrusted says that the signature holds and nobody here trusts its signer.
	ErrUntrusted = errors.New("signer is not trusted")
)

// Trust says whose signatures are good. With nothing in it nobody's are.
type Trust struct {
	Roots        string   `json:"roots,omitempty"`        // PEM of root certificates, for signers and for time stamps
	Fingerprints []string `json:"fingerprints,omitempty"` // SHA-256 of certificates in a file that are trusted: signers or authorities
	System       bool     `json:"system,omitempty"`       // trust the operating system's roots too
}

// OfSite is the trust list of a site, which its node and its agents share, so that what is staged is installed too. What
// a site names stands in place of the system's roots; where it names nobody, the system's roots count.
func OfSite(fingerprints []string, roots string) Trust {
	none := len(fingerprints) == 0 && strings.TrimSpace(roots) == ""
	return Trust{Fingerprints: fingerprints, Roots: roots, System: none}
}

// Verifier judges files by one trust list. It is safe for use by several at once.
type Verifier struct {
	roots  *x509.CertPool
	pinned map[string]bool
	now    func() time.Time
}

// New reads a trust list. A nil clock is the computer's.
func New(trust Trust, now func() time.Time) (*Verifier, error) {
	v := &Verifier{roots: x509.NewCertPool(), pinned: map[string]bool{}, now: now}
	if v.now == nil {
		v.now = time.Now
	}
	if trust.System {
		system, err := x509.SystemCertPool()
		if err != nil {
			return nil, fmt.Errorf("trust list: the system's roots: %w", err)
		}
		v.roots = system
	}
	if strings.TrimSpace(trust.Roots) != "" && !v.roots.AppendCertsFromPEM([]byte(trust.Roots)) {
		return nil, errors.New("trust list: no certificate in PEM form among the roots")
	}
	for _, text := range trust.Fingerprints {
		plain := strings.ToLower(strings.NewReplacer(":", "", " ", "").Replace(text))
		if raw, err := hex.DecodeString(plain); err != nil || len(raw) != sha256.Size {
			return nil, fmt.Errorf("trust list: fingerprint %.80q is no SHA-256 in hexadecimal", text)
		}
		v.pinned[plain] = true
	}
	return v, nil
}

// VerifyFile judges a file on disk; see Verify.
func (v *Verifier) VerifyFile(path string) (catalog.Signer, error) {
	file, err := os.Open(path)
	if err != nil {
		return catalog.Signer{}, fmt.Errorf("verify signature: %w", err)
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return catalog.Signer{}, fmt.Errorf("verify signature: %w", err)
	}
	return v.Verify(file, info.Size(), filepath.Base(path))
}

// Verify judges a file of the given size and returns its signer. The format is told by the first bytes; a file whose
// name promises a format that it has not is ErrTampered. Of several signatures one good one is enough, but none may
// be false.
func (v *Verifier) Verify(r io.ReaderAt, size int64, name string) (catalog.Signer, error) {
	check, err := detect(r, size, name)
	if err != nil {
		return catalog.Signer{}, fmt.Errorf("%s: %w", name, err)
	}
	signatures, err := guarded(check, r, size)
	if err != nil {
		if errors.Is(err, ErrUnsigned) {
			return catalog.Signer{}, fmt.Errorf("%s: %w", name, ErrUnsigned)
		}
		return catalog.Signer{}, fmt.Errorf("%s: %w: %w", name, ErrTampered, err)
	}
	var refused []error
	for _, signature := range signatures {
		if err := v.trusts(signature); err != nil {
			refused = append(refused, err)
			continue
		}
		return signer(signature.Certificate), nil
	}
	return catalog.Signer{}, fmt.Errorf("%s: %w: %w", name, ErrUntrusted, errors.Join(refused...))
}

func signer(cert *x509.Certificate) catalog.Signer {
	return catalog.Signer{Subject: cert.Subject.String(), Fingerprint: Fingerprint(cert)}
}

// Fingerprint is the SHA-256 of a certificate as trust lists name it.
func Fingerprint(cert *x509.Certificate) string {
	sum := sha256.Sum256(cert.Raw)
	return hex.EncodeToString(sum[:])
}

// checker verifies the digests and signatures of one format, no chains.
type checker func(r io.ReaderAt, size int64) ([]pkcs9.TimestampedSignature, error)

// promises maps endings of names to the format they promise.
var promises = map[string]string{
	".exe": "program", ".dll": "program", ".sys": "program", ".msi": "installer package", ".msp": "installer package",
	".cab": "cabinet",
}

func detect(r io.ReaderAt, size int64, name string) (checker, error) {
	head := make([]byte, 8)
	n, err := r.ReadAt(head, 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	format, check := "", checker(nil)
	switch text := string(head[:n]); {
	case strings.HasPrefix(text, "MZ"):
		format, check = "program", checkPE
	case text == "\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1":
		format, check = "installer package", checkMSI
	case strings.HasPrefix(text, "MSCF"):
		format, check = "cabinet", checkCab
	}
	promised := promises[strings.ToLower(filepath.Ext(name))]
	switch {
	case promised != "" && promised != format:
		return nil, fmt.Errorf("%w: named as a %s, it is none (%d bytes)", ErrTampered, promised, size)
	case check == nil:
		return nil, ErrFormat
	}
	return check, nil
}

// guarded turns a panic of the parsers, which a file made for that purpose can cause, into a verdict.
func guarded(check checker, r io.ReaderAt, size int64) (found []pkcs9.TimestampedSignature, err error) {
	defer func() {
		if broken := recover(); broken != nil {
			found, err = nil, fmt.Errorf("malformed file: %v", broken)
		}
	}()
	return check(r, size)
}

// trusts holds the signer's chain against the trust list: at the time of a good time stamp, else now.
func (v *Verifier) trusts(signature pkcs9.TimestampedSignature) error {
	at := v.now()
	if stamp := signature.CounterSignature; stamp != nil {
		// A stamp that nobody trusts proves nothing, and its absence could be forged by removing it.
		if v.chain(stamp.Certificate, stamp.Intermediates, x509.ExtKeyUsageTimeStamping, stamp.SigningTime) == nil {
			at = stamp.SigningTime
		}
	}
	err := v.chain(signature.Certificate, signature.Intermediates, x509.ExtKeyUsageCodeSigning, at)
	if err != nil {
		return fmt.Errorf("%s (SHA-256 %s): %w", signature.Certificate.Subject, Fingerprint(signature.Certificate), err)
	}
	return nil
}

func (v *Verifier) chain(leaf *x509.Certificate, others []*x509.Certificate, usage x509.ExtKeyUsage, at time.Time) error {
	roots, between := v.roots, x509.NewCertPool()
	for _, cert := range slices.Concat([]*x509.Certificate{leaf}, others) {
		if v.pinned[Fingerprint(cert)] {
			if roots == v.roots {
				roots = roots.Clone()
			}
			roots.AddCert(cert)
			continue
		}
		between.AddCert(cert)
	}
	_, err := leaf.Verify(x509.VerifyOptions{
		Roots: roots, Intermediates: between, CurrentTime: at, KeyUsages: []x509.ExtKeyUsage{usage},
	})
	return err
}
