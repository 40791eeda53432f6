package docs

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/mageline/mageline/internal/config"
)

// libraries are the packages that other programs may import, those below them too.
var libraries = []string{"consumer", "erp", "event", "idempotency", "magentoapi", "mapping", "rabbitmq"}

// A message of a library names no variable and no command of mageline: another program that imports it has none of them.
// internal/app adds the words for whoever runs mageline.
func TestLibraries_NameNoVariableOrCommand(t *testing.T) {
	names := []string{"MAGELINE_[A-Z_]+", "`mageline\\b[^`]*`"}
	for _, v := range config.Table() {
		if name := strings.TrimPrefix(v.Name, "MAGELINE_"); strings.Contains(name, "_") {
			names = append(names, `\b`+name+`\b`)
		}
	}
	named := regexp.MustCompile(strings.Join(names, "|"))
	texts := 0
	for _, library := range libraries {
		err := filepath.WalkDir(filepath.Join(root, library), func(path string, entry fs.DirEntry, err error) error {
			if err != nil || entry.IsDir() || filepath.Ext(path) != ".go" || strings.HasSuffix(path, "_test.go") {
				return err
			}
			files := token.NewFileSet()
			file, err := parser.ParseFile(files, path, nil, parser.SkipObjectResolution)
			if err != nil {
				return err
			}
			ast.Inspect(file, func(n ast.Node) bool {
				literal, ok := n.(*ast.BasicLit)
				if !ok || literal.Kind != token.STRING {
					return true
				}
				texts++
				text, _ := strconv.Unquote(literal.Value)
				if name := named.FindString(text); name != "" {
					t.Errorf("%s names %s: %q", files.Position(literal.Pos()), name, text)
				}
				return true
			})
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if texts < 1000 {
		t.Errorf("only %d texts were looked at", texts)
	}
}
