package identity

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"thatch/node/identity/sealed"
	"thatch/node/store"
)

// ErrKeyless says that this node does not hold the site's private keys.
var ErrKeyless = errors.New("this node does not hold the site's keys: ask a node that votes")

// lost says what to do when a node cannot open the site's keys.
const lost = "put the file back; or remove this node from its site and join it anew in an empty folder, where other nodes of the site live; " +
	"or, where it was alone, make it anew with the recovery key (thatch node recover), or restore a backup (thatch restore)"

// NodeKeyMissing says that a node of a site has lost its key, and what to do.
func NodeKeyMissing(dir string) error {
	return fmt.Errorf("%s is missing, and only with it this node can open the site's keys: %s", filepath.Join(dir, sealed.NodeKeyFile), lost)
}

// openKeys opens what of the site's keys is sealed to this node. A folder of an earlier version has them in files: they
// are sealed, and the files removed once that is on record. Keys without any field are a node's that may lack them.
func (id *Identity) openKeys(ctx context.Context, authority []byte) (sealed.Keys, error) {
	mine, err := id.boxOf(ctx, id.cfg.Node)
	if err != nil {
		return sealed.Keys{}, err
	}
	former, err := sealed.FormerKeys(id.cfg.Dir)
	if err != nil && mine == nil {
		return sealed.Keys{}, err
	}
	if mine != nil {
		return id.openMine(ctx, mine, former, authority)
	}
	if former != nil {
		return *former, id.moveIn(ctx, *former, authority)
	}
	if id.cfg.Keyless {
		return sealed.Keys{}, nil
	}
	return sealed.Keys{}, fmt.Errorf("the site's keys are not sealed to this node (%s): %s", id.cfg.Node, lost)
}

