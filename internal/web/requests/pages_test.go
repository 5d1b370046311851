package requests_test

import (
	"testing"

	"doorward/internal/web/requests"
	"doorward/internal/web/webtest"
)

func TestPages(t *testing.T) { webtest.Pages(t, requests.Pages) }
