package sdp

import (
	"archive/zip"
	"bufio"
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"slices"
	"strings"

	"thatch/catalog"
	"thatch/catalog/importer"
	"thatch/catalog/importer/cab"
	"thatch/catalog/importer/sdp/markup"
)

// Parse implements importer.Source. A file is a package, a catalog of them (v1), or a cabinet or zip archive of either
// kind. Only the package being read is held as XML. A package that is broken is left out with a warning; a file that
// is cut short is an error, for what follows the cut must not count as withdrawn.
func (s *Source) Parse(ctx context.Context, req importer.Request, file importer.File, emit func(importer.Part) error, warn func(importer.Warning)) (string, error) {
	stream, err := file.Open(ctx)
	if err != nil {
		return "", err
	}
	defer stream.Close()
	g := &gathering{file: file.Name, warn: warn, emit: emit, scratch: req.Scratch, exclude: exclusions(req.Exclude), seen: map[string]seen{}}
	return "", s.container(ctx, stream, g)
}

// container tells by the first bytes what a stream is.
func (s *Source) container(ctx context.Context, stream io.Reader, g *gathering) error {
	buffered := bufio.NewReaderSize(stream, 64<<10)
	head, _ := buffered.Peek(4)
	switch {
	case string(head) == cab.Magic:
		return s.cabinet(ctx, buffered, g)
	case string(head) == "PK\x03\x04" || string(head) == "PK\x05\x06":
		return s.archive(ctx, buffered, g)
	}
	start, _ := buffered.Peek(1)
	err := g.xml(ctx, buffered)
	if broken := (packageError{}); errors.As(err, &broken) {
		return cmp.Or(misnamed(g.file, start, broken.error), err)
	}
	return err
}

// misnamed is the error of what should have been an archive by its name, and is something else: a web page, or nothing
// at all; nil where it may be the catalog itself.
func misnamed(name string, start []byte, why error) error {
	root := markup.RootError{}
	if string(start) == "<" && !errors.As(why, &root) {
		return nil
	}
	switch strings.ToLower(path.Ext(name)) {
	case ".cab":
		return fmt.Errorf("this is no cabinet: it does not begin with %s; fetch it again", cab.Magic)
	case ".zip":
		return errors.New("this is no zip archive: it does not begin with PK; fetch it again")
	}
	return nil
}

// choose picks the members that make the catalog: the packages of its V2 folder, else all packages, else a catalog
// file (v1). Each would say the same once more.
func choose(names []string) (wanted func(name string) bool, err error) {
	isPackage := func(name string) bool { return strings.EqualFold(path.Ext(name), ".sdp") }
	inV2 := func(name string) bool { return isPackage(name) && len(name) > 3 && strings.EqualFold(name[:3], "V2/") }
	for _, wanted := range []func(string) bool{inV2, isPackage} {
		if slices.ContainsFunc(names, wanted) {
			return wanted, nil
		}
	}
	for _, atRoot := range []bool{true, false} {
		for _, name := range names {
			if strings.EqualFold(path.Ext(name), ".xml") && (!atRoot || !strings.Contains(name, "/")) {
				return func(other string) bool { return other == name }, nil
			}
		}
	}
	return nil, errors.New("it holds no .sdp and no .xml file: this is no catalog of SDP packages")
}

func (s *Source) cabinet(ctx context.Context, stream io.Reader, g *gathering) error {
	reader, err := cab.NewReader(stream)
	if err != nil {
		return err
	}
	var names []string
	for _, file := range reader.Files() {
		names = append(names, file.Name)
	}
	wanted, err := choose(names)
	if err != nil {
		return err
	}
	content := &limited{r: reader, left: s.limit()}
	for {
		file, err := reader.Next()
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil && !wanted(file.Name) && errors.Is(err, cab.ErrMethod):
			continue
		case err != nil:
			return err
		case wanted(file.Name):
			if err := g.member(ctx, file.Name, content); err != nil {
				return err
			}
		}
	}
}

