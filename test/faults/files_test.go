package faults

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/mageline/mageline/test/kit"
	"github.com/mageline/mageline/test/kit/env"
	"github.com/mageline/mageline/test/kit/fakemagento"
)

var fileFaults = []*scenario{
	{number: 53, name: "tracking files half-written, replaced while read, twice, with BOM and duplicate rows, and SIGKILL", run: func(w *world) {
		dir := w.t.TempDir()
		w.Set("TRACKING_DIR", dir)
		r := w.Run(2)
		struck := make(chan struct{})
		var once sync.Once
		w.ShopFront.OnCall(http.MethodPost, "/ship", true, func() {
			once.Do(func() {
				r[0].Kill()
				r[1].Kill()
				close(struck)
			})
		})
		put := func(name, content string) {
			part := filepath.Join(dir, name+".part")
			if err := os.WriteFile(part, []byte(content), 0o600); err != nil {
				w.t.Fatal(err)
			}
			if err := os.Rename(part, filepath.Join(dir, name)); err != nil {
				w.t.Fatal(err)
			}
		}
		// Enough for some blocks: the second one may be under way at the kill, or all of them out.
		large := "\ufeff" + w.rows(1100)
		put("large.csv", large)
		put("the same again.csv", large)
		first := w.rows(50)
		put("replaced.csv", first)
		put("replaced.csv", first+strings.TrimPrefix(w.rows(50), fileHeader))

		half, err := os.Create(filepath.Join(dir, "half.csv"))
		if err != nil {
			w.t.Fatal(err)
		}
		defer func() { _ = half.Close() }()
		content := w.rows(20)
		content += strings.TrimPrefix(content, fileHeader) // each row twice, apart
		for _, part := range []string{content[:len(content)/2], content[len(content)/2:]} {
			if _, err := half.WriteString(part); err != nil {
				w.t.Fatal(err)
			}
			<-time.After(time.Second) // it is half-written for less than makes it complete
		}
		select {
		case <-struck:
		case <-time.After(env.Patience):
			w.t.Fatal("nothing was shipped")
		}
		w.ShopFront.Set(nil)
		w.Run(2)
		kit.Eventually(w.t, env.Patience, func() bool {
			files, err := filepath.Glob(filepath.Join(dir, "*.csv"))
			return err == nil && len(files) == 0
		}, "every file to leave the inbox")
		w.awaitTracked(len(w.placed))
	}},
}

const fileHeader = "order_number,tracking_number\n"

// rows is a file of tracking numbers, each of an order of its own. A file in the inbox is as good as events that the broker
// has confirmed.
func (w *world) rows(n int) string {
	var b strings.Builder
	b.WriteString(fileHeader)
	for range n {
		o := w.order(fakemagento.Placing{})
		s := &sent{id: "row of " + o.IncrementID, order: o.IncrementID, track: "T" + o.IncrementID, acknowledged: true}
		w.events = append(w.events, s)
		fmt.Fprintf(&b, "%s,%s\n", s.order, s.track)
	}
	return b.String()
}
