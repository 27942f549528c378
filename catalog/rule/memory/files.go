package memory

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"time"

	"thatch/catalog/rule"
	"thatch/catalog/version"
)

// folders are where Windows puts the folders that rules name by number, unless Files.Folders says otherwise.
var folders = map[int]string{
	35: `C:\ProgramData`, 36: `C:\Windows`, 37: `C:\Windows\System32`, 38: `C:\Program Files`, 41: `C:\Windows\SysWOW64`,
	42: `C:\Program Files (x86)`, 43: `C:\Program Files\Common Files`, 44: `C:\Program Files (x86)\Common Files`,
}

// Files are the files of a computer. Its JSON is
//
//	{"list":[{"csidl":37,"path":"example.dll","version":"1.2.3.4","size":4096}],"folders":{"38":"D:\\Programs"},"partial":true}
//
// where a file may also be {"path":...,"missing":true} or {"path":...,"unreadable":"access denied"}.
type Files struct {
	// Partial says that only the files in the list were looked for. Otherwise what is not there does not exist.
	Partial bool
	// Folders says where the folders with these CSIDL numbers are; common ones are known without.
	Folders map[int]string

	files map[string]*file // by full path in lower case
}

// file is one entry of the list.
type file struct {
	CSIDL      *int       `json:"csidl,omitempty"`
	Path       string     `json:"path"`
	Version    string     `json:"version,omitempty"`
	Created    *time.Time `json:"created,omitempty"`
	Modified   *time.Time `json:"modified,omitempty"`
	Size       int64      `json:"size,omitempty"`
	Language   int        `json:"language,omitempty"`
	Missing    bool       `json:"missing,omitempty"`
	Unreadable string     `json:"unreadable,omitempty"`

	info rule.FileInfo
}

// NewFiles makes a computer without files.
func NewFiles() *Files { return &Files{files: map[string]*file{}} }

// place is the full path in lower case; one below a folder that is not known keeps its number.
func (f *Files) place(csidl int, path string) string {
	path = fold(strings.ReplaceAll(path, "/", `\`))
	if csidl < 0 {
		return path
	}
	folder, known := f.Folders[csidl]
	if !known {
		folder, known = folders[csidl]
	}
	if !known {
		folder = fmt.Sprintf("<%d>", csidl)
	}
	return fold(strings.TrimRight(folder, `\`)) + `\` + strings.TrimLeft(path, `\`)
}

// Put writes a file. Csidl is a number of a folder, or -1 when the path is whole.
func (f *Files) Put(csidl int, path string, info rule.FileInfo) {
	entry := &file{Path: path, Size: info.Size, Language: info.Language, info: info}
	if csidl >= 0 {
		entry.CSIDL = &csidl
	}
	if info.Version != [4]uint16{} {
		entry.Version = version.DottedOf(info.Version).String()
	}
	if !info.Created.IsZero() {
		entry.Created = &info.Created
	}
	if !info.Modified.IsZero() {
		entry.Modified = &info.Modified
	}
	f.keep(entry)
}

// Deny makes a file unreadable.
func (f *Files) Deny(csidl int, path, why string) {
	entry := &file{Path: path, Unreadable: why}
	if csidl >= 0 {
		entry.CSIDL = &csidl
	}
	f.keep(entry)
}

// Delete removes a file; one that is not there is no error.
func (f *Files) Delete(csidl int, path string) {
	entry := &file{Path: path, Missing: true}
	if csidl >= 0 {
		entry.CSIDL = &csidl
	}
	f.keep(entry)
}

func (f *Files) keep(entry *file) {
	if f.files == nil {
		f.files = map[string]*file{}
	}
	f.files[f.place(entry.csidl(), entry.Path)] = entry
}

func (e *file) csidl() int {
	if e.CSIDL == nil {
		return -1
	}
	return *e.CSIDL
}

// Stat implements rule.Files.
func (f *Files) Stat(csidl int, path string) (rule.FileInfo, bool, error) {
	entry, has := f.files[f.place(csidl, path)]
	switch {
	case !has && f.Partial:
		return rule.FileInfo{}, false, notCollected()
	case !has || entry.Missing:
		return rule.FileInfo{}, false, nil
	case entry.Unreadable != "":
		return rule.FileInfo{}, false, errors.New(entry.Unreadable)
	}
	return entry.info, true, nil
}

type filesJSON struct {
	List    []*file        `json:"list"`
	Folders map[int]string `json:"folders,omitempty"`
	Partial bool           `json:"partial,omitempty"`
}

// UnmarshalJSON reads the files. An entry that is not of its form is an error that names it.
func (f *Files) UnmarshalJSON(data []byte) error {
	var form filesJSON
	if err := json.Unmarshal(data, &form); err != nil {
		return fmt.Errorf("files: %w", err)
	}
	*f = Files{Partial: form.Partial, Folders: form.Folders, files: map[string]*file{}}
	for i, entry := range form.List {
		if entry == nil || entry.Path == "" {
			return fmt.Errorf("files: entry %d has no path", i)
		}
		if err := entry.read(); err != nil {
			return fmt.Errorf("files: %s: %w", entry.Path, err)
		}
		f.keep(entry)
	}
	return nil
}

// read fills info from the texts.
func (e *file) read() error {
	e.info = rule.FileInfo{Size: e.Size, Language: e.Language}
	if e.Created != nil {
		e.info.Created = *e.Created
	}
	if e.Modified != nil {
		e.info.Modified = *e.Modified
	}
	if e.Version == "" {
		return nil
	}
	v, err := version.ParseDotted(e.Version)
	if err != nil {
		return err
	}
	for i, part := range v {
		if i >= 4 && part > 0 || part > math.MaxUint16 {
			return fmt.Errorf("version %q: not four numbers up to 65535", e.Version)
		}
		if i < 4 {
			e.info.Version[i] = uint16(part)
		}
	}
	return nil
}

// MarshalJSON writes the files sorted by their place.
func (f *Files) MarshalJSON() ([]byte, error) {
	form := filesJSON{Partial: f.Partial, Folders: f.Folders, List: []*file{}}
	for _, place := range slices.Sorted(maps.Keys(f.files)) {
		form.List = append(form.List, f.files[place])
	}
	return json.Marshal(form)
}
