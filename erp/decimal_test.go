package erp

import (
	"encoding/json"
	"math/rand/v2"
	"testing"

	"github.com/shopspring/decimal"
)

func TestAmountAndQuantity_JSON(t *testing.T) {
	for in, want := range map[string]struct{ amount, quantity string }{
		"0":                     {`"0.00"`, `"0"`},
		"-0":                    {`"0.00"`, `"0"`},
		"0.0000":                {`"0.00"`, `"0"`},
		"5":                     {`"5.00"`, `"5"`},
		"5.5":                   {`"5.50"`, `"5.5"`},
		"5.50":                  {`"5.50"`, `"5.5"`},
		"86.87":                 {`"86.87"`, `"86.87"`},
		"29.9875":               {`"29.9875"`, `"29.9875"`},
		"29.9870":               {`"29.987"`, `"29.987"`},
		"-20":                   {`"-20.00"`, `"-20"`},
		"-0.005":                {`"-0.005"`, `"-0.005"`},
		"1e3":                   {`"1000.00"`, `"1000"`},
		"9999999999999999.9999": {`"9999999999999999.9999"`, `"9999999999999999.9999"`},
	} {
		d := decimal.RequireFromString(in)
		if got, _ := json.Marshal(NewAmount(d)); string(got) != want.amount {
			t.Errorf("amount %s: got %s, want %s", in, got, want.amount)
		}
		if got, _ := json.Marshal(NewQuantity(d)); string(got) != want.quantity {
			t.Errorf("quantity %s: got %s, want %s", in, got, want.quantity)
		}
	}
}

func TestAmountAndQuantity_NotToldIsNull(t *testing.T) {
	got, err := json.Marshal(struct {
		A Amount
		Q Quantity
	}{})
	if err != nil || string(got) != `{"A":null,"Q":null}` {
		t.Errorf("got %s, %v", got, err)
	}
}

func TestAmount_ReadsWhatItWrites(t *testing.T) {
	var a Amount
	if err := json.Unmarshal([]byte(`"29.9875"`), &a); err != nil || a.String() != "29.9875" {
		t.Errorf("got %v, %v", a, err)
	}
	if err := json.Unmarshal([]byte(`null`), &a); err != nil || a.Valid {
		t.Errorf("null: got %v, %v", a, err)
	}
}

// The digits are decimal's own, however many there are.
func TestAmountAndQuantity_WriteEveryDigit(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2)) //nolint:gosec // the same numbers each time
	for range 20_000 {
		n := random.Int64() >> random.IntN(63)
		if random.IntN(2) == 0 {
			n = -n
		}
		d := decimal.New(n, int32(random.IntN(26)-20)) //nolint:gosec // small
		amount := d.String()
		if d.Equal(d.Truncate(2)) {
			amount = d.StringFixed(2)
		}
		if got := NewAmount(d).String(); got != amount {
			t.Fatalf("amount %de%d: got %s, want %s", n, d.Exponent(), got, amount)
		}
		if got := NewQuantity(d).String(); got != d.String() {
			t.Fatalf("quantity %de%d: got %s, want %s", n, d.Exponent(), got, d)
		}
	}
}
