package event

import "encoding/json"

// ParseID reads the body of an event about a shipment, a credit memo or a customer, which is named by its id in Magento: by the
// kind's own name, else by entity_id, else by id. A body without one is Invalid. The body must be one that Decode has returned.
func ParseID(body json.RawMessage, k Kind) (int64, error) {
	var found ID
	best := 0
	for key, value := range members(body) {
		rank := 0
		switch name := string(key[1 : len(key)-1]); {
		case k.own(name):
			rank = 3
		case name == "entity_id" || name == "entityId":
			rank = 2
		case name == "id":
			rank = 1
		}
		if rank <= best || !tells(value) {
			continue
		}
		var id ID
		if err := id.UnmarshalJSON(value); err != nil {
			return 0, Errorf(Invalid, "the event can't be read as one about %s: %s: %w", string(k), key, err)
		}
		if id > 0 {
			found, best = id, rank
		}
	}
	if best == 0 {
		name := "entity_id"
		if k == Customers {
			name = "id"
		}
		return 0, Errorf(Invalid, "the event names no %s: want %s; its members are %s", string(k)[2:], name, MemberNames(body))
	}
	return int64(found), nil
}
