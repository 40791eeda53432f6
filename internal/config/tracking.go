package config

import (
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// trackingColumns are those of docs/tracking.md, which package tracking knows too.
var trackingColumns = []string{
	"order_number", "tracking_number", "carrier_code", "title", "shipment_number", "sku", "quantity", "source_code",
}

// TrackingColumns has a file's own names of columns, or their numbers, by ours.
type TrackingColumns map[string]string

// Type says what it takes.
func (TrackingColumns) Type() string {
	return "column=name pairs or column=number pairs, separated by commas"
}

// Decode reads it.
func (c *TrackingColumns) Decode(value string) error {
	*c = TrackingColumns{}
	numbers := 0
	for _, part := range list(value) {
		ours, theirs, ok := strings.Cut(part, "=")
		ours, theirs = strings.TrimSpace(ours), strings.TrimSpace(theirs)
		if !ok || theirs == "" {
			return want("%s, such as order_number=Auftragsnr.", c.Type())
		}
		if !slices.Contains(trackingColumns, ours) {
			return want("%s; there is no column %q, but %s", c.Type(), ours, strings.Join(trackingColumns, ", "))
		}
		if _, twice := (*c)[ours]; twice {
			return want("%s, each column once", c.Type())
		}
		if n, err := strconv.Atoi(theirs); err == nil {
			if n < 1 || n > 10_000 {
				return want("%s; columns are numbered from 1", c.Type())
			}
			theirs = strconv.Itoa(n)
			numbers++
		}
		(*c)[ours] = theirs
	}
	switch {
	case numbers > 0 && numbers < len(*c):
		return want("either column=name pairs, or column=number pairs for files without a header")
	case numbers > 0 && ((*c)["order_number"] == "" || (*c)["tracking_number"] == ""):
		return want("%s; without a header the numbers of order_number and tracking_number are needed", c.Type())
	}
	return nil
}

// TrackingCarriers has Magento's carrier codes by the file's carriers.
type TrackingCarriers map[string]string

// carrierCode is what fits into sales_shipment_track.carrier_code (app/code/Magento/Sales/etc/db_schema.xml).
var carrierCode = regexp.MustCompile(`^[A-Za-z0-9_]{1,32}$`)

// Type says what it takes.
func (TrackingCarriers) Type() string { return "carrier=code pairs separated by commas" }

// Decode reads it.
func (c *TrackingCarriers) Decode(value string) error {
	*c = TrackingCarriers{}
	for _, part := range list(value) {
		at := strings.LastIndexByte(part, '=')
		if at < 0 {
			return want("%s, such as DHL Paket=dhl", c.Type())
		}
		theirs, ours := strings.TrimSpace(part[:at]), strings.TrimSpace(part[at+1:])
		if theirs == "" || !carrierCode.MatchString(ours) {
			return want("%s; a code is at most 32 letters, digits and _, such as dhl", c.Type())
		}
		if other, twice := (*c)[theirs]; twice && other != ours {
			return want("%s, one code for each carrier", c.Type())
		}
		(*c)[theirs] = ours
	}
	return nil
}
