package sites

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"thatch/catalog/document"
	"thatch/catalog/federation"
	"thatch/node/identity"
	"thatch/node/sites/alarms"
	"thatch/node/store"
	"thatch/node/store/sqlite"
)

// The kinds of alarms. Those that Judge finds by itself come first; the others are raised and cleared by whoever sees them.
const (
	LanguageBelow     = "language-below"     // a site below manages a language that this one does not; subject: the language
	LanguageComputers = "language-computers" // computers here run a language that the site does not manage; likewise
	LanguageAbove     = "language-above"     // the parent does not manage a language of this site; likewise
	Silent            = "silent"             // a child was not heard of for long; subject: its id
	Ring              = "ring"               // the tree bites its tail
	Untrusted         = "untrusted"          // payloads that another site of the tree took are refused here: their signers are not trusted
	Backup            = "backup"             // backups that are made by schedule are missing, or fail

	Diverged   = "diverged"   // a neighbour went back in time; subject: its id and the type
	Quarantine = "quarantine" // documents were not accepted; subject: the neighbour's id and the type
	Refused    = "refused"    // a child pushed up what is not its own; subject: its id
	ShutOut    = "shut-out"   // the parent lets this site in no more; subject: the parent's id
	NotJoined  = "not-joined" // the parent that the configuration names does not take this site
	Damaged    = "damaged"    // documents here did not match their digests
	Claimed    = "claimed"    // a site joined that others had told of by another key; subject: its id
)

// judged are the kinds that Judge settles.
var judged = []string{LanguageBelow, LanguageComputers, LanguageAbove, Silent, Ring, Quarantine, Untrusted, Backup}

// passing are the kinds that tell of something that happened once: they end by themselves after keepPassing.
var passing = []string{Diverged, Refused, Claimed, Damaged}

const keepPassing = 7 * 24 * time.Hour

const maxAlarmText = federation.MaxText

// AlarmsAbout are the standing alarms that a child is to hear of: those about it, and about languages that it or its
// descendants need.
func (r *Room) AlarmsAbout(ctx context.Context, child string) ([]Alarm, error) {
	standing, err := r.Standing(ctx)
	if err != nil || len(standing) == 0 {
		return nil, err
	}
	var needed []string
	err = r.cfg.Reader.View(ctx, func(tx *sql.Tx) error {
		needed = nil
		tree, err := r.tree(ctx, tx)
		if err != nil {
			return err
		}
		said, err := alerts(ctx, tx)
		for _, site := range append([]string{child}, tree.Below(child)...) {
			needed = append(needed, said[site].Languages...)
		}
		return err
	})
	about := slices.DeleteFunc(standing, func(a Alarm) bool {
		subject, _, _ := strings.Cut(a.Subject, " ")
		return subject != child && (a.Kind != LanguageBelow || !slices.Contains(needed, subject))
	})
	return about, err
}

// RaiseDiverged tells that a child knows a past of this site that this site does not.
func (r *Room) RaiseDiverged(ctx context.Context, child Child, of string) error {
	return r.Raise(ctx, Alarm{
		Kind: Diverged, Subject: child.ID + " " + of,
		Text:   fmt.Sprintf("child %s holds %s from a past that this site does not know: this site went back in time, as by a disk that was copied back", child.Name, of),
		Advice: "a complete run mends the child by itself; if this site was restored, nothing more is to be done, else find out who put an old file here",
	})
}

