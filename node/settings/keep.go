package settings

// How long what happened is kept, and how much of it at most. Housekeeping forgets the rest.
var (
	KeepJournalDays = define(Setting[int]{
		Name: "keep.journal_days", Default: 90, Text: "days for which removed and replaced documents stay in the journal: a child that was away for longer gets a complete run",
		check: between(1, 3660),
	})
	KeepJournalEntries = define(Setting[int]{
		Name: "keep.journal_entries", Default: 1_000_000, Text: "entries of the journal that are kept at most, beside the last one of each document",
		check: between(1000, 100_000_000),
	})
	KeepAuditDays = define(Setting[int]{
		Name: "keep.audit_days", Default: 400, Text: "days for which entries of the audit log are kept", check: between(1, 36_600),
	})
	KeepAuditEntries = define(Setting[int]{
		Name: "keep.audit_entries", Default: 1_000_000, Text: "entries of the audit log that are kept at most", check: between(1000, 100_000_000),
	})
	KeepRunsDays = define(Setting[int]{
		Name: "keep.runs_days", Default: 400, Text: "days for which runs of tasks are kept with their lines; the last one of each task stays",
		check: between(1, 3660),
	})
	KeepRuns = define(Setting[int]{
		Name: "keep.runs", Default: 20_000, Text: "runs of tasks that are kept at most", check: between(100, 10_000_000),
	})
	KeepLinksDays = define(Setting[int]{
		Name: "keep.links_days", Default: 100, Text: "days for which runs of replication are kept; at most 1000 of each type with each site",
		check: between(1, 3660),
	})
	KeepAlarmsDays = define(Setting[int]{
		Name: "keep.alarms_days", Default: 30, Text: "days for which alarms that ended are kept", check: between(1, 3660),
	})
	KeepTokensDays = define(Setting[int]{
		Name: "keep.tokens_days", Default: 90, Text: "days for which tokens that ended are kept", check: between(1, 3660),
	})
	KeepAttemptsDays = define(Setting[int]{
		Name: "keep.attempts_days", Default: 400, Text: "days for which computers' attempts to install are kept, at most 500 of each computer, and what they said of policies that are no more",
		check: between(1, 3660),
	})
	// KeepDeliveryDays is no shorter than reports reach back.
	KeepDeliveryDays = define(Setting[int]{
		Name: "keep.delivery_days", Default: 732, Text: "days for which attempts are counted by day, policy and update", check: between(366, 732),
	})
	KeepRetiredDays = define(Setting[int]{
		Name: "keep.retired_days", Default: 400, Text: "days for which a retired computer stays on record", check: between(1, 3660),
	})
	KeepPayloadsDays = define(Setting[int]{
		Name: "keep.payloads_days", Default: 30, Text: "days for which a payload stays after it was last asked for, when it is neither staged nor pinned",
		check: between(1, 3660),
	})
)
