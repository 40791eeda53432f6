package config

import (
	"errors"
	"fmt"
	"net/url"
	"os"
	"reflect"
	"slices"
	"strings"

	"github.com/kelseyhightower/envconfig"
)

// Problem is one variable that is wrong.
type Problem struct {
	Variable string // full name
	Value    string // what it got: *** if it is a secret
	Set      bool   // false: it got nothing
	Want     string // what would be right
}

func (p Problem) String() string {
	if !p.Set {
		return fmt.Sprintf("%s is not set: %s", p.Variable, p.Want)
	}
	return fmt.Sprintf("%s=%q: %s", p.Variable, p.Value, p.Want)
}

// Error is all that is wrong with the environment, a line for each variable.
type Error struct{ Problems []Problem }

func (e *Error) Error() string {
	lines := make([]string, 0, len(e.Problems)+1)
	lines = append(lines, "the configuration is wrong:")
	for _, p := range e.Problems {
		lines = append(lines, "  "+p.String())
	}
	return strings.Join(lines, "\n")
}

// Load reads the process's environment and checks all of it; need says what must be set beyond that, and consumers are
// all that there are. Its error is an *Error with every problem.
func Load(need Need, consumers []Consumer) (*Config, error) {
	c := &Config{consumers: consumers}
	l := newLoader(c, reflect.ValueOf(c).Elem())
	l.read()
	l.check(need)
	c.Warnings = unknown()
	if len(l.problems) > 0 {
		order := map[string]int{}
		for i, v := range Table() {
			order[v.Name] = i
		}
		slices.SortStableFunc(l.problems, func(a, b Problem) int { return order[a.Variable] - order[b.Variable] })
		return nil, &Error{l.problems}
	}
	return c, nil
}

// loader reads and checks, and collects the problems, at most one for each variable.
type loader struct {
	c        *Config
	settings reflect.Value // the struct whose fields are read: *c
	problems []Problem
	wrong    map[string]bool // by variable without prefix
}

func newLoader(c *Config, settings reflect.Value) *loader {
	c.secretFiles = map[string]string{}
	return &loader{c: c, settings: settings, wrong: map[string]bool{}}
}

func (l *loader) problem(name, want string, args ...any) {
	if l.wrong[name] {
		return
	}
	l.wrong[name] = true
	v := lookup(l.settings.Type(), name)
	l.problems = append(l.problems, Problem{
		Variable: prefix + name, Value: shorten(v.Value), Set: v.set, Want: fmt.Sprintf(want, args...),
	})
}

// shorten bounds what is said of a value.
func shorten(value string) string {
	const longest = 300 // runes
	if runes := []rune(value); len(runes) > longest {
		return string(runes[:longest]) + "…"
	}
	return value
}

// read fills in the fields, each by an envconfig run of its own: envconfig ends at the first error.
func (l *loader) read() {
	for _, f := range fields(l.settings.Type()) {
		name, dst := f.Tag.Get("envconfig"), l.settings.FieldByIndex(f.Index)
		given, set := os.LookupEnv(prefix + name)
		if isSecret(f) {
			if path := os.Getenv(prefix + name + "_FILE"); path != "" {
				if given != "" {
					l.problem(name, "set either it or %s%s_FILE, not both", prefix, name)
					continue
				}
				secret, err := readSecret(path)
				if err != nil {
					l.problem(name, "%s%s_FILE: %v", prefix, name, err)
					continue
				}
				dst.SetString(string(secret))
				l.c.secretFiles[prefix+name] = path
				continue
			}
		}
		if set && given == "" && f.Tag.Get("default") == "" {
			continue // compose files and charts set what they leave out to nothing
		}
		if what := malformed(f, given); set && given != "" && what != "" {
			l.problem(name, "%s", what)
			continue
		}
		// The full name is in the tag: with a prefix envconfig would take DATABASE_URL for MAGELINE_DATABASE_URL.
		tag := reflect.StructTag(fmt.Sprintf("envconfig:%q default:%q", prefix+name, f.Tag.Get("default")))
		single := reflect.New(reflect.StructOf([]reflect.StructField{{Name: f.Name, Type: f.Type, Tag: tag}}))
		if err := envconfig.Process("", single.Interface()); err != nil {
			want := "must be " + typeName(f.Type)
			var parse *envconfig.ParseError
			var reason *wantError
			if errors.As(err, &parse) && errors.As(parse.Err, &reason) {
				want = "must be " + reason.want
			}
			l.problem(name, "%s", want)
			continue
		}
		dst.Set(single.Elem().Field(0))
		if !set && lacksOther(f) {
			dst.SetZero()
		}
	}
}

