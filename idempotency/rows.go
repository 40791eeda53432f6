package idempotency

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/mageline/mageline/event"
	"github.com/mageline/mageline/internal/pg"
)

// Ready reports, with an *event.Deferral, that Postgres can't be reached or that it only reads, as a server does that a
// failover has left behind. It is the probe after such a Deferral.
func (l *Ledger) Ready(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, flushTimeout)
	defer cancel()
	var reads bool
	if err := l.pool.QueryRow(ctx, `SELECT current_setting('transaction_read_only') = 'on'`).Scan(&reads); err != nil {
		return failure(err)
	}
	if reads {
		l.pool.Reset()
		return &event.Deferral{Reason: "Postgres is away", Downstream: "postgres", Err: pg.ErrReadOnly}
	}
	return nil
}

const selectAll = `
SELECT consumer, key, effect, state, owner, claim, lease_until, state = 'in_progress' AND lease_until <= now(), sent_at, accepted,
	result, reason, class, created_at, updated_at, CASE WHEN data_claim = claim THEN data END
FROM effect`

const selectRows = selectAll + " WHERE consumer = $1 AND key = $2"

// maxRows bounds the effects of one business key; a consumer has a handful.
const maxRows = 1000

// Lookup reads the row of one effect.
func (l *Ledger) Lookup(ctx context.Context, key Key) (Row, bool, error) {
	key, err := key.Stored()
	if err != nil {
		return Row{}, false, err
	}
	rows, err := l.rows(ctx, selectRows+" AND effect = $3", key.Consumer, key.Key, key.Effect)
	if err != nil || len(rows) == 0 {
		return Row{}, false, err
	}
	return rows[0], true, nil
}

// LookupAll reads the rows of one effect for many business keys. Those that have none are left out.
func (l *Ledger) LookupAll(ctx context.Context, consumer, effect string, keys []string) (map[string]Row, error) {
	given, stored := asStored(consumer, keys)
	rows, err := l.rows(ctx, selectAll+" WHERE consumer = $1 AND key = ANY($2) AND effect = $3", consumer, stored, effect)
	if err != nil {
		return nil, err
	}
	all := make(map[string]Row, len(rows))
	for _, row := range rows {
		for _, key := range given[row.Key.Key] {
			all[key] = row
		}
	}
	return all, nil
}

// Rows reads the rows of all effects of a consumer's business key, oldest first.
func (l *Ledger) Rows(ctx context.Context, consumer, key string) ([]Row, error) {
	k, err := Key{Consumer: consumer, Key: key, Effect: "any"}.Stored()
	if err != nil {
		return nil, err
	}
	return l.rows(ctx, selectRows+" ORDER BY created_at, effect LIMIT $3", k.Consumer, k.Key, maxRows)
}

// Filter selects the rows that List visits. Empty fields mean all.
type Filter struct {
	Consumer string
	State    State
	Since    time.Time // when the row was made, not before
	Limit    int       // at most so many; 0: all
}

// List calls f with each row that matches, the newest first, until it fails or there are no more. Without an index
// on what changes, a state that few rows have takes a look at all of them.
func (l *Ledger) List(ctx context.Context, which Filter, f func(Row) error) error {
	var where []string
	var args []any
	match := func(condition string, arg any) {
		args = append(args, arg)
		where = append(where, condition+" $"+strconv.Itoa(len(args)))
	}
	if which.Consumer != "" {
		match("consumer =", which.Consumer)
	}
	if which.State != "" {
		match("state =", string(which.State))
	}
	if !which.Since.IsZero() {
		match("created_at >=", which.Since)
	}
	sql := selectAll
	if len(where) > 0 {
		sql += " WHERE " + strings.Join(where, " AND ")
	}
	sql += " ORDER BY created_at DESC, consumer, key, effect"
	if which.Limit > 0 {
		args = append(args, which.Limit)
		sql += " LIMIT $" + strconv.Itoa(len(args))
	}
	res, err := l.pool.Query(ctx, sql, args...)
	if err != nil {
		return failure(err)
	}
	defer res.Close()
	for res.Next() {
		row, err := scanRow(res)
		if err != nil {
			return failure(err)
		}
		if err := f(row); err != nil {
			return err
		}
	}
	if err := res.Err(); err != nil {
		return failure(err)
	}
	return nil
}

func (l *Ledger) rows(ctx context.Context, sql string, args ...any) ([]Row, error) {
	ctx, cancel := context.WithTimeout(ctx, flushTimeout)
	defer cancel()
	res, err := l.pool.Query(ctx, sql, args...)
	if err != nil {
		return nil, failure(err)
	}
	list, err := pgx.CollectRows(res, scanRow)
	if err != nil {
		return nil, failure(err)
	}
	return list, nil
}

