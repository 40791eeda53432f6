package env

import "flag"

// Parallel has n tests run at once unless -parallel says otherwise: tests of the whole program wait far more than they compute.
// It is called before the tests run.
func Parallel(n string) {
	flag.Parse()
	if parallel := flag.Lookup("test.parallel"); parallel.Value.String() == parallel.DefValue {
		_ = parallel.Value.Set(n) // a number
	}
}
