package fakemagento

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
)

var bundleOptionTypes = []string{"select", "radio", "checkbox", "multi"}

func (s *Server) bundleTypes(call) (any, *problem) {
	types := []any{}
	for _, code := range bundleOptionTypes {
		types = append(types, map[string]any{"code": code, "label": strings.ToTitle(code[:1]) + code[1:]})
	}
	return types, nil
}

// bundle gives the product of a SKU, if it is a bundle; Magento has a refusal of its own for each service.
func (s *Server) bundle(sku, refusal string, parameters ...string) (*product, *problem) {
	p, wrong := s.catalog.product(sku)
	if wrong != nil {
		return nil, wrong
	}
	if p.values["type_id"] != "bundle" {
		return nil, invalid(refusal, parameters)
	}
	return p, nil
}

const onlyBundle, noBundle = "This is implemented for bundle products only.", `The product with the "%1" SKU isn't a bundle product.`

// bundleOption gives an option of a bundle with its place.
func (p *product) bundleOption(id string) (map[string]any, int) {
	at := slices.IndexFunc(p.bundled, func(o map[string]any) bool { return text(o["option_id"]) == id })
	if at < 0 {
		return nil, -1
	}
	return p.bundled[at], at
}

var noBundleOption = notFound("The option that was requested doesn't exist. Verify the entity and try again.", nil)

func (s *Server) bundleOptions(c call) (any, *problem) {
	p, wrong := s.bundle(c.PathValue("sku"), onlyBundle)
	if wrong != nil {
		return nil, wrong
	}
	return orEmpty(p.bundled), nil
}

func (s *Server) getBundleOption(c call) (any, *problem) {
	p, wrong := s.bundle(c.PathValue("sku"), onlyBundle)
	if wrong != nil {
		return nil, wrong
	}
	option, at := p.bundleOption(c.PathValue("option"))
	if at < 0 {
		return nil, noBundleOption
	}
	return option, nil
}

// saveBundleOption is POST …/options/add and PUT …/options/:optionId (Bundle\Model\OptionManagement). Links that are given
// take the place of those that were there.
func (s *Server) saveBundleOption(c call) (any, *problem) {
	given, wrong := c.object("option")
	if wrong != nil {
		return nil, wrong
	}
	p, wrong := s.bundle(text(given["sku"]), onlyBundle)
	if wrong != nil {
		return nil, wrong
	}
	option := map[string]any{"required": true, "position": 0, "product_links": []any{}}
	at := len(p.bundled)
	if id := c.PathValue("option"); id != "" {
		var old map[string]any
		if old, at = p.bundleOption(id); at < 0 {
			return nil, noBundleOption
		}
		maps.Copy(option, old)
	}
	links := objects(given["product_links"])
	maps.Copy(option, given)
	switch {
	case text(option["title"]) == "":
		return nil, invalid("Could not save option", nil)
	case !slices.Contains(bundleOptionTypes, text(option["type"])):
		return nil, invalid("Could not save option", nil)
	}
	if at == len(p.bundled) {
		option["option_id"] = s.catalog.nextID("bundle option")
	} else {
		option["option_id"] = p.bundled[at]["option_id"]
	}
	option["sku"] = p.sku
	if given["product_links"] != nil {
		var kept []map[string]any
		for _, link := range links {
			one, wrong := s.bundleLink(p, kept, option["option_id"], link)
			if wrong != nil {
				return nil, wrong
			}
			kept = append(kept, one)
		}
		option["product_links"] = orEmpty(kept)
	}
	if at == len(p.bundled) {
		p.bundled = append(p.bundled, nil)
	}
	p.bundled[at] = option
	return option["option_id"], nil
}