func scanRow(r pgx.CollectableRow) (Row, error) {
	var row Row
	var sent *time.Time
	err := r.Scan(&row.Key.Consumer, &row.Key.Key, &row.Key.Effect, &row.State, &row.Owner, &row.Number, &row.Lease, &row.Expired, &sent,
		&row.Accepted, &row.Result.Value, &row.Result.Reason, &row.Class, &row.Created, &row.Updated, (*[]byte)(&row.Result.Data))
	if sent != nil {
		row.Sent = *sent
	}
	row.Owner = pg.NameOf(row.Owner)
	switch row.State {
	case Done, Waiting, Skipped:
		row.Result.State = row.State
	}
	return row, err
}

// asStored returns business keys as they are stored, and which of those given each of them is. One that can't be stored has no row.
func asStored(consumer string, keys []string) (given map[string][]string, stored []string) {
	given = make(map[string][]string, len(keys))
	for _, key := range keys {
		k, err := Key{Consumer: consumer, Key: key, Effect: "any"}.Stored()
		if err != nil {
			continue
		}
		if given[k.Key] = append(given[k.Key], key); len(given[k.Key]) == 1 {
			stored = append(stored, k.Key)
		}
	}
	return given, stored
}

// Standing is how the effects of one business key stand together.
type Standing struct {
	Open    int           // in progress, uncertain or failed
	Waiting int           // until the order may go out
	Over    int           // done or skipped
	Age     time.Duration // since one of them has changed, by the database's clock
}

// Standings returns how business keys of a consumer stand. Those of which it has no row are left out.
func (l *Ledger) Standings(ctx context.Context, consumer string, keys []string) (map[string]Standing, error) {
	given, stored := asStored(consumer, keys)
	ctx, cancel := context.WithTimeout(ctx, flushTimeout)
	defer cancel()
	rows, err := l.pool.Query(ctx, `
SELECT key, count(*) FILTER (WHERE state IN ('in_progress', 'uncertain', 'failed')),
	count(*) FILTER (WHERE state = 'waiting'), count(*) FILTER (WHERE state IN ('done', 'skipped')),
	(extract(epoch FROM now() - max(updated_at)) * 1000000)::bigint
FROM effect WHERE consumer = $1 AND key = ANY($2) GROUP BY key`, consumer, stored)
	if err != nil {
		return nil, failure(err)
	}
	all := make(map[string]Standing, len(keys))
	var (
		key    string
		s      Standing
		micros int64
	)
	if _, err := pgx.ForEachRow(rows, []any{&key, &s.Open, &s.Waiting, &s.Over, &micros}, func() error {
		s.Age = time.Duration(micros) * time.Microsecond
		for _, k := range given[key] {
			all[k] = s
		}
		return nil
	}); err != nil {
		return nil, failure(err)
	}
	return all, nil
}

// Release takes the rows of a consumer's business key, or of one effect of it, from their owner, and leaves them
// uncertain: the next delivery looks in the downstream before it sends anything. It is the only call that lets an
// accepted effect be sent once more. It returns the number of rows; 0 is no error.
func (l *Ledger) Release(ctx context.Context, consumer, key, effect string) (int, error) {
	k, err := Key{Consumer: consumer, Key: key, Effect: "any"}.Stored()
	if err != nil {
		return 0, err
	}
	ctx, cancel := context.WithTimeout(ctx, flushTimeout)
	defer cancel()
	// Rows in the order in which a flush takes them, so that the two can't wait for each other in a circle.
	tag, err := l.pool.Exec(ctx, `
WITH locked AS (
	SELECT effect FROM effect WHERE consumer = $1 AND key = $2 AND ($3 = '' OR effect = $3)
	ORDER BY effect FOR UPDATE)
UPDATE effect AS e SET state = 'uncertain', owner = '', claim = claim + 1, accepted = false, updated_at = now(),
	sent_at = CASE WHEN state = 'uncertain' THEN sent_at ELSE now() END,
	data_claim = CASE WHEN data_claim = claim THEN claim + 1 END
FROM locked WHERE e.consumer = $1 AND e.key = $2 AND e.effect = locked.effect`, k.Consumer, k.Key, effect)
	if err != nil {
		return 0, failure(err)
	}
	return int(tag.RowsAffected()), nil
}

