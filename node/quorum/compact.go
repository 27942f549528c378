package quorum

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"go.etcd.io/bbolt"

	"thatch/node/store/sqlite"
)

// Compacting: a bbolt file does not shrink by itself. Once a snapshot let the log be shortened, most of its pages are free.
const (
	// compactFree is how much of the file may be free: beyond one part in so many it is written anew.
	compactFree = 8
	// copiedAtOnce bounds the bytes that one transaction of a copy holds.
	copiedAtOnce = 4 << 20
)

// compact writes the file anew without its free pages, if they are many, and says how many bytes went. Entries are written
// meanwhile; those come after the rest, and only then do writers wait. A file that is half made is left behind by a crash and
// removed by the next.
func (b *boltLog) compact(from int64) (freed int64, err error) {
	before, free, err := b.size()
	if err != nil || before < from || free*compactFree < before {
		return 0, err
	}
	path := b.path + ".new"
	if err := removeOld(path); err != nil {
		return 0, err
	}
	defer os.Remove(path)
	made, err := bbolt.Open(path, 0o600, &bbolt.Options{NoSync: true, NoFreelistSync: true, FreelistType: bbolt.FreelistMapType})
	if err != nil {
		return 0, err
	}
	made.AllocSize = allocated
	c := copying{from: b, to: made}
	err = c.begin()
	if err == nil {
		err = b.replace(&c)
	}
	if err != nil {
		return 0, errors.Join(fmt.Errorf("write the log anew without its free pages: %w", err), c.close())
	}
	after, _, err := b.size()
	return before - after, err
}

// size is that of the file, and how much of it is free.
func (b *boltLog) size() (size, free int64, err error) {
	err = b.view(func(tx *bbolt.Tx) error {
		info, err := os.Stat(b.path)
		if err != nil {
			return err
		}
		stats := tx.DB().Stats()
		size = info.Size()
		free = size - tx.Size() + int64(stats.FreePageN+stats.PendingPageN)*int64(tx.DB().Info().PageSize)
		return nil
	})
	return size, free, err
}

// copying is a log that is written anew.
type copying struct {
	from   *boltLog
	to     *bbolt.DB
	last   []byte // key that was copied last
	before uint64 // removals in the log when it began
}

func (c *copying) close() error {
	if c.to == nil {
		return nil
	}
	return c.to.Close()
}

// begin copies what is there, while the log is written on.
func (c *copying) begin() error {
	c.before = c.from.removals.Load()
	if err := c.from.view(c.entries); err != nil {
		return err
	}
	return c.to.Sync() // so that little is left to sync while writers wait
}

// entries copies entries behind the last one that was copied.
func (c *copying) entries(tx *bbolt.Tx) error {
	cursor := tx.Bucket(entriesBucket).Cursor()
	key, value := cursor.First()
	if c.last != nil {
		key, value = cursor.Seek(c.last)
		if bytes.Equal(key, c.last) {
			key, value = cursor.Next()
		}
	}
	for more := true; more; {
		err := c.to.Update(func(out *bbolt.Tx) error {
			bucket, err := out.CreateBucketIfNotExists(entriesBucket)
			if err != nil {
				return err
			}
			bucket.FillPercent = 0.9
			for size := 0; key != nil && size < copiedAtOnce; key, value = cursor.Next() {
				if err := bucket.Put(key, value); err != nil {
					return err
				}
				size += len(value)
				c.last = bytes.Clone(key)
			}
			return nil
		})
		if err != nil {
			return err
		}
		more = key != nil
	}
	return nil
}

// end copies what came meanwhile. Nobody writes the log now. Where entries were removed meanwhile from its end, others may stand in
// their places, and where they were from its beginning, the copy holds too much: it is of no use.
func (c *copying) end() error {
	if c.from.removals.Load() != c.before {
		return errChanged
	}
	err := c.from.db.View(func(tx *bbolt.Tx) error {
		if err := c.entries(tx); err != nil {
			return err
		}
		return c.to.Update(func(out *bbolt.Tx) error {
			bucket, err := out.CreateBucketIfNotExists(stableBucket)
			if err != nil {
				return err
			}
			return tx.Bucket(stableBucket).ForEach(bucket.Put)
		})
	})
	if err == nil {
		err = c.to.Sync()
	}
	return err
}

var errChanged = errors.New("it was shortened meanwhile")

// replace puts a copy in the place of the log. When it returns, the log is open, whatever happened, or the error is errLost.
func (b *boltLog) replace(c *copying) error {
	b.swap.Lock()
	defer b.swap.Unlock()
	if err := safely(c.end); err != nil {
		return err
	}
	err := c.to.Close()
	c.to = nil
	if err != nil {
		return err
	}
	if err := b.db.Close(); err != nil {
		return fmt.Errorf("%w: %w", errLost, err)
	}
	// Either name is a whole log: after a crash there is the former file or the new one.
	err = os.Rename(b.path+".new", b.path)
	if err == nil {
		err = sqlite.SyncFolder(filepath.Dir(b.path))
	}
	opened, other := openBolt(b.path)
	if other != nil {
		return fmt.Errorf("%w: %w", errLost, errors.Join(err, other))
	}
	b.db = opened
	return err
}

// errLost says that the log is not open any more.
var errLost = errors.New("the log could not be opened again; start the node again")
