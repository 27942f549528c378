package agent

import "thatch/catalog/rule"

// knowledge is what the catalog says of KBs that supersede each other.
func knowledge(all []numbered) rule.Knowledge { return nil }
