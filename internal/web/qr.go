package web

import (
	"net/http"
	"strconv"

	"rsc.io/qr"
)

// QR draws text as a QR code: a PNG in black on white with the quiet zone the standard asks for (ISO/IEC 18004), eight
// pixels a module. PNG and not SVG, since scripts and mail programs that read it need no renderer. It fails when text is
// longer than a code can hold.
func QR(text string) ([]byte, error) {
	c, err := qr.Encode(text, qr.M)
	if err != nil {
		return nil, err
	}
	c.Scale = 8
	return c.PNG(), nil
}

// WriteQR answers with the QR code of text. It is never stored: the code may hold a secret.
func WriteQR(w http.ResponseWriter, text string) error {
	b, err := QR(text)
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "image/png")
	w.Header().Set("Content-Length", strconv.Itoa(len(b)))
	_, _ = w.Write(b) // the visitor has gone away
	return nil
}
