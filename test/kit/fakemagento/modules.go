package fakemagento

import "net/http"

// modules is GET /V1/modules: those whose endpoints this shop has.
func (s *Server) modules(w http.ResponseWriter, _ *http.Request) {
	answer(w, http.StatusOK, []string{
		"Magento_Store", "Magento_Directory", "Magento_Backend", "Magento_Customer", "Magento_Sales", "Magento_Quote", "Magento_Checkout",
		"Magento_CatalogInventory", "Magento_InventoryApi", "Magento_InventorySalesApi", "Magento_AsynchronousOperations", "Magento_WebapiAsync",
	})
}
