//go:build !linux

package inbox

import "errors"

// moves needs inotify, which only Linux has. Elsewhere files count as complete when they have not changed for a while.
type moves struct{}

func watchMoves() (*moves, error) { return nil, errors.ErrUnsupported }

func (*moves) add(string, string) error { return nil }

func (*moves) changed() <-chan change { return nil }

func (*moves) close() {}
