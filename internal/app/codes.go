package app

import (
	"fmt"
	"os"
	"sync"
	"time"

	"github.com/rs/zerolog"

	"github.com/mageline/mageline/erp/codes"
)

// lookAgain is how often it is seen whether the file of codes has changed.
const lookAgain = 5 * time.Second

// codesFile is the file of codes of ERP_MAPPING. It is read again when it has changed; one that is broken then changes nothing.
type codesFile struct {
	path, erp string
	log       zerolog.Logger

	mu      sync.Mutex
	current *codes.File
	seen    os.FileInfo
	looked  time.Time
	broken  string // what is wrong with the file as it is now
}

// wrong returns what is wrong with the file as it is now, where that of before is in use; "" for nothing.
func (c *codesFile) wrong() string {
	c.codes()
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.broken
}

// openCodes reads the file, which must be right at the start.
func openCodes(path, erp string, log zerolog.Logger) (*codesFile, error) {
	c := &codesFile{path: path, erp: erp, log: log}
	if err := c.read(); err != nil {
		return nil, fmt.Errorf("MAGELINE_ERP_MAPPING: %w", err)
	}
	return c, nil
}

// codes returns the file as it was last right.
func (c *codesFile) codes() *codes.File {
	c.mu.Lock()
	defer c.mu.Unlock()
	if time.Since(c.looked) < lookAgain {
		return c.current
	}
	c.looked = time.Now()
	broken := c.broken
	info, err := os.Stat(c.path)
	if err == nil && (c.seen == nil || !info.ModTime().Equal(c.seen.ModTime()) || info.Size() != c.seen.Size()) {
		broken = ""
		if err = c.read(); err == nil {
			c.log.Info().Str("event", "codes_reloaded").Str("file", c.path).Msg("the file of codes has changed and is used from now on")
		}
	}
	if err != nil {
		if info == nil { // once it is there again it is read, whatever it was before
			c.seen = nil
		}
		broken = err.Error()
		c.log.Error().Err(err).Str("event", "codes_broken").Str("file", c.path).
			Msg("the file of codes can't be read: the codes of before stay in use. Correct it; mapping check shows all its problems")
	}
	c.broken = broken
	return c.current
}

func (c *codesFile) read() error {
	info, err := os.Stat(c.path)
	if err != nil {
		return err
	}
	text, err := os.ReadFile(c.path)
	if err != nil {
		return err
	}
	c.seen, c.looked = info, time.Now()
	file, err := codes.Parse(c.path, c.erp, text)
	if err != nil {
		return err
	}
	c.current = file
	return nil
}
