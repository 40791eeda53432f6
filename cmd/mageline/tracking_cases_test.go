package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/mageline/mageline/internal/tracking"
)

// trackingCase is what is right for one file of testdata/tracking, read with some settings.
type trackingCase struct {
	File     string
	Settings map[string]any
	Profile  *string
	trackingOutcome
	Or []trackingOutcome
}

type trackingOutcome struct {
	Parcels []map[string]any
	Skipped []struct {
		Line int
		Why  string
	}
	Bad []struct {
		Line int
		Why  string
	}
	Error *string
}

// Every file is read as testdata/tracking/expected.json says: with the settings of a shop, or by a ready-made profile.
func TestTrackingCheck_ReadsTheFilesOf3PLs(t *testing.T) {
	text, err := os.ReadFile("testdata/tracking/expected.json")
	if err != nil {
		t.Fatal(err)
	}
	var cases []trackingCase
	if err := json.Unmarshal(text, &cases); err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob("testdata/tracking/*")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		if name := filepath.Base(file); name != "expected.json" && !slices.ContainsFunc(cases, func(c trackingCase) bool { return c.File == name }) {
			t.Errorf("nothing is said about %s", name)
		}
	}
	for _, c := range cases {
		t.Run(c.File, func(t *testing.T) {
			got, code := checkCase(t, &c)
			var wrong []string
			for _, outcome := range append([]trackingOutcome{c.trackingOutcome}, c.Or...) {
				differences := outcome.compare(got, code)
				if len(differences) == 0 {
					wrong = nil
					break
				}
				wrong = append(wrong, strings.Join(differences, "\n"))
			}
			if len(wrong) > 0 {
				out, err := json.MarshalIndent(got, "", " ")
				t.Errorf("%s\n%s %v", strings.Join(wrong, "\nor\n"), out, err)
			}
			if c.Profile != nil && (got.Profile == nil || *got.Profile != *c.Profile) {
				t.Errorf("read by profile %v, want %s", got.Profile, *c.Profile)
			}
		})
	}
}

// checkCase reads the file of a case, with its settings as the second profile of two.
func checkCase(t *testing.T, c *trackingCase) (got *checked, code int) {
	t.Helper()
	var shop []*tracking.Profile
	if len(c.Settings) > 0 {
		c.Settings["name"] = "mine"
		if c.Settings["pattern"] == nil && c.Settings["header"] == nil {
			c.Settings["pattern"] = "*"
		}
		text, err := yaml.Marshal([]any{map[string]any{"name": "other", "pattern": "other-*.csv", "header": []string{"one", "two"}}, c.Settings})
		if err != nil {
			t.Fatal(err)
		}
		if shop, err = tracking.Parse("profiles.yaml", text); err != nil {
			t.Fatal(err)
		}
	}
	var out bytes.Buffer
	check := &trackingCheck{out: &out, profiles: tracking.NewProfiles(shop, nil), asJSON: true}
	err := check.files([]string{filepath.Join("testdata/tracking", c.File)})
	var exit *exitError
	if err != nil && (!errors.As(err, &exit) || exit.err != nil) {
		t.Fatal(err)
	}
	if exit != nil {
		code = exit.code
	}
	if err := json.Unmarshal(out.Bytes(), &got); err != nil {
		t.Fatalf("%v in %s", err, &out)
	}
	// What is printed for a person never fails.
	check.asJSON = false
	if err := check.files([]string{filepath.Join("testdata/tracking", c.File)}); err != nil && !errors.As(err, &exit) {
		t.Error(err)
	}
	return got, code
}

// compare returns what is different.
func (o *trackingOutcome) compare(got *checked, code int) (wrong []string) {
	want := 0
	switch {
	case o.Error != nil:
		want = exitFailed
	case len(o.Bad) > 0:
		want = exitPartial
	}
	if code != want {
		wrong = append(wrong, "the exit code is not right")
	}
	if (o.Error != nil) != (got.Error != nil) {
		return append(wrong, "an error is missing, or too much")
	}
	if o.Error != nil {
		words := map[string]string{"empty": "empty", "zip": "zip", "gzip": "gzip", "no-known-column": "column"}[*o.Error]
		if !strings.Contains(strings.ToLower(*got.Error), words) {
			wrong = append(wrong, "the error does not say what it is")
		}
	}
	if len(got.Parcels) != len(o.Parcels) {
		return append(wrong, "other parcels")
	}
	for i, want := range o.Parcels {
		if !isParcel(want, got.Parcels[i]) {
			wrong = append(wrong, "another parcel: "+got.Parcels[i].TrackingNumber)
		}
	}
	var skipped, bad []int
	for _, r := range o.Bad {
		bad = append(bad, r.Line)
	}
	for _, r := range o.Skipped {
		if r.Why != "blank" && r.Why != "header" && r.Why != "above-header" {
			skipped = append(skipped, r.Line)
		}
	}
	if !slices.Equal(lines(got.Skipped), skipped) {
		wrong = append(wrong, "other rows are skipped")
	}
	if !slices.Equal(lines(got.Bad), bad) {
		wrong = append(wrong, "other rows are bad")
	}
	return wrong
}

func lines(rows []rowSeen) (all []int) {
	for _, r := range rows {
		all = append(all, r.Line)
	}
	return all
}

// isParcel compares a parcel with what is said of it. A title may say more.
func isParcel(want map[string]any, got parcelSeen) bool {
	text, err := json.Marshal(got)
	if err != nil {
		return false
	}
	have := map[string]any{}
	if err := json.Unmarshal(text, &have); err != nil {
		return false
	}
	for key, value := range want {
		switch key {
		case "title":
			title, _ := value.(string)
			if !strings.HasPrefix(strings.ToLower(got.Title), strings.ToLower(title)) || title == "" && got.Title != "" {
				return false
			}
		case "items":
			a, err := json.Marshal(value)
			b, err2 := json.Marshal(have[key])
			if err != nil || err2 != nil || !bytes.Equal(a, b) {
				return false
			}
		default:
			if have[key] != value {
				return false
			}
		}
	}
	return true
}
