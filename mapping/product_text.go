package mapping

import (
	"html"
	"regexp"
	"strings"
	"unicode"
)

var (
	// unseen are parts of a page that nobody reads.
	unseen = regexp.MustCompile(`(?is)<!--.*?-->|<(script|style|template|noscript|iframe)\b.*?</(script|style|template|noscript|iframe)\s*>`)
	tag    = regexp.MustCompile(`(?s)</?[a-zA-Z][^<>]*>|<![a-zA-Z][^<>]*>|<\?.*?\?>`)
	// inline tags do not end a word.
	inline = regexp.MustCompile(`(?i)^</?(a|abbr|b|big|code|em|font|i|mark|s|small|span|strong|sub|sup|u|wbr)\b`)
	// directives are what Magento fills in when it shows a page: {{media url="…"}}, {{widget …}}.
	directive = regexp.MustCompile(`(?s)\{\{.*?\}\}`)
)

// plain returns the words of a text with markup, on one line.
func plain(s string) string {
	if strings.ContainsAny(s, "<&{") {
		s = directive.ReplaceAllString(s, " ")
		s = html.UnescapeString(untagged(s))
		// Editors save markup as text, too, and some modules escape twice.
		s = html.UnescapeString(untagged(s))
	}
	s = strings.ToValidUTF8(s, "\uFFFD")
	return strings.Join(strings.FieldsFunc(s, func(r rune) bool {
		return unicode.IsSpace(r) || unicode.IsControl(r) || r == '\u00AD' || r == '\u200B' || r == '\uFEFF'
	}), " ")
}

func untagged(s string) string {
	s = unseen.ReplaceAllString(s, " ")
	return tag.ReplaceAllStringFunc(s, func(t string) string {
		if inline.MatchString(t) {
			return ""
		}
		return " "
	})
}
