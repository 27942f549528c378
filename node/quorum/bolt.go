package quorum

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"path/filepath"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/raft"
	"go.etcd.io/bbolt"
)

// lockWait is how long a node waits for another program to let go of its log.
const lockWait = time.Second

// logFile is the name of the log in its folder.
const logFile = "log.bolt"

var (
	entriesBucket = []byte("entries") // index (8 bytes, big-endian) -> entry, see encodeEntry and piece
	stableBucket  = []byte("stable")  // term and vote
)

// boltLog is the log: one bbolt file with a key for each entry. Every StoreLogs is one transaction, on disk when it
// returns.
type boltLog struct {
	swap     sync.RWMutex // held by whoever uses db
	db       *bbolt.DB
	path     string
	encoded  []byte        // of the transaction at hand: bbolt keeps what is put until then
	removals atomic.Uint64 // of entries, so far
}

func openLog(dir string) (logStore, error) {
	path := filepath.Join(dir, logFile)
	db, err := openBolt(path)
	if err != nil {
		return nil, err
	}
	b := &boltLog{db: db, path: path}
	err = b.update(func(tx *bbolt.Tx) error {
		_, err := tx.CreateBucketIfNotExists(entriesBucket)
		_, other := tx.CreateBucketIfNotExists(stableBucket)
		return errors.Join(err, other)
	})
	if err != nil {
		return nil, errors.Join(fmt.Errorf("%s: %w", path, err), db.Close())
	}
	return b, nil
}

func openBolt(path string) (db *bbolt.DB, err error) {
	err = safely(func() (err error) {
		db, err = bbolt.Open(path, 0o600, &bbolt.Options{
			Timeout: lockWait, InitialMmapSize: mapped(),
			// The list of free pages, long after the log was shortened, is found at open instead of written every time.
			NoFreelistSync: true, FreelistType: bbolt.FreelistMapType,
		})
		return err
	})
	if errors.Is(err, bbolt.ErrTimeout) {
		return nil, fmt.Errorf("%s is in use by another program: is this node already running?", path)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	db.AllocSize = allocated
	return db, nil
}

// allocated is by how many bytes the file grows at once.
const allocated = 1 << 20

// mapped is how much of the address space the file is given at once: where it outgrows that while a transaction is
// written, all that the transaction holds is copied. Windows would make the file as large.
func mapped() int {
	if runtime.GOOS == "windows" {
		return 0
	}
	return 64 << 20
}

// safely turns a panic into an error: bbolt panics where it meets a damaged page. At open, that leaves the file locked
// until the program ends.
func safely(work func() error) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("the log is damaged: %v", r)
		}
	}()
	return work()
}

func (b *boltLog) view(read func(*bbolt.Tx) error) error {
	b.swap.RLock()
	defer b.swap.RUnlock()
	return safely(func() error { return b.db.View(read) })
}

func (b *boltLog) update(write func(*bbolt.Tx) error) error {
	b.swap.RLock()
	defer b.swap.RUnlock()
	return safely(func() error { return b.db.Update(write) })
}

// Close closes the file.
func (b *boltLog) Close() error {
	b.swap.RLock()
	defer b.swap.RUnlock()
	return b.db.Close()
}

// FirstIndex implements raft.LogStore.
func (b *boltLog) FirstIndex() (uint64, error) {
	return b.edge(func(c *bbolt.Cursor) []byte { key, _ := c.First(); return key })
}

// LastIndex implements raft.LogStore.
func (b *boltLog) LastIndex() (uint64, error) {
	return b.edge(func(c *bbolt.Cursor) []byte { key, _ := c.Last(); return key })
}

func (b *boltLog) edge(end func(*bbolt.Cursor) []byte) (index uint64, err error) {
	err = b.view(func(tx *bbolt.Tx) error {
		if key := end(tx.Bucket(entriesBucket).Cursor()); key != nil {
			index = binary.BigEndian.Uint64(key)
		}
		return nil
	})
	return index, err
}

