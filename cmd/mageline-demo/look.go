package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/mageline/mageline/test/kit"
)

// How the demo looks at mageline: from outside, as an operator does.

const (
	pollEvery  = 100 * time.Millisecond
	maxMetrics = 4 << 20
)

// await waits until something holds. what completes the sentence "waited … for: ".
func (d *demo) await(ctx context.Context, timeout time.Duration, what string, holds func() (bool, error)) error {
	limit := time.Now().Add(timeout)
	for {
		ok, err := holds()
		switch {
		case err != nil:
			return fmt.Errorf("wait for: %s: %w", what, err)
		case ok:
			return nil
		case !d.child.running():
			return fmt.Errorf("mageline has ended by itself (%w); its log ends with:\n%s", orEnded(d.child.err), d.child.lastLines())
		case time.Now().After(limit):
			return fmt.Errorf("waited %s for: %s", timeout, what)
		case !pause(ctx, pollEvery):
			return ctx.Err()
		}
	}
}

// lastLines gives the end of the log.
func (c *child) lastLines() string {
	const length = 2048
	file, err := os.Open(c.log.Name())
	if err != nil {
		return err.Error()
	}
	defer func() { _ = file.Close() }()
	if info, err := file.Stat(); err == nil && info.Size() > length {
		_, _ = file.Seek(-length, io.SeekEnd)
	}
	text, _ := io.ReadAll(io.LimitReader(file, length))
	return string(text)
}

// ready reports whether /readyz answers 200.
func (d *demo) ready(ctx context.Context) bool {
	response, err := d.get(ctx, "/readyz")
	if err != nil {
		return false
	}
	defer func() { _ = response.Body.Close() }()
	return response.StatusCode == http.StatusOK
}

func (d *demo) get(ctx context.Context, path string) (*http.Response, error) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, d.address+path, nil)
	if err != nil {
		cancel()
		return nil, err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		cancel()
		return nil, err
	}
	response.Body = cancelBody{response.Body, cancel}
	return response, nil
}

// cancelBody ends the request's time limit with its body.
type cancelBody struct {
	io.ReadCloser
	cancel context.CancelFunc
}

func (b cancelBody) Close() error {
	defer b.cancel()
	return b.ReadCloser.Close()
}

// metric sums the samples of a metric whose labels contain each of the given texts (`downstream="erp"`); 0 where there
// is none.
func (d *demo) metric(ctx context.Context, name string, labels ...string) (float64, error) {
	response, err := d.get(ctx, "/metrics")
	if err != nil {
		return 0, fmt.Errorf("read mageline's metrics: %w", err)
	}
	defer func() { _ = response.Body.Close() }()
	return sumOf(io.LimitReader(response.Body, maxMetrics), name, labels...)
}

func sumOf(text io.Reader, name string, labels ...string) (float64, error) {
	sum := 0.0
	lines := bufio.NewScanner(text)
	lines.Buffer(nil, maxMetrics)
next:
	for lines.Scan() {
		rest, ok := strings.CutPrefix(lines.Text(), name)
		if !ok || rest == "" || rest[0] != '{' && rest[0] != ' ' {
			continue
		}
		for _, l := range labels {
			if !strings.Contains(rest, l) {
				continue next
			}
		}
		value, err := strconv.ParseFloat(rest[strings.LastIndexByte(rest, ' ')+1:], 64)
		if err != nil {
			return 0, fmt.Errorf("read the metric %s: %w", name, err)
		}
		sum += value
	}
	if err := lines.Err(); err != nil {
		return 0, fmt.Errorf("read mageline's metrics: %w", err)
	}
	return sum, nil
}

// quiet reports whether nothing is on its way: the queues and retry queues are empty and no handler runs. Dead letters
// don't count: they go nowhere by themselves.
func (d *demo) quiet(ctx context.Context) (bool, error) {
	queues, _ := kit.Names(d.prefix, retryDelays...)
	for _, q := range queues {
		if strings.HasSuffix(q, ".dlq") {
			continue
		}
		if n, err := d.wire.depth(q); err != nil || n > 0 {
			return false, err
		}
	}
	running, err := d.metric(ctx, "mageline_in_flight")
	return err == nil && running == 0, err
}

// awaitQuiet waits until it has been quiet for a second: between a queue and a handler a message can't be seen.
func (d *demo) awaitQuiet(ctx context.Context, timeout time.Duration) error {
	since := time.Now()
	return d.await(ctx, timeout, "all queues and retry queues empty, and no handler running", func() (bool, error) {
		quiet, err := d.quiet(ctx)
		if !quiet {
			since = time.Now()
		}
		return quiet && time.Since(since) > time.Second, err
	})
}

// row reports whether mageline's ledger has a row for an order in a state.
func (d *demo) row(ctx context.Context, number, state string) (bool, error) {
	output, code, err := d.program.call(ctx, "key", "show", "order_placed:"+number)
	return err == nil && code == 0 && strings.Contains(output, state), err
}
