// Package process is what tests do with processes and only some systems can: process groups, signals that freeze, a child
// that dies with its parent. Elsewhere it compiles, and tests that need it fail.
package process
