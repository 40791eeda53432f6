// Package app puts the program together: from a configuration it makes the clients, the ledger, the handlers and the
// runtime, and runs them. It is the only package that knows all the others. It prints nothing and ends no process.
package app
