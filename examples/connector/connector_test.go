package connector_test

import (
	"encoding/json"
	"net/http"
	"strconv"
	"sync"
	"testing"

	"github.com/shopspring/decimal"

	"github.com/mageline/mageline/erp"
	"github.com/mageline/mageline/erp/codes"
	"github.com/mageline/mageline/erp/erptest"
	"github.com/mageline/mageline/event"
	"github.com/mageline/mageline/examples/connector"
)

const token = "s3cr3t-of-the-bookings"

const file = `skus: {"24-*": "I-*"}
accounts: {shipping: FREIGHT, rounding: ROUND}
`

// bookings is a fake of the ERP: strict about what it is sent, and with books to look into.
type bookings struct {
	mu  sync.Mutex
	all []*booked
}

type booked struct {
	Ref      string
	Total    decimal.Decimal
	Rows     []struct{ ID, Item, Qty, Net, Tax string }
	canceled bool
	left     map[string]string
}

func (b *bookings) add(one *booked) string {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.all = append(b.all, one)
	return strconv.Itoa(1000 + len(b.all))
}

func (b *bookings) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	say := func(status int, v any) {
		w.WriteHeader(status)
		_ = json.NewEncoder(w).Encode(v)
	}
	if r.Header.Get("Authorization") != "Bearer "+token {
		say(http.StatusUnauthorized, map[string]string{"error": "who are you?"})
		return
	}
	switch r.Method {
	case http.MethodPost:
		one := &booked{}
		d := json.NewDecoder(r.Body)
		d.DisallowUnknownFields()
		if err := d.Decode(one); err != nil {
			say(http.StatusBadRequest, map[string]string{"error": err.Error()})
			return
		}
		sum := decimal.Zero
		for _, row := range one.Rows {
			sum = sum.Add(decimal.RequireFromString(row.Net)).Add(decimal.RequireFromString(row.Tax))
		}
		if !sum.Equal(one.Total) {
			say(http.StatusBadRequest, map[string]string{"error": "the rows come to " + sum.String()})
			return
		}
		say(http.StatusCreated, map[string]string{"number": b.add(one)})
	case http.MethodGet:
		b.mu.Lock()
		defer b.mu.Unlock()
		numbers := []string{}
		for i, one := range b.all {
			if one.Ref == r.URL.Query().Get("ref") {
				numbers = append(numbers, strconv.Itoa(1001+i))
			}
		}
		say(http.StatusOK, map[string]any{"numbers": numbers})
	default:
		b.mu.Lock()
		defer b.mu.Unlock()
		n, _ := strconv.Atoi(r.URL.Path[len("/bookings/"):])
		if n <= 1000 || n > 1000+len(b.all) {
			say(http.StatusNotFound, map[string]string{"error": "no such booking"})
			return
		}
		one := b.all[n-1001]
		if r.Method == http.MethodDelete {
			one.canceled = true
		} else if err := json.NewDecoder(r.Body).Decode(&one.left); err != nil {
			say(http.StatusBadRequest, map[string]string{"error": err.Error()})
			return
		}
		say(http.StatusOK, struct{}{})
	}
}

// rig describes the fake to the suite.
func rig() erptest.Rig {
	fake := &bookings{}
	return erptest.Rig{
		Handler: fake,
		Connect: func(url string, client *http.Client) (erp.OrderConnector, error) {
			f, err := codes.Parse("mapping.yaml", "", []byte(file))
			if err != nil {
				return nil, err
			}
			return connector.New(client, url, func() string { return token }, func() *codes.File { return f })
		},
		Books: func(reference string) []erptest.Booked {
			fake.mu.Lock()
			defer fake.mu.Unlock()
			var found []erptest.Booked
			for i, one := range fake.all {
				if one.Ref != reference {
					continue
				}
				b := erptest.Booked{Number: strconv.Itoa(1001 + i), Canceled: one.canceled, Taken: map[string]string{}}
				for _, row := range one.Rows {
					if left, ok := one.left[row.ID]; ok {
						b.Taken[row.ID] = decimal.RequireFromString(row.Qty).Sub(decimal.RequireFromString(left)).String()
					}
				}
				found = append(found, b)
			}
			return found
		},
		Add: func(reference string) string { return fake.add(&booked{Ref: reference}) },
		ErrorBody: func(message string) string {
			body, _ := json.Marshal(map[string]string{"error": message})
			return string(body)
		},
		Secrets: []string{token},
		Refusals: []erptest.Refusal{
			{Status: 409, Body: `{"error":"booking 7 is locked by SMITH"}`, Class: event.Unavailable, NotDone: true},
			{Status: 409, Class: event.Rejected, NotDone: true},
		},
	}
}

func TestConnector_PassesTheSuite(t *testing.T) {
	erptest.Run(t, erptest.Connector{Name: "bookings", Open: rig})
}
