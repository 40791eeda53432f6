package app

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/mageline/mageline/handlers"
	"github.com/mageline/mageline/internal/config"
	"github.com/mageline/mageline/internal/inbox"
)

// Wish is the event that has a file of the inbox read again.
type Wish struct {
	Path, SHA256 string
	Topic        string
	Body         []byte
}

// Resend returns the event that has a file read again though it was done, by the profile of that name; "" is the one that fits. The
// file is named by a path, or by one relative to the inbox, with or without processed/ or failed/.
func Resend(cfg *config.Config, file, profile string) (Wish, error) {
	if profiles := cfg.Profiles(); profile != "" && profiles.Named(profile) == nil {
		return Wish{}, profiles.Unknown(profile)
	}
	ready, err := again(cfg.TrackingDir, file)
	if err != nil {
		return Wish{}, err
	}
	ready.Profile, ready.Again = profile, time.Now().UTC().Format("20060102T150405.000Z")
	body, err := json.Marshal(ready)
	return Wish{ready.Path, ready.SHA256, handlers.TopicFileReady, body}, err
}

// again finds a file of an inbox.
func again(dir, file string) (handlers.FileReady, error) {
	paths := []string{file, filepath.Join(inbox.Processed, file), filepath.Join(inbox.Failed, file)}
	if absolute, err := filepath.Abs(file); err == nil {
		root, err := filepath.Abs(dir)
		if err != nil {
			return handlers.FileReady{}, err
		}
		if rel, err := filepath.Rel(root, absolute); err == nil && filepath.IsLocal(rel) {
			paths = append([]string{rel}, paths...)
		}
	}
	d := &inbox.Dir{Path: dir}
	for _, path := range paths {
		f, err := d.Open(path)
		switch {
		case errors.Is(err, os.ErrNotExist), errors.Is(err, inbox.ErrRefused):
			continue
		case err != nil:
			return handlers.FileReady{}, err
		}
		h := sha256.New()
		size, err := io.Copy(h, f)
		if err := errors.Join(err, f.Close()); err != nil {
			return handlers.FileReady{}, err
		}
		return handlers.FileReady{Path: path, SHA256: hex.EncodeToString(h.Sum(nil)), Size: size}, nil
	}
	return handlers.FileReady{}, fmt.Errorf("there is no file %q in %s, nor in processed/ or failed/ beneath it", file, dir)
}
