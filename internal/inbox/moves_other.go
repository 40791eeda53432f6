//go:build !linux

package inbox

import "errors"

// moves needs inotify, which only Linux has. Elsewhere files count as complete when they have not changed for a while.
type moves struct{}

func watchMoves(string) (*moves, error) { return nil, errors.ErrUnsupported }

func (*moves) into() <-chan string { return nil }

func (*moves) close() {}
