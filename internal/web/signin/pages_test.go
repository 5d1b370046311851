package signin

import (
	"testing"

	"doorward/internal/web/webtest"
)

func TestREQ_B89_EveryPageFitsItsTemplateInEveryLanguage(t *testing.T) { webtest.Pages(t, Pages) }
