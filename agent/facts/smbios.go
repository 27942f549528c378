package facts

import (
	"encoding/hex"
	"fmt"
	"strings"
)

// firmware is what the System Information structure (type 1) of the SMBIOS says (DMTF DSP0134, section 7.2).
type firmware struct {
	Manufacturer, Model, Serial, UUID string
}

// parseSMBIOS reads the structure table. Each structure is a formatted part, whose length is its second byte, followed
// by its strings, each ended by a zero, and one more zero.
func parseSMBIOS(table []byte) (found firmware, ok bool) {
	for len(table) >= 4 {
		kind, length := table[0], int(table[1])
		if length < 4 || length > len(table) {
			return firmware{}, false
		}
		formatted := table[:length]
		texts, rest := smbiosStrings(table[length:])
		if kind == 1 && length >= 8 {
			text := func(index byte) string {
				if index == 0 || int(index) > len(texts) {
					return ""
				}
				return known(texts[index-1])
			}
			found = firmware{Manufacturer: text(formatted[4]), Model: text(formatted[5]), Serial: text(formatted[7])}
			if length >= 24 {
				found.UUID = smbiosUUID(formatted[8:24])
			}
			return found, true
		}
		if kind == 127 { // end of table
			break
		}
		table = rest
	}
	return firmware{}, false
}

func smbiosStrings(data []byte) (texts []string, rest []byte) {
	for {
		end := strings.IndexByte(string(data), 0)
		if end < 0 {
			return texts, nil
		}
		if end == 0 {
			// The second zero of a structure without strings belongs to it too.
			if len(texts) == 0 && len(data) > 1 {
				return texts, data[2:]
			}
			return texts, data[1:]
		}
		texts = append(texts, string(data[:end]))
		data = data[end+1:]
	}
}

// smbiosUUID writes the UUID as vendors print it: the first three fields are little-endian since SMBIOS 2.6. All
// zeroes and all ones mean that there is none.
func smbiosUUID(raw []byte) string {
	if same(raw, 0) || same(raw, 0xff) {
		return ""
	}
	b := [16]byte{raw[3], raw[2], raw[1], raw[0], raw[5], raw[4], raw[7], raw[6]}
	copy(b[8:], raw[8:])
	return fmt.Sprintf("%s-%s-%s-%s-%s", hex.EncodeToString(b[:4]), hex.EncodeToString(b[4:6]), hex.EncodeToString(b[6:8]),
		hex.EncodeToString(b[8:10]), hex.EncodeToString(b[10:]))
}

func same(raw []byte, value byte) bool {
	for _, b := range raw {
		if b != value {
			return false
		}
	}
	return true
}

// known leaves out what makers write when they write nothing.
func known(text string) string {
	text = strings.TrimSpace(text)
	switch strings.ToLower(strings.Trim(text, ". ")) {
	case "", "to be filled by o.e.m", "default string", "system serial number", "not specified", "not applicable",
		"none", "unknown", "0", "00000000", "0123456789", "system manufacturer", "system product name", "invalid":
		return ""
	}
	return text
}
