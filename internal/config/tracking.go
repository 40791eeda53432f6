package config

import (
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/mageline/mageline/internal/sftp"
	"github.com/mageline/mageline/internal/tracking"
)

// TrackingColumns has where a profile's columns are, by our names.
type TrackingColumns map[string][]tracking.Column

// Type says what it takes.
func (TrackingColumns) Type() string {
	return "column=name or column=number pairs, separated by commas"
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
		if !slices.Contains(tracking.ColumnNames(), ours) {
			return want("%s; there is no column %q, but %s", c.Type(), ours, strings.Join(tracking.ColumnNames(), ", "))
		}
		if _, twice := (*c)[ours]; twice {
			return want("%s, each column once", c.Type())
		}
		column := tracking.Column{Name: theirs}
		if n, err := strconv.Atoi(theirs); err == nil {
			if n < 1 || n > 10_000 {
				return want("%s; columns are numbered from 1", c.Type())
			}
			column = tracking.Column{Number: n}
		}
		if column.Number > 0 || theirs == "-" {
			numbers++
		}
		(*c)[ours] = []tracking.Column{column}
	}
	order, number := (*c)["order_number"], (*c)["tracking_number"]
	switch {
	case len(order) > 0 && order[0].Name == "-" || len(number) > 0 && number[0].Name == "-":
		return want("%s; order_number and tracking_number must be somewhere", c.Type())
	case numbers > 0 && numbers == len(*c) && (len(order) == 0 || len(number) == 0) && slices.ContainsFunc(slices.Concat(slices.Collect(maps.Values(*c))...), func(c tracking.Column) bool { return c.Number > 0 }):
		return want("%s; without a header the numbers of order_number and tracking_number are needed", c.Type())
	}
	return nil
}

// Profiles returns the shop's profiles of tracking files, and what the variables for one 3PL say. Load has read them.
func (c *Config) Profiles() *tracking.Profiles {
	fallback := &tracking.Profile{Columns: c.TrackingColumns, Carriers: c.TrackingCarriers, SourceCode: c.TrackingSourceCode}
	if len(c.TrackingColumns) > 0 {
		fallback.Name = tracking.DefaultProfile
	}
	return tracking.NewProfiles(c.profiles, fallback)
}

// readProfiles reads the file of profiles.
func (l *loader) readProfiles() {
	file := l.c.TrackingProfiles
	if file == "" {
		return
	}
	text, err := os.ReadFile(file)
	if err == nil {
		l.c.profiles, err = tracking.Parse(filepath.Base(file), text)
	}
	if err != nil {
		l.problem("TRACKING_PROFILES", "must be a YAML file with profiles of 3PLs: %v", err)
	}
	if len(l.c.TrackingColumns) > 0 && slices.ContainsFunc(l.c.profiles, func(p *tracking.Profile) bool { return p.Name == tracking.DefaultProfile }) {
		l.problem("TRACKING_PROFILES", "has a profile default, and so has TRACKING_COLUMNS: keep one of them")
	}
}

// Servers returns the SFTP servers that files are picked up from. Load has read them.
func (c *Config) Servers() []sftp.Server { return c.servers }

// readServers reads the file of SFTP servers.
func (l *loader) readServers() {
	file := l.c.TrackingSFTP
	if file == "" {
		return
	}
	var err error
	if l.c.servers, err = sftp.Read(file); err != nil {
		l.problem("TRACKING_SFTP", "must be a YAML file with SFTP servers: %v", err)
		return
	}
	if l.c.TrackingDir == "" {
		l.problem("TRACKING_SFTP", "needs %sTRACKING_DIR, into which the files are fetched", prefix)
	}
	profiles := l.c.Profiles()
	for _, s := range l.c.servers {
		if s.Profile != "" && profiles.Named(s.Profile) == nil {
			l.problem("TRACKING_SFTP", "names a profile that there is not, of server %s: %v", s.Name, profiles.Unknown(s.Profile))
		}
	}
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
