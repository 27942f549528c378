package identity

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// Files of a node's own, in the data folder, readable by its owner alone.
const (
	authorityKeyFile = "authority.key"
	signingKeyFile   = "signing.key"
)

// keys are the site's private keys.
type keys struct {
	authority *ecdsa.PrivateKey
	signing   ed25519.PrivateKey
}

// openKeys reads the private keys of the site, or makes them where mayMake says that the site has none yet.
func openKeys(dir string, mayMake bool) (keys, error) {
	var k keys
	auth, err := openKey(filepath.Join(dir, authorityKeyFile), mayMake, func() (any, error) {
		return ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	})
	if err != nil {
		return k, err
	}
	signing, err := openKey(filepath.Join(dir, signingKeyFile), mayMake, func() (any, error) {
		_, key, err := ed25519.GenerateKey(rand.Reader)
		return key, err
	})
	if err != nil {
		return k, err
	}
	var ok bool
	if k.authority, ok = auth.(*ecdsa.PrivateKey); !ok {
		return k, fmt.Errorf("%s holds a key of another kind: %T", authorityKeyFile, auth)
	}
	if k.signing, ok = signing.(ed25519.PrivateKey); !ok {
		return k, fmt.Errorf("%s holds a key of another kind: %T", signingKeyFile, signing)
	}
	return k, nil
}

func openKey(path string, mayMake bool, generate func() (any, error)) (any, error) {
	text, err := os.ReadFile(path)
	switch {
	case err == nil:
		return parseKey(path, text)
	case !errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("read a key of the site: %w", err)
	case !mayMake:
		return nil, fmt.Errorf("%s is missing, and the site already has such a key: put the file back from a backup of the data folder", path)
	}
	key, err := generate()
	if err != nil {
		return nil, fmt.Errorf("make %s: %w", path, err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, fmt.Errorf("encode %s: %w", path, err)
	}
	return key, WriteSecret(path, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
}

func parseKey(path string, text []byte) (any, error) {
	block, _ := pem.Decode(text)
	if block == nil {
		return nil, fmt.Errorf("%s holds no PEM block: put the file back from a backup of the data folder", path)
	}
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return key, nil
}

// WriteSecret writes a file for its owner alone, synced, whole or not at all. What a crash leaves of it is written over
// the next time; the folder is locked, so nobody else writes it meanwhile.
func WriteSecret(path string, content []byte) error {
	draft := path + ".draft"
	file, err := os.OpenFile(draft, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	_, err = file.Write(content)
	err = errors.Join(err, file.Sync(), file.Close())
	if err == nil {
		err = os.Rename(draft, path)
	}
	if err != nil {
		return fmt.Errorf("write %s: %w", path, errors.Join(err, os.Remove(draft)))
	}
	return nil
}
