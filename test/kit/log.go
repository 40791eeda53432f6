package kit

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"sync"
)

// Log keeps the lines that the code under test logs. Tests match an event and its fields, never a text.
type Log struct {
	mu   sync.Mutex
	text bytes.Buffer
}

// Write adds a line.
func (l *Log) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

// String returns all lines.
func (l *Log) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// Reset forgets all lines.
func (l *Log) Reset() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.text.Reset()
}

// Lines returns the lines of an event, as LogLines does.
func (l *Log) Lines(event string, fields ...string) []string {
	return LogLines(l.String(), event, fields...)
}

// LogLines returns the lines of an event in a log, or of any if it is empty. Fields are pairs: a name, and what the value must
// contain.
func LogLines(log, event string, fields ...string) []string {
	var lines []string
	for text := range strings.Lines(log) {
		if !strings.Contains(text, event) { // logs are searched again and again
			continue
		}
		var line map[string]any
		if json.Unmarshal([]byte(text), &line) == nil && (event == "" || line["event"] == event) && contains(line, fields) {
			lines = append(lines, text)
		}
	}
	return lines
}

// Has reports whether there is such a line.
func (l *Log) Has(event string, fields ...string) bool { return len(l.Lines(event, fields...)) > 0 }

func contains(line map[string]any, fields []string) bool {
	for i := 0; i < len(fields); i += 2 {
		if value, there := line[fields[i]]; !there || !strings.Contains(fmt.Sprint(value), fields[i+1]) {
			return false
		}
	}
	return true
}
