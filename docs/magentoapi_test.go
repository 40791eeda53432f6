package docs

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

//go:generate go test . -run ^TestMagentoAPIPage_IsGenerated$ -update

const endpointsBegin, endpointsEnd = "<!-- from the comments in magentoapi/, written by go generate -->\n", "<!-- end -->\n"

// The page has each endpoint that a comment in magentoapi names, and no other.
func TestMagentoAPIPage_IsGenerated(t *testing.T) {
	const page = "magentoapi.md"
	before, rest, ok := strings.Cut(read(t, "docs", page), endpointsBegin)
	_, after, ok2 := strings.Cut(rest, endpointsEnd)
	if !ok || !ok2 {
		t.Fatalf("docs/%s has lost its marks %q and %q", page, endpointsBegin, endpointsEnd)
	}
	want := before + endpointsBegin + "\n" + endpoints(t) + endpointsEnd + after
	if *update {
		if err := os.WriteFile(page, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if read(t, "docs", page) != want {
		t.Errorf("the tables in docs/%s are not what the comments in magentoapi/ say: run go generate ./docs", page)
	}
}

// endpointLine is a line of a method's comment, as in "GET /V1/orders/:id, permission Magento_Sales::actions_view"; where
// releases differ, with " (up to 2.4.6 Magento_Sales::create)" behind it.
var endpointLine = regexp.MustCompile(`(?m)^((?:GET|POST|PUT|DELETE|PATCH) /[\w/:.*-]+)(?:, permission (\w+::\w+)(?: \((up to [\d.]+ \w+::\w+)\))?)?`)

// endpoints makes a table for each service. Every exported method of a service that calls Magento must name its endpoint.
func endpoints(t *testing.T) string {
	files, err := filepath.Glob(filepath.Join(root, "magentoapi", "*.go"))
	if err != nil {
		t.Fatal(err)
	}
	tables := map[string][]string{}
	for _, name := range files {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ParseComments)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range file.Decls {
			f, ok := d.(*ast.FuncDecl)
			if !ok || !f.Name.IsExported() {
				continue
			}
			service := serviceOf(f)
			title, method := "Credentials", f.Name.Name
			if service != "" {
				title, method = service, service+"."+method
			}
			found := endpointLine.FindAllStringSubmatch(f.Doc.Text(), -1)
			if service != "" && len(found) == 0 && calls(f) {
				t.Errorf("the comment of %s names no endpoint: a line as in \"GET /V1/orders/:id, permission Magento_Sales::actions_view\"", method)
			}
			for _, m := range found {
				repeated := strings.HasPrefix(m[1], "GET ") || setsRepeatable(f)
				permission := m[2]
				if m[3] != "" {
					permission += "; " + m[3]
				}
				tables[title] = append(tables[title], fmt.Sprintf("| `%s` | `%s` | %s | %s |\n", m[1], method, permission, map[bool]string{true: "yes"}[repeated]))
			}
		}
	}
	var titles []string
	for title, rows := range tables {
		titles = append(titles, title)
		slices.Sort(rows)
	}
	slices.Sort(titles)
	var b strings.Builder
	for _, title := range titles {
		b.WriteString("### " + title + "\n\n| endpoint | method | permission | repeated |\n|---|---|---|---|\n" + strings.Join(tables[title], "") + "\n")
	}
	return b.String()
}

// serviceOf gives "Orders" for a method of OrdersService, and nothing for what is no service's.
func serviceOf(f *ast.FuncDecl) string {
	if f.Recv == nil {
		return ""
	}
	of := f.Recv.List[0].Type
	if pointer, ok := of.(*ast.StarExpr); ok {
		of = pointer.X
	}
	name, _ := of.(*ast.Ident)
	if name == nil {
		return ""
	}
	service, ok := strings.CutSuffix(name.Name, "Service")
	if !ok {
		return ""
	}
	return service
}

// calls reports whether the method calls Magento: its first parameter is a context.
func calls(f *ast.FuncDecl) bool {
	parameters := f.Type.Params.List
	if len(parameters) == 0 {
		return false
	}
	of, ok := parameters[0].Type.(*ast.SelectorExpr)
	return ok && of.Sel.Name == "Context"
}

// setsRepeatable reports whether the method says that repeating it is harmless.
func setsRepeatable(f *ast.FuncDecl) bool {
	found := false
	ast.Inspect(f.Body, func(n ast.Node) bool {
		pair, ok := n.(*ast.KeyValueExpr)
		if ok {
			key, _ := pair.Key.(*ast.Ident)
			value, _ := pair.Value.(*ast.Ident)
			found = found || key != nil && value != nil && key.Name == "repeatable" && value.Name == "true"
		}
		return true
	})
	return found
}