// lacksOther reports whether the default of a field does not hold, as another variable that it is about is not set.
func lacksOther(f reflect.StructField) bool {
	other := f.Tag.Get("with")
	return other != "" && os.Getenv(prefix+other) == ""
}

// Variable is a line of `mageline config`.
type Variable struct {
	Name    string `json:"name"`
	Type    string `json:"type"`
	Default string `json:"default"`
	Value   string `json:"value"` // present value; *** for a secret that is set
	Meaning string `json:"meaning"`
	// Secret ones can be given as Name_FILE too.
	Secret bool `json:"secret"`

	set bool
}

// Table returns every variable with its present value, right or wrong, in the order of Config.
func Table() []Variable {
	settings := reflect.TypeFor[Config]()
	var all []Variable
	for _, f := range fields(settings) {
		all = append(all, lookup(settings, f.Tag.Get("envconfig")))
	}
	return all
}

// variableOf is the full name of a field's variable.
func variableOf(f reflect.StructField) string { return prefix + f.Tag.Get("envconfig") }

// lookup returns the variable of that name without prefix, which must be one of settings'.
func lookup(settings reflect.Type, name string) Variable {
	all := fields(settings)
	f := all[slices.IndexFunc(all, func(f reflect.StructField) bool { return f.Tag.Get("envconfig") == name })]
	v := Variable{
		Name: prefix + name, Type: typeName(f.Type), Default: f.Tag.Get("default"),
		Meaning: f.Tag.Get("meaning"), Secret: isSecret(f),
	}
	v.Value, v.set = os.LookupEnv(v.Name)
	switch {
	case v.set:
	case lacksOther(f):
		v.Value = "0"
	default:
		v.Value = v.Default
	}
	if v.Secret && os.Getenv(v.Name+"_FILE") != "" {
		v.Value, v.set = "***", true
	}
	switch {
	case v.Value == "":
	case v.Secret:
		v.Value = "***"
	case strings.HasSuffix(name, "_URL"):
		v.Value = withoutUser(v.Value)
	}
	return v
}

// withoutUser hides a user and password that somebody has put where none belong.
func withoutUser(value string) string {
	if !strings.Contains(value, "@") {
		return value
	}
	if u, err := url.Parse(value); err == nil && u.User != nil {
		return u.Redacted()
	}
	return "***"
}

// unknown returns a warning for each variable with the prefix MAGELINE_ that this build does not read.
func unknown() []string {
	known := map[string]bool{}
	for _, f := range fields(reflect.TypeFor[Config]()) {
		name := variableOf(f)
		known[name] = true
		if isSecret(f) {
			known[name+"_FILE"] = true
		}
	}
	var warnings []string
	for _, entry := range os.Environ() {
		name, _, _ := strings.Cut(entry, "=")
		if strings.HasPrefix(name, prefix) && !strings.HasPrefix(name, prefix+"TEST_") && !known[name] {
			warnings = append(warnings, name+" is not known to this build and has no effect: `mageline config` lists those that are")
		}
	}
	slices.Sort(warnings)
	return warnings
}

// fields returns those of a struct that are variables.
func fields(settings reflect.Type) []reflect.StructField {
	var all []reflect.StructField
	for _, f := range reflect.VisibleFields(settings) {
		if f.Tag.Get("envconfig") != "" {
			all = append(all, f)
		}
	}
	return all
}
