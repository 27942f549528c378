package replicas_test

import (
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"testing"

	"thatch/catalog/document"
	"thatch/node/replicas/dataset"
	"thatch/node/replicas/replicastest"
	"thatch/node/store"
)

// TestAFullDisk fills the disk of a site below in the middle of a run: it fails there, nothing moves beyond what is held,
// and when there is room again the next run goes on.
func TestAFullDisk(t *testing.T) {
	top := replicastest.New(t, "top", nil, "de")
	random := rand.NewChaCha8([32]byte{3})
	for n := range 60 {
		text := make([]byte, 20_000)
		_, _ = random.Read(text)
		top.Put(t, document.Payload, fmt.Sprintf("p-%d", n), fmt.Sprintf(`{"note":"%x"}`, text), "")
	}
	path := filepath.Join(t.TempDir(), "site.db")
	roomy := replicastest.Open(t, "mid", top, path)
	roomy.Make(t, "epoch-mid", "de")
	roomy.DB.Close()
	db, err := store.Open(t.Context(), store.Config{Path: path, MaxPages: 400})
	if err != nil {
		t.Fatal(err)
	}
	tight := replicastest.Over("mid", top, db, roomy.Key)
	tight.Limits = dataset.Limits{Documents: 7}
	if _, err := tight.TryPull(t, dataset.Languages, 10); err != nil {
		t.Fatal(err)
	}
	if report, err := tight.TryPull(t, dataset.Data, 100); err == nil {
		t.Fatalf("2.4 MB of documents fit on a disk of 1.6 MB: %+v", report)
	}
	db.Close()
	again := replicastest.Open(t, "mid", top, path)
	defer again.DB.Close()
	again.PullAll(t)
	if held := len(again.Heads(t, document.Payload)); held != 60 {
		t.Errorf("%d payloads are held", held)
	}
	again.Equal(t)
}
