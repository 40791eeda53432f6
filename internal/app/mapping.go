package app

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/rs/zerolog"

	"github.com/mageline/mageline/erp/codes"
	"github.com/mageline/mageline/event"
	"github.com/mageline/mageline/handlers"
	"github.com/mageline/mageline/internal/config"
	"github.com/mageline/mageline/magentoapi"
	"github.com/mageline/mageline/mapping"
)

// MappingQuestion is what `mageline mapping check` asks.
type MappingQuestion struct {
	Path        string // of the file of codes
	Order       string // path of an order as Magento's API answers it, or its number; "" for none
	FromMagento bool   // Order is a number
	Store       string // code of the store view of an order in a file
}

// MappingCheck is the answer.
type MappingCheck struct {
	File     string           `json:"file"`
	Problems []MappingProblem `json:"problems"`
	Blanks   []MappingProblem `json:"blanks"`
	// Missing are the codes that the order needs and the file lacks; the requests have a placeholder for each.
	Missing  []MappingMissing `json:"missing"`
	Warnings []string         `json:"warnings"` // doubts about the order
	Requests []MappingRequest `json:"requests"`
}

// MappingProblem is what is wrong with a line, or the key of a blank one.
type MappingProblem struct {
	Line int    `json:"line"`
	Text string `json:"text"`
}

// MappingMissing is a code without a line, and the line to add.
type MappingMissing struct {
	Section string `json:"section"`
	Line    string `json:"line"`
	What    string `json:"what"`
}

// MappingRequest is a request that would be sent.
type MappingRequest struct {
	Method string          `json:"method"`
	Path   string          `json:"path"`
	Body   json.RawMessage `json:"body"`
}

// MappingSchema returns the JSON Schema of the file of codes.
func MappingSchema() []byte { return codes.Schema() }

// CheckMapping says what is wrong with a file of codes, and what would be sent of an order with it. It never calls the ERP.
func CheckMapping(ctx context.Context, cfg *config.Config, version string, q MappingQuestion) (MappingCheck, error) {
	c := MappingCheck{ // empty lists, not null
		File: q.Path, Problems: []MappingProblem{}, Blanks: []MappingProblem{}, Missing: []MappingMissing{}, Warnings: []string{}, Requests: []MappingRequest{},
	}
	text, err := os.ReadFile(q.Path)
	if err != nil {
		return c, err
	}
	file, err := codes.Parse(q.Path, string(cfg.ERP), text)
	var problems *codes.Problems
	if errors.As(err, &problems) {
		for _, p := range problems.All {
			c.Problems = append(c.Problems, MappingProblem{p.Line, p.Text})
		}
		return c, nil
	}
	if err != nil {
		return c, err
	}
	for _, b := range file.Blanks() {
		c.Blanks = append(c.Blanks, MappingProblem{b.Line, b.Key})
	}
	if q.Order == "" {
		return c, nil
	}
	o, store, err := readOrder(ctx, cfg, version, q)
	if err == nil {
		err = c.mapOrder(cfg, file, o, store)
	}
	return c, err
}

// maxMissing bounds how many codes of one order are looked for.
const maxMissing = 1000

// mapOrder adds what would be sent of an order. For a code that is missing a placeholder is taken, so that the next is found.
func (c *MappingCheck) mapOrder(cfg *config.Config, file *codes.File, o *magentoapi.Order, store mapping.Store) error {
	key, err := mapping.BusinessKey(mapping.KeyRule(cfg.OrderKey), o)
	if err != nil {
		return err
	}
	so, warnings, err := mapping.SalesOrder(o, mapping.ExternalReference(cfg.ERPReferencePrefix, key), store)
	if err != nil {
		return err
	}
	for _, w := range warnings {
		c.Warnings = append(c.Warnings, string(w))
	}
	connector, err := offlineERP(cfg, func() *codes.File { return file }, so.Store)
	if err != nil {
		return err
	}
	for range maxMissing {
		payload, err := connector.Build(so)
		var missing *codes.Missing
		switch {
		case err == nil:
			for _, r := range payload.Requests {
				c.Requests = append(c.Requests, MappingRequest{r.Method, r.Path, r.Body})
			}
			return nil
		case !errors.As(err, &missing):
			return err
		}
		c.Missing = append(c.Missing, MappingMissing{missing.Section, missing.Line(), missing.What})
		filled, ok := file.Filled(missing)
		if !ok {
			return nil
		}
		file = filled
	}
	return nil
}

// readOrder returns the order that is asked about, and its store view.
func readOrder(ctx context.Context, cfg *config.Config, version string, q MappingQuestion) (*magentoapi.Order, mapping.Store, error) {
	if q.FromMagento {
		return orderOfShop(ctx, cfg, version, q.Order)
	}
	store := mapping.Store{Code: q.Store, Location: cfg.MagentoTimezone.Location}
	text, err := os.ReadFile(q.Order)
	if err != nil {
		return nil, store, err
	}
	o := &magentoapi.Order{}
	if err := json.Unmarshal(text, o); err != nil {
		return nil, store, fmt.Errorf("%s is no order as Magento's API answers it: %w", q.Order, err)
	}
	return o, store, nil
}