// Reopen lets an effect that is done be done once more: what it is about has changed since. number is that of the claim that did
// it (Row.Number); reopened is false where the row is another one by now.
func (l *Ledger) Reopen(ctx context.Context, key Key, number int64) (reopened bool, err error) {
	key, err = key.Stored()
	if err != nil {
		return false, err
	}
	err = l.repeat(ctx, func() error {
		tag, err := l.pool.Exec(ctx, `
UPDATE effect SET state = 'failed', class = '', sent_at = NULL, updated_at = now()
WHERE consumer = $1 AND key = $2 AND effect = $3 AND state = 'done' AND claim = $4`, key.Consumer, key.Key, key.Effect, number)
		reopened = err == nil && tag.RowsAffected() > 0
		return err
	})
	return reopened, err
}

// Skip makes a waiting effect skipped, for a reason: its order was cancelled, or has waited too long. It reports false,
// and changes nothing, if the effect is not waiting (any more), or if something sent before it waited may still have
// taken effect: that is for the next claim to look up.
//
// The changes are written in the same transaction.
func (l *Ledger) Skip(ctx context.Context, key Key, reason string, changes ...Change) (bool, error) {
	key, err := key.Stored()
	if err != nil {
		return false, err
	}
	if changes, err = l.known(key, changes); err != nil {
		return false, err
	}
	ctx, cancel := context.WithTimeout(ctx, flushTimeout)
	defer cancel()
	var owner string
	err = l.pool.QueryRow(ctx, `SELECT owner FROM effect
WHERE consumer = $1 AND key = $2 AND effect = $3 AND state = 'waiting' AND sent_at IS NULL`, key.Consumer, key.Key, key.Effect).Scan(&owner)
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return false, nil
	case err != nil:
		return false, failure(err)
	}
	for i := range changes {
		changes[i].Owner, changes[i].State = owner, Skipped
	}
	var skipped bool
	err = l.repeat(ctx, func() error {
		var batch pgx.Batch
		// The owner of a row that waits has ended: a claim since then has another.
		batch.Queue(`
UPDATE effect SET state = 'skipped', reason = $4, updated_at = now()
WHERE consumer = $1 AND key = $2 AND effect = $3 AND state = 'waiting' AND owner = $5`,
			key.Consumer, key.Key, key.Effect, Text(reason), owner).Exec(func(tag pgconn.CommandTag) error {
			skipped = tag.RowsAffected() > 0
			return nil
		})
		l.project(&batch, changes)
		return l.pool.SendBatch(ctx, &batch).Close()
	})
	return skipped, err
}

const (
	// page is how many rows Retain looks at in one transaction.
	page = 1000
	// leasesKept is for how long an unused lease's row is left for its next holder.
	leasesKept = 24 * time.Hour
)

// Retain removes done, skipped and failed effects that have not changed for longer than older, and what
// projections have of them. Effects in progress, uncertain or waiting are never removed. It walks the whole table in small
// transactions: call it once an hour or less, on one replica. It calls event.Progress after each, where ctx has a clock.
func (l *Ledger) Retain(ctx context.Context, older time.Duration) (deleted int64, err error) {
	for last, more := (Key{}), true; more; {
		var old []Key
		if old, last, more, err = l.page(ctx, last, older); err != nil {
			return deleted, fmt.Errorf("remove old keys: %w", err)
		}
		n, err := l.remove(ctx, old, older)
		if err != nil {
			return deleted, fmt.Errorf("remove old keys: %w", err)
		}
		if deleted += n; !more {
			break
		}
		if err := event.Progress(ctx); err != nil {
			return deleted, fmt.Errorf("remove old keys: %w", err)
		}
	}
	for {
		var n int64
		err := l.repeat(ctx, func() error {
			tag, err := l.pool.Exec(ctx, `
DELETE FROM lease WHERE name IN (
	SELECT name FROM lease WHERE lease_until < now() - $1::bigint * interval '1 microsecond'
	ORDER BY name LIMIT $2 FOR UPDATE SKIP LOCKED)`, leasesKept.Microseconds(), page)
			n = tag.RowsAffected()
			return err
		})
		if err != nil {
			return deleted, fmt.Errorf("remove old leases: %w", err)
		}
		if n < page {
			break
		}
	}
	if err := l.forgetSuspects(ctx, older); err != nil {
		return deleted, fmt.Errorf("remove old suspects: %w", err)
	}
	return deleted, nil
}

// maxRepeats is how often a transaction that loses to another one is tried.
const maxRepeats = 10

