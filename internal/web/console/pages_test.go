package console_test

import (
	"testing"

	"doorward/internal/web/console"
	"doorward/internal/web/webtest"
)

func TestPages(t *testing.T) { webtest.Pages(t, console.Pages) }
