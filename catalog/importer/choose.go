package importer

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Fingerprint joins a file's revision (which may be empty) and whatever else must change the fingerprint: a digest of
// the content, languages, exclusions, the importer's version.
func Fingerprint(revision string, rest ...string) string {
	hash := sha256.New()
	var size [8]byte
	for _, part := range rest {
		binary.BigEndian.PutUint64(size[:], uint64(len(part)))
		hash.Write(size[:])
		hash.Write([]byte(part))
	}
	return strings.ReplaceAll(revision, "|", "/") + "|" + hex.EncodeToString(hash.Sum(nil)[:16])
}

// revisionOf is the revision that a fingerprint was made with.
func revisionOf(fingerprint string) string {
	revision, _, _ := strings.Cut(fingerprint, "|")
	return revision
}

// choose leaves out the files that need no reading: those imported before, older ones than what was imported, and all
// but the newest of several that bear one name.
func (r *run) choose(listed []File, known map[string]string) []File {
	imported := make(map[string]bool, len(known))
	for fingerprint := range maps.Values(known) {
		imported[fingerprint] = true
	}
	newest := make(map[string]int, len(listed))
	for i, f := range listed {
		if best, ok := newest[f.Name]; !ok || f.Revision > listed[best].Revision {
			newest[f.Name] = i
		}
	}
	var files []File
	for i, f := range listed {
		was := revisionOf(known[f.Name])
		switch {
		case newest[f.Name] != i:
			r.report.warn(Warning{
				File: f.Name, Kind: "duplicate-file",
				Text: fmt.Sprintf("%s is left out: %s is the same vendor file at revision %q", f.Path, listed[newest[f.Name]].Path, listed[newest[f.Name]].Revision),
			})
		case imported[f.Fingerprint]:
		case !f.Guessed && f.Revision != "" && f.Revision < was:
			r.report.warn(older(f, f.Name, was))
		default:
			files = append(files, f)
		}
	}
	r.report.start(len(listed), len(listed)-len(files))
	return slices.Clip(files)
}

// older says that a newer revision of a file was imported before.
func older(f File, name, was string) Warning {
	return Warning{
		File: name, Kind: "older-revision",
		Text: fmt.Sprintf("%s is revision %q; the newer %q was imported before and stays", f.Path, f.Revision, was),
	}
}

// settle finds what a file that was read is called, and which keys it named before. A guessed name that stands for a
// file with other keys altogether is that of another vendor's file: the one must not take the place of the other, so
// this one goes by its place.
func (r *run) settle(ctx context.Context, p *parsed) (before []string, err error) {
	if before, err = r.sink.FileKeys(ctx, r.src.Name(), p.name); err != nil || !p.file.Guessed || len(p.parts) == 0 || len(before) == 0 {
		return before, err
	}
	named := make(map[string]bool, len(before))
	for _, key := range before {
		named[key] = true
	}
	if slices.ContainsFunc(p.parts, func(part Part) bool { return named[part.Key] }) {
		return before, nil
	}
	p.name += " (" + p.file.Path + ")"
	return r.sink.FileKeys(ctx, r.src.Name(), p.name)
}
