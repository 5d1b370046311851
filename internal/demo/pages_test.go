package demo

import (
	"testing"

	"doorward/internal/web/webtest"
)

func TestREQ_B89_PagesInEveryLanguage(t *testing.T) { webtest.Pages(t, Set) }