// page looks at the effects behind last, and returns those that are old enough to go, the last one that it has looked at, and
// whether there are more.
func (l *Ledger) page(ctx context.Context, last Key, older time.Duration) (old []Key, end Key, more bool, err error) {
	rows, err := l.pool.Query(ctx, `
WITH page AS MATERIALIZED (
	SELECT consumer, key, effect, row_number() OVER (ORDER BY consumer, key, effect) = $4 AS ends,
		state IN ('done', 'skipped', 'failed') AND updated_at < now() - $5::bigint * interval '1 microsecond' AS old
	FROM effect
	WHERE (consumer, key, effect) > ($1::text COLLATE "C", $2::text COLLATE "C", $3::text COLLATE "C")
	ORDER BY consumer, key, effect LIMIT $4)
SELECT consumer, key, effect, old, ends FROM page WHERE old OR ends ORDER BY consumer, key, effect`,
		last.Consumer, last.Key, last.Effect, page, older.Microseconds())
	if err != nil {
		return nil, last, false, failure(err)
	}
	var (
		k         Key
		goes, all bool
	)
	if _, err := pgx.ForEachRow(rows, []any{&k.Consumer, &k.Key, &k.Effect, &goes, &all}, func() error {
		if goes {
			old = append(old, k)
		}
		if all {
			end, more = k, true
		}
		return nil
	}); err != nil {
		return nil, last, false, failure(err)
	}
	return old, end, more, nil
}

// remove removes effects if they are still old, and what projections have of them.
func (l *Ledger) remove(ctx context.Context, old []Key, older time.Duration) (n int64, err error) {
	if len(old) == 0 {
		return 0, nil
	}
	var c effectColumns
	for _, k := range old {
		c.consumer, c.key, c.effect = append(c.consumer, k.Consumer), append(c.key, k.Key), append(c.effect, k.Effect)
	}
	err = l.repeat(ctx, func() error {
		var batch pgx.Batch
		// The rows are locked in key order, and those that somebody works with are left for the next time.
		batch.Queue(`
WITH old AS MATERIALIZED (
	SELECT e.consumer, e.key, e.effect FROM unnest($1::text[], $2::text[], $3::text[]) AS r(consumer, key, effect)
	JOIN effect AS e ON e.consumer = r.consumer AND e.key = r.key AND e.effect = r.effect
	WHERE e.state IN ('done', 'skipped', 'failed') AND e.updated_at < now() - $4::bigint * interval '1 microsecond'
	ORDER BY e.consumer, e.key, e.effect FOR UPDATE OF e SKIP LOCKED)
DELETE FROM effect AS e USING old
WHERE e.consumer = old.consumer AND e.key = old.key AND e.effect = old.effect`,
			c.consumer, c.key, c.effect, older.Microseconds()).Exec(func(tag pgconn.CommandTag) error {
			n = tag.RowsAffected()
			return nil
		})
		for _, p := range l.projections {
			p.Forget(&batch, old)
		}
		return l.pool.SendBatch(ctx, &batch).Close()
	})
	return n, err
}

// repeat does a transaction again that lost to another one.
func (l *Ledger) repeat(ctx context.Context, do func() error) error {
	for n := 1; ; n++ {
		err := do()
		if err == nil {
			return nil
		}
		if pg.ClassOf(err) != pg.Repeat || n == maxRepeats || ctx.Err() != nil {
			return failure(err)
		}
	}
}

// samplePages is how much of the table Counts reads: 128 MiB, some hundred thousand rows.
const samplePages = 16384

// Counts returns the number of effects by state. Of a table that is larger than 128 MiB it reads a random part of that size
// and scales it up, which sampled says, so it takes a part of a second, however many there are: call it once a minute or less.
func (l *Ledger) Counts(ctx context.Context) (counts map[State]int64, sampled bool, err error) {
	var pages int64
	const size = `SELECT pg_relation_size('effect') / current_setting('block_size')::bigint`
	if err := l.pool.QueryRow(ctx, size).Scan(&pages); err != nil {
		return nil, false, failure(err)
	}
	sql, scale := `SELECT state, count(*) FROM effect GROUP BY state`, 1.0
	if pages > samplePages {
		scale = float64(pages) / samplePages
		sql = fmt.Sprintf(`SELECT state, count(*) FROM effect TABLESAMPLE SYSTEM (%.6f) GROUP BY state`, 100/scale)
	}
	counts = map[State]int64{InProgress: 0, Uncertain: 0, Failed: 0, Waiting: 0, Skipped: 0, Done: 0}
	rows, err := l.pool.Query(ctx, sql)
	if err != nil {
		return nil, false, failure(err)
	}
	var (
		state State
		n     int64
	)
	if _, err = pgx.ForEachRow(rows, []any{&state, &n}, func() error {
		counts[state] = int64(float64(n) * scale)
		return nil
	}); err != nil {
		return nil, false, failure(err)
	}
	return counts, scale > 1, nil
}
