package winetest

import "encoding/binary"

// forwarder writes a DLL without code, whose one export ProcessPrng is a forwarder to SystemFunction036 of
// advapi32.dll: programs made by Go ask bcryptprimitives.dll for random bytes, which Wine 8 does not have. The layout is
// that of Microsoft's "PE Format": headers, and one section with the export directory and its texts.
func forwarder() []byte {
	const (
		section   = 0x1000 // address of the section in memory
		raw       = 0x200  // and in the file
		optional  = 0x58   // the optional header
		table     = optional + 240
		functions = 0x40 // within the section
		names     = 0x48
		ordinals  = 0x50
		dllName   = 0x60
		export    = 0x80
		target    = 0x90
		end       = 0xb0
	)
	out := make([]byte, 0x400)
	put16 := func(at int, v uint16) { binary.LittleEndian.PutUint16(out[at:], v) }
	put32 := func(at int, v uint32) { binary.LittleEndian.PutUint32(out[at:], v) }
	copy(out, "MZ")
	put32(0x3c, 0x40)
	copy(out[0x40:], "PE\x00\x00")
	put16(0x44, 0x8664) // x64
	put16(0x46, 1)      // sections
	put16(0x54, 240)    // size of the optional header
	put16(0x56, 0x2022) // executable, large addresses, DLL
	put16(optional, 0x20b)
	put32(optional+8, 0x200)
	put32(optional+20, section)
	binary.LittleEndian.PutUint64(out[optional+24:], 0x180000000)
	put32(optional+32, 0x1000) // alignment in memory
	put32(optional+36, 0x200)  // and in the file
	put16(optional+40, 6)
	put16(optional+48, 6)
	put32(optional+56, 0x2000)
	put32(optional+60, raw)
	put16(optional+68, 2)
	put32(optional+108, 16)
	put32(optional+112, section) // export directory
	put32(optional+116, end)
	copy(out[table:], ".rdata")
	put32(table+8, 0x200)
	put32(table+12, section)
	put32(table+16, 0x200)
	put32(table+20, raw)
	put32(table+36, 0x40000040)
	put32(raw+12, section+dllName)
	put32(raw+16, 1) // first ordinal
	put32(raw+20, 1) // functions
	put32(raw+24, 1) // names
	put32(raw+28, section+functions)
	put32(raw+32, section+names)
	put32(raw+36, section+ordinals)
	put32(raw+functions, section+target)
	put32(raw+names, section+export)
	copy(out[raw+dllName:], "bcryptprimitives.dll\x00")
	copy(out[raw+export:], "ProcessPrng\x00")
	copy(out[raw+target:], "advapi32.SystemFunction036\x00")
	return out
}