// archive reads a zip file, whose table is at its end: it is kept in a temporary file meanwhile.
func (s *Source) archive(ctx context.Context, stream io.Reader, g *gathering) error {
	spool, err := os.CreateTemp(g.scratch, "thatch-sdp-*.zip")
	if err != nil {
		return fmt.Errorf("unpack zip archive: %w", err)
	}
	defer os.Remove(spool.Name())
	defer spool.Close()
	size, err := io.Copy(spool, stream)
	if err != nil {
		return fmt.Errorf("unpack zip archive: %w", err)
	}
	archive, err := zip.NewReader(spool, size)
	if err != nil {
		return fmt.Errorf("zip archive: %w", err)
	}
	var names []string
	for _, file := range archive.File {
		names = append(names, strings.ReplaceAll(file.Name, `\`, "/"))
	}
	wanted, err := choose(names)
	if err != nil {
		return err
	}
	left := s.limit()
	for i, file := range archive.File {
		if !wanted(names[i]) {
			continue
		}
		content, err := file.Open()
		if err != nil {
			return fmt.Errorf("zip archive, %.120q: %w", names[i], err)
		}
		counted := &limited{r: content, left: left}
		err = g.member(ctx, names[i], counted)
		content.Close()
		if err != nil {
			return err
		}
		left = counted.left
	}
	return nil
}

// limited ends an archive that unpacks to more than it should.
type limited struct {
	r    io.Reader
	left int64
}

func (l *limited) Read(p []byte) (int, error) {
	n, err := l.r.Read(p)
	if l.left -= int64(n); l.left < 0 {
		return 0, fmt.Errorf("unpacked, %w", importer.ErrTooLarge)
	}
	return n, err
}

// gathering is the reading of one vendor file.
type gathering struct {
	file    string
	warn    func(importer.Warning)
	emit    func(importer.Part) error
	scratch string // folder for what has to be on disk
	exclude map[string]bool
	seen    map[string]seen // packages by id
	err     error           // of emit: nothing more is read
}

// seen is what has to be remembered of a package that was emitted.
type seen struct {
	created  string
	bulletin string // the key of its bulletin; empty: it is in none
}

// member reads one file of an archive; what is wrong with a package file costs that file alone.
func (g *gathering) member(ctx context.Context, name string, content io.Reader) error {
	if strings.EqualFold(path.Ext(name), ".sdp") {
		err := g.xml(ctx, content)
		if broken := (packageError{}); errors.As(err, &broken) {
			g.failed("file "+name, broken.error)
			return nil
		}
		return err
	}
	if err := g.xml(ctx, content); err != nil {
		return fmt.Errorf("%.120q: %w", name, err)
	}
	return nil
}

// packageError is about XML, not about reading it.
type packageError struct{ error }

func (e packageError) Unwrap() error { return e.error }

func (g *gathering) failed(element string, err error) {
	g.warn(importer.Warning{
		File: g.file, Element: element, Kind: "package-failed", Failed: true,
		Text: err.Error() + "; the package is left out",
	})
}

// xml reads a package or a catalog of them.
func (g *gathering) xml(ctx context.Context, stream io.Reader) error {
	watched := &watched{r: stream}
	split, err := markup.NewSplitter(watched)
	for err == nil {
		var one markup.Raw
		if one, err = split.Next(); err == nil {
			g.one(split.Around(), one)
			err = cmp.Or(g.err, ctx.Err())
		}
	}
	switch {
	case g.err != nil:
		return g.err
	case errors.Is(err, io.EOF):
		return nil
	case watched.err != nil:
		return watched.err
	case ctx.Err() != nil:
		return ctx.Err()
	}
	return packageError{err}
}

// watched remembers an error of the stream itself.
type watched struct {
	r   io.Reader
	err error
}

func (w *watched) Read(p []byte) (int, error) {
	n, err := w.r.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		w.err = err
	}
	return n, err
}

// one reads a package and takes it in.
func (g *gathering) one(around []byte, from markup.Raw) {
	var pending []importer.Warning
	p := &pack{file: g.file, line: from.Line, report: func(w importer.Warning) { pending = append(pending, w) }}
	root, err := markup.Parse(around, from.XML)
	if err == nil {
		err = p.read(root)
	}
	if err != nil {
		g.failed(p.place(""), err)
		return
	}
	if g.excluded(p) {
		return
	}
	part, err := p.partOf()
	if err != nil {
		g.failed(p.place(""), err)
		return
	}
	for _, w := range pending {
		g.warn(w)
	}
	body, err := part.encode()
	if err != nil {
		g.failed(p.place(""), err)
		return
	}
	g.take(p, body)
}

func (g *gathering) excluded(p *pack) bool {
	for _, name := range []string{p.update.Vendor, p.update.Product.Name, p.update.Class} {
		if g.exclude[strings.ToLower(name)] {
			return true
		}
	}
	return false
}

// exclusions are names of vendors, products and classes.
func exclusions(names []string) map[string]bool {
	set := map[string]bool{}
	for _, name := range names {
		if name = strings.ToLower(strings.TrimSpace(name)); name != "" {
			set[name] = true
		}
	}
	return set
}

// take emits what a package says; of one that occurs twice, the one created last counts.
func (g *gathering) take(p *pack, body []byte) {
	now := seen{created: p.created, bulletin: strings.TrimPrefix(p.update.Bulletin, Name+"/")}
	was, twice := g.seen[p.id]
	if twice {
		p.report = g.warn
		p.warn("package-repeated", "", "the file holds the package more than once; the one created last is taken")
		if p.created < was.created {
			return
		}
	}
	g.seen[p.id] = now
	g.give(p.id, body)
	if was.bulletin != "" && was.bulletin != now.bulletin {
		g.mention(was.bulletin, mention{Package: p.id, Gone: true})
	}
	if now.bulletin != "" {
		g.mention(now.bulletin, mention{
			Package: p.id, Created: p.created, Article: cmp.Or(p.article, p.update.KB), Vendor: p.update.Vendor, Title: p.update.Title,
			Description: p.summary, Severity: p.update.Severity, URL: p.update.URL, CVEs: p.update.CVEs,
		})
	}
}

// mention emits what a package says of its bulletin.
func (g *gathering) mention(key string, said mention) {
	body, err := catalog.Encode(bulletinPart{Packages: []mention{said}})
	if err != nil {
		g.err = cmp.Or(g.err, err)
		return
	}
	g.give(key, body)
}

func (g *gathering) give(key string, body []byte) {
	if g.err == nil {
		g.err = g.emit(importer.Part{Source: Name, File: g.file, Key: key, Body: body})
	}
}

// createdOf finds the revision of a package file in its bytes, without reading them as XML; "" when it is not there.
func createdOf(xml []byte) string {
	mark := []byte("CreationDate=")
	at := bytes.Index(xml, mark)
	if at < 0 || at+len(mark)+2 > len(xml) {
		return ""
	}
	rest := xml[at+len(mark):]
	end := bytes.IndexByte(rest[1:], rest[0])
	if end < 0 || end > 64 {
		return ""
	}
	created, _ := parseDate(string(rest[1 : end+1]))
	return created
}
