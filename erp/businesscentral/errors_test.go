package businesscentral_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/mageline/mageline/erp/erptest"
	"github.com/mageline/mageline/event"
	"github.com/mageline/mageline/test/kit/fakebusinesscentral"
)

// Each error of Business Central that docs/erp/businesscentral.md lists, and what it means for a create.
func TestCreate_EachErrorHasItsClass(t *testing.T) {
	rows := []struct {
		status     int
		code, text string
		class      event.Class
		notDone    bool
	}{
		{400, "Application_DialogException", `A "customerNumber" or a "customerId" must be provided.`, event.Rejected, true},
		{400, "Application_DialogException", "The sell-to customer cannot be found.", event.Invalid, true},
		{400, "Application_DialogException", "Item does not exist.", event.Invalid, true},
		{400, "Application_DialogException", "Account does not exist.", event.Invalid, true},
		{400, "Application_DialogException", "You cannot sell Item X because the Sales Blocked check box is selected on the Item card.", event.Rejected, true},
		{400, "Application_DialogException", `The "currencyCode" does not match to a Currency.`, event.Invalid, true},
		{400, "Application_DialogException", "The currency values do not match to a specific Currency.", event.Invalid, true},
		{400, "Application_DialogException", `The "pricesIncludeTax" cannot be set to true if VAT Calculation Type is Sales Tax.`, event.Rejected, true},
		{400, "Application_StringExceededLength", "The length of the string is 57, but it must be less than or equal to 50 characters. Value: x", event.Rejected, true},
		{400, "Unknown", "'Invalid Type' is not an option. The existing options are: Inventory,Service,Non-Inventory", event.Rejected, true},
		{400, "BadRequest", "Unable to convert value to Date", event.Rejected, true},
		{400, "BadRequest_InvalidOperation", "Control 'number' is read-only.", event.Rejected, true},
		{400, "BadRequest_RequiredParamNotProvided", "A parameter is missing.", event.Rejected, true},
		{400, "Internal_InvalidTableRelation", "The field X of table Y contains a value (Z) that cannot be found in the related table (W).", event.Invalid, true},
		{400, "Internal_RecordNotFound", "The Customer does not exist. Identification fields and values: No.='X'", event.Invalid, true},
		{400, "Internal_EntityWithSameKeyExists", "The Sales Header already exists. Identification fields and values: ..", event.Unavailable, false},
		{409, "Internal_EntityWithSameKeyExists", "The Sales Header already exists. Identification fields and values: ..", event.Unavailable, false},
		{400, "Application_FieldValidationException", "Customer Posting Group must have a value in Customer: No.=C00690. It cannot be zero or empty.", event.Invalid, true},
		{400, "Application_FieldValidationException", "Status must be equal to 'Open' in Sales Header: Document Type=Order", event.Rejected, true},
		{400, "Application_FieldValidationException", "Qty. Shipped Not Invoiced must be equal to '0' in Sales Line: Document Type=Order", event.Rejected, true},
		{400, "Application_DialogException", "You may not enter numbers manually. If you want to enter numbers manually, please activate Manual Nos. in No. Series X.", event.Invalid, true},
		{400, "Application_CallbackNotAllowed", "attempted to issue a client callback to show a confirmation dialog box", event.Rejected, true},
		{400, "Application_FilterErrorException", "The filter is wrong.", event.Rejected, true},
		{400, "Application_DialogException", "Posting Date is not within your range of allowed posting dates", event.Rejected, true},
		{400, "", "The operation could not complete because a record in the Sales Header table was locked by another user. Please retry the activity.", event.Unavailable, true},
		{409, "", "The operation could not complete because a record in the Sales Header table was locked by another user. Please retry the activity.", event.Unavailable, true},
		{400, "", "Another user has modified the record for this Sales Header after you retrieved it from the database. Enter your changes again.", event.Unavailable, true},
		{409, "", "Another user has modified the record for this Sales Header after you retrieved it from the database. Enter your changes again.", event.Unavailable, true},
		{400, "", "Sorry, we just updated this page. Please close and reopen.", event.Unavailable, true},
		{400, "", "Your activity was deadlocked with another user who is modifying the Sales Line table. Deadlock.", event.Unavailable, true},
		{409, "Request_EntityChanged", "Another user has already changed the record.", event.Unavailable, true},
		{409, "Internal_DatabaseBusy", "x", event.Unavailable, false},
		{409, "", "", event.Unavailable, false},
		{412, "", "", event.Unavailable, true},
		{400, "BadRequest_InvalidToken", "Could not validate the client concurrency token required by the service.", event.Rejected, true},
		{400, "Internal_ServerError", "x", event.Unavailable, false},
		{500, "Internal_ServerError", "x", event.Unavailable, false},
		{400, "Internal_TenantUnavailable", "x", event.Unavailable, false},
		{401, "Authentication_InvalidCredentials", "The server has rejected the client credentials.", event.Unauthorized, true},
		{403, "Authorization_InsufficientPermissions", "x", event.Unauthorized, true},
		{404, "Internal_CompanyNotFound", "Cannot find the company.", event.NotFound, true},
		{404, "BadRequest_ResourceNotFound", "x", event.NotFound, true},
		{408, "", "", event.Timeout, false},
		{429, "", "", event.Throttled, false},
		{502, "", "", event.Unavailable, false},
		{503, "", "", event.Unavailable, false},
		{504, "", "", event.Unavailable, false},
	}
	for _, row := range rows {
		t.Run(strings.TrimSpace(row.code+" "+row.text), func(t *testing.T) {
			r := newRig(t, fakebusinesscentral.Options{}, plain, func(next http.Handler) http.Handler {
				return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
					if req.Method != http.MethodPost || req.URL.Path == fakebusinesscentral.TokenPath {
						next.ServeHTTP(w, req)
						return
					}
					w.WriteHeader(row.status)
					if row.text != "" {
						_ = json.NewEncoder(w).Encode(map[string]any{"error": map[string]string{
							"code": row.code, "message": row.text + "  CorrelationId:  7d1f2e3a-0000-4000-8000-000000000001.",
						}})
					}
				})
			})
			_, err := r.send(erptest.Order("ET-1"))
			if event.ClassOf(err) != row.class || event.IsNotDone(err) != row.notDone {
				t.Errorf("the error %v has class %s, not done: %t; want %s, %t", err, event.ClassOf(err), event.IsNotDone(err), row.class, row.notDone)
			}
			if err != nil && strings.Contains(err.Error(), "Correlation") {
				t.Errorf("the error has what is new each time: %v", err)
			}
		})
	}
}

