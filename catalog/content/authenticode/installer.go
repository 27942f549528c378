package authenticode

import (
	"bytes"
	"crypto"
	"encoding/binary"
	"errors"
	"io"
	"slices"

	"github.com/sassoftware/relic/v7/lib/comdoc"
	"github.com/sassoftware/relic/v7/lib/pkcs9"
)

// Streams of an installer package that hold its signature, and the digest of what the first digest leaves out.
const (
	signatureStream = "\x05DigitalSignature"
	extendedStream  = "\x05MsiDigitalSignatureEx"
)

func checkMSI(r io.ReaderAt, size int64) ([]pkcs9.TimestampedSignature, error) {
	if err := checkCompound(r, size); err != nil {
		return nil, err
	}
	file, err := comdoc.ReadFile(r)
	if err != nil {
		return nil, err
	}
	signature, extended, err := signatureStreams(file)
	if err != nil {
		return nil, err
	}
	if len(signature) == 0 {
		return nil, ErrUnsigned
	}
	s, err := readSigned(signature)
	if err != nil {
		return nil, err
	}
	digest, err := installerDigest(file, s.hash, extended)
	if err != nil {
		return nil, err
	}
	return []pkcs9.TimestampedSignature{s.TimestampedSignature}, s.covers(digest)
}

// signatureStreams reads both streams; extended is nil where there is none.
func signatureStreams(file *comdoc.ComDoc) (signature, extended []byte, err error) {
	entries, err := file.ListDir(nil)
	if err != nil {
		return nil, nil, err
	}
	for _, entry := range entries {
		var into *[]byte
		switch entry.Name() {
		case signatureStream:
			into = &signature
		case extendedStream:
			into = &extended
		default:
			continue
		}
		if entry.StreamSize > maxSignature {
			return nil, nil, errors.New("its signature is too large")
		}
		stream, err := file.ReadStream(entry)
		if err != nil {
			return nil, nil, err
		}
		if *into, err = io.ReadAll(stream); err != nil {
			return nil, nil, err
		}
		if *into == nil {
			*into = []byte{}
		}
	}
	return signature, extended, nil
}

// installerDigest hashes the contents of all streams, each storage followed by its class; before them, where the package
// has an extended digest, what its folder says of each: that digest must be right as well.
func installerDigest(file *comdoc.ComDoc, hash crypto.Hash, extended []byte) ([]byte, error) {
	d := hash.New()
	if extended != nil {
		about := hash.New()
		if err := walk(file, file.RootStorage(), entryHasher{about}); err != nil {
			return nil, err
		}
		if !bytes.Equal(about.Sum(nil), extended) {
			return nil, errors.New("digest mismatch: its folder is not as it was signed")
		}
		d.Write(extended)
	}
	if err := walk(file, file.RootStorage(), contentHasher{file, d}); err != nil {
		return nil, err
	}
	return d.Sum(nil), nil
}

// visitor is told of a storage before and after what is in it, and of the streams in between.
type visitor interface {
	enter(storage *comdoc.DirEnt)
	stream(*comdoc.DirEnt) error
	leave(storage *comdoc.DirEnt)
}

// walk visits everything but the signature, in the order in which it is hashed.
func walk(file *comdoc.ComDoc, storage *comdoc.DirEnt, v visitor) error {
	entries, err := file.ListDir(storage)
	if err != nil {
		return err
	}
	slices.SortStableFunc(entries, inHashOrder)
	v.enter(storage)
	for _, entry := range entries {
		if name := entry.Name(); name == signatureStream || name == extendedStream {
			continue
		}
		switch entry.Type {
		case comdoc.DirStream:
			err = v.stream(entry)
		case comdoc.DirStorage:
			err = walk(file, entry, v)
		}
		if err != nil {
			return err
		}
	}
	v.leave(storage)
	return nil
}

// inHashOrder compares names by the bytes in which the folder has them.
func inHashOrder(a, b *comdoc.DirEnt) int { return bytes.Compare(nameBytes(a), nameBytes(b)) }

// nameBytes is a name as the folder has it, in UTF-16 of the lower byte first, without the zero at its end.
func nameBytes(entry *comdoc.DirEnt) []byte {
	units := min(int(entry.NameLength)/2, len(entry.NameRunes))
	raw := make([]byte, 0, 2*units)
	for _, unit := range entry.NameRunes[:max(units-1, 0)] {
		raw = binary.LittleEndian.AppendUint16(raw, unit)
	}
	return raw
}

type contentHasher struct {
	file *comdoc.ComDoc
	to   io.Writer
}

func (contentHasher) enter(*comdoc.DirEnt) {}

func (h contentHasher) stream(entry *comdoc.DirEnt) error {
	content, err := h.file.ReadStream(entry)
	if err != nil {
		return err
	}
	_, err = io.Copy(h.to, content)
	return err
}

func (h contentHasher) leave(storage *comdoc.DirEnt) { _, _ = h.to.Write(storage.UID[:]) }

// entryHasher hashes what the folder says: name, class of storages, size of streams, flags, times. The root has neither
// name nor times.
type entryHasher struct{ to io.Writer }

func (h entryHasher) enter(storage *comdoc.DirEnt) { h.entry(storage) }
func (h entryHasher) stream(entry *comdoc.DirEnt) error {
	h.entry(entry)
	return nil
}
func (h entryHasher) leave(*comdoc.DirEnt) {}

func (h entryHasher) entry(entry *comdoc.DirEnt) {
	var raw bytes.Buffer
	_ = binary.Write(&raw, binary.LittleEndian, entry.RawDirEnt) // of fixed size: it does not fail
	field := raw.Bytes()
	var out []byte
	if entry.Type != comdoc.DirRoot {
		out = append(out, nameBytes(entry)...)
	}
	if entry.Type != comdoc.DirStream {
		out = append(out, entry.UID[:]...)
	} else {
		out = append(out, field[120:124]...)
	}
	out = append(out, field[96:100]...)
	if entry.Type != comdoc.DirRoot {
		out = append(out, field[100:116]...)
	}
	_, _ = h.to.Write(out)
}
