package replicas_test

import (
	"slices"
	"testing"

	"thatch/catalog/document"
	"thatch/node/replicas/dataset"
	"thatch/node/replicas/replicastest"
)

func TestThreeLevelsHoldTheSame(t *testing.T) {
	top := replicastest.New(t, "top", nil, "de", "en", "fr")
	mid := replicastest.New(t, "mid", top, "de", "fr")
	low := replicastest.New(t, "low", mid, "fr")
	top.Put(t, document.Update, "u1", "one", "")
	top.Put(t, document.Package, "p-de", "german", "", "de")
	top.Put(t, document.Package, "p-fr", "french", "", "fr")
	top.Put(t, document.Package, "p-en", "english", "", "en")
	top.Put(t, document.Window, "w", "window", "")
	mid.PullAll(t)
	low.PullAll(t)
	want := []string{"update u1 one", "package p-de german de", "package p-fr french fr", "window w window"}
	if got := mid.Holds(t, document.Update, document.Package, document.Window); !slices.Equal(got, want) {
		t.Errorf("the middle holds %q", got)
	}
	want = []string{"update u1 one", "package p-fr french fr", "window w window"}
	if got := low.Holds(t, document.Update, document.Package, document.Window); !slices.Equal(got, want) {
		t.Errorf("the lowest holds %q", got)
	}
	top.Put(t, document.Package, "p-fr", "french 2", "", "fr")
	top.Remove(t, document.Update, "u1")
	if report := mid.Pull(t, dataset.Data); report.Complete != nil || report.Heads != 2 || report.Sent != 1 || report.Removed != 1 {
		t.Errorf("differential: %+v", report)
	}
	if report := low.Pull(t, dataset.Data); report.Complete != nil || report.Heads != 2 || report.Sent != 1 || report.Removed != 1 {
		t.Errorf("differential: %+v", report)
	}
	mid.Equal(t)
	low.Equal(t)
	want = []string{"package p-fr french 2 fr"}
	if got := low.Holds(t, document.Update, document.Package); !slices.Equal(got, want) {
		t.Errorf("the lowest holds %q", got)
	}
}

// TestComingBackIsNoRemoval: a document left, and came back for everyone, while the receiver managed no language of the
// former one. With such a language added, its history is looked at from the beginning; what is held now must stay.
func TestComingBackIsNoRemoval(t *testing.T) {
	top := replicastest.New(t, "top", nil, "en", "fr")
	mid := replicastest.New(t, "mid", top)
	top.Put(t, document.Package, "p", "english", "", "en")
	mid.PullAll(t)
	top.Remove(t, document.Package, "p")
	top.Put(t, document.Package, "p", "neutral", "")
	mid.Pull(t, dataset.Data)
	mid.SetLanguages(t, "en")
	mid.Pull(t, dataset.Data)
	if held := mid.Holds(t, document.Package); !slices.Equal(held, []string{"package p neutral"}) {
		t.Errorf("held: %q", held)
	}
	mid.Equal(t)
}
