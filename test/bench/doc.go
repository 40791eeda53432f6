// Package bench measures what mageline costs on the path of a message, each rate beside its limit in the same run. `make
// bench` prints the table; the package's test is the same at sizes that say nothing about rates, so that it does not rot.
package bench
