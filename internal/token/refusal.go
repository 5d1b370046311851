package token

import "errors"

// Error codes of OAuth and OpenID Connect, as they travel (RFC 6749 4.1.2.1 and 5.2, OpenID Connect Core 3.1.2.6, RFC 6750
// 3.1, RFC 8628 3.5, RFC 8707 2, RFC 9101 6.2, RFC 9126 2.3, RFC 9449 12.2, RFC 9470 3).
const (
	CodeInvalidRequest          = "invalid_request"
	CodeInvalidClient           = "invalid_client"
	CodeInvalidGrant            = "invalid_grant"
	CodeInvalidScope            = "invalid_scope"
	CodeInvalidTarget           = "invalid_target"
	CodeInvalidToken            = "invalid_token"
	CodeInvalidProof            = "invalid_dpop_proof"
	CodeUseNonce                = "use_dpop_nonce"
	CodeInvalidRequestObject    = "invalid_request_object"
	CodeUnauthorizedClient      = "unauthorized_client"
	CodeUnsupportedGrant        = "unsupported_grant_type"
	CodeUnsupportedResponseType = "unsupported_response_type"
	CodeAccessDenied            = "access_denied"
	CodeAuthorizationPending    = "authorization_pending"
	CodeSlowDown                = "slow_down"
	CodeExpiredToken            = "expired_token"
	CodeInsufficientScope       = "insufficient_scope"
	CodeInsufficientAuth        = "insufficient_user_authentication"
	CodeLoginRequired           = "login_required"
	CodeInteractionRequired     = "interaction_required"
	CodeConsentRequired         = "consent_required"
	CodeUnmetAuthentication     = "unmet_authentication_requirements"
	CodeRequestNotSupported     = "request_not_supported"
	CodeRequestURINotSupported  = "request_uri_not_supported"
	CodeRegistrationUnsupported = "registration_not_supported"
	CodeServerError             = "server_error"
	CodeUnavailable             = "temporarily_unavailable"
)

// OAuthError is a refusal in the words of OAuth. Description is for the developer, in the letters of RFC 6749 5.2, and
// never holds anything of what was sent, so that no page and no log can be written through it. ToClient is false while
// the redirect address is not known to be the client's: such an error is shown to the person and logged, never sent to an
// address (RFC 6749 4.1.2.1; SEC O-2). Err is the cause, for the log alone.
type OAuthError struct {
	Code        string
	Description string
	ToClient    bool
	Err         error
}

// Refuse makes an OAuthError that may be told to the client.
func Refuse(code, description string) *OAuthError {
	return &OAuthError{Code: code, Description: description, ToClient: true}
}

// tell makes an OAuthError for the person alone.
func tell(code, description string) *OAuthError {
	return &OAuthError{Code: code, Description: description}
}

// Because returns a copy of e that wraps its cause.
func (e *OAuthError) Because(err error) *OAuthError { c := *e; c.Err = err; return &c }

// Error implements error, for logs.
func (e *OAuthError) Error() string {
	s := e.Code + ": " + e.Description
	if e.Err != nil {
		s += ": " + e.Err.Error()
	}
	return s
}

// Unwrap returns the cause.
func (e *OAuthError) Unwrap() error { return e.Err }

// AsOAuth finds the *OAuthError in err's chain, or nil.
func AsOAuth(err error) *OAuthError {
	var e *OAuthError
	if errors.As(err, &e) {
		return e
	}
	return nil
}