// GetLog implements raft.LogStore.
func (b *boltLog) GetLog(index uint64, entry *raft.Log) error {
	return b.view(func(tx *bbolt.Tx) error {
		value := joined(tx.Bucket(entriesBucket).Cursor(), entryKey(index))
		if value == nil {
			return raft.ErrLogNotFound
		}
		if err := decodeEntry(value, entry); err != nil {
			return fmt.Errorf("entry %d in %s: %w", index, b.path, err)
		}
		entry.Index = index
		return nil
	})
}

// StoreLog implements raft.LogStore.
func (b *boltLog) StoreLog(entry *raft.Log) error { return b.StoreLogs([]*raft.Log{entry}) }

// StoreLogs implements raft.LogStore.
func (b *boltLog) StoreLogs(entries []*raft.Log) error {
	return b.update(func(tx *bbolt.Tx) error {
		bucket := tx.Bucket(entriesBucket)
		bucket.FillPercent = 0.9 // keys only ever rise
		buf := b.encoded[:0]
		for _, entry := range entries {
			start := len(buf)
			buf = appendEntry(buf, entry)
			if err := putPieces(bucket, entryKey(entry.Index), buf[start:]); err != nil {
				return err
			}
		}
		if b.encoded = buf; cap(buf) > mostKept {
			b.encoded = nil
		}
		return nil
	})
}

// mostKept is the largest buffer for entries that is kept for the next ones.
const mostKept = 4 << 20

// piece is how many bytes of an entry stand under one key. A page of bbolt holds up to four values, however large, and is
// written again with each that is added to it: in one piece, large entries would be written several times over. What
// follows the first piece stands under the index and the piece's number (2 bytes, big-endian). Two pieces fill eight
// pages of 4 KiB.
const piece = 16320

func putPieces(bucket *bbolt.Bucket, key, value []byte) error {
	first := value[:min(len(value), piece)]
	if err := bucket.Put(key, first); err != nil {
		return err
	}
	n := uint16(1)
	for rest := value[len(first):]; len(rest) > 0; n++ {
		next := rest[:min(len(rest), piece)]
		if err := bucket.Put(pieceKey(key, n), next); err != nil {
			return err
		}
		rest = rest[len(next):]
	}
	for ; bucket.Get(pieceKey(key, n)) != nil; n++ { // of a longer entry that was there
		if err := bucket.Delete(pieceKey(key, n)); err != nil {
			return err
		}
	}
	return nil
}

func pieceKey(key []byte, n uint16) []byte { return binary.BigEndian.AppendUint16(bytes.Clone(key), n) }

// joined is the value at a key with all its pieces; nil where there is none.
func joined(c *bbolt.Cursor, key []byte) []byte {
	at, value := c.Seek(key)
	if !bytes.Equal(at, key) {
		return nil
	}
	whole := value
	for at, value = c.Next(); bytes.HasPrefix(at, key); at, value = c.Next() {
		if len(whole) == piece { // the first is bbolt's own
			whole = bytes.Clone(whole)
		}
		whole = append(whole, value...)
	}
	return whole
}

// deleteAtOnce is how many entries one transaction deletes.
const deleteAtOnce = 4096

// DeleteRange implements raft.LogStore. What is left when it is cut short has no gap: an end is deleted from its end
// on, a beginning from its beginning.
func (b *boltLog) DeleteRange(first, last uint64) error {
	end, err := b.LastIndex()
	if err != nil {
		return err
	}
	begin, err := b.FirstIndex()
	if err != nil {
		return err
	}
	first, last = max(first, begin), min(last, end)
	for first <= last && last != 0 {
		from, to := first, min(last, first+deleteAtOnce-1)
		if last == end {
			from, to = max(first, last-min(last, deleteAtOnce-1)), last
		}
		if err := b.deleteFew(from, to); err != nil {
			return err
		}
		if last == end {
			end, last = from-1, from-1
		} else {
			first = to + 1
		}
	}
	return nil
}

