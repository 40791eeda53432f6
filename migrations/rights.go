package migrations

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// tables are those of the migrations, with what the service does to them.
var tables = map[string][]string{
	"effect":       {"SELECT", "INSERT", "UPDATE", "DELETE"},
	"orders":       {"SELECT", "INSERT", "UPDATE", "DELETE"},
	"lease":        {"SELECT", "INSERT", "UPDATE", "DELETE"},
	"pause":        {"SELECT", "INSERT", "UPDATE", "DELETE"},
	"process":      {"SELECT", "INSERT", "UPDATE", "DELETE"},
	"suspect":      {"SELECT", "INSERT", "UPDATE", "DELETE"},
	"installation": {"SELECT"},
}

// MissingRights gives what the role of db lacks on the tables that are there, as "SELECT, INSERT ON effect" for a GRANT, and
// how many of the tables there are.
func MissingRights(ctx context.Context, db Querier) (grants []string, there int, err error) {
	for _, table := range slices.Sorted(maps.Keys(tables)) {
		var exists bool
		var missing []string
		err := db.QueryRow(ctx, `
			SELECT to_regclass($1) IS NOT NULL,
			       coalesce(array_agg(p) FILTER (WHERE NOT has_table_privilege(to_regclass($1), p)), '{}')
			FROM unnest(string_to_array($2, ',')) AS p`, table, strings.Join(tables[table], ",")).Scan(&exists, &missing)
		if err != nil {
			return nil, 0, fmt.Errorf("migrations: look at the rights on %s: %w", table, err)
		}
		if exists {
			there++
		}
		if len(missing) > 0 {
			grants = append(grants, fmt.Sprintf("%s ON %s", strings.Join(missing, ", "), table))
		}
	}
	return grants, there, nil
}
