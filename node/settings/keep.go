package settings

// How long what happened is kept, and how much of it at most. Housekeeping forgets the rest.
var (
	KeepJournalDays = number("keep.journal_days", 90, 1, 3660,
		"days for which removed and replaced documents stay in the journal: a child that was away for longer gets a complete run")
	KeepJournalEntries = number("keep.journal_entries", 1_000_000, 1000, 100_000_000,
		"entries of the journal that are kept at most, beside the last one of each document")
	KeepAuditDays = number("keep.audit_days", 400, 1, 36_600,
		"days for which entries of the audit log are kept")
	KeepAuditEntries = number("keep.audit_entries", 1_000_000, 1000, 100_000_000,
		"entries of the audit log that are kept at most")
	KeepRunsDays = number("keep.runs_days", 400, 1, 3660,
		"days for which runs of tasks are kept with their lines; the last one of each task stays")
	KeepRuns = number("keep.runs", 20_000, 100, 10_000_000,
		"runs of tasks that are kept at most")
	KeepLinksDays = number("keep.links_days", 100, 1, 3660,
		"days for which runs of replication are kept; at most 1000 of each type with each site")
	KeepAlarmsDays = number("keep.alarms_days", 30, 1, 3660,
		"days for which alarms that ended are kept")
	KeepTokensDays = number("keep.tokens_days", 90, 1, 3660,
		"days for which tokens that ended are kept")
	KeepAttemptsDays = number("keep.attempts_days", 400, 1, 3660,
		"days for which computers' attempts to install are kept, at most 500 of each computer, and what they said of policies that are no more")
	// KeepDeliveryDays is no shorter than reports reach back.
	KeepDeliveryDays = number("keep.delivery_days", 732, 366, 732,
		"days for which attempts are counted by day, policy and update")
	KeepRetiredDays = number("keep.retired_days", 400, 1, 3660,
		"days for which a retired computer stays on record")
	KeepPayloadsDays = number("keep.payloads_days", 30, 1, 3660,
		"days for which a payload stays after it was last asked for, when it is neither staged nor pinned")
)

// number is a setting that is a number of a range.
func number(name string, standard, least, most int, text string) Setting[int] {
	return define(Setting[int]{Name: name, Default: standard, Text: text, check: between(least, most)})
}
