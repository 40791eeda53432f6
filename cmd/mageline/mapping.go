package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/spf13/cobra"

	"github.com/mageline/mageline/internal/app"
	"github.com/mageline/mageline/internal/config"
)

func newMapping(t terminal) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "mapping",
		Short: "Look at the file that says what the shop's codes are called in the ERP",
		Example: `  mageline mapping init mapping.yaml
  mageline mapping check mapping.yaml 000000123`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return missingCommand(cmd, "check FILE [ORDER], schema or init [FILE]")
		},
	}
	cmd.AddCommand(newMappingCheck(t), newMappingSchema(t), newMappingInit(t))
	return cmd
}

func newMappingSchema(t terminal) *cobra.Command {
	return &cobra.Command{
		Use:     "schema",
		Short:   "Print the JSON Schema of the file, for an editor",
		Example: "  mageline mapping schema > mapping.schema.json    # and in the file: # yaml-language-server: $schema=mapping.schema.json",
		Args:    cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			_, err := t.out.Write(app.MappingSchema())
			return failed(err)
		},
	}
}

func newMappingInit(t terminal) *cobra.Command {
	return &cobra.Command{
		Use:   "init [FILE]",
		Short: "Ask the shop what it has codes for, and write a file with blanks to fill in",
		Long: `Reads store views, tax rates and customer groups from Magento, and the payment and shipping methods of its newest orders, for which
Magento has no list. Writes to FILE, which must not be there yet, or to stdout. What may not be read is left out, with a line on stderr.`,
		Example: "  mageline mapping init mapping.yaml",
		Args:    cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			cfg, err := loadConfig(config.Magento)
			if err != nil {
				return err
			}
			draft, notes, err := app.DraftMapping(cmd.Context(), cfg, version)
			if err != nil {
				return failed(err)
			}
			for _, note := range notes {
				fmt.Fprintln(t.err, oneLine(note))
			}
			if len(args) == 0 {
				_, err = t.out.Write(draft)
				return failed(err)
			}
			f, err := os.OpenFile(args[0], os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644) //nolint:gosec // it has no secrets, and the service reads it
			if errors.Is(err, fs.ErrExist) {
				return failed(fmt.Errorf("%s is there already: it is not written over", args[0]))
			}
			if err == nil {
				_, err = f.Write(draft)
				err = errors.Join(err, f.Close())
			}
			return failed(err)
		},
	}
}

func newMappingCheck(t terminal) *cobra.Command {
	var asJSON bool
	var store string
	cmd := &cobra.Command{
		Use:   "check FILE [ORDER.json|INCREMENT_ID]",
		Short: "Say all that is wrong with a file, and what would be sent of an order",
		Long: `Prints every problem of the file with its line, and the lines that are still blank. With an order, as Magento's API answers it or by its
number, it prints what would be sent to the ERP of MAGELINE_ERP, request by request, and each code that the file lacks with the line
to add. It never calls the ERP; with a number it reads the order from Magento.

Exit code 0 if nothing is wrong or missing, else 1.`,
		Example: `  mageline mapping check mapping.yaml
  MAGELINE_ERP=sap mageline mapping check mapping.yaml order.json --store default
  mageline mapping check mapping.yaml 000000123 --json | jq .missing`,
		Args: cobra.RangeArgs(1, 2),
		RunE: func(cmd *cobra.Command, args []string) error {
			order := ""
			if len(args) == 2 {
				order = args[1]
			}
			return checkMapping(cmd.Context(), t, args[0], order, store, asJSON)
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON object")
	cmd.Flags().StringVar(&store, "store", "default", "code of the store view of an ORDER.json, which does not tell it")
	return cmd
}

func checkMapping(ctx context.Context, t terminal, path, order, store string, asJSON bool) error {
	need := config.Nothing
	if _, err := os.Stat(order); order != "" && err != nil {
		need = config.Magento // it is an order's number
	}
	cfg, err := loadConfig(need)
	if err != nil {
		return err
	}
	result, err := app.CheckMapping(ctx, cfg, version, app.MappingQuestion{Path: path, Order: order, FromMagento: need == config.Magento, Store: store})
	if err != nil {
		return failed(err)
	}
	if asJSON {
		err = printJSON(t.out, result)
	} else {
		err = printMapping(t, result)
	}
	if n := len(result.Problems); err == nil && n > 0 {
		return failed(fmt.Errorf("%s has %s", path, countedThing(n, "problem")))
	}
	if n := len(result.Missing); err == nil && n > 0 {
		return failed(fmt.Errorf("%s lacks %s of the order", path, countedThing(n, "code")))
	}
	return err
}

func countedThing(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

func printMapping(t terminal, c app.MappingCheck) error {
	path := c.File
	var b bytes.Buffer
	for _, p := range c.Problems {
		fmt.Fprintf(&b, "%s:%d: %s\n", path, p.Line, oneLine(p.Text))
	}
	for _, p := range c.Blanks {
		fmt.Fprintf(&b, "%s:%d: %s is blank\n", path, p.Line, oneLine(p.Text))
	}
	for _, m := range c.Missing {
		fmt.Fprintf(&b, "missing: %s; add under %s: %s\n", oneLine(m.What), m.Section, oneLine(m.Line))
	}
	for _, w := range c.Warnings {
		fmt.Fprintf(&b, "warning: %s\n", oneLine(w))
	}
	for _, r := range c.Requests {
		fmt.Fprintf(&b, "\n%s %s\n", r.Method, r.Path)
		if err := json.Indent(&b, r.Body, "", "  "); err != nil {
			b.Write(r.Body) // no JSON: parts of a batch
		}
		b.WriteString("\n")
	}
	if len(c.Problems)+len(c.Missing)+len(c.Blanks)+len(c.Requests) == 0 {
		fmt.Fprintf(&b, "%s is well\n", path)
	}
	_, err := t.out.Write(b.Bytes())
	return failed(err)
}
