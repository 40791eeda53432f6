// Package kit has what tests and the demo share: databases and brokers of their own, and ways to break connections.
package kit
