//go:build !race

package consumer_test

// raceEnabled: the race detector multiplies the memory of a process.
const raceEnabled = false
