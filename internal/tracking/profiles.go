package tracking

import (
	"cmp"
	"embed"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"sync"

	"github.com/mageline/mageline/internal/nearest"
)

// Profiles are those of a shop, and the ready-made ones.
type Profiles struct {
	shop     []*Profile
	fallback *Profile // for files that no other profile fits
}

// DefaultProfile is the name of the profile that TRACKING_COLUMNS, TRACKING_CARRIERS and TRACKING_SOURCE_CODE make.
const DefaultProfile = "default"

//go:embed profiles/*.yaml
var readyFiles embed.FS

// readyMade are the profiles in the program, by name. They are tested: an error can't be.
var readyMade = sync.OnceValue(func() map[string]*Profile {
	all := map[string]*Profile{}
	files, err := fs.Glob(readyFiles, "profiles/*.yaml")
	if err != nil {
		panic(err)
	}
	for _, file := range files {
		text, err := readyFiles.ReadFile(file)
		if err == nil {
			err = parseInto(all, file, text)
		}
		if err != nil {
			panic(err)
		}
	}
	return all
})

func parseInto(all map[string]*Profile, file string, text []byte) error {
	profiles, err := parse(file, text, nil)
	if err != nil {
		return err
	}
	for _, p := range profiles {
		p.ready = true
		all[p.Name] = p
	}
	return nil
}

// ReadyMade returns the names of the profiles in the program.
func ReadyMade() []string {
	var names []string
	for name := range readyMade() {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// ReadyMadeText returns a profile in the program as YAML.
func ReadyMadeText(name string) (string, bool) {
	if readyMade()[name] == nil {
		return "", false
	}
	text, err := readyFiles.ReadFile("profiles/" + name + ".yaml")
	return string(text), err == nil
}

// NewProfiles returns the profiles of a shop. fallback may be nil; it has the columns, carriers and source of one 3PL without a
// profile.
func NewProfiles(shop []*Profile, fallback *Profile) *Profiles {
	if fallback == nil {
		fallback = &Profile{}
	}
	fallback.prepare()
	for _, p := range shop {
		p.prepare()
	}
	return &Profiles{shop: shop, fallback: fallback}
}

// Shop returns the shop's own profiles.
func (ps *Profiles) Shop() []*Profile { return ps.shop }

// Fallback returns the profile of files that no other one fits.
func (ps *Profiles) Fallback() *Profile { return ps.fallback }

// WithColumns returns the profile with some columns in other places.
func (p *Profile) WithColumns(columns map[string][]Column) *Profile {
	changed := *p
	changed.Columns = maps.Clone(p.Columns)
	if changed.Columns == nil {
		changed.Columns = map[string][]Column{}
	}
	maps.Copy(changed.Columns, columns)
	return &changed
}

// Named returns a profile by its name: the shop's, or else a ready-made one.
func (ps *Profiles) Named(name string) *Profile {
	for _, p := range ps.shop {
		if p.Name == name {
			return p
		}
	}
	if name != "" && name == ps.fallback.Name {
		return ps.fallback
	}
	return ps.overlay(readyMade()[name])
}

// overlay returns a ready-made profile with the carriers and the source of the fallback, where that names no columns.
func (ps *Profiles) overlay(p *Profile) *Profile {
	f := ps.fallback
	if p == nil || len(f.Carriers) == 0 && f.SourceCode == "" {
		return p
	}
	changed := *p
	changed.Carriers = map[string]string{}
	for _, carriers := range []map[string]string{p.Carriers, f.Carriers} {
		for theirs, ours := range carriers {
			changed.Carriers[theirs] = ours
		}
	}
	changed.SourceCode = cmp.Or(p.SourceCode, f.SourceCode)
	changed.prepare()
	return &changed
}

// Codes returns the carrier codes that the shop's profiles name.
func (ps *Profiles) Codes() []string {
	codes := ps.fallback.Codes()
	for _, p := range ps.shop {
		codes = append(codes, p.Codes()...)
	}
	slices.Sort(codes)
	return slices.Compact(codes)
}

// Takes reports whether a pattern of the shop's profiles takes a file.
func (ps *Profiles) Takes(path string) bool {
	return slices.ContainsFunc(ps.shop, func(p *Profile) bool { return p.hasName(path) > 0 })
}

// Names returns the names of all profiles, the shop's first.
func (ps *Profiles) Names() []string {
	var names []string
	for _, p := range ps.shop {
		names = append(names, p.Name)
	}
	return append(names, ReadyMade()...)
}

// Unknown returns the error about a name that no profile has.
func (ps *Profiles) Unknown(name string) error {
	return fmt.Errorf("there is no profile %q%s", name, nearest.Hint(name, ps.Names()))
}
