package magentoapi

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"regexp"
	"strings"
	"testing"
)

// Each method says which endpoint it calls, which is how Magento's reference and its sources are searched.
func TestServices_NameTheirEndpoints(t *testing.T) {
	endpoint := regexp.MustCompile(`(?m)^(GET|POST|PUT|DELETE) /(async/(bulk/)?)?V1/`)
	entries, err := os.ReadDir(".")
	if err != nil {
		t.Fatal(err)
	}
	methods := 0
	for _, entry := range entries {
		if !strings.HasSuffix(entry.Name(), ".go") || strings.HasSuffix(entry.Name(), "_test.go") {
			continue
		}
		files := token.NewFileSet()
		file, err := parser.ParseFile(files, entry.Name(), nil, parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range file.Decls {
			f, ok := d.(*ast.FuncDecl)
			if !ok || f.Recv == nil || !f.Name.IsExported() {
				continue
			}
			pointer, ok := f.Recv.List[0].Type.(*ast.StarExpr)
			if !ok {
				continue
			}
			if service, ok := pointer.X.(*ast.Ident); !ok || !strings.HasSuffix(service.Name, "Service") {
				continue
			}
			methods++
			if !endpoint.MatchString(f.Doc.Text()) {
				t.Errorf("%s: %s does not say which endpoint it calls", files.Position(f.Pos()), f.Name.Name)
			}
		}
	}
	if methods < 200 {
		t.Errorf("only %d methods were looked at", methods)
	}
}
