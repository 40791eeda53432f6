package e2e

import (
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/mageline/mageline/test/kit"
	"github.com/mageline/mageline/test/kit/env"
	"github.com/mageline/mageline/test/kit/fakemagento"
)

// A folder of files of all kinds, two replicas, one of them killed at some moment: every good row of every file is on
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
	dies := e.Run(2)[1]
	death := len(dropped)/10 + rand.New(rand.NewPCG(seed, 1)).IntN(len(dropped)*8/10)
	for i, f := range dropped[len(dropped)/10:] {
		drop(t, dir, f)
		if i == death {
			kit.Eventually(t, env.Patience, func() bool { return len(lying(t, dir, "processed")) > death/4 }, "files to be under way")
			dies.Kill()
		}
	}

	want := expectedOf(dropped)
	kit.Eventually(t, env.Patience+time.Duration(folder)*100*time.Millisecond, func() bool {
		return len(lying(t, dir, ".")) == 0 && len(e.Shop.TrackCounts()) == len(want.good)
	}, fmt.Sprintf("%d parcels in Magento, and the inbox to be empty", len(want.good)))
	e.Finish()

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
	rejected := map[string]int{}
	moved, explained, reserved := 0, 0, 0
	for _, name := range lying(t, dir, "failed") {
		path := filepath.Join(dir, "failed", name)
		switch {
		case strings.HasSuffix(name, ".error.txt"):
			explained++
		case strings.HasSuffix(name, ".rejected.csv"):
			content, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			for _, part := range strings.Split(string(content), "bad-row-")[1:] {
				number, _, _ := strings.Cut(part, "-")
				rejected["bad-row-"+number+"-of-all"]++
			}
		default:
			moved++
			if empty(path) {
				reserved++
			}
		}
	}
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

func empty(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Size() == 0
}

// drop writes a file as a 3PL does: in one go or slowly.
func drop(t *testing.T, dir string, file kit.TrackingFile) {
	t.Helper()
	f, err := os.Create(filepath.Join(dir, file.Name))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	rest := file.Content
	for n := max(1, file.Pieces); n > 0; n-- {
		piece := rest[:len(rest)/n]
		if _, err := f.Write(piece); err != nil {
			t.Fatal(err)
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
