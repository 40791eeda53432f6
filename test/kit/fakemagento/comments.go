package fakemagento

import (
	"encoding/json"
	"fmt"
	"hash/crc32"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Version is a release of Magento, as far as releases differ in what they do with the status of a comment on an order
// (docs/magento-versions.md), and with the scope of prices.
type Version string

const (
	// V241 is V245 but for prices, of which later releases respect the scope.
	V241 Version = "2.4.1"
	// V245 stands for all up to 2.4.6: a comment without a status sets the order's to NULL, by which the order vanishes from
	// the admin's grid (magento2 issue 34180); one that is given is taken as it is, also of another state or unknown (32968).
	V245 Version = "2.4.5"
	// V247 refuses every status but the order's present one (magento2 issue 38723). What it makes of none is not known for
	// sure: here it does the harm that those before it do.
	V247 Version = "2.4.7"
	// V248 keeps the order's status where none is given, and refuses one that is not assigned to the order's state.
	V248 Version = "2.4.8"
)

// Versions gives those that differ in comments, oldest first.
func Versions() []Version { return []Version{V245, V247, V248} }

// VersionFor gives the version that the name of a test ends with, else one picked by the name: each test has the same one in
// every run, and all of them have each.
func VersionFor(test string) Version {
	all := Versions()
	for _, v := range all {
		if strings.HasSuffix(test, string(v)) {
			return v
		}
	}
	return all[crc32.ChecksumIEEE([]byte(test))%uint32(len(all))]
}

// commented gives the status that an order has after a comment with a status, nil for NULL; ok is false where the comment is
// refused. It needs mu.
func (s *Server) commented(o *order, given string) (status any, ok bool) {
	present := o.document["status"]
	switch {
	case given == "" && s.options.Version == V248:
		return present, true
	case given == "":
		return nil, true
	case s.options.Version == V247:
		return present, given == present
	case s.options.Version == V248:
		return given, slices.Contains(s.statuses[o.state()], given)
	default:
		return given, true
	}
}

// Statusless gives the numbers of the orders whose status is NULL: they are not in the admin's grid, nor in the customer's
// list of orders.
func (s *Server) Statusless() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var numbers []string
	for _, o := range s.orders {
		if text(o.document["status"]) == "" {
			numbers = append(numbers, text(o.document["increment_id"]))
		}
	}
	return numbers
}

// addComment is POST /V1/orders/:id/comments. The four fields that Magento's interface calls non-null are demanded.
func (s *Server) addComment(w http.ResponseWriter, r *http.Request) {
	var body struct {
		History *struct {
			Comment  *string      `json:"comment"`
			Status   *string      `json:"status"`
			Notified *json.Number `json:"is_customer_notified"`
			Visible  *json.Number `json:"is_visible_on_front"`
			Parent   *json.Number `json:"parent_id"`
		} `json:"statusHistory"`
	}
	if err := json.NewDecoder(r.Body).Decode(&body); err != nil {
		refuse(w, http.StatusBadRequest, "Decoding error.", nil)
		return
	}
	required := func(name string) {
		refuse(w, http.StatusBadRequest, `"%fieldName" is required. Enter and try again.`, map[string]string{"fieldName": name})
	}
	h := body.History
	switch {
	case h == nil:
		required("statusHistory")
		return
	case h.Comment == nil:
		required("comment")
		return
	case h.Notified == nil:
		required("is_customer_notified")
		return
	case h.Visible == nil:
		required("is_visible_on_front")
		return
	case h.Parent == nil:
		required("parent_id")
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	o := s.visible(w, r)
	if o == nil {
		return
	}
	if h.Parent.String() != strconv.Itoa(o.id) {
		s.problems["a comment's parent_id is not its order's entity id"]++
	}
	given := ""
	if h.Status != nil {
		given = *h.Status
	}
	status, ok := s.commented(o, given)
	if !ok {
		refuse(w, http.StatusBadRequest, `Unable to add comment: The status "%1" is not part of the order status history.`, []string{given})
		return
	}
	if given == "" && text(o.document["status"]) != "" {
		s.problems["a comment without a status: up to 2.4.6 the order loses its own and vanishes from the grid (magento2 issue 34180)"]++
	}
	now := time.Now()
	o.document["updated_at"] = now.UTC().Format(layout)
	if o.document["status"] = status; status == nil {
		delete(o.document, "status") // REST leaves out what is NULL
	}
	o.comments = append(o.comments, Comment{
		Text: *h.Comment, Status: text(status), CreatedAt: now,
		Notified: h.Notified.String() != "0", VisibleOnFront: h.Visible.String() != "0",
	})
	answer(w, http.StatusOK, true)
}

func (s *Server) listComments(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	o := s.visible(w, r)
	if o == nil {
		return
	}
	items := o.allHistories()
	answer(w, http.StatusOK, map[string]any{
		"items": items,
		"search_criteria": map[string]any{"filter_groups": []any{map[string]any{"filters": []any{
			map[string]any{"field": "parent_id", "value": fmt.Sprint(o.id), "condition_type": "eq"},
		}}}},
		"total_count": len(items),
	})
}
