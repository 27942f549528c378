package facts

import (
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"unicode/utf16"
	"unsafe"

	"golang.org/x/sys/windows"
	"golang.org/x/sys/windows/registry"

	"thatch/catalog/rule"
)

func ptr(buffer []byte) unsafe.Pointer         { return unsafe.Pointer(unsafe.SliceData(buffer)) }
func unsafePtr[T any](value *T) unsafe.Pointer { return unsafe.Pointer(value) }

// maxValue bounds a registry value that is read, in bytes.
const maxValue = 4 << 20

// winRegistry reads HKEY_LOCAL_MACHINE.
type winRegistry struct{}

func (winRegistry) open(view rule.View, path string) (registry.Key, bool, error) {
	access := uint32(registry.QUERY_VALUE | registry.ENUMERATE_SUB_KEYS)
	if view == rule.WOW64 {
		access |= registry.WOW64_32KEY
	} else {
		access |= registry.WOW64_64KEY
	}
	path = strings.Trim(path, `\`)
	key, err := registry.OpenKey(registry.LOCAL_MACHINE, path, access)
	switch {
	case err == nil:
		return key, true, nil
	case errors.Is(err, registry.ErrNotExist), errors.Is(err, windows.ERROR_PATH_NOT_FOUND), errors.Is(err, windows.ERROR_BAD_PATHNAME):
		return 0, false, nil
	}
	return 0, false, untold(`registry key HKLM\%s: %w`, path, err)
}

// Key implements rule.Registry.
func (r winRegistry) Key(view rule.View, path string) (bool, error) {
	key, exists, err := r.open(view, path)
	if exists {
		_ = key.Close()
	}
	return exists, err
}

// Subkeys implements rule.Registry.
func (r winRegistry) Subkeys(view rule.View, path string) ([]string, bool, error) {
	key, exists, err := r.open(view, path)
	if !exists {
		return nil, false, err
	}
	defer key.Close()
	names, err := key.ReadSubKeyNames(-1)
	if err != nil {
		return nil, false, untold(`subkeys of HKLM\%s: %w`, path, err)
	}
	return names, true, nil
}

// Value implements rule.Registry.
func (r winRegistry) Value(view rule.View, path, name string) (rule.Value, bool, error) {
	key, exists, err := r.open(view, path)
	if !exists {
		return rule.Value{}, false, err
	}
	defer key.Close()
	raw, kind, exists, err := rawValue(key, name)
	if err != nil {
		return rule.Value{}, false, untold(`registry value HKLM\%s, %q: %w`, path, name, err)
	}
	if !exists {
		return rule.Value{}, false, nil
	}
	return decodeValue(raw, kind), true, nil
}

func rawValue(key registry.Key, name string) (raw []byte, kind uint32, exists bool, err error) {
	size := 256
	for {
		buffer := make([]byte, size)
		n, kind, err := key.GetValue(name, buffer)
		switch {
		case err == nil:
			return buffer[:n], kind, true, nil
		case errors.Is(err, registry.ErrNotExist):
			return nil, 0, false, nil
		case !errors.Is(err, registry.ErrShortBuffer):
			return nil, 0, false, err
		case size >= maxValue:
			return nil, 0, false, fmt.Errorf("it is larger than %d bytes", maxValue)
		}
		// Another program may make it longer between two calls.
		size = min(max(n, 2*size), maxValue)
	}
}

var valueTypes = map[uint32]string{
	registry.NONE: "REG_NONE", registry.SZ: "REG_SZ", registry.EXPAND_SZ: "REG_EXPAND_SZ", registry.BINARY: "REG_BINARY",
	registry.DWORD: "REG_DWORD", registry.DWORD_BIG_ENDIAN: "REG_DWORD_BIG_ENDIAN", registry.LINK: "REG_LINK",
	registry.MULTI_SZ: "REG_MULTI_SZ", registry.RESOURCE_LIST: "REG_RESOURCE_LIST",
	registry.FULL_RESOURCE_DESCRIPTOR: "REG_FULL_RESOURCE_DESCRIPTOR", registry.QWORD: "REG_QWORD",
}

func decodeValue(raw []byte, kind uint32) rule.Value {
	value := rule.Value{Type: valueTypes[kind], Data: raw}
	if value.Type == "" {
		value.Type = fmt.Sprintf("REG_%d", kind)
	}
	switch {
	case kind == registry.DWORD && len(raw) == 4:
		value.Data = binary.LittleEndian.Uint32(raw)
	case kind == registry.QWORD && len(raw) == 8:
		value.Data = binary.LittleEndian.Uint64(raw)
	case kind == registry.SZ || kind == registry.EXPAND_SZ:
		text, _, _ := strings.Cut(wide(raw), "\x00")
		value.Data = text
	case kind == registry.MULTI_SZ:
		texts := []string{}
		for _, text := range strings.Split(wide(raw), "\x00") {
			if text == "" {
				break
			}
			texts = append(texts, text)
		}
		value.Data = texts
	}
	return value
}

func wide(raw []byte) string {
	units := make([]uint16, 0, len(raw)/2)
	for i := 0; i+1 < len(raw); i += 2 {
		units = append(units, binary.LittleEndian.Uint16(raw[i:]))
	}
	return string(utf16.Decode(units))
}

func (r winRegistry) text(path, name string) string {
	value, _, err := r.Value(rule.Native, path, name)
	if err != nil {
		return ""
	}
	text, _ := value.Data.(string)
	return text
}
