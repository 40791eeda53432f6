package fakesap

import (
	"crypto/rand"
	"encoding/json"
	"net/http"
	"strings"
	"time"
)

const cookieName = "SAP_SESSIONID_FAK_100"

// session is one security session, with its CSRF tokens by the service for which they were fetched.
type session struct {
	tokens map[string]string
	calls  int
	ends   time.Time // zero: never
}

// token answers OAuth's client credentials.
func (s *Server) token(w http.ResponseWriter, r *http.Request) {
	id, secret, _ := r.BasicAuth()
	refused := func(status int, code string) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		_, _ = w.Write(encode(map[string]string{"error": code}))
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case r.Method != http.MethodPost || r.ParseForm() != nil || r.PostForm.Get("grant_type") != "client_credentials":
		s.problems["a token request that is none"]++
		refused(http.StatusBadRequest, "unsupported_grant_type")
	case s.o.ClientID == "" || id != s.o.ClientID || secret != s.o.ClientSecret:
		refused(http.StatusUnauthorized, "invalid_client")
	default:
		token, lasts := "tok-"+rand.Text(), s.knobs.tokenTTL
		if lasts == 0 {
			lasts = time.Hour
		}
		s.tokens[token] = s.now().Add(lasts)
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(map[string]any{"access_token": token, "token_type": "Bearer", "expires_in": int(max(lasts, time.Second).Seconds())})
	}
}

// logon returns the refusal of a call that is not logged on; nil for one that is. It needs mu.
func (s *Server) logon(r *http.Request) *answer {
	refusal := func(what string) *answer {
		s.refused[what]++
		return &answer{
			status: http.StatusUnauthorized, header: http.Header{"Www-Authenticate": {`Basic realm="SAP NetWeaver Application Server [FAK/100]"`}, "Content-Type": {"text/html"}},
			body: []byte("<html><head><title>Logon failed</title></head><body>401 Unauthorized</body></html>"),
		}
	}
	if s.knobs.badLogons > 0 {
		s.knobs.badLogons--
		return refusal("a log-on that a knob refuses")
	}
	if s.o.Client != "" && r.Header.Get("Sap-Client") != s.o.Client && r.URL.Query().Get("sap-client") != s.o.Client {
		s.problems["no sap-client"]++
		return refusal("no sap-client")
	}
	if s.o.Username == "" && s.o.ClientID == "" {
		return nil
	}
	if user, password, ok := r.BasicAuth(); ok && s.o.Username != "" && user == s.o.Username && password == s.o.Password {
		return nil
	}
	if bearer, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer "); ok {
		if ends, ok := s.tokens[bearer]; ok && s.now().Before(ends) {
			return nil
		}
	}
	return refusal("no log-on")
}

// csrf fetches a token for a read that asks for one, and looks at that of a call which changes something. It needs mu.
func (s *Server) csrf(r *http.Request, service string, reads bool) (http.Header, *answer) {
	var of *session
	if c, err := r.Cookie(cookieName); err == nil {
		of = s.sessions[c.Value]
		if of != nil && (!of.ends.IsZero() && time.Now().After(of.ends) || s.knobs.sessionCalls > 0 && of.calls >= s.knobs.sessionCalls) {
			delete(s.sessions, c.Value)
			of = nil
		}
	}
	if of != nil {
		of.calls++
	}
	if reads {
		if !strings.EqualFold(r.Header.Get("X-Csrf-Token"), "fetch") {
			return nil, nil
		}
		header := http.Header{}
		if of == nil {
			of = &session{tokens: map[string]string{}}
			if s.knobs.sessionTTL > 0 {
				of.ends = time.Now().Add(s.knobs.sessionTTL)
			}
			id := rand.Text()
			s.sessions[id] = of
			header["Set-Cookie"] = []string{
				"sap-usercontext=sap-client=100; path=/",
				cookieName + "=" + id + "; path=/; secure; HttpOnly",
			}
		}
		if of.tokens[service] == "" {
			of.tokens[service] = rand.Text()
		}
		header.Set("X-Csrf-Token", of.tokens[service])
		return header, nil
	}
	if token := r.Header.Get("X-Csrf-Token"); of != nil && token != "" && token == of.tokens[service] {
		return nil, nil
	}
	s.refused["no CSRF token"]++
	body, kind := []byte("CSRF token validation failed"), "text/plain"
	switch s.knobs.csrfBody {
	case "xml":
		body, kind = []byte(`<?xml version="1.0"?><error><message>CSRF token validation failed</message></error>`), "application/xml"
	case "json":
		body, kind = errorBody(codeInvalid, "CSRF token validation failed"), "application/json"
	}
	return nil, &answer{status: http.StatusForbidden, header: http.Header{"X-Csrf-Token": {"Required"}, "Content-Type": {kind}}, body: body}
}
