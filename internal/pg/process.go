package pg

import (
	"context"
	"crypto/rand"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
)

// Process is one start of a process, as rows name it: the owner of its claims, and the row of its heartbeat.
type Process struct {
	name   string
	id     string
	tokens atomic.Uint64 // that were made
}

// NewProcess names a start of a process. name is what people know it by, such as host and process id. A word of its own
// makes it unique: a container that starts again has the host name and the process id of before.
func NewProcess(name string) *Process {
	return &Process{name: name, id: name + "/" + rand.Text()}
}

// ID returns the name that no other start has.
func (p *Process) ID() string { return p.id }

// Token returns the owner of one claim. It is unique to the claim, so that a transaction whose commit is unknown can be
// repeated and recognises what it wrote.
func (p *Process) Token() string { return p.id + "." + strconv.FormatUint(p.tokens.Add(1), 36) }

// NameOf returns the part of an ID or a Token that people know.
func NameOf(owner string) string {
	if i := strings.LastIndexByte(owner, '/'); i >= 0 {
		return owner[:i]
	}
	return owner
}

// Gone is the time after which a process without a heartbeat counts as dead: six heartbeats, and all processes on one
// database must have the same.
const Gone = 30 * time.Second

// Heartbeat is the row of table process that a process renews, so that the others can tell that it lives. It is safe for use
// by many goroutines.
type Heartbeat struct {
	DB      Conn
	Process *Process
	Timeout time.Duration // for one statement

	mu   sync.Mutex // held for each beat
	left bool       // no more of them
}

// Beat renews the row. Call it before the first claim that relies on it, and then every [Gone]/6. After Leave it does nothing.
func (h *Heartbeat) Beat(ctx context.Context) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.left {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), h.Timeout)
	defer cancel()
	_, err := h.DB.Exec(ctx, `
INSERT INTO process (id, renewed_at) VALUES ($1, now()) ON CONFLICT (id) DO UPDATE SET renewed_at = excluded.renewed_at`,
		h.Process.ID())
	return err
}

// Leave removes the row, because the process ends in order. with queues what ends with it, in the same transaction.
func (h *Heartbeat) Leave(ctx context.Context, with func(b *pgx.Batch)) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.left = true
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), h.Timeout)
	defer cancel()
	var b pgx.Batch
	with(&b)
	b.Queue(`DELETE FROM process WHERE id = $1`, h.Process.ID())
	return h.DB.SendBatch(ctx, &b).Close()
}
