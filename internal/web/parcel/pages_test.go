package parcel_test

import (
	"testing"

	"doorward/internal/web/parcel"
	"doorward/internal/web/webtest"
)

func TestPages(t *testing.T) { webtest.Pages(t, parcel.Pages) }
