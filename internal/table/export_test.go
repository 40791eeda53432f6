package table

// SetMaxUnpacked sets the bound of what is unpacked, and returns a function that undoes it.
func SetMaxUnpacked(n int64) (undo func()) {
	before := maxUnpacked
	maxUnpacked = n
	return func() { maxUnpacked = before }
}
