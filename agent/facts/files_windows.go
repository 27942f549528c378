package facts

import (
	"errors"
	"path/filepath"
	"strings"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/windows"
	"golang.org/x/sys/windows/registry"

	"thatch/catalog/rule"
)

var (
	shell32              = windows.NewLazySystemDLL("shell32.dll")
	procSHGetFolderPathW = shell32.NewProc("SHGetFolderPathW")
)

// winFiles reads files and their version resources.
type winFiles struct{}

// Stat implements rule.Files. Environment variables in the path are expanded.
func (winFiles) Stat(csidl int, path string) (rule.FileInfo, bool, error) {
	whole, exists, err := place(csidl, path)
	if !exists || err != nil {
		return rule.FileInfo{}, false, err
	}
	name, err := windows.UTF16PtrFromString(whole)
	if err != nil {
		return rule.FileInfo{}, false, untold("file %q: %w", whole, err)
	}
	var data syscall.Win32FileAttributeData
	err = windows.GetFileAttributesEx(name, windows.GetFileExInfoStandard, (*byte)(unsafe.Pointer(&data)))
	switch {
	case errors.Is(err, windows.ERROR_FILE_NOT_FOUND), errors.Is(err, windows.ERROR_PATH_NOT_FOUND),
		errors.Is(err, windows.ERROR_INVALID_NAME), errors.Is(err, windows.ERROR_NOT_READY):
		return rule.FileInfo{}, false, nil
	case err != nil:
		return rule.FileInfo{}, false, untold("file %s: %w", whole, err)
	case data.FileAttributes&windows.FILE_ATTRIBUTE_DIRECTORY != 0:
		return rule.FileInfo{}, false, nil
	}
	info := rule.FileInfo{
		Created:  time.Unix(0, data.CreationTime.Nanoseconds()).UTC(),
		Modified: time.Unix(0, data.LastWriteTime.Nanoseconds()).UTC(),
		Size:     int64(data.FileSizeHigh)<<32 | int64(data.FileSizeLow),
	}
	err = readVersion(whole, &info)
	return info, true, err
}

// place joins the folder of a CSIDL number (-1: none) and a path.
func place(csidl int, path string) (whole string, exists bool, err error) {
	if strings.Contains(path, "%") {
		if path, err = registry.ExpandString(path); err != nil {
			return "", false, untold("path %q: %w", path, err)
		}
	}
	if csidl < 0 {
		return path, path != "", nil
	}
	buffer := make([]uint16, windows.MAX_PATH)
	status, _, _ := procSHGetFolderPathW.Call(0, uintptr(csidl), 0, 0, uintptr(unsafe.Pointer(&buffer[0])))
	switch uint32(status) {
	case 0:
		return filepath.Join(windows.UTF16ToString(buffer), strings.TrimLeft(path, `\`)), true, nil
	case 1: // S_FALSE: the folder does not exist
		return "", false, nil
	}
	return "", false, untold("folder of CSIDL %d: SHGetFolderPath returned 0x%08X", csidl, uint32(status))
}

// readVersion fills in version and language from the version resource, where the file has one.
func readVersion(path string, info *rule.FileInfo) error {
	var zero windows.Handle
	size, err := windows.GetFileVersionInfoSize(path, &zero)
	if err != nil || size == 0 {
		if errors.Is(err, windows.ERROR_ACCESS_DENIED) || errors.Is(err, windows.ERROR_SHARING_VIOLATION) {
			return untold("version of %s: %w", path, err)
		}
		return nil // no version resource
	}
	buffer := make([]byte, size)
	if err := windows.GetFileVersionInfo(path, 0, size, ptr(buffer)); err != nil {
		return untold("version of %s: %w", path, err)
	}
	var fixed *windows.VS_FIXEDFILEINFO
	var length uint32
	if err := windows.VerQueryValue(ptr(buffer), `\`, unsafe.Pointer(&fixed), &length); err == nil && uintptr(length) >= unsafe.Sizeof(*fixed) {
		info.Version = [4]uint16{
			uint16(fixed.FileVersionMS >> 16), uint16(fixed.FileVersionMS), uint16(fixed.FileVersionLS >> 16), uint16(fixed.FileVersionLS),
		}
	}
	var translation *uint16
	if err := windows.VerQueryValue(ptr(buffer), `\VarFileInfo\Translation`, unsafe.Pointer(&translation), &length); err == nil && length >= 4 {
		info.Language = int(*translation)
	}
	return nil
}
