package facts

import (
	"golang.org/x/sys/windows"

	"thatch/catalog/rule"
)

var procGetSystemMetrics = windows.NewLazySystemDLL("user32.dll").NewProc("GetSystemMetrics")

// winMetrics asks GetSystemMetrics.
type winMetrics struct{}

// Metric implements rule.Metrics. Windows answers 0 for an index that it does not know.
func (winMetrics) Metric(index int) (int, error) {
	if err := procGetSystemMetrics.Find(); err != nil {
		return 0, untold("system metrics: %w", err)
	}
	value, _, _ := procGetSystemMetrics.Call(uintptr(index))
	return int(int32(value)), nil
}

// winCluster knows whether this is a node of a failover cluster: the cluster's database is a hive of its own there.
type winCluster struct{ registry winRegistry }

// Clustered implements rule.Cluster.
func (c winCluster) Clustered() (bool, error) { return c.registry.Key(rule.Native, "Cluster") }

// Owns implements rule.Cluster. The cluster's own interface is not asked.
func (c winCluster) Owns(string) (bool, error) {
	member, err := c.Clustered()
	if err == nil && member {
		err = untold("owners of cluster resources are not asked for by this agent")
	}
	return false, err
}
