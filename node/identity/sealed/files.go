package sealed

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/ed25519"
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
	NodeKeyFile = "node.key"      // to which the site's keys are sealed for this node
	nextKeyFile = "node.key.next" // the one that comes, while the node changes it

	// Versions before 4 of the schema kept the site's keys in these.
	authorityKeyFile = "authority.key"
	signingKeyFile   = "signing.key"
)

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

// readKeyFile reads an X25519 key of the folder; nil: there is none.
func readKeyFile(path string) (*Key, error) {
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read the node's key: %w", err)
	}
	key, err := ParseKey(text)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return key, nil
}

func writeKeyFile(path string) (*Key, error) {
	key, err := NewKey()
	if err != nil {
		return nil, err
	}
	text, err := key.PEM()
	if err != nil {
		return nil, err
	}
	return key, WriteSecret(path, text)
}

// NodeKey is the node's own X25519 key, in its data folder; where there is none, it is made. A node that joins has the
// site's keys sealed to its public half.
func NodeKey(dir string) (*Key, error) {
	path := filepath.Join(dir, NodeKeyFile)
	key, err := readKeyFile(path)
	if key != nil || err != nil {
		return key, err
	}
	return writeKeyFile(path)
}

// SettleNodeKey reads the node's key, after it was settled whether a change of it came to its end: the database says
// which key is in force.
func SettleNodeKey(dir string, inForce []byte) (*Key, error) {
	path, next := filepath.Join(dir, NodeKeyFile), filepath.Join(dir, nextKeyFile)
	coming, err := readKeyFile(next)
	if err != nil || coming == nil {
		if err != nil {
			_ = os.Remove(next) // cut while it was written, so nothing is sealed to it
		}
		return readKeyFile(path)
	}
	if bytes.Equal(coming.Public(), inForce) {
		if err := os.Rename(next, path); err != nil {
			return nil, fmt.Errorf("put the node's new key in the place of the former: %w", err)
		}
		return coming, nil
	}
	if err := os.Remove(next); err != nil {
		return nil, fmt.Errorf("drop a key that is not in force: %w", err)
	}
	return readKeyFile(path)
}

// ChangeNodeKey makes a key that takes the place of the former one once it is on record, which seal has to see to. A crash
// in between is settled by SettleNodeKey.
func ChangeNodeKey(dir string, seal func(former, coming *Key) error) error {
	path, next := filepath.Join(dir, NodeKeyFile), filepath.Join(dir, nextKeyFile)
	former, err := readKeyFile(path)
	if err != nil {
		return err
	}
	if former == nil {
		return fmt.Errorf("%s is missing", path)
	}
	coming, err := writeKeyFile(next)
	if err != nil {
		return err
	}
	if err := seal(former, coming); err != nil {
		return fmt.Errorf("change the node's key: %w", err) // whether it is on record, the next start finds out
	}
	if err := os.Rename(next, path); err != nil {
		return fmt.Errorf("put the node's new key in the place of the former: %w", err)
	}
	return nil
}

// FormerKeys reads the key files of versions before 4 of the schema; nil: there are none.
func FormerKeys(dir string) (*Keys, error) {
	var k Keys
	found := 0
	for _, name := range []string{authorityKeyFile, signingKeyFile} {
		path := filepath.Join(dir, name)
		text, err := os.ReadFile(path)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("read a key of the site: %w", err)
		}
		found++
		block, _ := pem.Decode(text)
		if block == nil {
			return nil, fmt.Errorf("%s holds no PEM block: put the file back from a backup of the data folder", path)
		}
		key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("%s: %w: put the file back from a backup of the data folder", path, err)
		}
		var ok bool
		if name == authorityKeyFile {
			k.Authority, ok = key.(*ecdsa.PrivateKey)
		} else {
			k.Signing, ok = key.(ed25519.PrivateKey)
		}
		if !ok {
			return nil, fmt.Errorf("%s holds a key of another kind: %T: put the file back from a backup of the data folder", path, key)
		}
	}
	switch found {
	case 0:
		return nil, nil
	case 1:
		missing := authorityKeyFile
		if k.Authority != nil {
			missing = signingKeyFile
		}
		return nil, fmt.Errorf("%s is missing, and the site has such a key: put the file back from a backup of the data folder",
			filepath.Join(dir, missing))
	}
	return &k, nil
}

// RemoveFormerKeys ends with the folder synced, so that the files do not come back.
func RemoveFormerKeys(dir string) error {
	for _, name := range []string{authorityKeyFile, signingKeyFile} {
		if err := os.Remove(filepath.Join(dir, name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("remove a key that is sealed in the database now: %w", err)
		}
	}
	return nil
}

// ReadNodeKey reads the node's key; nil: there is none.
func ReadNodeKey(dir string) (*Key, error) { return readKeyFile(filepath.Join(dir, NodeKeyFile)) }
