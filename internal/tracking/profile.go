package tracking

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"maps"
	"path"
	"regexp"
	"slices"
	"strings"

	"github.com/mageline/mageline/internal/table"
)

// Profile says how one 3PL writes its files. What it leaves out is found out.
type Profile struct {
	Name string
	// Pattern is the globs of names of this 3PL's files, whatever the case. Header is the columns by which a file is recognised.
	Pattern, Header []string
	// Columns maps our name of a column to the file's. Of several columns the first that is not empty in a row counts.
	Columns  map[string][]Column
	Order    Number // of order_number
	Tracking Number // of tracking_number
	// Split is what separates several tracking numbers in one cell; nil means the usual texts.
	Split []string
	// Skip are rows that are left out, Only what rows must have to be read.
	Skip, Only []Rule
	// Carriers maps the file's carriers to Magento's codes. One that ends in * is for all that begin so.
	Carriers map[string]string
	// Carrier, Title and SourceCode count where the file has none.
	Carrier, Title, SourceCode string
	Encoding                   string
	Delimiter                  string
	// Continuation says that rows without order and tracking number belong to the parcel above.
	Continuation bool
	// Extends is the profile that this one changes.
	Extends string

	ready bool              // in the program, not the shop's
	base  []string          // names of those that it extends
	given map[string]bool   // the keys that are written in it, or in one that it extends
	exact map[string]string // carriers in lower case
	begin []prefix          // carriers by how they begin, the longest first
}

// Column is where a column of ours is: in a column of the file by its name or its number from 1, or nowhere.
type Column struct {
	Name   string
	Number int
}

// isNone reports whether the column is nowhere.
func (c Column) isNone() bool { return c.Name == "-" && c.Number == 0 }

// Number says how a number is found in a cell.
type Number struct {
	// Match finds the number: its one group. What does not match is bad.
	Match *regexp.Regexp
	// Remove are texts that are taken out.
	Remove []string
	// Split is what separates several orders of one parcel; nil means that a cell has one.
	Split []string
	// NoPad says that digits get no zeros in front when the order is looked up.
	NoPad bool
}

// Rule is met by a row whose cell is one of the texts. Case does not count, nor do blanks around.
type Rule struct {
	Column Column
	Equals []string

	strict bool // a file without the column is not usable, for nobody can tell which rows it means
}

type prefix struct{ text, code string }

// prepare makes what rows are read with.
func (p *Profile) prepare() {
	p.exact = make(map[string]string, 2*len(p.Carriers))
	p.begin = nil
	for _, theirs := range slices.Sorted(maps.Keys(p.Carriers)) {
		code := p.Carriers[theirs]
		if begin, ok := strings.CutSuffix(strings.ToLower(theirs), "*"); ok {
			p.begin = append(p.begin, prefix{begin, code})
			continue
		}
		p.exact[strings.ToLower(theirs)] = code
	}
	for _, code := range p.Carriers {
		if _, named := p.exact[strings.ToLower(code)]; !named {
			p.exact[strings.ToLower(code)] = code
		}
	}
	slices.SortStableFunc(p.begin, func(a, b prefix) int { return len(b.text) - len(a.text) })
}

// byNumber reports whether columns are numbers and no names: then the file has no header.
func (p *Profile) byNumber() bool {
	numbers := false
	for _, all := range p.Columns {
		for _, c := range all {
			switch {
			case c.Number > 0:
				numbers = true
			case !c.isNone():
				return false
			}
		}
	}
	for _, r := range slices.Concat(p.Skip, p.Only) {
		if r.Column.Number == 0 {
			return false
		}
	}
	return numbers && len(p.Header) == 0
}

// options returns how a table of the profile is read, with a header that it fits.
func (p *Profile) options(fits func(names []string) int) table.Options {
	o := table.Options{Encoding: p.Encoding}
	if p.Delimiter != "" {
		o.Delimiter = p.Delimiter[0]
	}
	if !p.byNumber() {
		o.Header = fits
	}
	return o
}

// hasHeader returns how many of a header's columns mark it as one of the profile's: 0 if one is missing.
func (p *Profile) hasHeader(names []string) int {
	if len(p.Header) == 0 {
		return 0
	}
	index := indexOf(names)
	for _, h := range p.Header {
		if _, there := index[table.Folded(unmarked(h))]; !there {
			return 0
		}
	}
	return len(p.Header)
}

// hasName returns how well a file's name fits: the number of characters that the pattern fixes, and 1; 0 if it does not fit.
func (p *Profile) hasName(file string) (fits int) {
	file = strings.ToLower(path.Base(file))
	for _, glob := range p.Pattern {
		glob = strings.ToLower(glob)
		if ok, err := path.Match(glob, file); err == nil && ok {
			fits = max(fits, 1+len(glob)-strings.Count(glob, "*")-strings.Count(glob, "?"))
		}
	}
	return fits
}

// Codes returns the carrier codes that the profile names.
func (p *Profile) Codes() []string {
	codes := slices.Collect(maps.Values(p.Carriers))
	if p.Carrier != "" && code.MatchString(p.Carrier) {
		codes = append(codes, p.Carrier)
	}
	slices.Sort(codes)
	return slices.Compact(codes)
}

// Hash returns a hash of all that decides how a file is read. A change of the profile changes it.
func (p *Profile) Hash() string {
	known := struct {
		Columns             map[string][]Column
		Order, Tracking     []string
		Split               []string
		Skip, Only          []Rule
		Carriers            map[string]string
		More                []string
		NoPad, Continuation bool
	}{
		Columns: p.Columns, Order: p.Order.texts(), Tracking: p.Tracking.texts(), Split: p.Split, Skip: p.Skip, Only: p.Only,
		Carriers: p.Carriers, More: []string{p.Carrier, p.Title, p.SourceCode, p.Encoding, p.Delimiter},
		NoPad: p.Order.NoPad, Continuation: p.Continuation,
	}
	text, err := json.Marshal(known)
	if err != nil {
		return "" // texts and numbers alone: it can't fail
	}
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:8])
}

func (n Number) texts() []string {
	match := ""
	if n.Match != nil {
		match = n.Match.String()
	}
	return slices.Concat([]string{match}, n.Remove, []string{"\n"}, n.Split)
}
