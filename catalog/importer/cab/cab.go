// Package cab reads Microsoft cabinets ([MS-CAB]) as a stream: stored and MSZIP-compressed members, one after the
// other. Quantum and LZX, and sets of several cabinets, are told and not read.
package cab

import (
	"bufio"
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
)

var (
	// ErrFormat says that a stream is no cabinet, or a broken one.
	ErrFormat = errors.New("broken cabinet")
	// ErrMethod says that a member is compressed by a method that is not read here.
	ErrMethod = errors.New("compression that is not read (Quantum or LZX); pack the cabinet anew with MSZIP")
	// ErrSet says that a cabinet is one of a set.
	ErrSet = errors.New("cabinet is one of a set; join the set into one cabinet")
)

// Magic is how every cabinet begins.
const Magic = "MSCF"

const (
	flagPrevious = 1
	flagNext     = 2
	flagReserve  = 4

	methodMask   = 0x0f
	methodStored = 0
	methodMSZIP  = 1

	attributeUTF8 = 0x80
	maxName       = 1024   // bytes of a member's name
	continued     = 0xfffd // folder numbers from here on point into other cabinets
)

// File is a member.
type File struct {
	Name string // with forward slashes, as the cabinet has it: never use it as a path unchecked
	Size int64  // bytes

	folder int
	offset int64 // in the folder's data
}

// folder is a run of compressed blocks.
type folder struct {
	start  int64 // in the cabinet
	blocks int
	method int
}

// Reader gives the members in the order of their data.
type Reader struct {
	in      *counter
	reserve int // bytes in front of each block's data
	folders []folder
	files   []File
	next    int   // member to be given next
	left    int64 // bytes of the present member not yet read
	data    *blocks
	current int // folder that data reads; -1: none
}

// NewReader reads a cabinet's tables. The stream is read no further than its members need.
func NewReader(r io.Reader) (*Reader, error) {
	c := &Reader{in: &counter{r: bufio.NewReaderSize(r, 64<<10)}, current: -1}
	if err := c.tables(); err != nil {
		return nil, err
	}
	slices.SortStableFunc(c.files, func(a, b File) int {
		return cmp.Or(cmp.Compare(c.folders[a.folder].start, c.folders[b.folder].start), cmp.Compare(a.offset, b.offset))
	})
	return c, nil
}

// Files lists the members in the order in which Next gives them.
func (c *Reader) Files() []File { return slices.Clone(c.files) }

func (c *Reader) tables() error {
	var head [36]byte
	if err := c.in.full(head[:]); err != nil || string(head[:4]) != Magic {
		return fmt.Errorf("%w: no cabinet header", ErrFormat)
	}
	le := binary.LittleEndian
	filesAt, folders, files, flags := int64(le.Uint32(head[16:])), int(le.Uint16(head[26:])), int(le.Uint16(head[28:])), le.Uint16(head[30:])
	if flags&(flagPrevious|flagNext) != 0 {
		return ErrSet
	}
	folderReserve := 0
	if flags&flagReserve != 0 {
		var sizes [4]byte
		if err := c.in.full(sizes[:]); err != nil {
			return err
		}
		folderReserve, c.reserve = int(sizes[2]), int(sizes[3])
		if err := c.in.skip(int64(le.Uint16(sizes[:]))); err != nil {
			return err
		}
	}
	for range folders {
		entry := make([]byte, 8+folderReserve)
		if err := c.in.full(entry); err != nil {
			return err
		}
		c.folders = append(c.folders, folder{
			start: int64(le.Uint32(entry)), blocks: int(le.Uint16(entry[4:])), method: int(le.Uint16(entry[6:])) & methodMask,
		})
	}
	if err := c.in.to(filesAt); err != nil {
		return err
	}
	return c.members(files)
}