// bundleLink makes what is kept of a link, or of one that has an id already.
func (s *Server) bundleLink(p *product, beside []map[string]any, option any, link map[string]any) (map[string]any, *problem) {
	child, wrong := s.catalog.product(text(link["sku"]))
	if wrong != nil {
		return nil, wrong
	}
	if kind := text(child.values["type_id"]); kind != "simple" && kind != "virtual" {
		return nil, invalid("The bundle product can't contain another composite product.", nil)
	}
	for _, other := range beside {
		if strings.EqualFold(text(other["sku"]), child.sku) && text(other["id"]) != text(link["id"]) {
			return nil, invalid(`Child with specified sku: "%1" already assigned to product: "%2"`, []string{text(link["sku"]), p.sku})
		}
	}
	kept := map[string]any{"is_default": false, "position": 0, "can_change_quantity": 0, "price": json.Number("0"), "price_type": 0}
	maps.Copy(kept, link)
	for _, key := range []string{"qty", "price"} {
		kept[key] = floating(kept[key])
	}
	if text(kept["id"]) == "" || text(kept["id"]) == "0" {
		kept["id"] = text(s.catalog.nextID("bundle link")) // a text
	}
	kept["sku"], kept["option_id"] = child.sku, option
	return kept, nil
}

func (s *Server) deleteBundleOption(c call) (any, *problem) {
	p, wrong := s.bundle(c.PathValue("sku"), onlyBundle)
	if wrong != nil {
		return nil, wrong
	}
	_, at := p.bundleOption(c.PathValue("option"))
	if at < 0 {
		return nil, invalid("The option with \"%1\" ID can't be deleted.", []string{c.PathValue("option")})
	}
	p.bundled = slices.Delete(p.bundled, at, at+1)
	return true, nil
}

func (s *Server) bundleChildren(c call) (any, *problem) {
	p, wrong := s.bundle(c.PathValue("sku"), onlyBundle)
	if wrong != nil {
		return nil, wrong
	}
	all := []map[string]any{}
	for _, option := range p.bundled {
		if wanted := c.URL.Query().Get("optionId"); wanted == "" || wanted == text(option["option_id"]) {
			all = append(all, objects(option["product_links"])...)
		}
	}
	return all, nil
}

func (s *Server) addBundleLink(c call) (any, *problem) {
	link, wrong := c.object("linkedProduct")
	if wrong != nil {
		return nil, wrong
	}
	p, wrong := s.bundle(c.PathValue("sku"), noBundle, c.PathValue("sku"))
	if wrong != nil {
		return nil, wrong
	}
	option, at := p.bundleOption(c.PathValue("option"))
	if at < 0 {
		return nil, invalid(`Product with specified sku: "%1" does not contain option: "%2"`, []string{p.sku, c.PathValue("option")})
	}
	delete(link, "id")
	kept, wrong := s.bundleLink(p, objects(option["product_links"]), option["option_id"], link)
	if wrong != nil {
		return nil, wrong
	}
	option["product_links"] = append(objects(option["product_links"]), kept)
	return kept["id"], nil
}

func (s *Server) saveBundleLink(c call) (any, *problem) {
	link, wrong := c.object("linkedProduct")
	if wrong != nil {
		return nil, wrong
	}
	p, wrong := s.bundle(c.PathValue("sku"), noBundle, c.PathValue("sku"))
	if wrong != nil {
		return nil, wrong
	}
	link["id"] = c.PathValue("id")
	for _, option := range p.bundled {
		links := objects(option["product_links"])
		at := slices.IndexFunc(links, func(l map[string]any) bool { return text(l["id"]) == text(link["id"]) })
		if at < 0 {
			continue
		}
		changed := maps.Clone(links[at])
		maps.Copy(changed, link)
		kept, wrong := s.bundleLink(p, links, option["option_id"], changed)
		if wrong != nil {
			return nil, wrong
		}
		links[at] = kept
		option["product_links"] = links
		return true, nil
	}
	return nil, invalid(`The product link with the "%1" ID field wasn't found. Verify the ID and try again.`, []string{text(link["id"])})
}

func (s *Server) removeBundleLink(c call) (any, *problem) {
	p, wrong := s.bundle(c.PathValue("sku"), noBundle, c.PathValue("sku"))
	if wrong != nil {
		return nil, wrong
	}
	option, _ := p.bundleOption(c.PathValue("option"))
	links := objects(option["product_links"])
	at := slices.IndexFunc(links, func(l map[string]any) bool { return strings.EqualFold(text(l["sku"]), c.PathValue("child")) })
	if at < 0 {
		return nil, notFound("The bundle product doesn't exist. Review your request and try again.", nil)
	}
	option["product_links"] = slices.Delete(links, at, at+1)
	return true, nil
}
