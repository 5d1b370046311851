package certificates_test

import (
	"testing"

	"doorward/internal/web/certificates"
	"doorward/internal/web/webtest"
)

func TestPages(t *testing.T) { webtest.Pages(t, certificates.Pages) }
