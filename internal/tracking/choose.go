package tracking

import (
	"errors"
	"io"
	"path"
	"slices"
	"strings"

	"github.com/mageline/mageline/internal/table"
)

// Source is where a file comes from.
type Source struct {
	Path    string // relative to the inbox
	Profile string // by which the file is read whatever it looks like; "" if none is named
}

// Choose returns the profile by which a file is read: that of its source, of its folder, the one of the shop's whose pattern or header
// fits, a ready-made one whose header fits; else one without a name, by which the columns have our own names. Of several that fit, the
// one that names more of the header counts, then the one whose pattern fixes more of the name. Two that fit equally are a
// *table.UnusableError that names both.
func (ps *Profiles) Choose(f io.ReadSeeker, about table.About, from Source) (*Profile, error) {
	if ps == nil {
		ps = NewProfiles(nil, nil)
	}
	if from.Profile != "" {
		if p := ps.Named(from.Profile); p != nil {
			return p, nil
		}
		return nil, ps.Unknown(from.Profile)
	}
	if folder, _, beneath := strings.Cut(path.Clean(from.Path), "/"); beneath {
		if p := ps.Named(folder); p != nil {
			return p, nil
		}
	}
	best, err := ps.fitting(f, about, from.Path, ps.shop)
	if best != nil || err != nil {
		return best, err
	}
	if len(ps.fallback.Columns) > 0 {
		if ps.fallback.byNumber() {
			return ps.fallback, nil
		}
		if t, err := table.NewReader(f, about, ps.fallback.options(ps.fallback.fits)); err == nil && t.Names() != nil {
			return ps.fallback, nil
		} else if err := passing(err); err != nil {
			return nil, err
		}
	}
	var ready []*Profile
	for _, name := range ReadyMade() {
		ready = append(ready, readyMade()[name])
	}
	best, err = ps.fitting(f, about, "", ready)
	if best != nil || err != nil {
		return ps.overlay(best), err
	}
	return ps.fallback, nil
}

// fits returns how well a row fits as the header of the profile's files.
func (p *Profile) fits(names []string) int {
	l := p.layoutOf(names, len(names))
	return l.found()
}

// passing returns an error that says nothing about the file.
func passing(err error) error {
	if u := (*table.UnusableError)(nil); errors.As(err, &u) {
		return nil
	}
	return err
}

// way is how a table is split into rows: profiles with the same one look at the same rows.
type way struct{ encoding, delimiter string }

// fit is how well a profile fits: first by the header, then by the name.
type fit struct{ header, name int }

func (a fit) less(b fit) bool { return a.header < b.header || a.header == b.header && a.name < b.name }

// fitting returns the profile that fits best by the file's name or header, and nil if none does.
func (ps *Profiles) fitting(f io.ReadSeeker, about table.About, file string, profiles []*Profile) (*Profile, error) {
	fits := map[*Profile]fit{}
	ways := map[way][]*Profile{}
	for _, p := range profiles {
		if name := p.hasName(file); name > 0 {
			fits[p] = fit{0, name}
		}
		if len(p.Header) > 0 {
			w := way{p.Encoding, p.Delimiter}
			ways[w] = append(ways[w], p)
		}
	}
	for _, group := range ways {
		header := func(p *Profile, names []string) int {
			if p.fits(names) == 0 {
				return 0
			}
			return p.hasHeader(names)
		}
		t, err := table.NewReader(f, about, group[0].options(func(names []string) (most int) {
			for _, p := range group {
				most = max(most, header(p, names))
			}
			return most
		}))
		if err := passing(err); err != nil {
			return nil, err
		}
		if err != nil {
			continue
		}
		for _, p := range group {
			if n := header(p, t.Names()); n > 0 {
				fits[p] = fit{n, fits[p].name}
			}
		}
	}
	var best []*Profile
	for _, p := range profiles {
		switch at, fit := fits[p]; {
		case !fit:
		case len(best) == 0 || fits[best[0]].less(at):
			best = []*Profile{p}
		case fits[best[0]] == at:
			best = append(best, p)
		}
	}
	// One that changes another comes before that one.
	best = slices.DeleteFunc(best, func(p *Profile) bool {
		return slices.ContainsFunc(best, func(other *Profile) bool { return other != p && slices.Contains(other.base, p.Name) })
	})
	switch len(best) {
	case 0:
		return nil, nil
	case 1:
		return best[0], nil
	}
	var names []string
	for _, p := range best {
		names = append(names, p.Name)
	}
	return nil, unusable("the profiles %s fit equally: give one of them a pattern or a header that the other does not have, or put the file into a folder of the profile's name",
		strings.Join(names, " and "))
}
