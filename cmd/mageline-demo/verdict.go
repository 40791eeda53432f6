package main

import (
	"fmt"
	"slices"
)

// expected is what must have become of an order when all is quiet.
type expected struct {
	number    string
	documents int // 1, or 0 for one that was cancelled before it could go out
}

// verdict compares what the ERP and Magento hold with what must be there, and names each difference.
func verdict(orders []expected, documents, comments map[string]int) []string {
	var problems []string
	known := map[string]bool{}
	for _, o := range orders {
		known[o.number] = true
		if n := documents[o.number]; n != o.documents {
			problems = append(problems, fmt.Sprintf("order %s is in the ERP %s, and should be there %s", o.number, times(n), times(o.documents)))
		}
		if n := comments[o.number]; n != o.documents {
			problems = append(problems, fmt.Sprintf("order %s has %d comments in Magento, and should have %d", o.number, n, o.documents))
		}
	}
	var strangers []string
	for number := range documents {
		if !known[number] {
			strangers = append(strangers, number)
		}
	}
	slices.Sort(strangers)
	for _, number := range strangers {
		problems = append(problems, fmt.Sprintf("the ERP has an order %s that nobody placed", number))
	}
	return problems
}

// parcelVerdict compares the tracking numbers in Magento, by order number and tracking number, with those of the files.
func parcelVerdict(parcels []string, tracks map[string]int) []string {
	var problems []string
	for _, p := range parcels {
		if n := tracks[p]; n != 1 {
			problems = append(problems, fmt.Sprintf("the parcel %s (order and number) is in Magento %s, and should be there once", p, times(n)))
		}
	}
	if len(tracks) > len(parcels) {
		problems = append(problems, fmt.Sprintf("Magento has %d tracking numbers, and should have %d", len(tracks), len(parcels)))
	}
	return problems
}

func times(n int) string {
	switch n {
	case 0:
		return "not at all"
	case 1:
		return "once"
	default:
		return fmt.Sprintf("%d times", n)
	}
}
