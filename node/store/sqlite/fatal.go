package sqlite

import (
	"errors"
	"fmt"

	"modernc.org/sqlite"
	lib "modernc.org/sqlite/lib"
)

// Fatal is an error after which nothing more is applied: disk full, an I/O error, a damaged file. What was
// acknowledged before is safe; the batch at which it happened is applied after the cause is gone and the node is
// started again. It is kept: every later write answers the same.
type Fatal struct {
	Path   string // of the database
	Op     string // what was being done
	Err    error
	Advice string // what to do, a sentence
}

func (f *Fatal) Error() string {
	return fmt.Sprintf("database %s: %s: %v. Nothing more is written. %s", f.Path, f.Op, f.Err, f.Advice)
}

func (f *Fatal) Unwrap() error { return f.Err }

// Code is SQLite's primary result code of an error, 0 when it is none of SQLite's.
func Code(err error) int {
	var e *sqlite.Error
	if errors.As(err, &e) {
		return e.Code() & 0xff
	}
	return 0
}

// Steady says whether a statement that failed so fails on every node alike: its text or its data are at fault, not
// this machine.
func Steady(err error) (isSteady, constraint bool) {
	switch Code(err) {
	case lib.SQLITE_CONSTRAINT:
		return true, true
	case lib.SQLITE_ERROR, lib.SQLITE_MISMATCH, lib.SQLITE_TOOBIG, lib.SQLITE_RANGE, lib.SQLITE_AUTH:
		return true, false
	}
	return false, false
}

// NewFatal makes a Fatal of an error, with what to do about it.
func NewFatal(path, op string, err error) *Fatal {
	var already *Fatal
	if errors.As(err, &already) {
		return already
	}
	return &Fatal{Path: path, Op: op, Err: err, Advice: adviceFor(Code(err))}
}

func adviceFor(code int) string {
	switch code {
	case lib.SQLITE_FULL:
		return "The disk is full: free space on it, then start the node again; it goes on where it stopped."
	case lib.SQLITE_IOERR:
		return "The disk reports errors: look at the system's log, mend or replace it, then start the node again."
	case lib.SQLITE_CORRUPT, lib.SQLITE_NOTADB:
		return "The file is damaged: check the disk, move the file away and start the node again; " +
			"it is made anew from the last snapshot and the log."
	case lib.SQLITE_READONLY, lib.SQLITE_PERM, lib.SQLITE_CANTOPEN:
		return "The file or its folder cannot be written: look at owner and permissions, then start the node again."
	case lib.SQLITE_BUSY, lib.SQLITE_LOCKED, lib.SQLITE_PROTOCOL:
		return "Another program keeps the file locked: end it, then start the node again."
	case lib.SQLITE_NOMEM:
		return "The machine has no memory left: give it more or end other programs, then start the node again."
	}
	return "Start the node again; if it happens again, report it with this message."
}
