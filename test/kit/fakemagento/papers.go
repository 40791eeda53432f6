package fakemagento

import (
	"fmt"
	"slices"
	"strconv"
	"time"
)

// papers are the invoices, or the credit memos, by entity id.
type papers struct {
	all      []*paper
	last     int
	nextItem int
	comments int
	numbers  map[int]int // by store id: the last number
}

// paper is an invoice or a credit memo.
type paper struct {
	id, order int
	document  map[string]any
	comments  []any // oldest first
}

// of hands the paper that the path names to f.
func (p *papers) of(f func(one *paper) (any, *problem)) func(call) (any, *problem) {
	return func(c call) (any, *problem) {
		one, wrong := p.find(c.PathValue("id"))
		if wrong != nil {
			return nil, wrong
		}
		return f(one)
	}
}

func (p *papers) find(id any) (*paper, *problem) {
	n, ok := number(id)
	if !ok {
		return nil, invalid(`The "%value" value's type is invalid. The "%type" type was expected. Verify and try again.`,
			map[string]any{"value": id, "type": "int"})
	}
	at, found := slices.BinarySearchFunc(p.all, n, func(one *paper, id int) int { return one.id - id })
	if !found {
		return nil, unknownEntity()
	}
	return p.all[at], nil
}

func (p *papers) documents() []map[string]any {
	all := make([]map[string]any, 0, len(p.all))
	for _, one := range p.all {
		all = append(all, one.show())
	}
	return all
}

func (p *paper) show() map[string]any {
	p.document["comments"] = newestFirst(p.comments)
	return p.document
}

func newestFirst(comments []any) []any {
	shown := slices.Clone(comments)
	slices.Reverse(shown)
	if shown == nil {
		shown = []any{}
	}
	return shown
}

// add files a new paper, under the next number of its store; keep bounds how many there are.
func (p *papers) add(o *order, document map[string]any, keep int) *paper {
	store, _ := number(o.document["store_id"])
	p.numbers[store]++
	p.last++
	increment := fmt.Sprintf("%09d", p.numbers[store])
	if store > 1 {
		increment = strconv.Itoa(store) + increment
	}
	now := time.Now().UTC().Format(layout)
	for key, value := range map[string]any{
		"entity_id": p.last, "increment_id": increment, "order_id": o.id, "store_id": store, "created_at": now, "updated_at": now,
		"billing_address_id": 2 * o.id, "shipping_address_id": 2*o.id - 1, "extension_attributes": map[string]any{},
		"order_currency_code": o.document["order_currency_code"], "base_currency_code": o.document["base_currency_code"],
		"store_currency_code": o.document["store_currency_code"], "base_to_order_rate": o.document["base_to_order_rate"],
	} {
		document[key] = value
	}
	items, _ := document["items"].([]any)
	for _, item := range items {
		if item, ok := item.(map[string]any); ok {
			p.nextItem++
			item["entity_id"], item["parent_id"] = p.nextItem, p.last
		}
	}
	one := &paper{id: p.last, order: o.id, document: document}
	p.all = append(p.all, one)
	if extra := len(p.all) - keep; extra > 0 {
		p.all = slices.Delete(p.all, 0, extra)
	}
	return one
}

// comment keeps a comment of the document with the id, as its repository does.
func (p *papers) comment(id any, entity map[string]any) (any, *problem) {
	for _, key := range []string{"comment", "parent_id", "is_customer_notified", "is_visible_on_front"} {
		if entity[key] == nil {
			return nil, required(key)
		}
	}
	one, wrong := p.find(id)
	if wrong != nil {
		return nil, wrong
	}
	p.comments++
	notified, _ := number(entity["is_customer_notified"])
	visible, _ := number(entity["is_visible_on_front"])
	kept := map[string]any{
		"entity_id": p.comments, "parent_id": one.id, "comment": text(entity["comment"]),
		"is_customer_notified": notified, "is_visible_on_front": visible, "created_at": time.Now().UTC().Format(layout),
	}
	one.comments = append(one.comments, kept)
	return kept, nil
}

// firstComment keeps the comment that a document was made with.
func (p *papers) firstComment(one *paper, c call) {
	given, ok := c.body["comment"].(map[string]any)
	if !ok {
		return
	}
	mailed := c.body["notify"] == true && c.body["appendComment"] == true
	visible, _ := number(given["is_visible_on_front"])
	_, _ = p.comment(one.id, map[string]any{
		"comment": text(given["comment"]), "parent_id": one.id, "is_customer_notified": flag(mailed), "is_visible_on_front": visible,
	})
}
