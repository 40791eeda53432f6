package fakemagento

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"time"
)

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
	state, _ := o.document["state"].(string)
	status, _ := o.document["status"].(string)
	if h.Status != nil && *h.Status != "" {
		if !slices.Contains(s.statuses[state], *h.Status) {
			refuse(w, http.StatusBadRequest, `Unable to add comment: The status "%1" is not part of the order status history.`, []string{*h.Status})
			return
		}
		status = *h.Status
	}
	now := time.Now()
	o.document["status"], o.document["updated_at"] = status, now.UTC().Format(layout)
	o.comments = append(o.comments, Comment{
		Text: *h.Comment, Status: status, CreatedAt: now,
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
	items := o.histories()
	answer(w, http.StatusOK, map[string]any{
		"items": items,
		"search_criteria": map[string]any{"filter_groups": []any{map[string]any{"filters": []any{
			map[string]any{"field": "parent_id", "value": fmt.Sprint(o.id), "condition_type": "eq"},
		}}}},
		"total_count": len(items),
	})
}
