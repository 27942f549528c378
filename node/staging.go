package node

import (
	"context"
	"errors"
	"fmt"
	"time"

	"thatch/node/folder"
	"thatch/node/imports"

	"thatch/catalog/content"
	"thatch/catalog/content/authenticode"
	"thatch/node/bulletins/staging"
	"thatch/node/check"
	"thatch/node/members"
	"thatch/node/settings"
	"thatch/node/store"
	"thatch/node/tasks"
)

// StagingTask is the task that downloads what is staged.
const StagingTask = "staging"

// openContent opens the payload store, and what fills it.
func (n *Node) openContent(ctx context.Context) error {
	values, err := n.Settings.All(ctx)
	if err != nil {
		return err
	}
	n.Content, err = content.Open(n.folder.Path(folder.ContentFolder), content.Options{
		MaxSize: settings.PayloadSize.In(values), BytesPerSecond: settings.DownloadRate.In(values),
		Altered: n.altered, Memory: check.Memory(n.own, n.cfg.Log), Now: n.cfg.Now,
	})
	if err != nil {
		return fmt.Errorf("open the payloads: %w", err)
	}
	n.Staging = staging.New(staging.Config{
		Node: n.folder.ID, Site: n.site.ID, Reader: n.db, Writer: n.writer, Signer: n.Identity, Catalog: n.Bulletins.Catalog(),
		Content: n.Content, Settings: n.downloads, Now: n.cfg.Now, Log: n.cfg.Log,
		Sisters: func(ctx context.Context, sum string, size int64, progress content.Progress) (content.Info, error) {
			return n.Copies.Pull(ctx, sum, size, progress)
		},
	})
	n.openCopies()
	n.Bulletins.State(n.Staging.Load)
	return nil
}

// altered hears that a payload on disk is not what it was: the site must know that this node has it no longer.
func (n *Node) altered(a content.Altered) {
	n.lostPayloads.Add(1)
	n.cfg.Log.Error("a payload was altered on disk and taken out; it is fetched again where its package names an address, and a package that was added from a file has to be added again", "sha256", a.SHA256,
		"found", a.Found, "quarantine", a.Quarantine)
	if err := n.Staging.Lost(context.Background(), a.SHA256); err != nil {
		n.cfg.Log.Error("that a payload is lost could not be recorded; the next start finds it", "sha256", a.SHA256, "error", err)
	}
}

// downloads reads the settings of one run of downloads.
func (n *Node) downloads(ctx context.Context) (staging.Settings, error) {
	values, err := n.Settings.All(ctx)
	if err != nil {
		return staging.Settings{}, err
	}
	n.Content.SetSpeed(settings.DownloadRate.In(values))
	return staging.Settings{
		Client:      imports.Client(values),
		Source:      settings.PayloadSource.In(values),
		AllowUnsafe: !settings.CheckSignatures.In(values),
		Trust:       authenticode.OfSite(settings.Trusted.In(values), settings.Roots.In(values)),
	}, nil
}

// stagingKind downloads what is staged. The hourly run asks again where a vendor did not answer.
func (n *Node) stagingKind() tasks.Kind {
	return tasks.Kind{
		Name: StagingTask, Text: "Download the packages of staged bulletins", Resume: true,
		Tasks: []tasks.Task{{Name: StagingTask, Schedule: "41 * * * *", Enabled: true}},
		Do: func(ctx context.Context, job *tasks.Job) (any, error) {
			return n.Staging.Run(ctx, func(p staging.Progress) {
				progress := tasks.Progress{Done: int64(p.Packages), Total: int64(p.Of), Unit: "packages", Text: p.Current}
				if p.OfBytes > 0 {
					progress = tasks.Progress{Done: min(p.Bytes, p.OfBytes), Total: p.OfBytes, Unit: "bytes", Text: p.Current}
				}
				job.Progress(progress)
			})
		},
	}
}

// followStaging starts downloads whenever there is something new to download: when the node takes the lead, when a bulletin
// is staged, a language added, a package revised, a payload lost.
func (n *Node) followStaging(ctx context.Context) error {
	watch := n.db.Watch(staging.Topic, members.Topic, store.TopicDocuments, "languages") // a node that was removed may have held the only copy
	defer watch.Close()
	again := time.NewTimer(stagingAgain)
	defer again.Stop()
	due := time.NewTimer(stagingAgain)
	defer due.Stop()
	for {
		asked := true
		select {
		case <-ctx.Done():
			return nil
		case <-watch.C:
			// An import changes documents many times a second: what it brings is looked at together.
			if !pause(ctx, stagingPause) {
				return nil
			}
		case <-n.Staging.Asked():
		case <-due.C:
			asked = false
		case <-again.C:
			asked = false
		}
		busy, err := n.startStaging(ctx, asked)
		if err != nil && ctx.Err() == nil {
			n.cfg.Log.Error("downloads could not be started; the next change or hour tries again", "error", err)
		}
		if busy {
			again.Reset(stagingAgain)
		}
		if next := n.Staging.Next(); !next.IsZero() {
			due.Reset(max(next.Sub(n.cfg.Now()), stagingAgain))
		}
	}
}

// pause waits, and says whether ctx lasted.
func pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}

// stagingPause is how long changes are gathered before the node looks whether there is something to download.
const stagingPause = 500 * time.Millisecond

// stagingAgain is how long after it met a run that was going on the node looks whether that run took up everything.
const stagingAgain = 2 * time.Second

// startStaging starts a run where there is something to download, and says whether another one goes on. What a person
// cancelled begins anew only with the next change.
func (n *Node) startStaging(ctx context.Context, asked bool) (busy bool, err error) {
	more, err := n.Staging.Outstanding(ctx)
	if err != nil || !more {
		return false, err
	}
	if !asked {
		task, err := n.Tasks.Task(ctx, StagingTask)
		if err != nil || task.Last != nil && task.Last.State == tasks.Cancelled {
			return false, err
		}
	}
	if _, err = n.Tasks.Run(ctx, StagingTask, struct{}{}); errors.Is(err, store.ErrConflict) {
		return true, nil
	}
	return false, err
}

// StartStaging starts the download of what is staged and not here, and names the run that does it; "" where there is
// nothing to download.
func (n *Node) StartStaging(ctx context.Context) (run string, err error) {
	for range 5 {
		more, err := n.Staging.Outstanding(ctx)
		if err != nil || !more {
			return "", err
		}
		run, err := n.Tasks.Run(ctx, StagingTask, struct{}{})
		if !errors.Is(err, store.ErrConflict) {
			return run, err
		}
		task, err := n.Tasks.Task(ctx, StagingTask)
		if err != nil {
			return "", err
		}
		if task.Last != nil && task.Last.Ended == nil {
			return task.Last.ID, nil
		}
		// It ended in between: look again.
	}
	return "", nil
}