// RaiseRefused tells that a child sent up what is not its own, and keeps it in the audit log. What stands already is not kept
// again: a child may send it as often as it likes.
func (r *Room) RaiseRefused(ctx context.Context, child Child, why error) error {
	a := Alarm{
		Kind: Refused, Subject: child.ID,
		Text:   alarms.Clip(fmt.Sprintf("child %s sent up what it must not: %v", child.Name, why), maxAlarmText),
		Advice: "find out what happened there; shut the site out if it is not what it was: thatch children revoke " + child.Name,
	}
	standing, err := r.Standing(ctx)
	if err != nil {
		return err
	}
	if slices.ContainsFunc(standing, func(s Alarm) bool { return s.Kind == a.Kind && s.Subject == a.Subject && s.Text == a.Text }) {
		return nil
	}
	entry := identity.AuditEntry(r.cfg.Now(), "site "+child.ID, "refused: "+alarms.Clip(why.Error(), maxAlarmText))
	applied, err := r.cfg.Writer.Write(ctx, store.Batch{
		Actor: "task sites", Reason: "refuse what a child sent up", Topics: []string{alarms.Topic}, Statements: []store.Statement{entry},
	})
	return errors.Join(err, applied.Err(), r.Raise(ctx, a))
}

// RaiseDamaged tells that documents of this site do not match their digests.
func (r *Room) RaiseDamaged(ctx context.Context, kind, id string) error {
	return r.Raise(ctx, Alarm{
		Kind:   Damaged,
		Text:   fmt.Sprintf("documents of this site do not match their digests, such as %s %.200q: its file was altered, or its disk fails", kind, id),
		Advice: "have them mended from a child's good copies: thatch replication verify --child NAME --repair; then find out what altered the file",
	})
}

// RaiseMended tells that damaged documents of this site were mended.
func (r *Room) RaiseMended(ctx context.Context, child Child, documents int) error {
	return r.Raise(ctx, Alarm{
		Kind: Damaged, Text: fmt.Sprintf("%d documents of this site that did not match their digests were mended from good copies of child %s", documents, child.Name),
		Advice: "find out what altered the site's file: a failing disk, or somebody's hand",
	})
}

// RaiseRefusedAbove tells that the parent refused what this site sent up, and keeps why.
func (r *Room) RaiseRefusedAbove(ctx context.Context, parent Parent, why string) error {
	return r.Raise(ctx, Alarm{
		Kind: Refused, Subject: parent.ID,
		Text:   fmt.Sprintf("the parent %s refused what this site sent up: %s", parent.Name, why),
		Advice: "find out who wrote it here: it bears another site's name, or is of a kind that does not go up",
	})
}

// Judge raises the alarms that follow from what the site holds, and ends those that are true no more.
func (r *Room) Judge(ctx context.Context) error {
	var now []Alarm
	err := r.cfg.Reader.View(ctx, func(tx *sql.Tx) error {
		now = nil
		tree, err := r.tree(ctx, tx)
		if err != nil {
			return err
		}
		managed, err := sqlite.Texts(ctx, tx, `SELECT tag FROM language`)
		if err != nil {
			return err
		}
		for _, judge := range []func(context.Context, *sql.Tx, *Tree, []string) ([]Alarm, error){
			judgeBelow, judgeComputers, judgeAbove, r.judgeSilent, judgeRing,
		} {
			found, err := judge(ctx, tx, tree, managed)
			if err != nil {
				return err
			}
			now = append(now, found...)
		}
		return nil
	})
	if err == nil && r.cfg.Also != nil {
		var also []Alarm
		also, err = r.cfg.Also(ctx)
		now = append(now, also...)
	}
	if err != nil {
		return fmt.Errorf("judge the alarms: %w", err)
	}
	return errors.Join(r.Settle(ctx, judged, now), r.endPassed(ctx))
}

// endPassed ends alarms that are only of the past: what happened a week ago, and what a former parent said.
func (r *Room) endPassed(ctx context.Context) error {
	standing, err := r.Standing(ctx)
	if err != nil || len(standing) == 0 {
		return err
	}
	parent, err := r.Parent(ctx)
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return err
	}
	for _, a := range standing {
		old := slices.Contains(passing, a.Kind) && r.cfg.Now().Sub(a.Since) > keepPassing
		if old || a.Kind == ShutOut && a.Subject != parent.ID || a.Kind == NotJoined && parent.ID != "" {
			if err := r.Clear(ctx, a.Kind, a.Subject); err != nil {
				return err
			}
		}
	}
	return nil
}

