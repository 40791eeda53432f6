package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"unicode"
)

// printJSON writes v as one line of JSON.
func printJSON(w io.Writer, v any) error {
	encoder := json.NewEncoder(w)
	encoder.SetEscapeHTML(false)
	return failed(encoder.Encode(v))
}

// oneLine makes a text one line without what moves a terminal's cursor: what comes from outside can't look like another row.
func oneLine(text string) string {
	text = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(text, "�"))
	return strings.Join(strings.Fields(text), " ")
}

// printTable writes rows of cells as columns.
func printTable(w io.Writer, rows [][]string) error {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, row := range rows {
		for i, cell := range row {
			if i > 0 {
				fmt.Fprint(table, "\t")
			}
			fmt.Fprint(table, oneLine(cell))
		}
		fmt.Fprintln(table)
	}
	return failed(table.Flush())
}

// printAll writes each of all as one line of JSON, or as a row of a table.
func printAll[T any](t terminal, asJSON bool, all []T, header []string, row func(T) []string) error {
	rows := [][]string{header}
	for _, one := range all {
		if !asJSON {
			rows = append(rows, row(one))
		} else if err := printJSON(t.out, one); err != nil {
			return err
		}
	}
	if asJSON {
		return nil
	}
	return printTable(t.out, rows)
}

// printDone says how many were done something to, such as "released 2".
func printDone(t terminal, asJSON bool, done string, n int) error {
	if asJSON {
		return printJSON(t.out, map[string]int{done: n})
	}
	_, err := fmt.Fprintf(t.out, "%s %d\n", done, n)
	return err
}
