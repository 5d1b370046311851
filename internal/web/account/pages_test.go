package account_test

import (
	"testing"

	"doorward/internal/web/account"
	"doorward/internal/web/webtest"
)

func TestPages(t *testing.T) { webtest.Pages(t, account.Pages) }
