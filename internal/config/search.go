package config

import (
	"slices"
	"strings"
	"unicode"
)

// Search is the search engine.
type Search string

// The search engines.
const (
	OpenSearch    Search = "opensearch"
	Elasticsearch Search = "elasticsearch"
	Algolia       Search = "algolia"
	NoSearch      Search = "none"
)

// Type says what it takes.
func (Search) Type() string { return words(NoSearch, OpenSearch, Elasticsearch, Algolia) }

// Decode reads it.
func (s *Search) Decode(value string) error {
	return choice(s, value, NoSearch, OpenSearch, Elasticsearch, Algolia)
}

// Addresses are base addresses.
type Addresses []string

// Type says what it takes.
func (Addresses) Type() string { return "an address, or several separated by commas" }

// Decode reads it.
func (a *Addresses) Decode(value string) error {
	*a = list(value)
	if slices.Contains(*a, "") {
		return want("%s", a.Type())
	}
	return nil
}

// StoreIndex is a store view and the index of its products.
type StoreIndex struct {
	Store string // its code; empty is the default store view
	Index string
}

// SearchStores are the store views whose products are written.
type SearchStores []StoreIndex

// Type says what it takes.
func (SearchStores) Type() string { return "store:index pairs separated by commas" }

// Decode reads it.
func (s *SearchStores) Decode(value string) error {
	*s = nil
	for _, pair := range list(value) {
		store, index, ok := strings.Cut(pair, ":")
		store, index = strings.TrimSpace(store), strings.TrimSpace(index)
		if !ok || !isCode(store) || index == "" {
			return want("%s, such as de:products_de: a store view's code has letters, digits and _, a letter first", s.Type())
		}
		for _, other := range *s {
			if other.Store == store {
				return want("%s, each store view once", s.Type())
			}
			if other.Index == index {
				return want("%s, each with an index of its own: products have the same ids in both store views", s.Type())
			}
		}
		*s = append(*s, StoreIndex{store, index})
	}
	return nil
}

// isCode applies Magento's rule for the code of a store view or an attribute.
func isCode(s string) bool {
	for i, r := range s {
		letter := r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z'
		if !letter && (i == 0 || r != '_' && (r < '0' || r > '9')) {
			return false
		}
	}
	return s != ""
}

// SearchAttributes are codes of attributes; nil is auto.
type SearchAttributes []string

// Type says what it takes.
func (SearchAttributes) Type() string { return "auto, or codes of attributes separated by commas" }

// Decode reads it.
func (a *SearchAttributes) Decode(value string) error {
	*a = nil
	if strings.TrimSpace(value) == "auto" {
		return nil
	}
	for _, code := range list(value) {
		if !isCode(code) {
			return want("%s: a code has letters, digits and _, a letter first", a.Type())
		}
		if !slices.Contains(*a, code) {
			*a = append(*a, code)
		}
	}
	return nil
}

// SearchIndexes returns the store views whose products are written, and the index of each.
func (c *Config) SearchIndexes() []StoreIndex {
	if len(c.SearchStores) > 0 {
		return c.SearchStores
	}
	return []StoreIndex{{Index: c.SearchIndex}}
}

// What a document may have at most if SEARCH_DOCUMENT_SIZE does not say so: Algolia's larger plans take 100 kB, and the others
// a tenth of the 100 MB of a request.
const (
	algoliaDocument = 100_000
	elasticDocument = 10_000_000
)

// minDocument is the least that is left of a document that is cut as far as it may be, with much to spare.
const minDocument = 2_000

// checkSearch looks at what is set for the search engine, and fills in what depends on which one it is.
func (l *loader) checkSearch() {
	c := l.c
	if c.SearchSettle < 0 {
		l.problem("SEARCH_SETTLE", "must be a duration, 0 or more")
	}
	switch size := c.SearchDocumentSize; {
	case size == 0 && c.Search == Algolia:
		c.SearchDocumentSize = algoliaDocument
	case size == 0:
		c.SearchDocumentSize = elasticDocument
	case size < minDocument:
		l.problem("SEARCH_DOCUMENT_SIZE", "must be a whole number of bytes, at least %d, or 0 for what the engine takes", minDocument)
	}
	for _, address := range c.SearchURL {
		l.checkURL("SEARCH_URL", address)
	}
	if !isIndex(c.SearchIndex) {
		l.problem("SEARCH_INDEX", "must be %s", indexRule)
	}
	for _, s := range c.SearchStores {
		if !isIndex(s.Index) {
			l.problem("SEARCH_STORES", "the name of an index must be %s", indexRule)
		}
	}
	l.checkSearchCredentials()
}

// indexRule is that of OpenSearch and Elasticsearch, with room for what is added to the name of each generation.
const indexRule = `1 to 200 bytes in lower case, a letter or digit first, without blanks and any of \ / * ? " < > | , # :`

func isIndex(s string) bool {
	if s == "" || len(s) > 200 || s != strings.ToLower(s) || strings.ContainsAny(s, `\/*?"<>|,#:`) {
		return false
	}
	if strings.ContainsFunc(s, func(r rune) bool { return unicode.IsSpace(r) || unicode.IsControl(r) || r == unicode.ReplacementChar }) {
		return false
	}
	first := []rune(s)[0]
	return unicode.IsLetter(first) || unicode.IsDigit(first)
}

// checkSearchCredentials refuses what does not fit together.
func (l *loader) checkSearchCredentials() {
	c := l.c
	if c.SearchUsername != "" && c.SearchPassword == "" {
		l.problem("SEARCH_PASSWORD", "is needed with %sSEARCH_USERNAME", prefix)
	}
	if c.SearchPassword != "" && c.SearchUsername == "" {
		l.problem("SEARCH_USERNAME", "is needed with %sSEARCH_PASSWORD", prefix)
	}
	if c.Search == Algolia {
		return
	}
	var ways []string
	for _, way := range []need{
		{name: "SEARCH_USERNAME", value: c.SearchUsername},
		{name: "SEARCH_API_KEY", value: c.SearchAPIKey.Reveal()},
		{name: "SEARCH_TOKEN", value: c.SearchToken.Reveal()},
	} {
		if way.value != "" {
			ways = append(ways, way.name)
		}
	}
	if len(ways) > 1 {
		l.problem(ways[1], "the search engine is logged in to in one way: %s%s is set too, leave one of them out", prefix, ways[0])
	}
}

// checkSearchNeeds asks for what the chosen engine needs.
func (l *loader) checkSearchNeeds() {
	c := l.c
	if c.Search != Algolia {
		if len(c.SearchURL) == 0 && (c.Search == OpenSearch || c.Search == Elasticsearch) {
			l.problem("SEARCH_URL", "set it to the engine's address, such as https://search.example.com:9200, or %sSEARCH=none", prefix)
		}
		return
	}
	if c.SearchApplication == "" {
		l.problem("SEARCH_APPLICATION_ID", "set it to the application id of Algolia")
	}
	if c.SearchAPIKey == "" {
		l.problem("SEARCH_API_KEY", "set it to a key of Algolia with the rights addObject, browse, deleteIndex, editSettings, search and settings")
	}
}