func (b *boltLog) deleteFew(from, to uint64) error {
	b.removals.Add(1)
	return b.update(func(tx *bbolt.Tx) error {
		bucket := tx.Bucket(entriesBucket)
		var keys [][]byte
		cursor := bucket.Cursor()
		for key, _ := cursor.Seek(entryKey(from)); key != nil && binary.BigEndian.Uint64(key) <= to; key, _ = cursor.Next() {
			keys = append(keys, bytes.Clone(key))
		}
		for _, key := range keys {
			if err := bucket.Delete(key); err != nil {
				return err
			}
		}
		return nil
	})
}

// Set implements raft.StableStore.
func (b *boltLog) Set(key, value []byte) error {
	return b.update(func(tx *bbolt.Tx) error { return tx.Bucket(stableBucket).Put(key, value) })
}

// Get implements raft.StableStore: nil where there is none.
func (b *boltLog) Get(key []byte) (value []byte, err error) {
	err = b.view(func(tx *bbolt.Tx) error {
		value = append(value, tx.Bucket(stableBucket).Get(key)...)
		return nil
	})
	return value, err
}

// SetUint64 implements raft.StableStore.
func (b *boltLog) SetUint64(key []byte, value uint64) error { return b.Set(key, entryKey(value)) }

// GetUint64 implements raft.StableStore: 0 where there is none.
func (b *boltLog) GetUint64(key []byte) (uint64, error) {
	value, err := b.Get(key)
	if err != nil || len(value) == 0 {
		return 0, err
	}
	if len(value) != 8 {
		return 0, fmt.Errorf("%s: %s has %d bytes, want 8", b.path, key, len(value))
	}
	return binary.BigEndian.Uint64(value), nil
}

func entryKey(index uint64) []byte { return binary.BigEndian.AppendUint64(nil, index) }

var (
	castagnoli = crc32.MakeTable(crc32.Castagnoli)
	errDamaged = errors.New("the entry is damaged")
)

// entryHead is the size of what comes before an entry's extensions and data.
const entryHead = 4 + 1 + 1 + 8 + 8 + 4

// encodeEntry: CRC-32C of the rest (4 bytes), version 1, type, term (8), when it was appended in nanoseconds since 1970
// (8, 0 where unknown), length of the extensions (4), extensions, data. Numbers are big-endian.
func encodeEntry(entry *raft.Log) []byte { return appendEntry(nil, entry) }

func appendEntry(buf []byte, entry *raft.Log) []byte {
	var appended int64
	if !entry.AppendedAt.IsZero() {
		appended = entry.AppendedAt.UnixNano()
	}
	start := len(buf)
	buf = slices.Grow(buf, entryHead+len(entry.Extensions)+len(entry.Data))
	buf = append(buf, 0, 0, 0, 0, 1, byte(entry.Type))
	buf = binary.BigEndian.AppendUint64(buf, entry.Term)
	buf = binary.BigEndian.AppendUint64(buf, uint64(appended))
	buf = binary.BigEndian.AppendUint32(buf, uint32(len(entry.Extensions)))
	buf = append(append(buf, entry.Extensions...), entry.Data...)
	binary.BigEndian.PutUint32(buf[start:], crc32.Checksum(buf[start+4:], castagnoli))
	return buf
}

// decodeEntry reads what encodeEntry wrote, into copies.
func decodeEntry(value []byte, entry *raft.Log) error {
	if len(value) < entryHead || crc32.Checksum(value[4:], castagnoli) != binary.BigEndian.Uint32(value) {
		return errDamaged
	}
	if value[4] != 1 {
		return fmt.Errorf("it has version %d, this program reads 1: run a newer one", value[4])
	}
	extensions := uint64(binary.BigEndian.Uint32(value[22:]))
	if extensions > uint64(len(value)-entryHead) {
		return errDamaged
	}
	*entry = raft.Log{Type: raft.LogType(value[5]), Term: binary.BigEndian.Uint64(value[6:])}
	if appended := int64(binary.BigEndian.Uint64(value[14:])); appended != 0 {
		entry.AppendedAt = time.Unix(0, appended)
	}
	rest := append([]byte(nil), value[entryHead:]...)
	if extensions > 0 {
		entry.Extensions = rest[:extensions:extensions]
	}
	entry.Data = rest[extensions:]
	return nil
}
