// Package uploads takes in vendor files that operators send, so that they can be imported: on disk, in a folder of the node,
// until they were.
package uploads

import (
	"bufio"
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/klauspost/compress/gzip"

	"thatch/node/store"
)

// MaxBytes is the largest file that is taken in.
const MaxBytes = 2 << 30

// keep is how long a file stays that no import came to the end of.
const keep = 7 * 24 * time.Hour

// Folder holds files, each in a folder of its own.
type Folder struct {
	Dir string
	Now func() time.Time
}

// kind is what a source's files are.
type kind struct {
	called  string
	endings []string // of names, the first for files whose name has none
	roots   []string // elements that XML begins with
	magic   [][]byte // with which what is no XML begins
}

var kinds = map[string]kind{
	"msrc": {"a CVRF document (.xml, or .gz of one)", []string{".xml", ".gz"}, []string{"cvrfdoc"}, nil},
	"sdp": {
		"an SDP package (.sdp) or a catalog of them (.cab, .zip, .xml)",
		[]string{".xml", ".cab", ".zip", ".sdp", ".gz"},
		[]string{"SystemsManagementCatalog", "SoftwareDistributionPackage"},
		[][]byte{[]byte("MSCF"), []byte("PK\x03\x04")},
	},
}

// Take writes a file to disk and returns where it is. Name is what it is called where it comes from. It is store.ErrInvalid
// where it is none of the source's files.
func (f Folder) Take(source, name string, content io.Reader) (path string, err error) {
	of, known := kinds[source]
	if !known {
		return "", store.Invalid("files of the source %.60q cannot be sent; those of msrc and sdp can", source)
	}
	if name, err = of.name(name); err != nil {
		return "", err
	}
	if err := f.sweep(); err != nil {
		return "", err
	}
	in := bufio.NewReaderSize(content, sniffed)
	if err := of.check(name, in); err != nil {
		return "", err
	}
	dir := filepath.Join(f.Dir, uuid.NewString())
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", fmt.Errorf("take in %s: %w", name, err)
	}
	path = filepath.Join(dir, name)
	if err := write(path, in); err != nil {
		return "", errors.Join(fmt.Errorf("take in %s: %w", name, err), os.RemoveAll(dir))
	}
	return path, nil
}

func write(path string, in io.Reader) error {
	out, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	return errors.Join(err, out.Close())
}

// name is a file's name without its folder.
func (k kind) name(name string) (string, error) {
	name = name[strings.LastIndexAny(name, `/\`)+1:]
	if name == "" || len(name) > 200 || strings.HasPrefix(name, ".") || strings.ContainsFunc(name, func(r rune) bool { return r < ' ' || strings.ContainsRune(`<>:"|?*`, r) }) {
		return "", store.Invalid("%.80q is no name of a file", name)
	}
	ending := strings.ToLower(filepath.Ext(name))
	if ending == "" {
		return name + k.endings[0], nil
	}
	if !slices.Contains(k.endings, ending) {
		return "", store.Invalid("%s: want %s", name, k.called)
	}
	return name, nil
}

// sniffed is how much of a file is looked at.
const sniffed = 64 << 10

// check looks at the beginning of a file.
func (k kind) check(name string, in *bufio.Reader) error {
	head, err := in.Peek(sniffed)
	if err != nil && !errors.Is(err, io.EOF) {
		return fmt.Errorf("take in %s: %w", name, err)
	}
	if len(head) == 0 {
		return store.Invalid("%s is empty; want %s", name, k.called)
	}
	for _, magic := range k.magic {
		if bytes.HasPrefix(head, magic) {
			return nil
		}
	}
	text := head
	if packed, err := gzip.NewReader(bytes.NewReader(head)); err == nil {
		text = make([]byte, sniffed)
		n, _ := io.ReadFull(packed, text) // cut short where head is
		text = text[:n]
	}
	reader := xml.NewDecoder(bytes.NewReader(text))
	reader.CharsetReader = func(_ string, in io.Reader) (io.Reader, error) { return in, nil } // names of elements are plain
	for {
		token, err := reader.RawToken()
		if err != nil {
			return store.Invalid("%s is not what is imported: it begins with %.40q; want %s", name, text, k.called)
		}
		element, begins := token.(xml.StartElement)
		if !begins {
			continue
		}
		if !slices.Contains(k.roots, element.Name.Local) {
			return store.Invalid("%s is not what is imported: its first element is %.60q; want %s", name, element.Name.Local, k.called)
		}
		return nil
	}
}

// Done removes a file that was imported; a path elsewhere stays as it is.
func (f Folder) Done(path string) error {
	if f.Holds(path) {
		return os.RemoveAll(filepath.Dir(path))
	}
	return nil
}

// Holds says whether a path is that of a file taken in.
func (f Folder) Holds(path string) bool {
	return filepath.IsAbs(path) && filepath.Dir(filepath.Dir(filepath.Clean(path))) == filepath.Clean(f.Dir)
}

// sweep removes what is left of imports that never came to an end.
func (f Folder) sweep() error {
	entries, err := os.ReadDir(f.Dir)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	for _, entry := range entries {
		if info, failed := entry.Info(); failed == nil && f.Now().Sub(info.ModTime()) > keep {
			err = errors.Join(err, os.RemoveAll(filepath.Join(f.Dir, entry.Name())))
		}
	}
	return err
}
