package check

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/mageline/mageline/event"
	"github.com/mageline/mageline/internal/indexes"
	"github.com/mageline/mageline/search"
)

// Search looks at the search engine that products are written to: whether it answers and takes the credential, and how each index
// compares with the fields of its documents and with the products of the shop.
type Search struct {
	Engine search.Inspector
	// Address is the engine's.
	Address string
	Indexes []SearchIndex
	// Generations returns those that are recorded.
	Generations func(ctx context.Context) ([]indexes.Generation, error)
	Now         func() time.Time // nil is time.Now
}

// SearchIndex is the index of a store view.
type SearchIndex struct {
	Store, Index string
	// Fields are those of its documents.
	Fields func(ctx context.Context) ([]search.Field, error)
	// Visible counts the products that the store view shows by themselves.
	Visible func(ctx context.Context) (int64, error)
}

const (
	searchEngine = "search engine"
	// nearLimit is the part of an engine's limit of fields from which on it is named.
	nearLimit = 0.9
	// fewerAllowed is by how much of all the documents may differ from the products: some wait for a retry at any time.
	fewerAllowed = 0.01
	// longFilling is how long a reindex may fill a new index before somebody should look.
	longFilling = 24 * time.Hour
)

// Check looks.
func (s Search) Check(ctx context.Context) []Finding {
	if s.Now == nil {
		s.Now = time.Now
	}
	known, err := s.Generations(ctx)
	if err != nil { // Postgres is another checker's; before the first migration there is nothing to know
		known = nil
	}
	var all []Finding
	for n, i := range s.Indexes {
		found, err := s.index(ctx, i, known)
		if n == 0 {
			all = append(all, s.engine(err))
		}
		all = append(all, found...)
	}
	return all
}

// engine says what the first question has met.
func (s Search) engine(err error) Finding {
	switch event.ClassOf(err) {
	case event.Unauthorized:
		return Finding{Fail, searchEngine, err.Error(), "correct the credential, or give it the rights that the error names"}
	case event.Unavailable, event.Timeout, event.Throttled:
		return Finding{Fail, searchEngine, err.Error(), "see that the engine runs and that MAGELINE_SEARCH_URL leads to it"}
	}
	return ok(searchEngine, "reachable at %s, and the credential is accepted", s.Address)
}

// index looks at one index. An error is that of the engine.
func (s Search) index(ctx context.Context, i SearchIndex, known []indexes.Generation) ([]Finding, error) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	subject := "search index " + i.Index
	fields, err := i.Fields(ctx)
	if err != nil {
		return []Finding{{Unknown, subject, "its fields can't be told: " + inTime(ctx, err).Error(), "see what is said of Magento"}}, nil
	}
	found, err := s.Engine.Inspect(ctx, i.Index, fields)
	if err != nil {
		err = inTime(ctx, err)
		if class := event.ClassOf(err); class == event.Unauthorized || class == event.Unavailable || class == event.Timeout || class == event.Throttled {
			return []Finding{{Unknown, subject, "can't be seen: " + err.Error(), "see the line of the search engine"}}, err
		}
		return []Finding{{Fail, subject, err.Error(), "do what the error says"}}, nil
	}
	all := []Finding{mapping(subject, found)}
	if len(found.Lacking) > 0 {
		all = append(all, Finding{
			Fail, subject + ", rights", "the credential may not: " + strings.Join(found.Lacking, ", "), "give the credential these rights",
		})
	}
	if found.Limit > 0 {
		all = append(all, fieldLimit(subject, found))
	}
	if left := s.left(i.Index, found, known); left != nil {
		all = append(all, *left)
	}
	if found.Target.Name == "" || found.Target.Generation == "" {
		return all, nil
	}
	return append(all, s.documents(ctx, i, found.Target)), nil
}

// mapping compares the fields.
func mapping(subject string, found search.Inspection) Finding {
	subject += ", mapping"
	server := ""
	if found.Server != "" {
		server = " (" + found.Server + ")"
	}
	switch {
	case len(found.Changed) > 0:
		return Finding{
			Fail, subject, "needs --swap: the index has fields in a form that can't be changed: " + strings.Join(found.Changed, ", "),
			"run `mageline reindex --swap`; documents with these fields may be rejected until then",
		}
	case found.Target.Generation == "":
		return ok(subject, "will be created, with %d fields%s", found.Needs, server)
	case len(found.Lacks) > 0:
		return ok(subject, "as it should be, but for fields that will be added: %s%s", strings.Join(found.Lacks, ", "), server)
	case found.Loose:
		return Finding{Warn, subject, "the index takes fields that nobody has declared", "none: mageline makes the mapping strict when it writes for the first time"}
	}
	return ok(subject, "as it should be%s", server)
}

func fieldLimit(subject string, found search.Inspection) Finding {
	subject += ", fields"
	needs := max(found.Needs, found.Fields)
	todo := "name the attributes that are searched or filtered by in MAGELINE_SEARCH_ATTRIBUTES, and run `mageline reindex --swap`: all others go into one list"
	switch detail := fmt.Sprintf("%d of at most %d", needs, found.Limit); {
	case needs > found.Limit:
		return Finding{Fail, subject, detail, todo}
	case float64(needs) > nearLimit*float64(found.Limit):
		return Finding{Warn, subject, detail, todo}
	default:
		return ok(subject, "%s", detail)
	}
}

// left names a new index that nobody swaps in, and indexes that nobody knows.
func (s Search) left(index string, found search.Inspection, known []indexes.Generation) *Finding {
	for _, g := range known {
		if g.Index == index && g.State == indexes.Filling && s.Now().Sub(g.Since) > longFilling {
			return &Finding{
				Warn, "search index " + index + ", new index", fmt.Sprintf("%s is filled beside it since %s, and each change is written twice", g.Name, g.Since.UTC().Format(time.RFC3339)),
				"`mageline reindex --swap` begins again, `mageline reindex --resume` goes on",
			}
		}
	}
	if len(known) == 0 {
		return nil
	}
	var strange []string
	for _, t := range found.Others {
		if !slices.ContainsFunc(known, func(g indexes.Generation) bool { return g.Target == t }) {
			strange = append(strange, t.Name)
		}
	}
	if len(strange) == 0 {
		return nil
	}
	return &Finding{
		Warn, "search index " + index + ", old indexes", "not searched, and not written to: " + strings.Join(strange, ", "),
		"delete them in the engine if nobody needs them: a reindex that was killed may have left them",
	}
}

// documents compares the number of documents with that of products.
func (s Search) documents(ctx context.Context, i SearchIndex, target search.Target) Finding {
	subject := "search index " + i.Index + ", documents"
	n, err := s.Engine.Count(ctx, target)
	if err != nil {
		return Finding{Unknown, subject, inTime(ctx, err).Error(), "check again"}
	}
	visible, err := i.Visible(ctx)
	if err != nil {
		return Finding{Unknown, subject, fmt.Sprintf("%d; how many products Magento shows can't be told: %v", n, inTime(ctx, err)), "see what is said of Magento"}
	}
	detail := fmt.Sprintf("%d, and Magento shows %d products", n, visible)
	if diff := max(n-visible, visible-n); float64(diff) > fewerAllowed*float64(visible) {
		return Finding{Warn, subject, detail, "see whether messages wait or are dead letters (`mageline dlq list`), then run `mageline reindex`"}
	}
	return ok(subject, "%s", detail)
}
