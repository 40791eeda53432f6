package reindex

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/mageline/mageline/internal/pg"
	"github.com/mageline/mageline/magentoapi"
	"github.com/mageline/mageline/search"
)

// Plan is what a run would do.
type Plan struct {
	Swap     bool      `json:"swap,omitempty"`
	SKUs     []string  `json:"skus,omitempty"` // single products
	Products int64     `json:"products"`
	Messages int64     `json:"messages"`
	Resumed  bool      `json:"resumed,omitempty"`
	Since    time.Time `json:"since,omitzero"` // of the run that is resumed
	Handled  int64     `json:"handled,omitempty"`
	Total    int64     `json:"total,omitempty"`
	// Holder is who runs a reindex now.
	Holder  string      `json:"holder,omitempty"`
	Indexes []IndexPlan `json:"indexes"`
}

// IndexPlan is what a run would do with one index.
type IndexPlan struct {
	Store     string `json:"store,omitempty"`
	Index     string `json:"index"`
	Missing   bool   `json:"missing,omitempty"` // it is made
	Documents int64  `json:"documents"`
	// Lacks are fields that are added, Changed those that need a swap.
	Lacks   []string `json:"lacks,omitempty"`
	Changed []string `json:"changed,omitempty"`
}

// Plan says what a run would do, and changes nothing.
func (r *Reindex) Plan(ctx context.Context, o Options, skus []string) (*Plan, error) {
	p := &Plan{Swap: o.Swap, SKUs: skus, Products: int64(len(skus))}
	stores := o.Stores
	reached := int64(0)
	last, err := r.State.Last(ctx)
	switch {
	case errors.Is(err, ErrNothing):
	case err != nil:
		return nil, err
	default:
		if p.Holder, err = r.State.runs(ctx); err != nil {
			return nil, err
		}
		if o.Resume && last.Phase != Done {
			p.Resumed, p.Since, p.Handled, p.Total = true, last.Started, last.Handled, last.Total
			p.Swap, stores, reached = last.Swap, last.Stores, last.Reached
		}
	}
	if len(skus) == 0 {
		found, err := r.Products.Search(ctx, after(reached).OnPage(1, 1))
		if err != nil {
			return nil, err
		}
		p.Products = int64(found.TotalCount)
	}
	p.Messages = (p.Products + pageSize - 1) / pageSize
	views, err := r.views(stores)
	if err != nil {
		return nil, err
	}
	for _, v := range views {
		i, err := r.planIndex(ctx, v)
		if err != nil {
			return nil, err
		}
		p.Indexes = append(p.Indexes, i)
	}
	return p, nil
}

func (r *Reindex) planIndex(ctx context.Context, v View) (IndexPlan, error) {
	i := IndexPlan{Store: v.Store, Index: v.Index}
	inspector, ok := r.Engine.(search.Inspector)
	if !ok {
		return i, nil
	}
	fields, err := r.Fields(ctx, v)
	if err != nil {
		return i, fmt.Errorf("the fields of index %s: %w", v.Index, err)
	}
	found, err := inspector.Inspect(ctx, v.Index, fields)
	if err != nil {
		return i, err
	}
	i.Missing, i.Lacks, i.Changed = found.Target.Generation == "", found.Lacks, found.Changed
	if found.Target.Name != "" && !i.Missing {
		i.Documents, err = r.Engine.Count(ctx, found.Target)
	}
	return i, err
}

// after selects the products behind an entity id.
func after(id int64) magentoapi.SearchCriteria {
	criteria := magentoapi.SearchCriteria{Fields: "items[id,sku],total_count"}
	if id > 0 {
		criteria = criteria.Where(magentoapi.Gt("entity_id", fmt.Sprint(id)))
	}
	return criteria.SortBy("entity_id", magentoapi.Ascending)
}

// runs returns who runs a reindex now; "" if nobody does.
func (s *Store) runs(ctx context.Context) (holder string, err error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	err = s.DB.QueryRow(ctx, `SELECT coalesce((SELECT owner FROM reindex WHERE lease_until > now()), '')`).Scan(&holder)
	if err != nil {
		return "", failure(err)
	}
	return pg.NameOf(holder), nil
}
