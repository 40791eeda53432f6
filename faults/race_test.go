//go:build race

package faults

// raced: the tests run with the race detector, and so does the binary; searchLogs looks for what it has found.
const raced = true
