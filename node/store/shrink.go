package store

import (
	"context"
	"database/sql"
	"fmt"
	"os"
	"time"

	"thatch/node/store/sqlite"
)

// Bounds of Shrink.
const (
	shrunkAtOnce = 100 // pages in a step
	// spare is what of a file may be free: one page in so many, and some in any case. They are used again before the file grows.
	spare      = 20
	sparePages = 64
	// quietLog is how large the write-ahead log may stay when nothing happens; a larger one only where the file is.
	quietLog = 1 << 20
	// rewritten is how large a file may be to be written anew, which holds writers up for a second at most, where of its pages one
	// part in thinPages is empty. Whether it is so is looked at again after some batches.
	rewritten = 64 << 20
	thinPages = 8
	lookAgain = 1000
)

// enableShrinking has a file give free pages back in steps that was made without that, by other programs or by a hand. It is
// written anew once; every file that a version of this program made has it from its beginning.
func (db *DB) enableShrinking(c *sqlite.Conn) error {
	mode, err := c.Number("PRAGMA auto_vacuum")
	if err != nil || mode != 0 {
		return err
	}
	db.config.Log.Info("the database is written anew, so that it can shrink", "path", db.config.Path)
	return c.Script("PRAGMA auto_vacuum = INCREMENTAL; VACUUM")
}

// Shrink gives free pages back where they are many, some at a time: writers come in between. A small file of which many pages are
// half empty, since rows went from them, is written anew. Then it folds the write-ahead log into the file, where nobody reads from
// it. It does nothing while a snapshot is made, which would keep the log from being folded. It returns how many bytes the file lost.
func (db *DB) Shrink(ctx context.Context) (freed int64, err error) {
	for more := true; more && err == nil; {
		began := time.Now()
		var pages int64
		if pages, more, err = db.shrinkStep(); err == nil {
			freed += pages
			err = pauseFor(ctx, time.Since(began))
		}
	}
	if err == nil {
		var more int64
		more, err = db.rewrite(ctx)
		freed += more
	}
	if err == nil && db.trimming.copying.Load() == 0 {
		err = db.foldQuietly()
	}
	if err != nil && ctx.Err() == nil {
		err = fmt.Errorf("give back free pages of %s: %w", db.config.Path, err)
	}
	return freed, err
}

// pauseFor leaves the file to others as long as it was used.
func pauseFor(ctx context.Context, long time.Duration) error {
	timer := time.NewTimer(long)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// shrinkStep gives some pages back, and says how many bytes that were and whether there are more.
func (db *DB) shrinkStep() (freed int64, more bool, err error) {
	db.writing.Lock()
	defer db.writing.Unlock()
	if err := db.Err(); err != nil {
		return 0, false, err
	}
	if db.writer == nil {
		return 0, false, ErrClosed
	}
	if db.trimming.copying.Load() > 0 {
		return 0, false, nil
	}
	free, all, err := db.pages()
	if err != nil || free <= max(sparePages, all/spare) {
		return 0, false, err
	}
	give := min(shrunkAtOnce, free-max(sparePages, all/spare)/2)
	if err := db.writer.Script(fmt.Sprintf("PRAGMA incremental_vacuum(%d)", give)); err != nil {
		return 0, false, err
	}
	_, left, err := db.pages()
	size, other := db.writer.Number("PRAGMA page_size")
	if err == nil {
		err = other
	}
	return (all - left) * size, left < all, err
}

// pages counts the free pages of the file and all of them.
func (db *DB) pages() (free, all int64, err error) {
	if free, err = db.writer.Number("PRAGMA freelist_count"); err != nil {
		return 0, 0, err
	}
	all, err = db.writer.Number("PRAGMA page_count")
	return free, all, err
}

// foldQuietly folds the write-ahead log into the file where it is large beside it. Where somebody reads from it, it stays until
// the next time.
func (db *DB) foldQuietly() error {
	db.writing.Lock()
	defer db.writing.Unlock()
	if db.Err() != nil || db.writer == nil {
		return nil
	}
	file, err := os.Stat(db.config.Path)
	if err != nil {
		return err
	}
	log, err := os.Stat(db.config.Path + "-wal")
	if err != nil || log.Size() < max(quietLog, file.Size()/spare) {
		return nil
	}
	if _, err := db.writer.Exec("PRAGMA busy_timeout = 100"); err != nil {
		return err
	}
	_, err = db.writer.Row("PRAGMA wal_checkpoint(TRUNCATE)")
	_, other := db.writer.Exec("PRAGMA busy_timeout = 10000")
	if err == nil {
		err = other
	}
	return err
}

// rewrite writes a small file anew where much of its pages is empty.
func (db *DB) rewrite(ctx context.Context) (freed int64, err error) {
	looked, applied := db.trimming.looked.Load(), db.Applied()
	if applied < looked+lookAgain || !db.trimming.looked.CompareAndSwap(looked, applied) {
		return 0, nil
	}
	var all, empty int64
	err = db.View(ctx, func(tx *sql.Tx) error {
		const size = `SELECT page_count * page_size FROM pragma_page_count, pragma_page_size`
		if err := tx.QueryRowContext(ctx, size).Scan(&all); err != nil || all > rewritten {
			return err
		}
		return tx.QueryRowContext(ctx, `SELECT sum(unused) FROM dbstat WHERE aggregate = TRUE`).Scan(&empty)
	})
	if err != nil || all > rewritten || empty*thinPages < all {
		return 0, err
	}
	db.writing.Lock()
	defer db.writing.Unlock()
	if db.Err() != nil || db.writer == nil || db.trimming.copying.Load() > 0 {
		return 0, nil
	}
	_, before, err := db.pages()
	if err == nil {
		err = db.writer.Script("VACUUM")
	}
	if err != nil {
		return 0, err
	}
	_, after, err := db.pages()
	return (before - after) * all / before, err
}
