package demo

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/sassoftware/relic/v7/lib/authenticode"
)

func TestProgramsAreSignedByTheSampleVendor(t *testing.T) {
	vendor, err := newPublisher(time.Now())
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "setup.exe")
	if err := vendor.writeProgram(context.Background(), path, []byte(`{"set":1}`), true); err != nil {
		t.Fatal(err)
	}
	file, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	signatures, err := authenticode.VerifyPE(file, false)
	if err != nil || len(signatures) != 1 {
		t.Fatalf("VerifyPE = %d signatures, %v; want one good one", len(signatures), err)
	}
	if got := signatures[0].Certificate.Subject.CommonName; got != "Example Software" {
		t.Errorf("signed by %q", got)
	}
}
