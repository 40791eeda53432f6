package e2e

import (
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/mageline/mageline/test/kit"
	"github.com/mageline/mageline/test/kit/env"
	"github.com/mageline/mageline/test/kit/fakemagento"
)

// A folder of files of all kinds, written by several writers at once of which some pause until their file is taken, two replicas, one
// of them killed at some moment: every good row of every file is on
// exactly one shipment exactly once, every bad row in exactly one rejected file, and every file has left the inbox.
func TestInbox_FolderOfTwoReplicas(t *testing.T) {
	t.Parallel()
	e := newEnv(t, time.Second, 2*time.Second, 4*time.Second, 8*time.Second, 15*time.Second)
	var orders []string
	for range 1 + folder/4 {
		orders = append(orders, e.Shop.PlaceOrder(fakemagento.Placing{}).IncrementID)
	}
	dropped := kit.TrackingFiles(seed, folder, orders)
	t.Logf("MAGELINE_E2E_SEED=%d", seed)
	dir := t.TempDir()
	e.Set("CONSUMERS", "tracking_file_ready,tracking_received", "TRACKING_DIR", dir,
		"HANDLER_TIMEOUT", "5s", "IDEMPOTENCY_LEASE", "10s")
	// Some are there before anybody runs.
	for _, f := range dropped[:len(dropped)/10] {
		drop(t, dir, f)
	}
	replicas := e.Run(2)
	dies := replicas[1]
	death := len(dropped)/10 + rand.New(rand.NewPCG(seed, 1)).IntN(len(dropped)*8/10)
	var writers sync.WaitGroup
	next := make(chan kit.TrackingFile)
	for range 8 {
		writers.Go(func() {
			for f := range next {
				drop(t, dir, f)
			}
		})
	}
	for i, f := range dropped[len(dropped)/10:] {
		next <- f
		if i == death {
			kit.Eventually(t, env.Patience, func() bool { return len(lying(t, dir, "processed")) > death/4 }, "files to be under way")
			dies.Kill()
		}
	}
	close(next)
	writers.Wait()

	want := expectedOf(dropped)
	kit.Eventually(t, env.Patience+time.Duration(folder)*100*time.Millisecond, func() bool {
		return len(lying(t, dir, ".")) == 0 && len(e.Shop.TrackCounts()) == len(want.good) && len(rejectedWords(t, dir)) == len(want.bad)
	}, fmt.Sprintf("%d parcels in Magento, and the inbox to be empty", len(want.good)))
	e.Finish()

	grown := replicas[0].Events("inbox_file_grown") + replicas[1].Events("inbox_file_grown")
	t.Logf("%d files grew after they were taken", grown)
	if paused := slices.ContainsFunc(dropped, func(f kit.TrackingFile) bool { return f.Pause > 0 }); paused && grown == 0 {
		t.Error("no file was taken before it was whole")
	}
	want.checkParcels(t, e.Shop.TrackCounts())
	want.checkProcessed(t, dir)
	want.checkFailed(t, dir)
	for _, consumer := range []string{"tracking_file_ready", "tracking_received"} {
		if n := e.Depth(e.DeadLetters(consumer)); n != 0 {
			t.Errorf("%d dead letters of %s", n, consumer)
		}
		if n := e.Depth(e.Queue(consumer)); n != 0 {
			t.Errorf("%d messages left for %s", n, consumer)
		}
	}
}

// expected is what is to come of files.
type expected struct {
	good            map[string]bool // parcels
	bad             map[string]bool // words, each in one bad row
	usable, useless int             // files
}

func expectedOf(files []kit.TrackingFile) expected {
	want := expected{good: map[string]bool{}, bad: map[string]bool{}}
	for _, f := range files {
		for _, parcel := range f.Good {
			want.good[parcel] = true
		}
		for _, word := range f.Bad {
			want.bad[word] = true
		}
		if f.Unusable {
			want.useless++
		} else {
			want.usable++
		}
	}
	return want
}

