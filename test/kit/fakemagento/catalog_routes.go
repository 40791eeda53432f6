package fakemagento

import "net/http"

// A router asks the first for an endpoint, and where it has none the second.
type router struct{ first, second *http.ServeMux }

// of gives the one of the two that has the endpoint of a request; its pattern is "/" where there is none.
func (r router) of(request *http.Request) (mux *http.ServeMux, pattern string) {
	if _, pattern := r.first.Handler(request); pattern != "" {
		return r.first, pattern
	}
	_, pattern = r.second.Handler(request)
	return r.second, pattern
}

func (r router) ServeHTTP(w http.ResponseWriter, request *http.Request) {
	mux, _ := r.of(request)
	mux.ServeHTTP(w, request)
}

// catalogRoutes adds the catalog's endpoints to routes, and gives those that must be asked before them: they have a word
// where others have a SKU, which http.ServeMux takes for ambiguous.
func (s *Server) catalogRoutes(routes *http.ServeMux) router {
	words := http.NewServeMux()
	add := func(mux *http.ServeMux, resource string, endpoints map[string]func(call) (any, *problem)) {
		for pattern, f := range endpoints {
			mux.Handle(pattern, s.allowed(resource, s.endpoint(f)))
		}
	}
	add(routes, "Magento_Catalog::products", map[string]func(call) (any, *problem){
		"GET /V1/products":                                                   s.searchProducts,
		"POST /V1/products":                                                  s.saveProduct,
		"GET /V1/products/{sku}":                                             s.getProduct,
		"PUT /V1/products/{sku}":                                             s.saveProduct,
		"DELETE /V1/products/{sku}":                                          s.deleteProduct,
		"POST /V1/products/{sku}/websites":                                   s.assignWebsite,
		"PUT /V1/products/{sku}/websites":                                    s.assignWebsite,
		"DELETE /V1/products/{sku}/websites/{id}":                            s.unassignWebsite,
		"GET /V1/products/{sku}/media":                                       s.listMedia,
		"POST /V1/products/{sku}/media":                                      s.addMedia,
		"GET /V1/products/{sku}/media/{id}":                                  s.getMedia,
		"PUT /V1/products/{sku}/media/{id}":                                  s.updateMedia,
		"DELETE /V1/products/{sku}/media/{id}":                               s.deleteMedia,
		"GET /V1/products/{sku}/links/{type}":                                s.listLinks,
		"POST /V1/products/{sku}/links":                                      s.setLinks,
		"PUT /V1/products/{sku}/links":                                       s.saveLink,
		"DELETE /V1/products/{sku}/links/{type}/{to}":                        s.deleteLink,
		"GET /V1/configurable-products/{sku}/children":                       s.children,
		"POST /V1/configurable-products/{sku}/child":                         s.addChild,
		"DELETE /V1/configurable-products/{sku}/children/{child}":            s.removeChild,
		"GET /V1/configurable-products/{sku}/options/all":                    s.configurableOptions,
		"GET /V1/configurable-products/{sku}/options/{id}":                   s.configurableOption,
		"POST /V1/configurable-products/{sku}/options":                       s.saveConfigurableOption,
		"PUT /V1/configurable-products/{sku}/options/{id}":                   s.saveConfigurableOption,
		"GET /V1/bundle-products/{sku}/options/all":                          s.bundleOptions,
		"GET /V1/bundle-products/{sku}/options/{option}":                     s.getBundleOption,
		"DELETE /V1/bundle-products/{sku}/options/{option}":                  s.deleteBundleOption,
		"GET /V1/bundle-products/{sku}/children":                             s.bundleChildren,
		"POST /V1/bundle-products/{sku}/links/{option}":                      s.addBundleLink,
		"PUT /V1/bundle-products/{sku}/links/{id}":                           s.saveBundleLink,
		"DELETE /V1/bundle-products/{sku}/options/{option}/children/{child}": s.removeBundleLink,
		"DELETE /V1/configurable-products/{sku}/options/{id}":                s.deleteConfigurableOption,
	})
	add(routes, "Magento_Catalog::catalog", map[string]func(call) (any, *problem){
		"GET /V1/products/{sku}/options":         s.listCustomOptions,
		"GET /V1/products/{sku}/options/{id}":    s.getCustomOption,
		"DELETE /V1/products/{sku}/options/{id}": s.deleteCustomOption,
	})
	add(routes, "Magento_Catalog::categories", map[string]func(call) (any, *problem){
		"GET /V1/categories":                        s.categoryTree,
		"POST /V1/categories":                       s.saveCategory,
		"GET /V1/categories/list":                   s.searchCategories,
		"GET /V1/categories/{id}":                   s.getCategory,
		"PUT /V1/categories/{id}":                   s.saveCategory,
		"DELETE /V1/categories/{id}":                s.deleteCategory,
		"PUT /V1/categories/{id}/move":              s.moveCategory,
		"GET /V1/categories/{id}/products":          s.categoryProducts,
		"POST /V1/categories/{id}/products":         s.assignProduct,
		"PUT /V1/categories/{id}/products":          s.assignProduct,
		"DELETE /V1/categories/{id}/products/{sku}": s.unassignProduct,
	})
	add(words, "Magento_Catalog::products", map[string]func(call) (any, *problem){
		"GET /V1/products/types":                   s.productTypes,
		"GET /V1/products/links/types":             s.linkTypes,
		"PUT /V1/configurable-products/variation":  s.variations,
		"GET /V1/bundle-products/options/types":    s.bundleTypes,
		"POST /V1/bundle-products/options/add":     s.saveBundleOption,
		"PUT /V1/bundle-products/options/{option}": s.saveBundleOption,
	})
	add(words, "Magento_Catalog::catalog", map[string]func(call) (any, *problem){
		"GET /V1/products/options/types": s.customOptionTypes,
		"POST /V1/products/options":      s.saveCustomOption,
		"PUT /V1/products/options/{id}":  s.saveCustomOption,
	})
	for pattern, f := range map[string]http.HandlerFunc{
		"POST /V1/products/base-prices":               s.writing("prices", "Could not save Prices.", s.updateBasePrices),
		"POST /V1/products/base-prices-information":   s.reading(s.basePrices),
		"POST /V1/products/special-price":             s.writing("prices", "Could not save Prices.", s.updateSpecialPrices),
		"POST /V1/products/special-price-information": s.reading(s.specialPrices),
		"POST /V1/products/special-price-delete":      s.writing("prices", "Could not delete Prices", s.deleteSpecialPrices),
		"POST /V1/products/tier-prices":               s.writing("prices", "Could not save Tier Prices", s.updateTierPrices),
		"PUT /V1/products/tier-prices":                s.writing("prices", "Could not replace Tier Prices", s.replaceTierPrices),
		"POST /V1/products/tier-prices-information":   s.reading(s.tierPrices),
		"POST /V1/products/tier-prices-delete":        s.writing("prices", "Could not delete Tier Prices", s.deleteTierPrices),
		"POST /V1/products/cost":                      s.writing("prices", "Could not save Prices.", s.updateCosts),
		"POST /V1/products/cost-information":          s.reading(s.costs),
		"POST /V1/products/cost-delete":               s.writing("skus", "Could not delete Prices", s.deleteCosts),
	} {
		words.Handle(pattern, s.allowed("Magento_Catalog::catalog", f))
	}
	add(words, "Magento_Catalog::attributes_attributes", map[string]func(call) (any, *problem){
		"GET /V1/products/attributes":                               s.searchAttributes,
		"POST /V1/products/attributes":                              s.saveAttribute,
		"GET /V1/products/attributes/{code}":                        s.getAttribute,
		"PUT /V1/products/attributes/{code}":                        s.saveAttribute,
		"DELETE /V1/products/attributes/{code}":                     s.deleteAttribute,
		"GET /V1/products/attributes/types":                         s.attributeTypes,
		"GET /V1/products/attributes/{code}/options":                s.listOptions,
		"POST /V1/products/attributes/{code}/options":               s.addOption,
		"PUT /V1/products/attributes/{code}/options/{id}":           s.updateOption,
		"DELETE /V1/products/attributes/{code}/options/{id}":        s.deleteOption,
		"GET /V1/products/attribute-sets/sets/list":                 s.searchSets,
		"POST /V1/products/attribute-sets":                          s.createSet,
		"GET /V1/products/attribute-sets/{id}":                      s.getSet,
		"PUT /V1/products/attribute-sets/{id}":                      s.updateSet,
		"DELETE /V1/products/attribute-sets/{id}":                   s.deleteSet,
		"GET /V1/products/attribute-sets/{id}/attributes":           s.setAttributes,
		"POST /V1/products/attribute-sets/attributes":               s.assignAttribute,
		"DELETE /V1/products/attribute-sets/{id}/attributes/{code}": s.unassignAttribute,
		"GET /V1/products/attribute-sets/groups/list":               s.searchGroups,
		"POST /V1/products/attribute-sets/groups":                   s.saveGroup,
		"PUT /V1/products/attribute-sets/{id}/groups":               s.saveGroup,
		"DELETE /V1/products/attribute-sets/groups/{group}":         s.deleteGroup,
	})
	return router{words, routes}
}
