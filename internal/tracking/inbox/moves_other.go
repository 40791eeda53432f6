//go:build !linux

package inbox

import "errors"

// moves is inotify's, which only Linux has: elsewhere files count as complete when they have been still.
type moves struct{}

func watchMoves(string) (*moves, error) { return nil, errors.ErrUnsupported }

func (*moves) into() <-chan string { return nil }

func (*moves) close() {}
