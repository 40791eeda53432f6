package handlers

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strconv"

	"github.com/rs/zerolog"

	"github.com/mageline/mageline/erp"
	"github.com/mageline/mageline/event"
	"github.com/mageline/mageline/idempotency"
	"github.com/mageline/mageline/magentoapi"
	"github.com/mageline/mageline/mapping"
)

// Customers reads customers in Magento. *magentoapi.CustomersService implements it.
type Customers interface {
	Get(ctx context.Context, id int64) (*magentoapi.Customer, error)
}

// CustomerSaved handles customer_saved: it keeps the ERP's customer as Magento has it.
type CustomerSaved struct {
	Customers Customers
	Writer    erp.CustomerWriter
	Ledger    Ledger
	Stores    *Stores
	Rules     OrderRules
	Export    ExportRules
}

// customerData is in the rows of CustomerSaved.
type customerData struct {
	SHA256 string `json:"sha256"` // of the customer that was sent last
}

// Handle sends a customer unless it is the one that was sent last. Magento's updated_at can't tell: it does not move when an
// address changes.
func (h *CustomerSaved) Handle(ctx context.Context, e event.Event) (event.Outcome, error) {
	id, err := event.ParseID(e.Body, event.Customers)
	if err != nil {
		return "", err
	}
	key := idempotency.Key{Consumer: CustomerSavedName, Key: strconv.FormatInt(id, 10), Effect: effectReport}
	outcome, err := h.keep(ctx, e, id, key)
	return outcome, event.WithKey(err, key.Key)
}

// maxReopened bounds how often a customer changes while it is looked at.
const maxReopened = 5

func (h *CustomerSaved) keep(ctx context.Context, e event.Event, id int64, key idempotency.Key) (event.Outcome, error) {
	log := zerolog.Ctx(ctx).With().Str("key", key.Key).Logger()
	for range maxReopened {
		row, known, err := h.Ledger.Lookup(ctx, key)
		if err != nil {
			return "", err
		}
		if known && row.State == idempotency.Done {
			_, sum, err := h.customer(ctx, id)
			if err != nil {
				return "", err
			}
			var sent customerData
			if decode(row.Result.Data, &sent) && sent.SHA256 == sum {
				log.Info().Str("event", "customer_duplicate").Msg("duplicate: the ERP has the customer as it is, nothing is sent")
				return event.Duplicate, nil
			}
			// Another replica may be at it too: what it makes of the row decides.
			if _, err := h.Ledger.Reopen(ctx, key, row.Number); err != nil {
				return "", err
			}
		}
		res, before, err := h.Ledger.Do(ctx, idempotency.Effect{Key: key, Repeat: e.Repeat}, func(ctx context.Context, c *idempotency.Claim) (idempotency.Result, error) {
			// Read within the claim: an older state never overwrites a newer one.
			r, sum, err := h.customer(ctx, id)
			if err != nil {
				return idempotency.Result{}, event.NotDone(err)
			}
			d, err := h.Writer.WriteCustomer(ctx, callOf(h.Ledger, c, key.Consumer+":"+key.Key, e.Repeat, h.Export), r)
			return idempotency.Result{Value: d.Number, Data: encoded(customerData{sum})}, err
		})
		if err != nil {
			return "", err
		}
		if !before {
			log.Info().Str("event", "customer_reported").Str("document_number", res.Value).Msg("the ERP has the customer as it is")
			return event.Done, nil
		}
		// Somebody else has sent it meanwhile, perhaps as it was before: it is looked at once more.
	}
	return "", &event.Deferral{Reason: fmt.Sprintf("customer %d is being changed", id), Busy: true}
}

// customer reads a customer and returns what is sent, and its hash.
func (h *CustomerSaved) customer(ctx context.Context, id int64) (erp.CustomerRecord, string, error) {
	c, err := h.Customers.Get(ctx, id)
	if err != nil {
		return erp.CustomerRecord{}, "", FromMagento(err)
	}
	store, err := h.Stores.Of(ctx, &magentoapi.Order{StoreID: c.StoreID})
	if err != nil {
		return erp.CustomerRecord{}, "", err
	}
	r, err := mapping.Customer(c, h.Rules.ReferencePrefix, store)
	if err != nil {
		return erp.CustomerRecord{}, "", err
	}
	body, err := json.Marshal(r)
	if err != nil {
		return erp.CustomerRecord{}, "", event.Errorf(event.Internal, "customer %d can't be written as JSON: %w", id, err)
	}
	sum := sha256.Sum256(body)
	return r, hex.EncodeToString(sum[:]), nil
}
