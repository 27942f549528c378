// Package assets is the styles, scripts and images of the console.
package assets

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"io/fs"
	"net/http"
	"path"
	"strings"
	"time"
)

//go:embed files/*
var files embed.FS

// Prefix is where they are served.
const Prefix = "/assets/"

// names give the address of each asset by its file's name: it holds a digest of the content, so that browsers may keep it
// for ever.
var names, content = read()

func read() (names map[string]string, content map[string][]byte) {
	names, content = map[string]string{}, map[string][]byte{}
	entries, err := fs.ReadDir(files, "files")
	if err != nil {
		panic(err) // embedded
	}
	for _, entry := range entries {
		raw, err := files.ReadFile("files/" + entry.Name())
		if err != nil {
			panic(err)
		}
		sum := sha256.Sum256(raw)
		ext := path.Ext(entry.Name())
		name := strings.TrimSuffix(entry.Name(), ext) + "-" + hex.EncodeToString(sum[:6]) + ext
		names[strings.ReplaceAll(entry.Name(), ".", "_")] = Prefix + name
		content[name] = raw
	}
	return names, content
}

// Handler serves them.
func Handler() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		name := strings.TrimPrefix(r.URL.Path, Prefix)
		raw, ok := content[name]
		if !ok || r.Method != http.MethodGet && r.Method != http.MethodHead {
			http.NotFound(w, r)
			return
		}
		w.Header().Set("Cache-Control", "public, max-age=31536000, immutable")
		http.ServeContent(w, r, name, time.Time{}, bytes.NewReader(raw))
	})
}

// Names are their addresses by their files' names with "_" for ".".
func Names() map[string]string { return names }
