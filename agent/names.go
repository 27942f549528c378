package agent

// Names in the agent's folder.
const (
	identityFile    = "identity.json"
	memoryFile      = "state.json"
	assignmentsFile = "assignments.json"
	runFolder       = "run"
	outcomeFile     = "outcome.json"
)
