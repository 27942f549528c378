package quorum

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"path/filepath"

	"github.com/hashicorp/raft"
	"go.etcd.io/bbolt"
)

// boltLog is the other candidate for the log: one bbolt file, a key for every entry, each StoreLogs a transaction.
type boltLog struct{ db *bbolt.DB }

var (
	boltLogs   = []byte("logs")
	boltStable = []byte("stable")
)

func openBolt(dir string, _ int) (logStore, error) {
	db, err := bbolt.Open(filepath.Join(dir, "log.bolt"), 0o600, &bbolt.Options{Timeout: lockWait, FreelistType: bbolt.FreelistMapType})
	if err != nil {
		return nil, err
	}
	err = db.Update(func(tx *bbolt.Tx) error {
		_, err := tx.CreateBucketIfNotExists(boltLogs)
		_, other := tx.CreateBucketIfNotExists(boltStable)
		return errors.Join(err, other)
	})
	return &boltLog{db}, err
}

func boltKey(index uint64) []byte { return binary.BigEndian.AppendUint64(nil, index) }

func (b *boltLog) edge(end func(*bbolt.Cursor) []byte) (index uint64, err error) {
	err = b.db.View(func(tx *bbolt.Tx) error {
		if key := end(tx.Bucket(boltLogs).Cursor()); key != nil {
			index = binary.BigEndian.Uint64(key)
		}
		return nil
	})
	return index, err
}

func (b *boltLog) FirstIndex() (uint64, error) {
	return b.edge(func(c *bbolt.Cursor) []byte { key, _ := c.First(); return key })
}

func (b *boltLog) LastIndex() (uint64, error) {
	return b.edge(func(c *bbolt.Cursor) []byte { key, _ := c.Last(); return key })
}

func (b *boltLog) GetLog(index uint64, entry *raft.Log) error {
	return b.db.View(func(tx *bbolt.Tx) error {
		value := tx.Bucket(boltLogs).Get(boltKey(index))
		if value == nil {
			return raft.ErrLogNotFound
		}
		return json.Unmarshal(value, entry)
	})
}

func (b *boltLog) StoreLog(entry *raft.Log) error { return b.StoreLogs([]*raft.Log{entry}) }

func (b *boltLog) StoreLogs(entries []*raft.Log) error {
	return b.db.Update(func(tx *bbolt.Tx) error {
		for _, entry := range entries {
			value, err := json.Marshal(entry)
			if err != nil {
				return err
			}
			if err := tx.Bucket(boltLogs).Put(boltKey(entry.Index), value); err != nil {
				return err
			}
		}
		return nil
	})
}

func (b *boltLog) DeleteRange(first, last uint64) error {
	return b.db.Update(func(tx *bbolt.Tx) error {
		for index := first; index <= last; index++ {
			if err := tx.Bucket(boltLogs).Delete(boltKey(index)); err != nil {
				return err
			}
		}
		return nil
	})
}

func (b *boltLog) Set(key, value []byte) error {
	return b.db.Update(func(tx *bbolt.Tx) error { return tx.Bucket(boltStable).Put(key, value) })
}

func (b *boltLog) Get(key []byte) (value []byte, err error) {
	err = b.db.View(func(tx *bbolt.Tx) error {
		value = append(value, tx.Bucket(boltStable).Get(key)...)
		return nil
	})
	return value, err
}

func (b *boltLog) SetUint64(key []byte, value uint64) error { return b.Set(key, boltKey(value)) }

func (b *boltLog) GetUint64(key []byte) (uint64, error) {
	value, err := b.Get(key)
	if err != nil || len(value) != 8 {
		return 0, err
	}
	return binary.BigEndian.Uint64(value), nil
}

func (b *boltLog) Close() error { return b.db.Close() }
