package directory

import (
	"strings"

	"doorward/internal/fault"
)

// CanonicalPhone returns a telephone number as it is kept: "+", the country and the number, digits alone (ITU-T E.164: 15
// at most), so that it is dialled the same from anywhere. Spaces, dots, hyphens, slashes and brackets may stand between;
// "00" is read as "+". It fails with fault.Invalid "phone-invalid" (phone); nothing typed is nothing.
func CanonicalPhone(typed string) (string, error) {
	bad := fault.New(fault.Invalid, "phone-invalid").In("phone")
	typed = strings.TrimSpace(strings.Replace(typed, "(0)", "", 1))
	if typed == "" {
		return "", nil
	}
	var digits strings.Builder
	for i, r := range typed {
		switch {
		case r >= '0' && r <= '9':
			digits.WriteRune(r)
		case r == '+' && i == 0:
		case strings.ContainsRune(" \u00a0\u202f.-/()", r):
		default:
			return "", bad
		}
	}
	number := digits.String()
	switch {
	case strings.HasPrefix(typed, "+"):
	case strings.HasPrefix(number, "00"):
		number = number[2:]
	default:
		return "", bad // without its country it is another number elsewhere
	}
	if len(number) < 7 || len(number) > 15 || number[0] == '0' {
		return "", bad
	}
	return "+" + number, nil
}
