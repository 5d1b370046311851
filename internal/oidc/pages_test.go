package oidc_test

import (
	"testing"

	"doorward/internal/oidc"
	"doorward/internal/web/webtest"
)

func TestREQ_B89_TheProvidersPagesFitTheirTemplatesInEveryLanguage(t *testing.T) {
	webtest.Pages(t, oidc.Pages)
}
