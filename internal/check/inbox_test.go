package check_test

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/mageline/mageline/internal/check"
)

func TestInbox_InEachState(t *testing.T) {
	dir := t.TempDir()
	there, linked, file := filepath.Join(dir, "there"), filepath.Join(dir, "linked"), filepath.Join(dir, "file")
	for _, d := range []string{filepath.Join(there, "processed"), linked} {
		if err := os.MkdirAll(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink(dir, filepath.Join(linked, "failed")); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		path string
		want []check.Status
	}{
		{there, []check.Status{check.OK, check.OK, check.OK}},
		{linked, []check.Status{check.OK, check.OK, check.Fail}},
		{file, []check.Status{check.Fail}},
		{filepath.Join(dir, "gone"), []check.Status{check.Fail}},
		{"/proc", []check.Status{check.Fail}}, // nobody, not even root, writes there
	}
	for _, tt := range tests {
		lines := check.Inbox{Path: tt.path, Beneath: []string{"processed", "failed"}}.Check(t.Context())
		var got []check.Status
		for _, l := range lines {
			got = append(got, l.Status)
			if l.Status == check.Fail && l.Todo == "" {
				t.Errorf("%s: nothing to do", l)
			}
		}
		if !slices.Equal(got, tt.want) {
			t.Errorf("%s: %v, want %v", tt.path, lines, tt.want)
		}
	}
	if entries, err := os.ReadDir(there); err != nil || len(entries) != 1 {
		t.Errorf("it has left something: %v, %v", entries, err)
	}
}
