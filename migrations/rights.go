package migrations

import (
	"context"
	"fmt"
	"maps"
	"slices"
)

// tables are the tables of the schema with the rights that the service needs on them.
var tables = map[string][]string{
	"effect":             {"SELECT", "INSERT", "UPDATE", "DELETE"},
	"orders":             {"SELECT", "INSERT", "UPDATE", "DELETE"},
	"lease":              {"SELECT", "INSERT", "UPDATE", "DELETE"},
	"pause":              {"SELECT", "INSERT", "UPDATE", "DELETE"},
	"resume":             {"SELECT", "INSERT", "UPDATE"},
	"process":            {"SELECT", "INSERT", "UPDATE", "DELETE"},
	"suspect":            {"SELECT", "INSERT", "UPDATE", "DELETE"},
	"installation":       {"SELECT"},
	"taken_file":         {"SELECT", "INSERT", "UPDATE", "DELETE"},
	"reconciled":         {"SELECT", "INSERT", "UPDATE", "DELETE"},
	"reconcile_progress": {"SELECT", "INSERT", "UPDATE"},
	"watermark":          {"SELECT", "INSERT", "UPDATE", "DELETE"},
	"held_price":         {"SELECT", "INSERT", "UPDATE", "DELETE"},
	"search_document":    {"SELECT", "INSERT", "UPDATE", "DELETE"},
	"search_part":        {"SELECT", "INSERT", "DELETE"},
	"search_settle":      {"SELECT", "INSERT", "UPDATE", "DELETE"},
	"search_clock":       {"SELECT", "UPDATE"},
	"search_index":       {"SELECT", "INSERT", "UPDATE"},
	"search_generation":  {"SELECT", "INSERT", "UPDATE", "DELETE"},
	"reindex":            {"SELECT", "INSERT", "UPDATE", "DELETE"},
	"reindex_page":       {"SELECT", "INSERT", "DELETE"},
}

// MissingRights returns the rights that the role of db lacks on existing tables, as "SELECT, INSERT ON effect" for a GRANT, and how
// many of the tables exist.
func MissingRights(ctx context.Context, db Querier) (grants []string, there int, err error) {
	var names, rights []string // of the same length: a right on a table
	for _, table := range slices.Sorted(maps.Keys(tables)) {
		for _, right := range tables[table] {
			names, rights = append(names, table), append(rights, right)
		}
	}
	err = db.QueryRow(ctx, `
		SELECT coalesce(array_agg(missing || ' ON ' || name ORDER BY name) FILTER (WHERE missing <> ''), '{}'), count(*)
		FROM (
			SELECT name, string_agg(CASE WHEN has_table_privilege(to_regclass(name), p) THEN NULL ELSE p END, ', ' ORDER BY n) AS missing
			FROM unnest($1::text[], $2::text[]) WITH ORDINALITY AS wanted(name, p, n)
			WHERE to_regclass(name) IS NOT NULL
			GROUP BY name
		) AS t`, names, rights).Scan(&grants, &there)
	if err != nil {
		return nil, 0, fmt.Errorf("migrations: look at the rights on the tables: %w", err)
	}
	return grants, there, nil
}
