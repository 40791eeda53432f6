//go:build race

package replica

// raced: the tests run with the race detector, and so does the program.
const raced = true
