package check

import "context"

// SFTP logs in to a server that files are picked up from, and lists them.
type SFTP struct {
	Name string // with user and host
	// Count logs in and returns how many files there are to pick up.
	Count func(ctx context.Context) (int, error)
}

// Check looks.
func (s SFTP) Check(ctx context.Context) []Finding {
	subject := "SFTP server " + s.Name
	n, err := s.Count(ctx)
	if err != nil {
		return []Finding{{Fail, subject, err.Error(), "put it right in the file that TRACKING_SFTP names, or ask the 3PL"}}
	}
	return []Finding{ok(subject, "logged in; %d files to pick up", n)}
}
