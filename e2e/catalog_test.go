package e2e_test

import (
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"

	"thatch/ringtest"
)

type importResult struct {
	Documents int `json:"documents"`
	Skipped   int `json:"skipped"`
	Changed   int `json:"changed"`
	KBs       int `json:"kbs"`
	Pairs     int `json:"kb_products"`
	Edges     int `json:"supersedence_edges"`
	Failed    int `json:"failed"`
}

// TestImportSurvivesKills kills the node again and again during one import and holds what is there in the end against
// an import that nobody disturbed.
func TestImportSurvivesKills(t *testing.T) {
	ringtest.Need(t, ringtest.Processes)
	folder := ringtest.Data(t, "msrc")
	calm := newSite(t, "en")
	var want importResult
	calm.must(&want, "catalog", "import", "--source", "msrc", "--from", folder)

	stormy := newSite(t, "en")
	for kill := range 6 {
		done := make(chan struct{})
		go func() {
			defer close(done)
			_ = stormy.run(nil, "catalog", "import", "--source", "msrc", "--from", folder)
		}()
		wait := time.NewTimer(time.Duration(20+rand.IntN(200+kill*50)) * time.Millisecond)
		<-wait.C
		stormy.kill()
		<-done
		stormy.start()
	}
	var got, again importResult
	stormy.must(&got, "catalog", "import", "--source", "msrc", "--from", folder)
	if got.KBs != want.KBs || got.Pairs != want.Pairs || got.Edges != want.Edges || got.KBs == 0 {
		t.Errorf("after the kills %+v, undisturbed %+v", got, want)
	}
	stormy.must(&again, "catalog", "import", "--source", "msrc", "--from", folder)
	if again.Changed != 0 || again.Documents != 0 {
		t.Errorf("importing again changed something: %+v", again)
	}
}

// TestImportOfGarbage feeds what is no catalog beside one that is: the good file is imported, the bad one named, and
// the exit code is not 0.
func TestImportOfGarbage(t *testing.T) {
	ringtest.Need(t, ringtest.Processes)
	sample, err := os.ReadFile("../cmd/internal/demo/sample/cvrf-2026-Oct.xml")
	if err != nil {
		t.Fatal(err)
	}
	folder := t.TempDir()
	for name, content := range map[string][]byte{
		"good.xml":      sample,
		"truncated.xml": sample[:len(sample)/2],
		"other.xml":     []byte("<html><body>not found</body></html>"),
		"broken.xml.gz": {0x1f, 0x8b, 8, 0, 1, 2, 3},
		"empty.xml":     nil,
	} {
		if err := os.WriteFile(filepath.Join(folder, name), content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	s := newSite(t, "en")
	for _, bad := range []string{"truncated.xml", "other.xml", "broken.xml.gz", "empty.xml"} {
		s.refused(1, bad, "catalog", "import", "--source", "msrc", "--from", filepath.Join(folder, bad))
	}
	var result importResult
	if err := s.run(&result, "catalog", "import", "--source", "msrc", "--from", folder); err == nil {
		t.Error("a folder with bad files was imported with exit code 0")
	}
	var list struct{ Total int }
	s.must(&list, "bulletins", "list")
	if list.Total != 3 {
		t.Errorf("%d bulletins after the import, want the 3 of the good file", list.Total)
	}
	s.refused(2, "no source", "catalog", "import", "--source", "unheard-of", "--from", folder)
}
