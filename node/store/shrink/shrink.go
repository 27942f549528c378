// Package shrink gives back what of a database's file is free.
package shrink

import (
	"context"
	"database/sql"
	"fmt"
	"os"
	"sync/atomic"
	"time"

	"thatch/node/store/sqlite"
)

// Bounds of Run.
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

// File is a database whose file shrinks.
type File struct {
	Path string
	// Use lends the writing connection, to nobody else meanwhile; it fails, or does nothing, where there is none, or a snapshot is
	// made: that would keep the write-ahead log from being folded.
	Use     func(use func(c *sqlite.Conn) error) error
	View    func(ctx context.Context, read func(tx *sql.Tx) error) error
	Applied func() uint64

	looked atomic.Uint64 // index at which it was last looked how full pages are
}

// Enable has a file give free pages back in steps that was made without that, by other programs or by a hand. It is written anew
// once; every file that a version of this program made has it from its beginning.
func Enable(c *sqlite.Conn) (anew bool, err error) {
	mode, err := c.Number("PRAGMA auto_vacuum")
	if err != nil || mode != 0 {
		return false, err
	}
	return true, c.Script("PRAGMA auto_vacuum = INCREMENTAL; VACUUM")
}

// Run gives free pages back where they are many, some at a time: writers come in between. A small file of which many pages are
// half empty, since rows went from them, is written anew. Then it folds the write-ahead log into the file, where nobody reads from
// it. It returns how many bytes the file lost.
func (f *File) Run(ctx context.Context) (freed int64, err error) {
	for more := true; more && err == nil; {
		began := time.Now()
		var bytes int64
		if bytes, more, err = f.step(); err == nil {
			freed += bytes
			err = pauseFor(ctx, time.Since(began))
		}
	}
	if err == nil {
		var more int64
		more, err = f.rewrite(ctx)
		freed += more
	}
	if err == nil {
		err = f.Use(f.fold)
	}
	if err != nil && ctx.Err() == nil {
		err = fmt.Errorf("give back free pages of %s: %w", f.Path, err)
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

// step gives some pages back, and says how many bytes that were and whether there are more.
func (f *File) step() (freed int64, more bool, err error) {
	err = f.Use(func(c *sqlite.Conn) error {
		free, all, err := pages(c)
		if err != nil || free <= max(sparePages, all/spare) {
			return err
		}
		give := min(shrunkAtOnce, free-max(sparePages, all/spare)/2)
		if err := c.Script(fmt.Sprintf("PRAGMA incremental_vacuum(%d)", give)); err != nil {
			return err
		}
		_, left, err := pages(c)
		if err != nil {
			return err
		}
		size, err := c.Number("PRAGMA page_size")
		freed, more = (all-left)*size, left < all
		return err
	})
	return freed, more, err
}

// pages counts the free pages of the file and all of them.
func pages(c *sqlite.Conn) (free, all int64, err error) {
	if free, err = c.Number("PRAGMA freelist_count"); err != nil {
		return 0, 0, err
	}
	all, err = c.Number("PRAGMA page_count")
	return free, all, err
}

// fold folds the write-ahead log into the file where it is large beside it. Where somebody reads from it, it stays until the next
// time.
func (f *File) fold(c *sqlite.Conn) error {
	file, err := os.Stat(f.Path)
	if err != nil {
		return err
	}
	log, err := os.Stat(f.Path + "-wal")
	if err != nil || log.Size() < max(quietLog, file.Size()/spare) {
		return nil
	}
	if _, err := c.Exec("PRAGMA busy_timeout = 100"); err != nil {
		return err
	}
	_, err = c.Row("PRAGMA wal_checkpoint(TRUNCATE)")
	_, other := c.Exec("PRAGMA busy_timeout = 10000")
	if err == nil {
		err = other
	}
	return err
}

// rewrite writes a small file anew where much of its pages is empty.
func (f *File) rewrite(ctx context.Context) (freed int64, err error) {
	looked, applied := f.looked.Load(), f.Applied()
	if applied < looked+lookAgain || !f.looked.CompareAndSwap(looked, applied) {
		return 0, nil
	}
	var all, empty int64
	err = f.View(ctx, func(tx *sql.Tx) error {
		const size = `SELECT page_count * page_size FROM pragma_page_count, pragma_page_size`
		if err := tx.QueryRowContext(ctx, size).Scan(&all); err != nil || all > rewritten {
			return err
		}
		return tx.QueryRowContext(ctx, `SELECT sum(unused) FROM dbstat WHERE aggregate = TRUE`).Scan(&empty)
	})
	if err != nil || all > rewritten || empty*thinPages < all {
		return 0, err
	}
	err = f.Use(func(c *sqlite.Conn) error {
		_, before, err := pages(c)
		if err == nil {
			err = c.Script("VACUUM")
		}
		if err != nil {
			return err
		}
		_, after, err := pages(c)
		freed = (before - after) * all / before
		return err
	})
	return freed, err
}
