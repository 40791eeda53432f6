package fakemagento

import "net/http"

// modules is GET /V1/modules: those whose endpoints this shop has.
func (s *Server) modules(w http.ResponseWriter, _ *http.Request) {
	all := []string{
		"Magento_Store", "Magento_Directory", "Magento_Backend", "Magento_Customer", "Magento_Sales", "Magento_Quote", "Magento_Checkout",
		"Magento_CatalogInventory", "Magento_AsynchronousOperations", "Magento_WebapiAsync",
	}
	if !s.options.NoInventory {
		all = append(all, "Magento_InventoryApi", "Magento_InventorySalesApi")
	}
	if s.options.Edition == Commerce {
		all = append(all, "Magento_Staging", "Magento_CatalogStaging")
	}
	answer(w, http.StatusOK, all)
}
