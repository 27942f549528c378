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
