package main

import "time"

// clock is what a node takes for the time. Only programs made for tests have another one (see wrongclock.go).
var clock = time.Now
