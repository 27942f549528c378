package cab_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"thatch/catalog/importer/cab"
	"thatch/catalog/importer/cab/cabtest"
)

// text is compressible, and refers back over the edges of blocks.
func text(seed uint64, size int) []byte {
	source := rand.New(rand.NewPCG(seed, 1))
	var out []byte
	for len(out) < size {
		out = fmt.Appendf(out, "<Rule Path=\"%d\" Version=\"%d.0\"/>\n", source.IntN(9999), source.IntN(50))
	}
	return out[:size]
}

func readAll(r io.Reader) (map[string][]byte, error) {
	c, err := cab.NewReader(r)
	if err != nil {
		return nil, err
	}
	found := map[string][]byte{}
	for {
		file, err := c.Next()
		if errors.Is(err, io.EOF) {
			return found, nil
		}
		if err != nil {
			return found, err
		}
		content, err := io.ReadAll(c)
		if err != nil {
			return found, err
		}
		if int64(len(content)) != file.Size {
			return found, fmt.Errorf("%s has %d bytes, want %d", file.Name, len(content), file.Size)
		}
		found[file.Name] = content
	}
}

func TestRead(t *testing.T) {
	files := []cabtest.File{
		{Name: "a.xml", Content: text(1, 100_000)},
		{Name: `V2\00000000.sdp`, Content: text(2, 10)},
		{Name: "empty", Content: nil},
		{Name: "größe.sdp", Content: text(3, 32<<10)},
		{Name: "last", Content: text(4, 70_001)},
	}
	for _, opts := range []cabtest.Options{
		{}, {Method: 1}, {Method: 1, PerFolder: 1}, {PerFolder: 2, Reserve: 7}, {Method: 1, Reserve: 20, NoSums: true}, {Method: 1, PerFolder: 3},
	} {
		found, err := readAll(bytes.NewReader(cabtest.Write(files, opts)))
		if err != nil {
			t.Errorf("%+v: %v", opts, err)
			continue
		}
		for _, f := range files {
			if got := found[strings.ReplaceAll(f.Name, `\`, "/")]; !bytes.Equal(got, f.Content) {
				t.Errorf("%+v: %s has %d bytes, want %d", opts, f.Name, len(got), len(f.Content))
			}
		}
	}
}

// Members may be stepped over or read in part.
func TestSkip(t *testing.T) {
	files := []cabtest.File{{Name: "a", Content: text(1, 50_000)}, {Name: "b", Content: text(2, 60_000)}, {Name: "c", Content: text(3, 5)}}
	c, err := cab.NewReader(bytes.NewReader(cabtest.Write(files, cabtest.Options{Method: 1, PerFolder: 2})))
	if err != nil {
		t.Fatal(err)
	}
	if len(c.Files()) != 3 {
		t.Errorf("files: %+v", c.Files())
	}
	if n, err := c.Read(make([]byte, 1)); n != 0 || !errors.Is(err, io.EOF) {
		t.Errorf("before the first member: %d, %v", n, err)
	}
	for _, f := range files {
		got, err := c.Next()
		if err != nil || got.Name != f.Name {
			t.Fatalf("%+v, %v", got, err)
		}
		head := make([]byte, 3)
		if _, err := io.ReadFull(c, head); err != nil || !bytes.Equal(head, f.Content[:3]) {
			t.Errorf("%s begins with %q, %v", f.Name, head, err)
		}
	}
	if _, err := c.Next(); !errors.Is(err, io.EOF) {
		t.Errorf("after the last member: %v", err)
	}
}

func TestBroken(t *testing.T) {
	files := []cabtest.File{{Name: "a", Content: text(1, 40_000)}, {Name: "b", Content: text(2, 20_000)}}
	whole := cabtest.Write(files, cabtest.Options{Method: 1})
	le := binary.LittleEndian
	change := func(at int, with func([]byte)) []byte {
		out := bytes.Clone(whole)
		with(out[at:])
		return out
	}
	for name, c := range map[string]struct {
		cab  []byte
		want error
	}{
		"empty":               {nil, cab.ErrFormat},
		"another format":      {[]byte("PK\x03\x04 and more than thirty-six bytes of it"), cab.ErrFormat},
		"header alone":        {whole[:36], cab.ErrFormat},
		"cut in the tables":   {whole[:60], cab.ErrFormat},
		"cut in the data":     {whole[:len(whole)-1], cab.ErrFormat},
		"one of a set":        {change(30, func(b []byte) { b[0] = 1 }), cab.ErrSet},
		"continued":           {change(36+8+8, func(b []byte) { le.PutUint16(b, 0xfffe) }), cab.ErrSet},
		"folder of no number": {change(36+8+8, func(b []byte) { le.PutUint16(b, 3) }), cab.ErrFormat},
		"files before header": {change(16, func(b []byte) { le.PutUint32(b, 10) }), cab.ErrFormat},
		"data before tables":  {change(36, func(b []byte) { le.PutUint32(b, 10) }), cab.ErrFormat},
		"wrong byte":          {change(len(whole)-5, func(b []byte) { b[0] ^= 1 }), cab.ErrFormat},
		"larger member":       {change(36+8, func(b []byte) { le.PutUint32(b, 1<<30) }), cab.ErrFormat},
		"behind its folder":   {change(36+8+4, func(b []byte) { le.PutUint32(b, 1<<30) }), cab.ErrFormat},
		"LZX":                 {cabtest.Write(files, cabtest.Options{Method: 3}), cab.ErrMethod},
		"Quantum":             {cabtest.Write(files, cabtest.Options{Method: 2}), cab.ErrMethod},
		"name without an end": {append(bytes.Clone(whole[:60]), bytes.Repeat([]byte("n"), 3000)...), cab.ErrFormat},
	} {
		if _, err := readAll(bytes.NewReader(c.cab)); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
}

// Every bit of a cabinet that is wrong, every byte that is missing at its end: an error of a known kind, or the members
// as they were written; wrong bytes of data never pass, for blocks have checksums.
func TestEveryBitAndEveryCut(t *testing.T) {
	files := []cabtest.File{{Name: "a.xml", Content: text(1, 400)}, {Name: "V2/b.sdp", Content: text(2, 200)}}
	for _, method := range []uint16{0, 1} {
		whole := cabtest.Write(files, cabtest.Options{Method: method})
		want, err := readAll(bytes.NewReader(whole))
		if err != nil {
			t.Fatal(err)
		}
		data := int(binary.LittleEndian.Uint32(whole[36:])) // where the first folder's blocks begin
		known := func(err error) bool {
			return errors.Is(err, cab.ErrFormat) || errors.Is(err, cab.ErrMethod) || errors.Is(err, cab.ErrSet)
		}
		for at := range whole {
			if _, err := readAll(bytes.NewReader(whole[:at])); !errors.Is(err, cab.ErrFormat) {
				t.Errorf("method %d, cut at byte %d: %v", method, at, err)
			}
			for bit := range 8 {
				bad := bytes.Clone(whole)
				bad[at] ^= 1 << bit
				got, err := readAll(bytes.NewReader(bad))
				switch {
				case err != nil && !known(err):
					t.Errorf("method %d, bit %d of byte %d: %v", method, bit, at, err)
				case err == nil && at >= data && !maps.EqualFunc(got, want, bytes.Equal):
					t.Errorf("method %d, bit %d of byte %d: other members without an error", method, bit, at)
				}
			}
		}
	}
}

// A member that is not read leaves the others readable.
func TestMethodOfOneFolder(t *testing.T) {
	whole := cabtest.Write([]cabtest.File{{Name: "a", Content: text(1, 100)}, {Name: "b", Content: text(2, 100)}}, cabtest.Options{PerFolder: 1})
	whole[36+6] = 3
	c, err := cab.NewReader(bytes.NewReader(whole))
	if err != nil {
		t.Fatal(err)
	}
	if file, err := c.Next(); !errors.Is(err, cab.ErrMethod) || file.Name != "a" {
		t.Errorf("%+v, %v", file, err)
	}
	if _, err := c.Next(); err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(c); err != nil || !bytes.Equal(got, text(2, 100)) {
		t.Errorf("%q, %v", got, err)
	}
}

func TestAnyFiles(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var files []cabtest.File
		for i := range rapid.IntRange(0, 8).Draw(t, "files") {
			size := rapid.OneOf(rapid.IntRange(0, 200), rapid.IntRange(32760, 32776), rapid.IntRange(0, 100_000)).Draw(t, "size")
			files = append(files, cabtest.File{Name: fmt.Sprint(i), Content: text(uint64(i+size), size)})
		}
		opts := cabtest.Options{
			Method: rapid.Uint16Range(0, 1).Draw(t, "method"), PerFolder: rapid.IntRange(0, 3).Draw(t, "folder"), Reserve: rapid.Byte().Draw(t, "reserve"),
		}
		found, err := readAll(bytes.NewReader(cabtest.Write(files, opts)))
		if err != nil || len(found) != len(files) {
			t.Fatalf("%d of %d files, %v", len(found), len(files), err)
		}
		for _, f := range files {
			if !bytes.Equal(found[f.Name], f.Content) {
				t.Fatalf("%s differs", f.Name)
			}
		}
	})
}

// gcab is another hand that packs.
func TestAgainstGcab(t *testing.T) {
	tool, err := exec.LookPath("gcab")
	if err != nil {
		t.Skip("gcab is not installed: cabinets by another hand were not tried")
	}
	for _, flags := range [][]string{{"-cz"}, {"-c"}} {
		dir := t.TempDir()
		args := append(append([]string{}, flags...), "all.cab")
		want := map[string][]byte{}
		for i, size := range []int{0, 5, 200_000, 33_000, 1_000_000} {
			name := fmt.Sprintf("%d.xml", i)
			want[name] = text(uint64(i), size)
			if err := os.WriteFile(filepath.Join(dir, name), want[name], 0o600); err != nil {
				t.Fatal(err)
			}
			args = append(args, name)
		}
		command := exec.Command(tool, args...)
		command.Dir = dir
		if out, err := command.CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		file, err := os.ReadFile(filepath.Join(dir, "all.cab"))
		if err != nil {
			t.Fatal(err)
		}
		found, err := readAll(bytes.NewReader(file))
		if err != nil {
			t.Fatalf("%v: %v", flags, err)
		}
		for name, content := range want {
			if !bytes.Equal(found[name], content) {
				t.Errorf("%v: %s has %d bytes, want %d", flags, name, len(found[name]), len(content))
			}
		}
	}
}

func FuzzReader(f *testing.F) {
	files := []cabtest.File{{Name: "a.xml", Content: text(1, 3000)}, {Name: "V2/b.sdp", Content: text(2, 200)}}
	f.Add(cabtest.Write(files, cabtest.Options{}))
	f.Add(cabtest.Write(files, cabtest.Options{Method: 1, PerFolder: 1, NoSums: true}))
	f.Add(cabtest.Write(files, cabtest.Options{Method: 1, Reserve: 3}))
	f.Add(cabtest.Write(files, cabtest.Options{Method: 3}))
	f.Fuzz(func(t *testing.T, file []byte) {
		c, err := cab.NewReader(bytes.NewReader(file))
		for range 1 << 17 {
			if err != nil && !errors.Is(err, cab.ErrMethod) {
				break
			}
			if _, err = c.Next(); err == nil {
				_, err = io.Copy(io.Discard, c)
			}
		}
		if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, cab.ErrFormat) && !errors.Is(err, cab.ErrSet) && !errors.Is(err, cab.ErrMethod) {
			t.Errorf("an error of no kind: %v", err)
		}
	})
}