// What the fake refuses by itself has its class too.
func TestCreate_ErrorsOfTheCompany(t *testing.T) {
	for name, tt := range map[string]struct {
		turn  func(f *fakebusinesscentral.Server)
		class event.Class
		text  string
	}{
		"locked":       {func(f *fakebusinesscentral.Server) { f.Lock(1, 400) }, event.Unavailable, "was locked by another user"},
		"locked, 409":  {func(f *fakebusinesscentral.Server) { f.Lock(1, 409) }, event.Unavailable, "was locked by another user"},
		"busy":         {func(f *fakebusinesscentral.Server) { f.Conflict(1) }, event.Unavailable, "The database is busy"},
		"throttled":    {func(f *fakebusinesscentral.Server) { f.Throttle(1, "7") }, event.Throttled, "429"},
		"plain 503":    {func(f *fakebusinesscentral.Server) { f.Unavailable(1) }, event.Unavailable, "503"},
		"blocked item": {func(f *fakebusinesscentral.Server) { f.SetBlocked("24-MB02") }, event.Rejected, "You cannot sell Item 24-MB02"},
		"blocked":      {func(f *fakebusinesscentral.Server) { f.BlockCustomer("GUESTS") }, event.Rejected, "blocked with type All"},
		"token":        {func(f *fakebusinesscentral.Server) { f.Tokens.Refuse(1) }, event.Unauthorized, "AADSTS7000222"},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, fakebusinesscentral.Options{}, plain, nil)
			tt.turn(r.fake)
			_, err := r.send(erptest.Order("ET-1"))
			if event.ClassOf(err) != tt.class || !strings.Contains(err.Error(), tt.text) {
				t.Errorf("the error %v has class %s; want %s with %q", err, event.ClassOf(err), tt.class, tt.text)
			}
			if n := len(r.fake.Orders("ET-1")); n != 0 {
				t.Errorf("%d orders were booked", n)
			}
		})
	}
}

func TestCreate_TokenThatEndedIsRenewedOnce(t *testing.T) {
	r := newRig(t, fakebusinesscentral.Options{}, plain, nil)
	r.create(erptest.Order("ET-1"))
	r.fake.Tokens.Expire()
	r.create(erptest.Order("ET-2"))
	if n := r.fake.Tokens.Issued(); n != 2 {
		t.Errorf("%d tokens were issued, want 2", n)
	}
}
