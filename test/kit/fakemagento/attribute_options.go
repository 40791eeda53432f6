package fakemagento

import (
	"maps"
	"net/http"
	"slices"
	"strings"
)

// newOption gives an option an id, which is its value.
func (c *catalog) newOption(given map[string]any) map[string]any {
	option := maps.Clone(given)
	option["label"] = strings.TrimSpace(text(given["label"]))
	option["value"] = text(c.nextID("option"))
	return option
}

// optionsOf gives the attribute that the path names, if it has options.
func (s *Server) optionsOf(c call) (map[string]any, *problem) {
	found, wrong := s.catalog.attribute(c.PathValue("code"))
	if wrong != nil {
		return nil, wrong
	}
	if input := text(found["frontend_input"]); c.Method != http.MethodGet && input != "select" && input != "multiselect" {
		return nil, invalid(`The "%1" attribute doesn't work with options.`, []string{c.PathValue("code")})
	}
	return found, nil
}

func (s *Server) listOptions(c call) (any, *problem) {
	found, wrong := s.optionsOf(c)
	if wrong != nil {
		return nil, wrong
	}
	return showAttribute(found, c.store)["options"], nil
}

// labelled gives the value of the option with a label, "" for none.
func labelled(attribute map[string]any, label string) string {
	for _, one := range options(attribute) {
		option, _ := one.(map[string]any)
		if strings.EqualFold(text(option["label"]), strings.TrimSpace(label)) {
			return text(option["value"])
		}
	}
	return ""
}

func (s *Server) addOption(c call) (any, *problem) {
	option, wrong := c.object("option")
	if wrong != nil {
		return nil, wrong
	}
	found, wrong := s.optionsOf(c)
	if wrong != nil {
		return nil, wrong
	}
	label := text(option["label"])
	switch {
	case strings.TrimSpace(label) == "":
		return nil, invalid("The attribute option label is empty. Enter the value and try again.", nil)
	case labelled(found, label) != "":
		return nil, invalid(`Admin store attribute option label "%1" already exists.`, []string{label})
	}
	added := s.catalog.newOption(option)
	found["options"] = append(options(found), added)
	return added["value"], nil
}

// optionAt gives the place of the option with a value, below 0 for none.
func optionAt(attribute map[string]any, value string) int {
	return slices.IndexFunc(options(attribute), func(one any) bool {
		option, _ := one.(map[string]any)
		return text(option["value"]) == value
	})
}

func (s *Server) updateOption(c call) (any, *problem) {
	option, wrong := c.object("option")
	if wrong != nil {
		return nil, wrong
	}
	found, wrong := s.optionsOf(c)
	if wrong != nil {
		return nil, wrong
	}
	at := optionAt(found, c.PathValue("id"))
	label := text(option["label"])
	switch {
	case strings.TrimSpace(label) == "":
		return nil, invalid("The attribute option label is empty. Enter the value and try again.", nil)
	case at < 0:
		return nil, invalid("The '%1' attribute doesn't include an option id '%2'.", []string{c.PathValue("code"), c.PathValue("id")})
	case labelled(found, label) != "" && labelled(found, label) != c.PathValue("id"):
		return nil, invalid("Admin store attribute option label '%1' already exists.", []string{label})
	}
	changed := maps.Clone(options(found)[at].(map[string]any))
	maps.Copy(changed, option)
	changed["value"] = c.PathValue("id")
	options(found)[at] = changed
	return true, nil
}

func (s *Server) deleteOption(c call) (any, *problem) {
	found, wrong := s.optionsOf(c)
	if wrong != nil {
		return nil, wrong
	}
	at := optionAt(found, c.PathValue("id"))
	if at < 0 {
		return nil, notFound(`The "%1" attribute doesn't include an option with "%2" ID.`, []string{c.PathValue("code"), c.PathValue("id")})
	}
	found["options"] = slices.Delete(slices.Clone(options(found)), at, at+1)
	return true, nil
}
