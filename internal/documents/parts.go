package documents

import (
	"context"
	"slices"

	"github.com/jackc/pgx/v5"
)

// Parents returns the SKUs, in lower case, of the products that any of these is a part of, as far as it is known: Magento can't be
// asked for them.
func (s *Store) Parents(ctx context.Context, skus []string) ([]string, error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	rows, err := s.DB.Query(ctx, `SELECT DISTINCT parent FROM search_part WHERE child = ANY($1) ORDER BY parent`, keys(skus))
	if err != nil {
		return nil, failure(err)
	}
	parents, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return nil, failure(err)
	}
	return parents, nil
}

// SetParts records which products each of the given ones is made of. What is recorded already is not written again.
func (s *Store) SetParts(ctx context.Context, parts map[string][]string) error {
	var all, parents, children []string
	for parent, of := range parts {
		all = append(all, Key(parent))
		for _, child := range keys(of) {
			parents, children = append(parents, Key(parent)), append(children, child)
		}
	}
	if len(all) == 0 {
		return nil
	}
	slices.Sort(all)
	return s.repeated(ctx, func(ctx context.Context) error {
		var b pgx.Batch
		b.Queue(`DELETE FROM search_part AS p WHERE p.parent = ANY($1)
AND NOT EXISTS (SELECT 1 FROM unnest($2::text[], $3::text[]) AS g(parent, child) WHERE g.parent = p.parent AND g.child = p.child)`, all, parents, children)
		b.Queue(`INSERT INTO search_part (parent, child) SELECT g.parent, g.child FROM unnest($1::text[], $2::text[]) AS g(parent, child)
WHERE NOT EXISTS (SELECT 1 FROM search_part AS p WHERE p.parent = g.parent AND p.child = g.child)
ORDER BY g.child, g.parent ON CONFLICT DO NOTHING`, parents, children)
		return s.DB.SendBatch(ctx, &b).Close()
	})
}

// keys returns the SKUs as Magento compares them, each once, in order.
func keys(skus []string) []string {
	all := make([]string, len(skus))
	for i, sku := range skus {
		all[i] = Key(sku)
	}
	slices.Sort(all)
	return slices.Compact(all)
}
