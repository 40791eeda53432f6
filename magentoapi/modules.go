package magentoapi

import (
	"context"
)

// ModulesService tells what is installed.
//
// Source of the endpoint: app/code/Magento/Backend/etc/webapi.xml.
type ModulesService struct{ client *Client }

// List reads the names of the modules that are enabled, as in Magento_InventoryApi.
//
// GET /V1/modules, permission Magento_Backend::admin
func (s *ModulesService) List(ctx context.Context) ([]string, error) {
	return getList[string](ctx, s.client, endpoint("modules"))
}