// RaiseShutOut tells that the parent lets this site in no more.
func (r *Room) RaiseShutOut(ctx context.Context, parent Parent, why string) error {
	return r.Raise(ctx, Alarm{
		Kind: ShutOut, Subject: parent.ID,
		Text:   fmt.Sprintf("the parent %s lets this site in no more: %s", parent.Name, why),
		Advice: "ask the parent's administrator; leave it (thatch child leave --force), or join again with a new token",
	})
}

// RaiseNotJoined tells that the site does not become a child of the parent that its configuration names, so that nobody
// need look into the log for it.
func (r *Room) RaiseNotJoined(ctx context.Context, address, why string) error {
	return r.Raise(ctx, Alarm{
		Kind:   NotJoined,
		Text:   fmt.Sprintf("this site does not become a child of the parent at %s, which its configuration names: %s", address, why),
		Advice: "have a token made there (thatch children tokens create --name NAME), then join with it: thatch child join --parent URL --token TOKEN",
	})
}

// Alerts are the languages that sites need, by site, as their alerts say.
func (r *Room) Alerts(ctx context.Context) (said map[string]federation.Alert, err error) {
	err = r.cfg.Reader.View(ctx, func(tx *sql.Tx) (err error) {
		said, err = alerts(ctx, tx)
		return err
	})
	return said, err
}

func alerts(ctx context.Context, tx *sql.Tx) (map[string]federation.Alert, error) {
	all, err := store.Documents(ctx, tx, document.LanguageAlert, "", maxSites)
	if err != nil {
		return nil, fmt.Errorf("read the language alerts: %w", err)
	}
	found := make(map[string]federation.Alert, len(all))
	for i := range all {
		if alert, err := federation.Decode[federation.Alert](all[i].Body); err == nil && all[i].Origin == all[i].ID {
			found[all[i].ID] = alert
		}
	}
	return found, nil
}

func judgeBelow(ctx context.Context, tx *sql.Tx, tree *Tree, managed []string) ([]Alarm, error) {
	said, err := alerts(ctx, tx)
	if err != nil {
		return nil, err
	}
	using := languagesBelow(tree, said)
	var found []Alarm
	for tag, sites := range using {
		if !slices.Contains(managed, tag) {
			found = append(found, Alarm{
				Kind: LanguageBelow, Subject: tag,
				Text:   fmt.Sprintf("%s is managed below (%s) and not here: these sites receive no documents in it", tag, strings.Join(sites, ", ")),
				Advice: "thatch site languages --add " + tag,
			})
		}
	}
	return found, nil
}

// languagesBelow are the languages that sites below manage, each with the names of these sites, sorted.
func languagesBelow(tree *Tree, said map[string]federation.Alert) map[string][]string {
	using := map[string][]string{}
	for _, site := range tree.Served(tree.Self) {
		for _, tag := range said[site].Languages {
			using[tag] = append(using[tag], tree.Name(site))
		}
	}
	for _, sites := range using {
		slices.Sort(sites)
	}
	return using
}

func judgeComputers(ctx context.Context, tx *sql.Tx, _ *Tree, managed []string) ([]Alarm, error) {
	counts, err := computerLanguages(ctx, tx)
	if err != nil {
		return nil, err
	}
	var found []Alarm
	for tag, count := range counts {
		if !speaks(managed, tag) {
			primary, _, _ := strings.Cut(tag, "-")
			found = append(found, Alarm{
				Kind: LanguageComputers, Subject: tag,
				Text:   fmt.Sprintf("%d computers run %s, which the site does not manage: no packages in it are staged for them", count, tag),
				Advice: "thatch site languages --add " + primary,
			})
		}
	}
	return found, nil
}

