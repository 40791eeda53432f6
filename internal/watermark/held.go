package watermark

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/shopspring/decimal"
)

// HeldPrice is a price that was not written, because it differs so much from the one before that a person decides over it.
type HeldPrice struct {
	Key
	AsOf     time.Time       `json:"as_of"`
	Old      decimal.Decimal `json:"old_price"`
	New      decimal.Decimal `json:"new_price"`
	Message  string          `json:"message"` // letter id of the message that had it
	Body     string          `json:"-"`       // a message with this price alone
	Since    time.Time       `json:"held_at"`
	Released bool            `json:"released"` // and not written yet
}

// supersede removes held prices that are older than what is written now.
const supersede = `
DELETE FROM held_price AS h USING unnest($1::text[], $2::text[], $3::text[], $4::int[]) AS r(sku, kind, scope, ended), watermark AS w
WHERE r.ended = 1 AND h.sku = r.sku AND h.kind = r.kind AND h.scope = r.scope
	AND w.sku = r.sku AND w.kind = r.kind AND w.scope = r.scope AND h.as_of <= w.written`

const heldColumns = ` sku, kind, scope, as_of, old_price::text, new_price::text, message, body, held_at, released IS NOT NULL `

func scanHeld(row pgx.CollectableRow) (h HeldPrice, err error) {
	var from, to string
	if err = row.Scan(&h.SKU, &h.Kind, &h.Scope, &h.AsOf, &from, &to, &h.Message, &h.Body, &h.Since, &h.Released); err != nil {
		return h, err
	}
	if h.Old, err = decimal.NewFromString(from); err == nil {
		h.New, err = decimal.NewFromString(to)
	}
	return h, err
}

func (s *Store) held(ctx context.Context, sql string, args ...any) ([]HeldPrice, error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	rows, err := s.DB.Query(ctx, sql, args...)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, scanHeld)
}

// HeldOf returns the held prices of keys. The error is that of a handler.
func (s *Store) HeldOf(ctx context.Context, of []Key) (map[Key]HeldPrice, error) {
	rows := make([]*Row, len(of))
	for i, k := range of {
		rows[i] = &Row{Key: k}
	}
	k := keysOf(rows)
	all, err := s.held(ctx, `
SELECT h.* FROM unnest($1::text[], $2::text[], $3::text[]) AS r(sku, kind, scope)
CROSS JOIN LATERAL (SELECT`+heldColumns+`FROM held_price AS p WHERE p.sku = r.sku AND p.kind = r.kind AND p.scope = r.scope OFFSET 0) AS h`,
		k.skus, k.kinds, k.scopes)
	if err != nil {
		return nil, failure(err)
	}
	held := make(map[Key]HeldPrice, len(all))
	for _, h := range all {
		held[h.Key] = h
	}
	return held, nil
}

// Hold keeps a price for a person to decide over. It takes the place of an older one of its key. The error is that of a handler.
func (s *Store) Hold(ctx context.Context, h HeldPrice) error {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	_, err := s.DB.Exec(ctx, `
INSERT INTO held_price AS h (sku, kind, scope, as_of, old_price, new_price, message, body, held_at)
VALUES ($1, $2, $3, $4, $5::text::numeric, $6::text::numeric, $7, $8, now())
ON CONFLICT (sku, kind, scope) DO UPDATE SET as_of = excluded.as_of, old_price = excluded.old_price, new_price = excluded.new_price,
	message = excluded.message, body = excluded.body, released = NULL,
	held_at = CASE WHEN h.as_of = excluded.as_of THEN h.held_at ELSE excluded.held_at END
WHERE h.as_of <= excluded.as_of`, h.SKU, h.Kind, h.Scope, h.AsOf, h.Old.String(), h.New.String(), h.Message, h.Body)
	if err != nil {
		return failure(err)
	}
	return nil
}

// Held returns all held prices, the oldest first.
func (s *Store) Held(ctx context.Context) ([]HeldPrice, error) {
	all, err := s.held(ctx, `SELECT`+heldColumns+`FROM held_price ORDER BY held_at, sku, kind, scope`)
	if err != nil {
		return nil, fmt.Errorf("read the held prices: %w", err)
	}
	return all, nil
}

// Release marks the held prices of a SKU, or all with an empty one, as released, and returns them. Whoever calls it publishes their
// bodies then. Each goes when it is written, so a release that was cut short can be repeated.
func (s *Store) Release(ctx context.Context, sku string) ([]HeldPrice, error) {
	all, err := s.held(ctx, `UPDATE held_price SET released = now() WHERE $1 IN ('', sku) RETURNING`+heldColumns, sku)
	if err != nil {
		return nil, fmt.Errorf("release held prices: %w", err)
	}
	return all, nil
}

// Drop removes the held prices of a SKU, or all with an empty one, and returns them.
func (s *Store) Drop(ctx context.Context, sku string) ([]HeldPrice, error) {
	all, err := s.held(ctx, `DELETE FROM held_price WHERE $1 IN ('', sku) RETURNING`+heldColumns, sku)
	if err != nil {
		return nil, fmt.Errorf("drop held prices: %w", err)
	}
	return all, nil
}

// CountHeld returns how many prices are held, and since when the first of them is. Released ones do not count.
func (s *Store) CountHeld(ctx context.Context) (n int, since time.Time, err error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	var first *time.Time
	if err = s.DB.QueryRow(ctx, `SELECT count(*), min(held_at) FROM held_price WHERE released IS NULL`).Scan(&n, &first); err != nil {
		return 0, time.Time{}, fmt.Errorf("count the held prices: %w", err)
	}
	if first != nil {
		since = *first
	}
	return n, since, nil
}
