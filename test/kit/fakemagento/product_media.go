package fakemagento

import (
	"encoding/base64"
	"maps"
	"path"
	"slices"
	"strings"
)

func (s *Server) listMedia(c call) (any, *problem) {
	p, wrong := s.catalog.product(c.PathValue("sku"))
	if wrong != nil {
		return nil, wrong
	}
	return orEmpty(p.media), nil
}

// medium gives a product and the place of the medium that the path names.
func (s *Server) medium(c call, missing string) (*product, int, *problem) {
	id, wrong := c.id("id")
	if wrong != nil {
		return nil, 0, wrong
	}
	p, wrong := s.catalog.product(c.PathValue("sku"))
	if wrong != nil {
		return nil, 0, wrong
	}
	at := slices.IndexFunc(p.media, func(m map[string]any) bool { return m["id"] == id })
	if at < 0 {
		return nil, 0, notFound(missing, nil)
	}
	return p, at, nil
}

func (s *Server) getMedia(c call) (any, *problem) {
	p, at, wrong := s.medium(c, "Such image doesn't exist")
	if wrong != nil {
		return nil, wrong
	}
	return p.media[at], nil
}

// addMedia answers with the new id, as a text.
func (s *Server) addMedia(c call) (any, *problem) {
	entry, wrong := c.object("entry")
	if wrong != nil {
		return nil, wrong
	}
	p, wrong := s.catalog.product(c.PathValue("sku"))
	if wrong != nil {
		return nil, wrong
	}
	added, wrong := s.catalog.newMedium(entry)
	if wrong != nil {
		return nil, wrong
	}
	p.media = append(p.media, added)
	return text(added["id"]), nil
}

// newMedium keeps an image: its file gets the path that Magento gives it, of the first two letters of its name.
func (c *catalog) newMedium(entry map[string]any) (map[string]any, *problem) {
	content, _ := entry["content"].(map[string]any)
	name := path.Base(strings.ToLower(text(content["name"])))
	image, err := base64.StdEncoding.DecodeString(text(content["base64_encoded_data"]))
	if err != nil || len(image) == 0 || len(name) < 2 || !strings.HasPrefix(text(content["type"]), "image/") {
		return nil, invalid("The image content is not valid.", nil)
	}
	added := maps.Clone(entry)
	delete(added, "content")
	added["id"] = c.nextID("media")
	added["file"] = "/" + name[:1] + "/" + name[1:2] + "/" + name
	return added, nil
}

func (s *Server) updateMedia(c call) (any, *problem) {
	p, at, wrong := s.medium(c, "There is no image with provided ID.")
	if wrong != nil {
		return nil, wrong
	}
	entry, wrong := c.object("entry")
	if wrong != nil {
		return nil, wrong
	}
	changed := maps.Clone(p.media[at])
	for key, value := range entry {
		if key != "id" && key != "content" && key != "file" {
			changed[key] = value
		}
	}
	p.media[at] = changed
	return true, nil
}

func (s *Server) deleteMedia(c call) (any, *problem) {
	p, at, wrong := s.medium(c, "There is no image with provided ID.")
	if wrong != nil {
		return nil, wrong
	}
	p.media = slices.Delete(p.media, at, at+1)
	return true, nil
}

// gallery gives what saving a product with these entries leaves: what is not among them is gone, what has no id is new.
func (c *catalog) gallery(p *product, entries []any) ([]map[string]any, *problem) {
	var kept []map[string]any
	for _, one := range entries {
		entry, _ := one.(map[string]any)
		id, _ := number(entry["id"])
		at := slices.IndexFunc(p.media, func(m map[string]any) bool { return m["id"] == id })
		if at >= 0 {
			changed := maps.Clone(p.media[at])
			maps.Copy(changed, entry)
			changed["id"] = id
			kept = append(kept, changed)
			continue
		}
		added, wrong := c.newMedium(entry)
		if wrong != nil {
			return nil, wrong
		}
		kept = append(kept, added)
	}
	return kept, nil
}
