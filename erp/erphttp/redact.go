package erphttp

import (
	"net/http"
	"regexp"
	"slices"
	"strings"
	"unicode"

	"github.com/mageline/mageline/erp"
)

// maxMessage is how many characters of the ERP's own message an error repeats.
const maxMessage = 200

const redacted = "***"

var (
	emailLike = regexp.MustCompile(`[^\s<>"'(),;:]+@[^\s<>"'(),;:]+`)
	// What follows the name of a scheme of HTTP is a credential, whoever sent it.
	credentialLike = regexp.MustCompile(`(?i)\b(Bearer|Basic) +[A-Za-z0-9+/=._~-]{6,}`)
)

// redact shortens what the ERP says in its own words to one line, and takes out of it what the ERP may repeat of what it was
// sent: the order's personal data, the credential, and whatever looks like an e-mail address.
func redact(s string, o *erp.SalesOrder, c *erp.CustomerRecord, secrets []string) string {
	// Far more than is kept, so that what follows is short work.
	if len(s) > 16*maxMessage {
		s = s[:16*maxMessage]
	}
	s = strings.Join(strings.FieldsFunc(strings.ToValidUTF8(s, ""), func(r rune) bool {
		return unicode.IsSpace(r) || !unicode.IsPrint(r)
	}), " ")
	s = credentialLike.ReplaceAllString(s, "$1 "+redacted)
	for _, secret := range secrets {
		s = strings.ReplaceAll(s, secret, redacted)
	}
	s = emailLike.ReplaceAllString(s, redacted)
	if personal := personalData(o, c); personal != nil {
		s = personal.ReplaceAllString(s, redacted)
	}
	if r := []rune(s); len(r) > maxMessage {
		s = string(r[:maxMessage]) + "…"
	}
	return s
}

// minSecret is the shortest part of a header that is taken for a secret: a shorter one would match inside of words.
const minSecret = 6

// secretsOf returns the credentials of a request: in its headers, in the ERP's address, and those of Options.Secrets.
func (c *Client) secretsOf(req *http.Request) []string {
	var found []string
	if c.o.Secrets != nil {
		found = c.o.Secrets()
	}
	for _, name := range []string{"Authorization", "Cookie", "X-Csrf-Token", "Apikey", "X-Api-Key"} {
		for _, value := range req.Header.Values(name) {
			if _, credential, ok := strings.Cut(value, " "); ok && name == "Authorization" {
				value = credential // the scheme before it is none
			}
			found = append(found, value)
			found = append(found, strings.FieldsFunc(value, func(r rune) bool { return strings.ContainsRune(` ,;="`, r) })...)
		}
	}
	for _, values := range c.base.Query() {
		found = append(found, values...)
	}
	if password, ok := c.base.User.Password(); ok {
		found = append(found, password)
	}
	found = slices.DeleteFunc(found, func(s string) bool { return len(s) < minSecret })
	slices.SortFunc(found, func(a, b string) int { return len(b) - len(a) })
	return found
}

// personalData matches what the order and the customer say of persons, in any case of letters; nil if they say nothing. Very short values
// are left out: they would match inside every other word.
func personalData(o *erp.SalesOrder, c *erp.CustomerRecord) *regexp.Regexp {
	var values []*string
	var addresses []*erp.Address
	if o != nil {
		values = append(values, o.Customer.Email, o.Customer.FirstName, o.Customer.LastName, o.Customer.TaxID, o.Comment)
		addresses = append(addresses, o.BillingAddress, o.ShippingAddress)
	}
	if c != nil {
		values = append(values, c.Email, c.FirstName, c.LastName, c.TaxID)
		for i := range c.Addresses {
			addresses = append(addresses, &c.Addresses[i].Address)
		}
	}
	for _, a := range addresses {
		if a == nil {
			continue
		}
		values = append(values, a.FirstName, a.LastName, a.Company, a.Postcode, a.Telephone, a.TaxID)
		for i := range a.Street {
			values = append(values, &a.Street[i])
		}
	}
	var patterns []string
	for _, v := range values {
		if v == nil {
			continue
		}
		// The message has its white space folded to single spaces.
		if s := strings.Join(strings.Fields(*v), " "); len([]rune(s)) >= 3 && len(s) <= 1024 {
			patterns = append(patterns, regexp.QuoteMeta(s))
		}
	}
	if len(patterns) == 0 {
		return nil
	}
	// Of alternatives the first one that fits is taken: the longest first, so that no rest of a value stays.
	slices.SortFunc(patterns, func(a, b string) int { return len(b) - len(a) })
	re, err := regexp.Compile("(?i)" + strings.Join(patterns, "|"))
	if err != nil { // invalid UTF-8 in a value
		return emailLike
	}
	return re
}
