package web_test

import (
	"testing"

	"doorward/internal/web"
	"doorward/internal/web/webtest"
)

func TestPages(t *testing.T) { webtest.Pages(t, web.Pages) }
