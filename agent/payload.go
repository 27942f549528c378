package agent

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"thatch/agent/order"
	"thatch/catalog"
	"thatch/catalog/content"
	"thatch/catalog/content/authenticode"
)

// download brings every file of a package here, from the node.
func (a *Agent) download(ctx context.Context, c *order.Choice) error {
	for _, file := range c.Payload.Files {
		_, err := a.payloads.Download(ctx, content.Request{
			URL: a.node.Client.PayloadURL(file.SHA256), Name: file.Name, Size: file.Size, SHA256: file.SHA256, Client: a.node.Client.HTTP(),
		}, nil)
		if err != nil {
			return err
		}
		a.step("downloaded file")
	}
	return nil
}

// downloadAgain is how long after a failed download the next try begins: not before the node wants to be asked, but no
// later than a time that is not taken for one of a clock that was wrong (see progress).
func (a *Agent) downloadAgain(err error) time.Duration {
	var status *content.StatusError
	if !errors.As(err, &status) {
		return a.cfg.Retry
	}
	return max(a.cfg.Retry, min(status.After, 2*a.cfg.Retry))
}

func (a *Agent) held(c *order.Choice) bool {
	for _, file := range c.Payload.Files {
		if !a.payloads.Has(file.SHA256) {
			return false
		}
	}
	return true
}

// stage lays the files of a package out in a folder of their own and verifies each there, as the last thing before it
// is run. It returns the path of the file to run.
func (a *Agent) stage(c *order.Choice, attempt string) (run string, err error) {
	dir := a.folder.Path(filepath.Join(runFolder, attempt))
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", fmt.Errorf("lay out the payload: %w", err)
	}
	for _, file := range c.Payload.Files {
		path := filepath.Join(dir, file.Name)
		if err := a.layOut(file, path); err != nil {
			return "", err
		}
		a.step("staged file")
		if strings.EqualFold(file.Name, c.Package.Installer.File) {
			run = path
		}
	}
	return run, nil
}

func (a *Agent) layOut(file catalog.StagedFile, path string) error {
	from, err := a.payloads.Open(file.SHA256)
	if err != nil {
		return err
	}
	defer from.Close()
	to, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o700)
	if err != nil {
		return fmt.Errorf("lay out %s: %w", file.Name, err)
	}
	_, err = io.Copy(to, from)
	if err := errors.Join(err, to.Close()); err != nil {
		return fmt.Errorf("lay out %s: %w", file.Name, err)
	}
	return nil
}

// verify judges the laid-out files: size, SHA-256, and where the site wants it, who signed them.
func (a *Agent) verify(c *order.Choice, run string, as *order.Assignments) error {
	judge, err := a.signatures(as)
	if err != nil {
		return err
	}
	for _, file := range c.Payload.Files {
		path := filepath.Join(filepath.Dir(run), file.Name)
		if err := verifyFile(path, file); err != nil {
			return err
		}
		if judge == nil {
			continue
		}
		signer, err := judge.VerifyFile(path)
		if errors.Is(err, authenticode.ErrFormat) && path != run {
			continue // settings and texts carry no signature; what is run must
		}
		if err != nil {
			return fmt.Errorf("%w: %w", order.ErrRefused, err)
		}
		if file.Signer != nil && !strings.EqualFold(file.Signer.Fingerprint, signer.Fingerprint) {
			return fmt.Errorf("%w: %s is signed by %s, it was staged signed by %s", order.ErrRefused, file.Name, signer.Subject, file.Signer.Subject)
		}
	}
	return nil
}

// signatures makes the judge of signatures, nil when the site does not want any.
func (a *Agent) signatures(as *order.Assignments) (*authenticode.Verifier, error) {
	if !as.Answer.Settings.RequireSigned {
		return nil, nil
	}
	return authenticode.New(authenticode.OfSite(as.Answer.Settings.Trusted, as.Answer.Settings.Roots), a.cfg.Now)
}

func verifyFile(path string, want catalog.StagedFile) error {
	file, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("verify %s: %w", want.Name, err)
	}
	defer file.Close()
	hash := sha256.New()
	size, err := io.Copy(hash, file)
	if err != nil {
		return fmt.Errorf("verify %s: %w", want.Name, err)
	}
	if got := hex.EncodeToString(hash.Sum(nil)); size != want.Size || !strings.EqualFold(got, want.SHA256) {
		return fmt.Errorf("%w: %s has %d bytes and SHA-256 %s, ordered are %d and %s", order.ErrRefused, want.Name, size, got, want.Size, want.SHA256)
	}
	return nil
}

// clear removes what was laid out for an attempt.
func (a *Agent) clear(attempt string) {
	if err := a.folder.RemoveAll(filepath.Join(runFolder, attempt)); err != nil {
		a.cfg.Log.Debug("a folder of a former install stays", "error", err)
	}
}

// sweep removes what former attempts laid out, and payloads that nothing ordered needs any more.
func (a *Agent) sweep(ctx context.Context, needed map[string]bool) {
	entries, err := os.ReadDir(a.folder.Path(runFolder))
	if err == nil {
		for _, entry := range entries {
			a.clear(entry.Name())
		}
	}
	if _, err := a.payloads.Prune(ctx, a.cfg.Now(), func(digest string) bool { return needed[digest] }); err != nil {
		a.cfg.Log.Warn("payloads that are not needed any more stay", "error", err)
	}
}

// makeRoom drops what cut downloads left: on a full disk the agent's own state must still be written, which is worth
// more than the bytes that would not have to come again.
func (a *Agent) makeRoom(ctx context.Context) {
	everything := a.cfg.Now().AddDate(100, 0, 0)
	if _, err := a.payloads.Prune(ctx, everything, func(string) bool { return true }); err != nil {
		a.cfg.Log.Warn("no room was made on the full disk", "error", err)
	}
}