func (want expected) checkParcels(t *testing.T, counts map[string]int) {
	t.Helper()
	for parcel := range want.good {
		if counts[parcel] != 1 {
			t.Errorf("the parcel %s is in Magento %d times", parcel, counts[parcel])
		}
	}
	if len(counts) != len(want.good) {
		t.Errorf("Magento has %d tracking numbers, want %d", len(counts), len(want.good))
	}
}

// checkProcessed counts without the names that the killed replica had reserved: no file that can be processed is empty.
func (want expected) checkProcessed(t *testing.T, dir string) {
	t.Helper()
	processed := 0
	for _, name := range lying(t, dir, "processed") {
		if !empty(filepath.Join(dir, "processed", name)) {
			processed++
		}
	}
	if processed != want.usable {
		t.Errorf("%d files are processed, want %d", processed, want.usable)
	}
}

// checkFailed looks for each bad row in one rejected file, and for each useless file with an explanation.
func (want expected) checkFailed(t *testing.T, dir string) {
	t.Helper()
	moved, explained, reserved := 0, 0, 0
	for _, name := range lying(t, dir, "failed") {
		switch {
		case strings.HasSuffix(name, ".error.txt"):
			explained++
		case strings.HasSuffix(name, ".rejected.csv"):
		default:
			moved++
			if empty(filepath.Join(dir, "failed", name)) {
				reserved++
			}
		}
	}
	rejected := rejectedWords(t, dir)
	for word := range want.bad {
		if rejected[word] != 1 {
			t.Errorf("the bad row %s is in %d rejected files", word, rejected[word])
		}
	}
	// Who is killed between reserving a name and moving the file onto it leaves the name behind, empty.
	if left := moved - want.useless; left < 0 || left > min(1, reserved) || explained != moved {
		t.Errorf("%d files have failed, with %d explanations, want %d", moved, explained, want.useless)
	}
}

// rejectedWords returns in how many rejected files the word of each bad row is.
func rejectedWords(t *testing.T, dir string) map[string]int {
	t.Helper()
	words := map[string]int{}
	for _, name := range lying(t, dir, "failed") {
		if !strings.HasSuffix(name, ".rejected.csv") {
			continue
		}
		content, err := os.ReadFile(filepath.Join(dir, "failed", name))
		if err != nil {
			continue // one of a file that has grown since is removed
		}
		for _, part := range strings.Split(string(content), "bad-row-")[1:] {
			number, _, _ := strings.Cut(part, "-")
			words["bad-row-"+number+"-of-all"]++
		}
	}
	return words
}

func empty(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Size() == 0
}

// longPause is how long a writer pauses before its file counts as complete, which it does after three times TRACKING_STILL.
const longPause = 6 * time.Second

// drop writes a file as a 3PL does: in one go, slowly, or with a pause for which the file is taken before it is whole.
func drop(t *testing.T, dir string, file kit.TrackingFile) {
	t.Helper()
	f, err := os.Create(filepath.Join(dir, file.Name))
	if err != nil {
		t.Error(err)
		return
	}
	defer func() { _ = f.Close() }()
	rest := file.Content
	if file.Pause > 0 {
		if _, err := f.Write(rest[:file.Pause]); err != nil {
			t.Error(err)
		}
		rest = rest[file.Pause:]
		<-time.After(longPause) // how long it pauses is what this is about
	}
	for n := max(1, file.Pieces); n > 0; n-- {
		piece := rest[:len(rest)/n]
		if _, err := f.Write(piece); err != nil {
			t.Error(err)
			return
		}
		if rest = rest[len(piece):]; n > 1 {
			<-time.After(300 * time.Millisecond) // how slowly it writes is what this is about
		}
	}
}

// lying gives the names of the files that are directly in a directory of the inbox.
func lying(t *testing.T, dir, beneath string) (names []string) {
	t.Helper()
	entries, err := fs.ReadDir(os.DirFS(dir), beneath)
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	for _, e := range entries {
		if !e.IsDir() {
			names = append(names, e.Name())
		}
	}
	return names
}