func (id *Identity) boxOf(ctx context.Context, holder string) (b *sealed.Box, err error) {
	err = id.cfg.Reader.View(ctx, func(tx *sql.Tx) error {
		b, err = sealed.BoxOf(ctx, tx, holder)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("read what is sealed to %s: %w", holder, err)
	}
	return b, nil
}

func (id *Identity) openMine(ctx context.Context, mine *sealed.Box, former *sealed.Keys, authority []byte) (k sealed.Keys, err error) {
	path := filepath.Join(id.cfg.Dir, sealed.NodeKeyFile)
	key, err := sealed.SettleNodeKey(id.cfg.Dir, mine.Recipient)
	if err != nil {
		return k, fmt.Errorf("%w; %s", err, lost)
	}
	if key == nil {
		return k, NodeKeyMissing(id.cfg.Dir)
	}
	if k, err = mine.Open(id.cfg.Site, id.cfg.Node, key); err != nil {
		return k, fmt.Errorf("%s: %w; %s", path, err, lost)
	}
	if err := id.belong(ctx, k, authority); err != nil {
		return k, err
	}
	if former != nil && former.Authority.Equal(k.Authority) && former.Signing.Equal(k.Signing) {
		return k, sealed.RemoveFormerKeys(id.cfg.Dir) // a crash came before
	}
	return k, nil
}

func (id *Identity) belong(ctx context.Context, k sealed.Keys, authority []byte) error {
	return id.cfg.Reader.View(ctx, func(tx *sql.Tx) error { return k.Belong(ctx, tx, id.cfg.Site, authority) })
}

// moveIn seals the keys of a folder of an earlier version to the node's own key. Whoever writes is answered once it is durable.
func (id *Identity) moveIn(ctx context.Context, k sealed.Keys, authority []byte) error {
	if err := id.belong(ctx, k, authority); err != nil {
		return fmt.Errorf("the site's keys in files: %w: put the files back from a backup of the data folder", err)
	}
	key, err := sealed.NodeKey(id.cfg.Dir)
	if err != nil {
		return err
	}
	seal, err := k.SealTo(id.cfg.Site, id.cfg.Node, key.Public(), id.cfg.Now())
	if err != nil {
		return err
	}
	if err := id.write(ctx, "keep the site's keys sealed, no longer in files", seal); err != nil {
		return fmt.Errorf("keep the site's keys sealed: %w", err)
	}
	return sealed.RemoveFormerKeys(id.cfg.Dir)
}

// HoldsKeys says whether this node holds the site's private keys: it can make certificates and documents.
func (id *Identity) HoldsKeys() bool { return id.keys.Load() != nil }

// Reload opens the site's keys where they were sealed to this node after it started.
func (id *Identity) Reload(ctx context.Context) error {
	if id.HoldsKeys() {
		return nil
	}
	k, err := id.openKeys(ctx, id.Authority())
	if err != nil || k.Authority == nil {
		return err
	}
	id.keys.Store(&k)
	return nil
}

// SealTo returns the statement after which a node can open the site's keys with the key whose public half, of 32 bytes, is
// given. It is good for a node that is given a vote; see DropSealed for one that goes. A former key of that node opens
// nothing any more.
func (id *Identity) SealTo(node string, public []byte) (store.Statement, error) {
	k := id.keys.Load()
	if k == nil {
		return store.Statement{}, fmt.Errorf("seal the site's keys to node %s: %w", node, ErrKeyless)
	}
	if node == sealed.Recovery {
		return store.Statement{}, store.Invalid("no node is called %q", node)
	}
	return k.SealTo(id.cfg.Site, node, public, id.cfg.Now())
}

// DropSealed returns the statement that forgets what is sealed to a node.
func DropSealed(node string) store.Statement {
	return store.Statement{SQL: `DELETE FROM sealed_keys WHERE holder = ?`, Args: []any{node}}
}

// ChangeNodeKey makes a new key for this node, and has the site's keys sealed to it instead of the former, together with what
// else is to be on record of its public half. A crash in between is settled at the next start.
func (id *Identity) ChangeNodeKey(ctx context.Context, also func(public []byte) store.Statement) error {
	k := id.keys.Load()
	if k == nil {
		return ErrKeyless
	}
	return sealed.ChangeNodeKey(id.cfg.Dir, func(former, coming *sealed.Key) error {
		seal, err := k.SealTo(id.cfg.Site, id.cfg.Node, coming.Public(), id.cfg.Now())
		if err != nil {
			return err
		}
		guard := store.Statement{
			SQL:  `UPDATE sealed_keys SET at = at WHERE holder = ? AND recipient = ?`,
			Args: []any{id.cfg.Node, former.Public()}, Want: 1,
		}
		return id.write(ctx, "change the key of node "+id.cfg.Node, guard, seal, also(coming.Public()))
	})
}

// RecoveryKey is what the site knows of the key that is kept off the site.
type RecoveryKey struct {
	Name string    `json:"name"` // by which people tell it from others
	Made time.Time `json:"made"`
}

// RecoveryKey is the recovery key in force, nil where none was made.
func (id *Identity) RecoveryKey(ctx context.Context) (*RecoveryKey, error) {
	b, err := id.boxOf(ctx, sealed.Recovery)
	if err != nil || b == nil {
		return nil, err
	}
	return &RecoveryKey{Name: sealed.Name(b.Recipient), Made: b.At}, nil
}

// SetRecoveryKey seals the site's keys to a recovery key, of which the site gets the public half alone, in the place of the
// former. Backups made before are opened by the former.
func (id *Identity) SetRecoveryKey(ctx context.Context, public []byte) (*RecoveryKey, error) {
	k := id.keys.Load()
	if k == nil {
		return nil, ErrKeyless
	}
	seal, err := k.SealTo(id.cfg.Site, sealed.Recovery, public, id.cfg.Now())
	if err != nil {
		return nil, store.Invalid("the recovery key: %v", err)
	}
	if err := id.write(ctx, "set recovery key "+sealed.Name(public), seal); err != nil {
		return nil, fmt.Errorf("set the recovery key: %w", err)
	}
	return id.RecoveryKey(ctx)
}
