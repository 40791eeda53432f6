// Package bench measures what mageline costs on the path of a message, each rate beside its limit in the same run: a bare
// loop that consumes and acknowledges on the same broker. It has benchmarks only: `make bench`.
package bench
