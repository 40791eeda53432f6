package docs

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// logLine is a line of the log as the code writes it, or as docs/logs.md has it.
type logLine struct {
	levels map[string]bool
	fields map[string]bool
}

// Every line of the log has an event that programs can match, and every event is on the page with its levels and fields.
func TestLogs_EventsAreDocumented(t *testing.T) {
	written, named := logLines(t)
	if len(written) < 50 {
		t.Fatalf("%d events: they are no longer found", len(written))
	}
	documented := logPage(t)
	for event, line := range written {
		row, ok := documented[event]
		if !ok {
			t.Errorf("docs/logs.md has no row for %s (%s; %s)", event, list(line.levels), list(line.fields))
			continue
		}
		if !maps.Equal(row.levels, line.levels) {
			t.Errorf("docs/logs.md has %s with the level %s; the code writes it at %s", event, list(row.levels), list(line.levels))
		}
		for field := range line.fields {
			if !row.fields[field] {
				t.Errorf("docs/logs.md has no field %s for %s", field, event)
			}
		}
		for field := range row.fields {
			if !named[field] {
				t.Errorf("docs/logs.md has the field %s for %s, which no code writes", field, event)
			}
		}
	}
	for event := range documented {
		if written[event] == nil {
			t.Errorf("docs/logs.md has a row for %s, which no code writes", event)
		}
	}
}

// list names the members of a set.
func list(set map[string]bool) string { return strings.Join(slices.Sorted(maps.Keys(set)), ", ") }

// logPage reads the rows of docs/logs.md by event.
func logPage(t *testing.T) map[string]*logLine {
	t.Helper()
	code := regexp.MustCompile("`([a-z0-9_]+)`")
	rows := map[string]*logLine{}
	for row := range strings.Lines(read(t, "docs", "logs.md")) {
		cells := strings.Split(row, " | ")
		if len(cells) != 5 || !strings.HasPrefix(row, "| `") {
			continue
		}
		name := code.FindStringSubmatch(cells[0])[1]
		if rows[name] != nil {
			t.Errorf("docs/logs.md has two rows for %s: one event means one thing", name)
		}
		line := &logLine{map[string]bool{}, map[string]bool{}}
		for level := range strings.SplitSeq(cells[1], ", ") {
			line.levels[level] = true
		}
		for _, match := range code.FindAllStringSubmatch(cells[4], -1) {
			line.fields[match[1]] = true
		}
		rows[name] = line
	}
	return rows
}

// logLines reads the program's code for the lines that it logs, by event, and for the names of all fields.
func logLines(t *testing.T) (lines map[string]*logLine, fields map[string]bool) {
	t.Helper()
	lines, fields = map[string]*logLine{}, map[string]bool{}
	program(t, func(file *ast.File, position func(ast.Node) token.Position) {
		ast.Inspect(file, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok {
				return true
			}
			if field := field(call); field != "" {
				fields[field] = true
			}
			if !logs(call) {
				return true
			}
			event, level, chain := readChain(call)
			if event == "" || level == "" {
				t.Errorf("%s: a line of the log must name its level and its event in one chain: log.Warn().Str(\"event\", \"snake_case\")…", position(call))
				return true
			}
			if !regexp.MustCompile(`^[a-z]+(_[a-z]+)*$`).MatchString(event) {
				t.Errorf("%s: the event %q is not in snake_case", position(call), event)
			}
			if lines[event] == nil {
				lines[event] = &logLine{map[string]bool{}, map[string]bool{}}
			}
			lines[event].levels[level] = true
			maps.Copy(lines[event].fields, chain)
			return true
		})
	})
	return lines, fields
}

// program calls look with each file of the program's code, tests and examples apart.
func program(t *testing.T, look func(file *ast.File, position func(ast.Node) token.Position)) {
	t.Helper()
	files := token.NewFileSet()
	position := func(n ast.Node) token.Position { return files.Position(n.Pos()) }
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		name, _ := filepath.Rel(root, path)
		switch {
		case err != nil:
			return err
		case entry.IsDir() && (strings.HasPrefix(entry.Name(), ".") && name != "." || slices.Contains([]string{"examples", "scripts", "test"}, name)):
			return filepath.SkipDir
		case entry.IsDir() || filepath.Ext(path) != ".go" || strings.HasSuffix(path, "_test.go"):
			return nil
		}
		file, err := parser.ParseFile(files, path, nil, parser.SkipObjectResolution)
		if err == nil {
			look(file, position)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// logs reports whether a call ends a chain of zerolog.
func logs(call *ast.CallExpr) bool {
	method, ok := call.Fun.(*ast.SelectorExpr)
	if !ok {
		return false
	}
	switch method.Sel.Name {
	case "Msg", "Msgf", "MsgFunc":
		return true
	case "Send":
		return len(call.Args) == 0
	}
	return false
}

// readChain reads a chain of zerolog from its end to its level.
func readChain(end *ast.CallExpr) (event, level string, fields map[string]bool) {
	fields = map[string]bool{}
	for call := end; ; {
		method, ok := call.Fun.(*ast.SelectorExpr)
		if !ok {
			return event, level, fields
		}
		switch name := method.Sel.Name; name {
		case "Trace", "Debug", "Info", "Warn", "Error", "Fatal", "Panic":
			return event, strings.ToLower(name), fields
		}
		switch name := field(call); {
		case name == "event" && len(call.Args) == 2:
			event = literal(call.Args[1])
		case name != "":
			fields[name] = true
		}
		if call, ok = method.X.(*ast.CallExpr); !ok {
			return event, level, fields
		}
	}
}

// field is the name of the field that a call of zerolog adds, if it adds one.
func field(call *ast.CallExpr) string {
	method, ok := call.Fun.(*ast.SelectorExpr)
	if !ok {
		return ""
	}
	switch method.Sel.Name {
	case "Err":
		return "error"
	case "Str", "Strs", "Stringer", "Bool", "Int", "Int64", "Uint64", "Float64", "Dur", "Time", "Bytes", "Array", "AnErr", "Any", "Interface":
		if len(call.Args) > 0 {
			return literal(call.Args[0])
		}
	}
	return ""
}

// literal is the value of a string that is written out; else it is empty.
func literal(e ast.Expr) string {
	text, ok := e.(*ast.BasicLit)
	if !ok || text.Kind != token.STRING {
		return ""
	}
	value, _ := strconv.Unquote(text.Value)
	return value
}
