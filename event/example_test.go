package event_test

import (
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/mageline/mageline/event"
)

// A publisher may wrap the object that an event is about, and send several events in one message.
func ExampleDecode() {
	for _, body := range []string{
		`{"increment_id":"000000123"}`,
		`"{\"entity_id\":57}"`,
		`{"order":{"entity_id":58,"increment_id":"000000124"}}`,
		`[{"increment_id":"000000125"},{"increment_id":"000000126"}]`,
	} {
		bodies, err := event.Decode([]byte(body), event.Orders)
		if err != nil {
			fmt.Println(err)
			return
		}
		for _, one := range bodies {
			order, err := event.ParseOrder(one)
			if err != nil {
				fmt.Println(err)
				return
			}
			fmt.Printf("%d %q\n", order.EntityID, order.IncrementID)
		}
	}
	_, err := event.Decode([]byte(`{"increment_id":`), event.Orders)
	fmt.Println(event.ClassOf(err) == event.Malformed)
	// Output:
	// 0 "000000123"
	// 57 ""
	// 58 "000000124"
	// 0 "000000125"
	// 0 "000000126"
	// true
}

// What becomes of a message whose handling fails is decided by the class of the error.
func ExampleErrorf() {
	err := event.Errorf(event.Invalid, "order %s has no currency: put it right in Magento and replay", "000000123")
	fmt.Println(event.ClassOf(err), event.ClassOf(err).Poison())

	err = &event.Error{Class: event.Throttled, Downstream: "erp", RetryAfter: time.Minute, Err: errors.New("429")}
	wrapped := fmt.Errorf("create the sales order: %w", err)
	fmt.Println(event.ClassOf(wrapped), event.ClassOf(wrapped).Poison())

	fmt.Println(event.ClassOfStatus(http.StatusServiceUnavailable))
	// Output:
	// invalid true
	// throttled false
	// unavailable
}
