package sites

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"time"

	"thatch/catalog/document"
	"thatch/catalog/federation"
	"thatch/node/sites/alarms"
	"thatch/node/store"
	"thatch/node/store/sqlite"
)

// Tell writes what this site tells of itself, its document and its language alert, where that changed.
func (r *Room) Tell(ctx context.Context) error {
	for try := 1; ; try++ {
		err := r.tell(ctx)
		if try == tellTries || !errors.Is(err, store.ErrConflict) {
			return err
		}
	}
}

// tellTries is how often the site tells of itself when others do the same at the same moment.
const tellTries = 4

func (r *Room) tell(ctx context.Context) error {
	var statements []store.Statement
	err := r.cfg.Reader.View(ctx, func(tx *sql.Tx) error {
		var parent string
		err := tx.QueryRowContext(ctx, `SELECT id FROM parent`).Scan(&parent)
		if err != nil && !errors.Is(err, sql.ErrNoRows) {
			return err
		}
		statements, err = r.siteStatements(ctx, tx, parent)
		if err != nil {
			return err
		}
		alert, err := r.alertStatements(ctx, tx)
		statements = append(statements, alert...)
		return err
	})
	if err != nil {
		return fmt.Errorf("read what the site tells of itself: %w", err)
	}
	if len(statements) == 0 {
		return nil
	}
	applied, err := r.cfg.Writer.Write(ctx, store.Batch{
		Actor: "task sites", Reason: "tell of this site", Topics: []string{Topic, store.TopicDocuments}, Statements: statements,
	})
	if err = errors.Join(err, applied.Err()); err != nil {
		return fmt.Errorf("tell of this site: %w", err)
	}
	return nil
}

// siteStatements put the site's own document where it would change, with a parent ("" at the top).
func (r *Room) siteStatements(ctx context.Context, tx *sql.Tx, parent string) ([]store.Statement, error) {
	var name string
	if err := tx.QueryRowContext(ctx, `SELECT name FROM site`).Scan(&name); err != nil {
		return nil, fmt.Errorf("read the site's name: %w", err)
	}
	body, err := federation.Encode(federation.Site{
		Name: name, Parent: parent, Authority: r.cfg.Authority, Version: alarms.Clip(r.cfg.Version, federation.MaxVersion),
	})
	if err != nil {
		return nil, fmt.Errorf("what this site tells of itself: %w", err)
	}
	return r.own(ctx, tx, document.Site, body)
}

// alertStatements put the site's language alert where it would change.
func (r *Room) alertStatements(ctx context.Context, tx *sql.Tx) ([]store.Statement, error) {
	managed, err := sqlite.Texts(ctx, tx, `SELECT tag FROM language ORDER BY tag`)
	if err != nil {
		return nil, fmt.Errorf("read the managed languages: %w", err)
	}
	alert := federation.Alert{Languages: managed}
	if alert.Languages == nil {
		alert.Languages = []string{}
	}
	if alert.Computers, err = computerLanguages(ctx, tx); err != nil {
		return nil, err
	}
	body, err := federation.Encode(alert)
	if err != nil {
		return nil, fmt.Errorf("the languages that this site needs: %w", err)
	}
	return r.own(ctx, tx, document.LanguageAlert, body)
}

// computerLanguages counts the site's computers by the language that they show their people.
func computerLanguages(ctx context.Context, tx *sql.Tx) (map[string]int, error) {
	rows, err := tx.QueryContext(ctx, `SELECT languages, count(*) FROM computer WHERE retired = '' AND languages <> '' GROUP BY languages`)
	if err != nil {
		return nil, fmt.Errorf("count the computers' languages: %w", err)
	}
	defer rows.Close()
	counts := map[string]int{}
	for rows.Next() {
		var tags string
		var count int
		if err := rows.Scan(&tags, &count); err != nil {
			return nil, fmt.Errorf("count the computers' languages: %w", err)
		}
		first, _, _ := strings.Cut(tags, ",")
		if normal, err := document.NormalLanguages([]string{first}); err == nil && len(counts) < maxComputerLanguages {
			counts[normal[0]] += count
		}
	}
	return counts, rows.Err()
}

const maxComputerLanguages = 200

// own makes the statements that put a document about this site, none where it is as before.
func (r *Room) own(ctx context.Context, tx *sql.Tx, kind document.Kind, body []byte) ([]store.Statement, error) {
	doc, err := document.New(kind, r.cfg.Site, nil, body)
	if err != nil {
		return nil, fmt.Errorf("what this site tells of itself: %w", err)
	}
	r.cfg.Signer.Sign(&doc)
	return putChanged(ctx, tx, doc)
}

// How long changes are gathered before the site tells of them: those of the tree and its languages, and those of its
// computers, which report all the time.
const (
	settle          = 200 * time.Millisecond
	settleComputers = 5 * time.Second
)

// Follow tells of this site, and judges the alarms again, when it starts and whenever the tree and its languages, or the
// computers, changed, until ctx ends.
func (r *Room) Follow(ctx context.Context, changed, computers <-chan struct{}) error {
	judge := time.NewTicker(judgeEvery)
	defer judge.Stop()
	var later <-chan time.Time // computers changed
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-changed:
			if !rest(ctx, settle) {
				return nil
			}
		case <-computers:
			if later == nil {
				later = time.After(settleComputers)
			}
			continue
		case <-later:
			later = nil
		case <-judge.C:
		}
		if err := errors.Join(r.Tell(ctx), r.Judge(ctx), r.keepContacts(ctx)); err != nil && ctx.Err() == nil {
			r.cfg.Log.Error("what the site tells of itself, or its alarms, could not be brought up to date; it is tried again", "error", err)
		}
	}
}

// judgeEvery is how often alarms are judged that come with time alone.
const judgeEvery = time.Minute

// rest waits, and says whether ctx still lasts.
func rest(ctx context.Context, wait time.Duration) bool {
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
