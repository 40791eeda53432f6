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

	good, bad, unusable := map[string]bool{}, map[string]int{}, 0
	for _, f := range dropped {
		for _, parcel := range f.Good {
			good[parcel] = true
		}
		for _, word := range f.Bad {
			bad[word] = 0
		}
		if f.Unusable {
			unusable++
		}
	}
	kit.Eventually(t, env.Patience+time.Duration(folder)*100*time.Millisecond, func() bool {
		return len(lying(t, dir, ".")) == 0 && len(e.Shop.TrackCounts()) == len(good)
	}, fmt.Sprintf("%d parcels in Magento, and the inbox to be empty", len(good)))
	e.Finish()

	counts := e.Shop.TrackCounts()
	for parcel := range good {
		if counts[parcel] != 1 {
			t.Errorf("the parcel %s is in Magento %d times", parcel, counts[parcel])
		}
	}
	if len(counts) != len(good) {
		t.Errorf("Magento has %d tracking numbers, want %d", len(counts), len(good))
	}
	processed := 0 // without a name that the killed one had reserved: no file that can be processed is empty
	for _, name := range lying(t, dir, "processed") {
		if info, err := os.Stat(filepath.Join(dir, "processed", name)); err == nil && info.Size() > 0 {
			processed++
		}
	}
	if processed != len(dropped)-unusable {
		t.Errorf("%d files are processed, want %d", processed, len(dropped)-unusable)
	}
	moved, explained, empty := 0, 0, 0
	for _, name := range lying(t, dir, "failed") {
		switch {
		case strings.HasSuffix(name, ".error.txt"):
			explained++
		case strings.HasSuffix(name, ".rejected.csv"):
			content, err := os.ReadFile(filepath.Join(dir, "failed", name))
			if err != nil {
				t.Fatal(err)
			}
			for _, part := range strings.Split(string(content), "bad-row-")[1:] {
				number, _, _ := strings.Cut(part, "-")
				bad["bad-row-"+number+"-of-all"]++
			}
		default:
			moved++
			if info, err := os.Stat(filepath.Join(dir, "failed", name)); err == nil && info.Size() == 0 {
				empty++
			}
		}
	}
	// Who is killed between reserving a name and moving the file onto it leaves the name behind, empty.
	left := moved - unusable
	for word, times := range bad {
		if times != 1 {
			t.Errorf("the bad row %s is in %d rejected files", word, times)
		}
	}
	if left < 0 || left > min(1, empty) || explained != moved {
		t.Errorf("%d files have failed, with %d explanations, want %d", moved, explained, unusable)
	}
	for _, consumer := range []string{"tracking_file_ready", "tracking_received"} {
		if n := e.Depth(e.DeadLetters(consumer)); n != 0 {
			t.Errorf("%d dead letters of %s", n, consumer)
		}
		if n := e.Depth(e.Queue(consumer)); n != 0 {
			t.Errorf("%d messages left for %s", n, consumer)
		}
	}
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
