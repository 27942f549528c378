# Disturbs a site of three nodes, on hosts of their own, for as long as is wanted: make chaos DURATION=1h SEED=42
DURATION ?= 2m
SEED ?= 0

.PHONY: chaos
chaos:
	go test ./e2e -run "^TestChaos$$" -chaos $(DURATION) -seed $(SEED) -timeout 0 -v
