package config

import (
	"errors"
	"fmt"
	"io"
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

// Load reads the process's environment and checks all of it; need says what must be set beyond that. Its error is an
// *Error with every problem.
func Load(need Need) (*Config, error) {
	c := &Config{SecretFiles: map[string]string{}}
	l := &loader{c: c, wrong: map[string]bool{}}
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

// loader gathers problems, at most one for each variable.
type loader struct {
	c        *Config
	problems []Problem
	wrong    map[string]bool // by variable without prefix
}

func (l *loader) problem(name, want string, args ...any) {
	if l.wrong[name] {
		return
	}
	l.wrong[name] = true
	v := lookup(name)
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
	target := reflect.ValueOf(l.c).Elem()
	for _, f := range fields() {
		name, dst := f.Tag.Get("envconfig"), target.FieldByIndex(f.Index)
		given, set := os.LookupEnv(prefix + name)
		if isSecret(f) {
			if path := os.Getenv(prefix + name + "_FILE"); path != "" {
				if given != "" {
					l.problem(name, "set either it or %s%s_FILE, not both", prefix, name)
					continue
				}
				secret, err := ReadSecret(path)
				if err != nil {
					l.problem(name, "%s%s_FILE: %v", prefix, name, err)
					continue
				}
				dst.SetString(string(secret))
				l.c.SecretFiles[prefix+name] = path
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
	}
}

// maxSecret bounds what is read from a secret's file, in bytes.
const maxSecret = 64 << 10

// ReadSecret reads a secret's file: all of it less its last newline. What is not the secret's own, as a byte order mark or a
// second line break at its end, is an error, and so is an empty file.
func ReadSecret(path string) (Secret, error) {
	if what := surrounded(path); what != "" {
		return "", fmt.Errorf("the path %q %s", path, what)
	}
	f, err := os.Open(path)
	if err != nil {
		return "", err // names the path
	}
	defer func() { _ = f.Close() }()
	b, err := io.ReadAll(io.LimitReader(f, maxSecret+1))
	if err != nil {
		return "", err
	}
	if len(b) > maxSecret {
		return "", fmt.Errorf("%s has more than %d bytes", path, maxSecret)
	}
	s, ended := strings.CutSuffix(string(b), "\n")
	if ended {
		s = strings.TrimSuffix(s, "\r") // a newline of Windows
	}
	if s == "" {
		return "", fmt.Errorf("%s is empty", path)
	}
	if what := surrounded(s); what != "" {
		return "", fmt.Errorf("what %s holds %s", path, what)
	}
	return Secret(s), nil
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

// Table gives every variable with its present value, right or wrong, in the order of Config.
func Table() []Variable {
	var all []Variable
	for _, f := range fields() {
		all = append(all, lookup(f.Tag.Get("envconfig")))
	}
	return all
}

// lookup gives the variable of that name without prefix, which must be one of Config's.
func lookup(name string) Variable {
	all := fields()
	f := all[slices.IndexFunc(all, func(f reflect.StructField) bool { return f.Tag.Get("envconfig") == name })]
	v := Variable{
		Name: prefix + name, Type: typeName(f.Type), Default: f.Tag.Get("default"),
		Meaning: f.Tag.Get("meaning"), Secret: isSecret(f),
	}
	v.Value, v.set = os.LookupEnv(v.Name)
	if !v.set {
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

// unknown gives a warning for each variable with our prefix that this build does not read.
func unknown() []string {
	known := map[string]bool{}
	for _, f := range fields() {
		name := prefix + f.Tag.Get("envconfig")
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

func fields() []reflect.StructField {
	var all []reflect.StructField
	for _, f := range reflect.VisibleFields(reflect.TypeFor[Config]()) {
		if f.Tag.Get("ignored") == "" {
			all = append(all, f)
		}
	}
	return all
}

func isSecret(f reflect.StructField) bool { return f.Type == reflect.TypeFor[Secret]() }
