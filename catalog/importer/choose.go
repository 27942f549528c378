package importer

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
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

// Interrupted is what stays known of a file that is being imported, and was imported before: its revision, so that an
// older one does not take its place, and nothing that equals the fingerprint of any file.
func Interrupted(fingerprint string) string { return revisionOf(fingerprint) + "|" }

// Whole says whether a fingerprint is that of a file that was imported whole.
func Whole(fingerprint string) bool { return fingerprint != Interrupted(fingerprint) }

// choose leaves out the files that need no reading: those imported before, older ones than what was imported, and all
// but the newest of several that bear one name.
func (r *run) choose(ctx context.Context, listed []File) ([]File, error) {
	imported := make(map[string]string, len(r.known))
	for name, fingerprint := range r.known {
		if other, twice := imported[fingerprint]; !twice || name < other {
			imported[fingerprint] = name
		}
	}
	newest := make(map[string]int, len(listed))
	for i, f := range listed {
		if best, ok := newest[f.Name]; !ok || f.Revision > listed[best].Revision {
			newest[f.Name] = i
		}
	}
	var files []File
	unchanged := make(map[string]bool)
	for i, f := range listed {
		was := revisionOf(r.known[f.Name])
		same, isSame := imported[f.Fingerprint]
		if r.known[f.Name] == f.Fingerprint {
			same = f.Name
		}
		switch {
		case newest[f.Name] != i:
			r.report.warn(Warning{
				File: f.Name, Kind: "duplicate-file",
				Text: fmt.Sprintf("%s is left out: %s is the same vendor file at revision %q", f.Path, listed[newest[f.Name]].Path, listed[newest[f.Name]].Revision),
			})
		case isSame:
			unchanged[same] = true
		case !f.Guessed && f.Revision != "" && f.Revision < was:
			r.report.warn(older(f, f.Name, was))
		default:
			files = append(files, f)
		}
	}
	r.report.start(len(listed), len(listed)-len(files))
	return slices.Clip(files), r.remind(ctx, unchanged)
}

// remind names once more what could not be imported of the files that are unchanged.
func (r *run) remind(ctx context.Context, unchanged map[string]bool) error {
	if len(unchanged) == 0 {
		return nil
	}
	failures, err := r.sink.Failures(ctx, r.src.Name())
	if err != nil {
		return fmt.Errorf("read what could not be imported of %s before: %w", r.src.Name(), err)
	}
	slices.SortFunc(failures, func(a, b Failure) int { return cmp.Or(cmp.Compare(a.File, b.File), cmp.Compare(a.Key, b.Key)) })
	for _, f := range failures {
		switch {
		case !unchanged[f.File]:
		case f.Key != "":
			r.report.merged(f.Key, f.Warnings) // a merge in this run replaces it
		default:
			r.report.warn(f.Warnings...)
		}
	}
	return nil
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
	before, err = r.sink.FileKeys(ctx, r.src.Name(), p.name)
	if err != nil || !p.file.Guessed || len(p.held.entries) == 0 || len(before) == 0 || slices.ContainsFunc(before, p.held.names) {
		return before, err
	}
	p.name += " (" + p.file.Path + ")"
	return r.sink.FileKeys(ctx, r.src.Name(), p.name)
}
