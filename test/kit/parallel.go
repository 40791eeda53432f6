package kit

import (
	"flag"
	"runtime"
	"strconv"
)

// Parallel has n tests run at once where there are fewer processors and -parallel says nothing: for packages whose tests wait
// far more than they compute. It is called before the tests run.
func Parallel(n int) {
	flag.Parse()
	parallel := flag.Lookup("test.parallel")
	if parallel.Value.String() == parallel.DefValue && runtime.GOMAXPROCS(0) < n {
		_ = parallel.Value.Set(strconv.Itoa(n)) // a number
	}
}
