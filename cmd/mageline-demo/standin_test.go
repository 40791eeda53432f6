package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/mageline/mageline/erp/erptest"
	"github.com/mageline/mageline/test/kit/fakemagento"
)

// standIn is a mageline in the small, run as a process by the tests of the demo: it shows that the demo's verdict tells
// a right mageline from one that loses or doubles. Its mode says which order it gets wrong, and how.
type standIn struct {
	mode    string // right, loses, doubles or forgets
	prefix  string
	channel *amqp.Channel
	http    http.Client

	mu      sync.Mutex
	rows    map[string]string
	running int
	failing bool
}

// wrongOrder is the order that the modes loses and doubles are about.
const wrongOrder = "000000003"

func env(name string) string { return os.Getenv("MAGELINE_" + name) }

func runStandIn(mode string, args []string) int {
	conn, err := amqp.Dial(env("AMQP_URL"))
	if err != nil {
		return 1
	}
	defer func() { _ = conn.Close() }()
	channel, err := conn.Channel()
	if err != nil {
		return 1
	}
	s := &standIn{mode: mode, prefix: env("QUEUE_PREFIX"), channel: channel, http: http.Client{Timeout: time.Second}, rows: map[string]string{}}
	switch strings.Join(args[:min(2, len(args))], " ") {
	case "run":
		err = s.run()
	case "key show":
		_, number, _ := strings.Cut(args[2], ":")
		var state string
		_, err = s.call(http.MethodGet, "http://"+env("HTTP_ADDR")+"/row/"+number, "", nil, &state)
		fmt.Println(args[2], state)
	case "reindex":
		err = s.reindex()
	case "import prices":
		err = s.prices(args[2])
	case "prices held":
		fmt.Println("ART-1000 from 12.5 to 1250")
	case "dlq list":
		fmt.Println("one letter in", args[2])
	default: // --replay-dlq QUEUE
		var d amqp.Delivery
		if d, _, err = channel.Get(args[1], true); err == nil {
			err = channel.PublishWithContext(context.Background(), "", strings.TrimSuffix(args[1], ".dlq"), false, false, amqp.Publishing{Body: d.Body})
			fmt.Println("replayed 1, skipped 0, failed 0")
		}
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

func (s *standIn) run() error {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	deliveries := make(chan amqp.Delivery)
	for consumer, topics := range map[string][]string{"order_placed": {placed, updated}, "order_canceled": {canceled}, "price_sync": {"pricing.sync.requested"}} {
		queue := s.prefix + "." + consumer
		for _, q := range []string{queue, queue + ".dlq"} {
			if _, err := s.channel.QueueDeclare(q, true, false, false, false, nil); err != nil {
				return err
			}
		}
		for _, topic := range topics {
			if err := s.channel.QueueBind(queue, topic, env("AMQP_EXCHANGE"), false, nil); err != nil {
				return err
			}
		}
		from, err := s.channel.Consume(queue, "", false, false, false, false, nil)
		if err != nil {
			return err
		}
		go func() {
			for d := range from {
				deliveries <- d
			}
		}()
	}
	go s.parcels(ctx)
	server := &http.Server{Addr: env("HTTP_ADDR"), Handler: s, ReadHeaderTimeout: time.Second}
	go func() { _ = server.ListenAndServe() }()
	for {
		select {
		case <-ctx.Done():
			return server.Close()
		case d := <-deliveries:
			s.set(func() { s.running++ })
			s.handle(ctx, d)
			s.set(func() { s.running-- })
		}
	}
}

func (s *standIn) set(f func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f()
}

func (s *standIn) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch number, isRow := strings.CutPrefix(r.URL.Path, "/row/"); {
	case isRow:
		_ = json.NewEncoder(w).Encode(s.rows[number])
	case r.URL.Path == "/metrics":
		state := 0
		if s.failing {
			state = 2
		}
		fmt.Fprintf(w, "mageline_in_flight{consumer=\"order_placed\"} %d\nmageline_circuit_breaker_state{downstream=\"erp\"} %d\n", s.running, state)
	}
}

// handle tries until it is done or poison; one after the other, so that nothing needs to be remembered but rows.
func (s *standIn) handle(ctx context.Context, d amqp.Delivery) {
	defer func() { _ = d.Ack(false) }()
	if d.RoutingKey == "pricing.sync.requested" {
		s.reprice(d.Body)
		return
	}
	var event any
	if json.Unmarshal(d.Body, &event) != nil {
		_ = s.channel.PublishWithContext(ctx, "", s.prefix+".order_placed.dlq", false, false, amqp.Publishing{Body: d.Body})
		return
	}
	text := string(d.Body)
	at := strings.Index(text, "0")
	number := text[at : at+len(wrongOrder)]
	for ctx.Err() == nil && !s.order(number) {
		pause(ctx, 100*time.Millisecond)
	}
}

// order reports whether there is nothing left to do for an order.
func (s *standIn) order(number string) bool {
	var list struct {
		Items []struct {
			ID            int `json:"entity_id"`
			State, Status string
		}
	}
	criteria := url.Values{
		"searchCriteria[filter_groups][0][filters][0][field]": {"increment_id"},
		"searchCriteria[filter_groups][0][filters][0][value]": {number},
	}
	status, err := s.call(http.MethodGet, env("MAGENTO_URL")+"/rest/V1/orders?"+criteria.Encode(), env("MAGENTO_TOKEN"), nil, &list)
	if err != nil || status != http.StatusOK || len(list.Items) == 0 {
		return false
	}
	order, row := list.Items[0], ""
	s.set(func() { row = s.rows[number] })
	switch {
	case row == "done":
		return true
	case order.State == "canceled":
		s.set(func() { s.rows[number] = "skipped" })
		return true
	case order.State == "pending_payment":
		s.set(func() { s.rows[number] = "waiting" })
		return true
	case s.mode == "loses" && number == wrongOrder:
		return true
	}
	var found struct {
		Items []struct {
			Number string `json:"document_number"`
		}
	}
	status, err = s.call(http.MethodGet, env("ERP_URL")+"/sales-orders?external_reference="+number, env("ERP_TOKEN"), nil, &found)
	s.set(func() { s.failing = err != nil })
	if err != nil || status != http.StatusOK {
		return false
	}
	if wanted := 1 + strings.Count(s.mode+number, "doubles"+wrongOrder); len(found.Items) < wanted {
		body, _ := json.Marshal(erptest.Order(number))
		_, _ = s.call(http.MethodPost, env("ERP_URL")+"/sales-orders", env("ERP_TOKEN"), body, nil)
		return false // it is looked up the next time
	}
	history := map[string]any{
		"comment": "Sales order " + found.Items[0].Number + " created in Demo ERP", "is_customer_notified": 0, "is_visible_on_front": 0, "parent_id": order.ID,
	}
	if s.mode != "hides" || number != wrongOrder {
		history["status"] = order.Status
	}
	comment, _ := json.Marshal(map[string]any{"statusHistory": history})
	status, err = s.call(http.MethodPost, fmt.Sprintf("%s/rest/V1/orders/%d/comments", env("MAGENTO_URL"), order.ID), env("MAGENTO_TOKEN"), comment, nil)
	s.set(func() { s.rows[number] = "done" })
	return err == nil && status == http.StatusOK
}

// parcels does with tracking files what the demo looks for. Of its modes only forgets is about them.
func (s *standIn) parcels(ctx context.Context) {
	inbox := env("TRACKING_DIR")
	for _, dir := range []string{"processed", "failed"} {
		_ = os.MkdirAll(filepath.Join(inbox, dir), 0o755)
	}
	for pause(ctx, 50*time.Millisecond) {
		names, _ := filepath.Glob(filepath.Join(inbox, "*.csv"))
		for _, path := range names {
			content, err := os.ReadFile(path)
			if err != nil {
				continue
			}
			name, to, failed := filepath.Base(path), "processed", filepath.Join(inbox, "failed")
			bad := 0
			for i, line := range strings.Split(strings.TrimSpace(string(content)), "\n") {
				cells := strings.Split(line, ";")
				switch {
				case len(cells) != 3:
					to = "failed"
				case i > 0 && len(cells[1]) > 4:
					s.ship(ctx, cells[0], cells[1])
				case i > 0:
					bad++
				}
			}
			if bad > 0 {
				_ = os.WriteFile(filepath.Join(failed, name+".rejected.csv"), []byte("bad rows\n"), 0o600)
			}
			if to == "failed" {
				_ = os.WriteFile(filepath.Join(failed, name+".error.txt"), []byte("no CSV\n"), 0o600)
			}
			_ = os.Rename(path, filepath.Join(inbox, to, name))
		}
	}
}

// prices does with a price list what the demo looks for: it writes what is dearer, sends one letter of what there is not, and holds the
// price that is out of all proportion.
func (s *standIn) prices(path string) error {
	content, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	var rows []string
	for line := range strings.Lines(string(content)) {
		sku, price, _ := strings.Cut(strings.TrimSpace(line), ";")
		if price == "13,75" {
			rows = append(rows, fmt.Sprintf(`{"sku":%q,"price":13.75,"store_id":0}`, sku))
		}
	}
	body := []byte(`{"prices":[` + strings.Join(rows, ",") + `]}`)
	if _, err := s.call(http.MethodPost, env("MAGENTO_URL")+"/rest/V1/products/base-prices", env("MAGENTO_TOKEN"), body, nil); err != nil {
		return err
	}
	return s.channel.PublishWithContext(context.Background(), "", s.prefix+".price_sync.dlq", false, false, amqp.Publishing{Body: []byte("{}")})
}

// reindex writes what the demo looks at of each product to an index.
func (s *standIn) reindex() error {
	index := []byte(`{"aliases":{"` + searchIndex + `":{}},"mappings":{"properties":{"sku":{"type":"keyword"},"price":{"type":"double"}}}}`)
	if status, err := s.call(http.MethodPut, env("SEARCH_URL")+"/"+searchIndex+"-1", "", index, nil); err != nil || status != http.StatusOK {
		return fmt.Errorf("make the index: %d, %w", status, err)
	}
	for n := range products {
		if err := s.index(fakemagento.GeneratedSKU(n), "5.08"); err != nil {
			return err
		}
	}
	return nil
}

func (s *standIn) index(sku, price string) error {
	body := fmt.Sprintf(`{"index":{"_id":%q}}`+"\n"+`{"sku":%q,"price":%s}`+"\n", sku, sku, price)
	status, err := s.call(http.MethodPost, env("SEARCH_URL")+"/"+searchIndex+"/_bulk", "", []byte(body), nil)
	if err == nil && status != http.StatusOK {
		err = fmt.Errorf("write the document of %s: %d", sku, status)
	}
	return err
}

// reprice writes the new price to the search engine alone, where the demo looks for it.
func (s *standIn) reprice(body []byte) {
	var message struct {
		Prices []struct {
			SKU   string
			Price json.Number
		}
	}
	if json.Unmarshal(body, &message) == nil && len(message.Prices) == 1 && s.mode != "keeps" {
		_ = s.index(message.Prices[0].SKU, strings.Trim(message.Prices[0].Price.String(), `"`))
	}
}

// ship ships an order; the mode forgets leaves one parcel out.
func (s *standIn) ship(ctx context.Context, number, parcel string) {
	if s.mode == "forgets" && strings.HasSuffix(parcel, "2") {
		return
	}
	body, _ := json.Marshal(map[string]any{"tracks": []map[string]string{{"track_number": parcel, "title": "DHL", "carrier_code": "dhl"}}})
	id := strings.TrimLeft(number, "0") // the simulated shop counts both alike
	for ctx.Err() == nil {
		status, err := s.call(http.MethodPost, env("MAGENTO_URL")+"/rest/V1/order/"+id+"/ship", env("MAGENTO_TOKEN"), body, nil)
		if err == nil && status == http.StatusOK {
			return
		}
		pause(ctx, 100*time.Millisecond)
	}
}

func (s *standIn) call(method, address, token string, body []byte, into any) (int, error) {
	request, err := http.NewRequestWithContext(context.Background(), method, address, bytes.NewReader(body))
	if err != nil {
		return 0, err
	}
	request.GetBody = nil
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("Authorization", "Bearer "+token)
	request.Header.Set("Traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
	request.Header.Set("Idempotency-Key", "order_placed:x")
	stamp := time.Now().Unix()
	request.Header.Set("X-Mageline-Signature", sign(stamp, body, env("ERP_SECRET")))
	response, err := s.http.Do(request)
	if err != nil {
		return 0, err
	}
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(response.Body)
	if err != nil || into == nil {
		return response.StatusCode, err
	}
	return response.StatusCode, json.Unmarshal(text, into)
}