func (c *Reader) members(count int) error {
	for range count {
		var entry [16]byte
		if err := c.in.full(entry[:]); err != nil {
			return err
		}
		name, err := c.in.name()
		if err != nil {
			return err
		}
		le := binary.LittleEndian
		number := int(le.Uint16(entry[8:]))
		if number >= continued {
			return ErrSet
		}
		if number >= len(c.folders) {
			return fmt.Errorf("%w: %.80q is in folder %d of %d", ErrFormat, name, number, len(c.folders))
		}
		if le.Uint16(entry[14:])&attributeUTF8 == 0 {
			name = fromLatin(name)
		}
		c.files = append(c.files, File{
			Name: strings.ReplaceAll(name, `\`, "/"), Size: int64(le.Uint32(entry[:])),
			folder: number, offset: int64(le.Uint32(entry[4:])),
		})
	}
	return nil
}

// fromLatin reads a name that is not marked as UTF-8; above ASCII its code page is anybody's guess.
func fromLatin(name string) string {
	var out strings.Builder
	for i := range len(name) {
		out.WriteRune(rune(name[i]))
	}
	return out.String()
}

// Next moves to the next member, which Read then gives; io.EOF after the last. A member that cannot be read is
// returned with ErrMethod, and Next may be called again.
func (c *Reader) Next() (File, error) {
	if c.next >= len(c.files) {
		return File{}, io.EOF
	}
	file := c.files[c.next]
	c.next++
	c.left = 0
	in := c.folders[file.folder]
	if in.method != methodStored && in.method != methodMSZIP {
		return file, fmt.Errorf("member %.80q: %w", file.Name, ErrMethod)
	}
	if file.folder != c.current {
		if err := c.in.to(in.start); err != nil {
			return file, fmt.Errorf("member %.80q: %w", file.Name, err)
		}
		c.current, c.data = file.folder, &blocks{in: c.in, reserve: c.reserve, left: in.blocks, zipped: in.method == methodMSZIP}
	}
	if err := c.data.to(file.offset); err != nil {
		return file, fmt.Errorf("member %.80q: %w", file.Name, err)
	}
	c.left = file.Size
	return file, nil
}

// Read reads the present member.
func (c *Reader) Read(p []byte) (int, error) {
	if c.left == 0 {
		return 0, io.EOF
	}
	if int64(len(p)) > c.left {
		p = p[:c.left]
	}
	n, err := c.data.Read(p)
	c.left -= int64(n)
	if errors.Is(err, io.EOF) {
		err = fmt.Errorf("%w: its data ends early: %w", ErrFormat, io.ErrUnexpectedEOF)
	}
	return n, err
}

// counter knows where in the cabinet it is.
type counter struct {
	r  *bufio.Reader
	at int64
}

func (c *counter) full(p []byte) error {
	n, err := io.ReadFull(c.r, p)
	c.at += int64(n)
	if err != nil {
		return fmt.Errorf("%w: it ends at byte %d: %w", ErrFormat, c.at, io.ErrUnexpectedEOF)
	}
	return nil
}

func (c *counter) skip(n int64) error {
	done, err := io.CopyN(io.Discard, c.r, n)
	c.at += done
	if err != nil {
		return fmt.Errorf("%w: it ends at byte %d: %w", ErrFormat, c.at, io.ErrUnexpectedEOF)
	}
	return nil
}

func (c *counter) to(at int64) error {
	if at < c.at {
		return fmt.Errorf("%w: what should be at byte %d is before byte %d", ErrFormat, at, c.at)
	}
	return c.skip(at - c.at)
}

func (c *counter) name() (string, error) {
	var name []byte
	for len(name) <= maxName {
		b, err := c.r.ReadByte()
		if err != nil {
			return "", fmt.Errorf("%w: it ends at byte %d: %w", ErrFormat, c.at, io.ErrUnexpectedEOF)
		}
		c.at++
		if b == 0 {
			return string(name), nil
		}
		name = append(name, b)
	}
	return "", fmt.Errorf("%w: a name has more than %d bytes", ErrFormat, maxName)
}