// speaks says whether packages in the managed languages are for computers of a language: "de" is for "de-at" too, and the
// other way.
func speaks(managed []string, tag string) bool {
	return slices.ContainsFunc(managed, func(m string) bool {
		return m == tag || strings.HasPrefix(tag, m+"-") || strings.HasPrefix(m, tag+"-")
	})
}

func judgeAbove(ctx context.Context, tx *sql.Tx, tree *Tree, managed []string) ([]Alarm, error) {
	var name, link string
	err := tx.QueryRowContext(ctx, `SELECT name, link FROM parent`).Scan(&name, &link)
	if errors.Is(err, sql.ErrNoRows) || err == nil && link == "" {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read the parent: %w", err)
	}
	var said struct {
		Languages []string `json:"languages"`
	}
	if err := json.Unmarshal([]byte(link), &said); err != nil {
		return nil, fmt.Errorf("what the parent said of the link: %w", err)
	}
	var found []Alarm
	for _, tag := range managed {
		if !slices.Contains(said.Languages, tag) {
			found = append(found, Alarm{
				Kind: LanguageAbove, Subject: tag,
				Text:   fmt.Sprintf("the parent %s does not manage %s: this site receives no documents in it", name, tag),
				Advice: "have the parent's administrator add it there: thatch site languages --add " + tag,
			})
		}
	}
	return found, nil
}

// silentAfter is how long a child may say nothing.
const silentAfter = 12 * time.Hour

func (r *Room) judgeSilent(ctx context.Context, tx *sql.Tx, _ *Tree, _ []string) ([]Alarm, error) {
	list, err := tx.QueryContext(ctx, `SELECT `+childColumns.From+` WHERE revoked = ''`)
	if err != nil {
		return nil, fmt.Errorf("read the children: %w", err)
	}
	defer list.Close()
	var found []Alarm
	for list.Next() {
		c, err := r.scanChild(list.Scan)
		if err != nil {
			return nil, err
		}
		if r.cfg.Now().Sub(c.Seen) > silentAfter {
			found = append(found, Alarm{
				Kind: Silent, Subject: c.ID,
				Text:   fmt.Sprintf("child %s was last heard of at %s", c.Name, c.Seen.UTC().Format(time.RFC3339)),
				Advice: "look whether its nodes run and reach this site; remove it if it is gone for good: thatch children remove " + c.Name,
			})
		}
	}
	return found, list.Err()
}

func judgeRing(_ context.Context, _ *sql.Tx, tree *Tree, _ []string) ([]Alarm, error) {
	if !tree.Ring() {
		return nil, nil
	}
	return []Alarm{{
		Kind: Ring, Text: "the sites above this one stand below it as well: the tree is a ring, and nothing in it can be told from its copy",
		Advice: "have one site of the ring leave its parent: thatch child leave",
	}}, nil
}

// InUseBelow names, for each of some languages, the sites below that manage it.
func (r *Room) InUseBelow(ctx context.Context, tags []string) (map[string][]string, error) {
	using := map[string][]string{}
	err := r.cfg.Reader.View(ctx, func(tx *sql.Tx) error {
		tree, err := r.tree(ctx, tx)
		if err != nil {
			return err
		}
		said, err := alerts(ctx, tx)
		if err != nil {
			return err
		}
		using = languagesBelow(tree, said)
		return nil
	})
	for tag := range using {
		if !slices.Contains(tags, tag) {
			delete(using, tag)
		}
	}
	return using, err
}

// CheckDrop is an error that wraps store.ErrConflict and names the sites, where sites below need languages that this one is
// about to manage no more.
func (r *Room) CheckDrop(ctx context.Context, tags []string) error {
	using, err := r.InUseBelow(ctx, tags)
	if err != nil || len(using) == 0 {
		return err
	}
	var lines []string
	for tag, sites := range using {
		lines = append(lines, tag+" ("+strings.Join(sites, ", ")+")")
	}
	slices.Sort(lines)
	return store.Conflicting("sites below manage %s, and would receive nothing in it any more; drop it all the same with --force",
		strings.Join(lines, " and "))
}