// orderOfShop reads an order by its number from Magento, and its store view.
func orderOfShop(ctx context.Context, cfg *config.Config, version, number string) (*magentoapi.Order, mapping.Store, error) {
	shop, done, err := openShop(cfg, version)
	if err != nil {
		return nil, mapping.Store{}, err
	}
	defer done()
	orders, err := shop.Orders.ByIncrementID(ctx, number)
	switch {
	case err != nil:
		return nil, mapping.Store{}, handlers.FromMagento(err)
	case len(orders) == 0:
		return nil, mapping.Store{}, event.Errorf(event.NotFound, "Magento has no order %s", number)
	case len(orders) > 1:
		return nil, mapping.Store{}, event.Errorf(event.Invalid, "Magento has %d orders with the number %s: save the one that is meant as JSON, and check that", len(orders), number)
	}
	stores := &handlers.Stores{Reader: shop.Stores, Location: cfg.MagentoTimezone.Location}
	store, err := stores.Of(ctx, orders[0])
	return orders[0], store, err
}

// openShop returns a client of Magento for a command.
func openShop(cfg *config.Config, version string) (*magentoapi.Client, func(), error) {
	without := *cfg
	without.ERP = config.NoERP // it is not called, and need not be set
	remotes, err := wireRemotes(&without, config.NewSecrets(&without, zerolog.Nop()), version, zerolog.Nop(), nil)
	if err != nil {
		return nil, nil, err
	}
	return remotes.shop, remotes.close, nil
}

// draftOrders is how many of the newest orders are looked through for the codes of payment and shipping methods: Magento's API
// has no list of them.
const draftOrders = 1000

// DraftMapping asks the shop what it has codes for, and returns a file with blanks for them. What may not be read is named in
// notes, and left out.
func DraftMapping(ctx context.Context, cfg *config.Config, version string) (draft []byte, notes []string, err error) {
	client, done, err := openShop(cfg, version)
	if err != nil {
		return nil, nil, err
	}
	defer done()
	var shop codes.Shop
	asked := 0
	for _, q := range []struct {
		what string
		ask  func() error
	}{
		{"stores", func() error { return draftStores(ctx, client, &shop) }},
		{"payment and shipping methods", func() error { return draftMethods(ctx, client, &shop) }},
		{"tax rates", func() error { return draftTax(ctx, client, &shop) }},
		{"customer groups", func() error { return draftGroups(ctx, client, &shop) }},
	} {
		if err = q.ask(); err == nil {
			asked++
			continue
		}
		if ctx.Err() != nil {
			return nil, notes, err
		}
		notes = append(notes, fmt.Sprintf("the %s can't be read and are left out: %v", q.what, handlers.FromMagento(err)))
	}
	if asked == 0 {
		return nil, nil, fmt.Errorf("nothing could be read from Magento: %w", handlers.FromMagento(err))
	}
	return codes.Draft(shop), notes, nil
}

func draftStores(ctx context.Context, client *magentoapi.Client, shop *codes.Shop) error {
	views, err := client.Stores.Views(ctx)
	for _, v := range views {
		if v.Code != "admin" {
			shop.Stores = append(shop.Stores, codes.Named{Code: string(v.Code), Name: string(v.Name)})
		}
	}
	return err
}

func draftMethods(ctx context.Context, client *magentoapi.Client, shop *codes.Shop) error {
	payment, shipping := map[string]string{}, map[string]string{}
	read := 0
	criteria := magentoapi.SearchCriteria{
		Fields: "items[entity_id,payment[method],shipping_description,extension_attributes[shipping_assignments[shipping[method]]]],total_count",
	}.SortBy("entity_id", magentoapi.Descending)
	const page = 100
	for n := 1; read < draftOrders; n++ {
		found, err := client.Orders.Search(ctx, criteria.OnPage(n, page))
		if err != nil {
			return err
		}
		for _, o := range found.Items {
			if o.Payment != nil && o.Payment.Method != "" {
				payment[string(o.Payment.Method)] = ""
			}
			if a := o.ShippingAssignment(); a != nil && a.Method != "" {
				shipping[string(a.Method)] = string(o.ShippingDescription)
			}
		}
		if read += len(found.Items); len(found.Items) < page {
			break
		}
	}
	shop.PaymentMethods, shop.ShippingMethods = named(payment), named(shipping)
	return nil
}

func draftTax(ctx context.Context, client *magentoapi.Client, shop *codes.Shop) error {
	for rate, err := range client.Taxes.AllRates(ctx, magentoapi.SearchCriteria{}) {
		if err != nil {
			return err
		}
		if p := rate.Rate.Decimal.String(); rate.Rate.Valid && !slices.Contains(shop.TaxPercents, p) {
			shop.TaxPercents = append(shop.TaxPercents, p)
		}
	}
	slices.SortFunc(shop.TaxPercents, byNumber)
	return nil
}

func draftGroups(ctx context.Context, client *magentoapi.Client, shop *codes.Shop) error {
	for group, err := range client.CustomerGroups.All(ctx, magentoapi.SearchCriteria{}) {
		if err != nil {
			return err
		}
		if group.ID != nil {
			shop.CustomerGroups = append(shop.CustomerGroups, codes.Named{Code: strconv.FormatInt(int64(*group.ID), 10), Name: string(group.Code)})
		}
	}
	return nil
}

func byNumber(a, b string) int {
	x, _ := strconv.ParseFloat(a, 64)
	y, _ := strconv.ParseFloat(b, 64)
	switch {
	case x < y:
		return -1
	case x > y:
		return 1
	default:
		return strings.Compare(a, b)
	}
}

func named(all map[string]string) []codes.Named {
	var list []codes.Named
	for code, name := range all {
		list = append(list, codes.Named{Code: code, Name: name})
	}
	slices.SortFunc(list, func(a, b codes.Named) int { return strings.Compare(a.Code, b.Code) })
	return list
}
