package page

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

//go:embed assets/*
var assetFiles embed.FS

const assetPrefix = "/assets/"

// assetNames give the address of each asset by its file's name: it holds a digest of the content, so that browsers may
// keep it for ever.
var assetNames, assetContent = nameAssets()

func nameAssets() (names map[string]string, content map[string][]byte) {
	names, content = map[string]string{}, map[string][]byte{}
	entries, err := fs.ReadDir(assetFiles, "assets")
	if err != nil {
		panic(err) // embedded
	}
	for _, entry := range entries {
		raw, err := assetFiles.ReadFile("assets/" + entry.Name())
		if err != nil {
			panic(err)
		}
		sum := sha256.Sum256(raw)
		ext := path.Ext(entry.Name())
		name := strings.TrimSuffix(entry.Name(), ext) + "-" + hex.EncodeToString(sum[:6]) + ext
		names[strings.ReplaceAll(entry.Name(), ".", "_")] = assetPrefix + name
		content[name] = raw
	}
	return names, content
}

// assets serves styles, scripts and images.
func assets() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		name := strings.TrimPrefix(r.URL.Path, assetPrefix)
		raw, ok := assetContent[name]
		if !ok || r.Method != http.MethodGet && r.Method != http.MethodHead {
			http.NotFound(w, r)
			return
		}
		w.Header().Set("Cache-Control", "public, max-age=31536000, immutable")
		http.ServeContent(w, r, name, time.Time{}, bytes.NewReader(raw))
	})
}

// Assets are the addresses of styles and scripts by their files' names with "_" for ".", for pages without a session.
func Assets() map[string]string { return assetNames }
