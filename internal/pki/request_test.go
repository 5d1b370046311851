package pki

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"math/big"
	"testing"

	"doorward/internal/fault"
)

func request(t testing.TB, key crypto.Signer) []byte {
	t.Helper()
	der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{
		Subject: pkix.Name{CommonName: "somebody else"}, DNSNames: []string{"login.example.com"},
	}, key)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

func TestSEC_C7_OfARequestTheKeyCounts(t *testing.T) {
	key := deviceKey(t)
	der := request(t, key)
	for name, sent := range map[string][]byte{
		"DER": der, "PEM": PEM("CERTIFICATE REQUEST", der), "PEM of old": PEM("NEW CERTIFICATE REQUEST", der), "PEM with blanks": append(append([]byte("\n "), PEM("CERTIFICATE REQUEST", der)...), "\n\n"...),
		"base64": []byte(base64.StdEncoding.EncodeToString(der)), "base64 in lines": []byte(base64.StdEncoding.EncodeToString(der)[:64] + "\r\n" + base64.StdEncoding.EncodeToString(der)[64:] + "\r\n"),
	} {
		if got, err := ReadRequest(sent); err != nil || !Holds(got, key.Public()) {
			t.Errorf("%s: %v", name, err)
		}
	}
	forged := bytes.Clone(der)
	forged[len(forged)-1] ^= 1
	other := request(t, deviceKey(t))
	foreign, err := x509.ParseCertificateRequest(other)
	if err != nil {
		t.Fatal(err)
	}
	mine, err := x509.ParseCertificateRequest(der)
	if err != nil {
		t.Fatal(err)
	}
	swapped := bytes.Replace(der, mine.RawSubjectPublicKeyInfo, foreign.RawSubjectPublicKeyInfo, 1)
	for name, c := range map[string]struct {
		sent []byte
		code string
	}{
		"nothing":              {nil, "csr-form"},
		"noise":                {[]byte("hello"), "csr-form"},
		"10 MB":                {make([]byte, 10<<20), "csr-size"},
		"a byte too long":      {make([]byte, RequestMax+1), "csr-size"},
		"cut off":              {der[:len(der)-1], "csr-form"},
		"something after it":   {append(bytes.Clone(der), 0), "csr-form"},
		"two in a row":         {append(PEM("CERTIFICATE REQUEST", der), PEM("CERTIFICATE REQUEST", der)...), "csr-form"},
		"a certificate":        {PEM("CERTIFICATE", der), "csr-form"},
		"a private key":        {PEM("PRIVATE KEY", der), "csr-form"},
		"broken PEM":           {[]byte("-----BEGIN CERTIFICATE REQUEST-----\nnothing"), "csr-form"},
		"broken base64":        {[]byte("MIIB!!"), "csr-form"},
		"a changed signature":  {forged, "csr-signature"},
		"another key's":        {swapped, "csr-signature"},
		"a request of Ed25519": {request(t, ed25519.NewKeyFromSeed(make([]byte, 32))), "key-kind"},
		"a request of P-224":   {request(t, must(ecdsa.GenerateKey(elliptic.P224(), rand.Reader))), "key-kind"},
		"a request of P-521":   {request(t, must(ecdsa.GenerateKey(elliptic.P521(), rand.Reader))), "key-kind"},
	} {
		if _, err := ReadRequest(c.sent); !fault.Of(err, fault.Invalid) || fault.As(err).Code != c.code {
			t.Errorf("%s: %v, want %s", name, err, c.code)
		}
	}
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// nearPrimes is a modulus of two primes that follow each other.
func nearPrimes() *big.Int {
	p := must(rand.Prime(rand.Reader, 1024))
	q := new(big.Int).Add(p, big.NewInt(2))
	for !q.ProbablyPrime(20) {
		q.Add(q, big.NewInt(2))
	}
	return q.Mul(p, q)
}

// rocaPrime makes a prime as the faulty library did: k·M + (65537^a mod M), M the product of the first primes.
func rocaPrime() *big.Int {
	m := big.NewInt(2)
	for _, p := range rocaPrimes {
		m.Mul(m, big.NewInt(p))
	}
	for p := big.NewInt(173); m.BitLen() < 460; p.Add(p, big.NewInt(2)) { // as for its primes of 512 bits; larger ones take more of them
		if p.ProbablyPrime(0) {
			m.Mul(m, p)
		}
	}
	for {
		a := must(rand.Int(rand.Reader, m))
		k := must(rand.Int(rand.Reader, big.NewInt(1<<50)))
		p := new(big.Int).Exp(big.NewInt(65537), a, m)
		p.Add(p, k.Mul(k, m))
		if p.BitLen() >= 500 && p.ProbablyPrime(10) {
			return p
		}
	}
}

func TestSEC_C7_WeakKeysAreRefused(t *testing.T) {
	good := must(rsa.GenerateKey(rand.Reader, 2048))
	n := good.N
	weak := func(n *big.Int, e int) *rsa.PublicKey { return &rsa.PublicKey{N: n, E: e} }
	sized := func(bits int) *rsa.PublicKey {
		n := new(big.Int).SetBit(new(big.Int).Rsh(good.N, 1), bits-1, 1)
		return weak(n.SetBit(n, 0, 1), 65537)
	}
	for name, k := range map[string]crypto.PublicKey{"RSA": good.Public(), "P-256": deviceKey(t).Public(), "P-384": must(ecdsa.GenerateKey(elliptic.P384(), rand.Reader)).Public()} {
		if err := CheckKey(k); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	small := new(big.Int)
	for small.BitLen() != 2048 {
		small.Mul(big.NewInt(1999), must(rand.Prime(rand.Reader, 2037)))
	}
	for name, c := range map[string]struct {
		key  crypto.PublicKey
		code string
	}{
		"RSA of 1024 bits":   {sized(1024), "key-kind"},
		"RSA of 2047 bits":   {sized(2047), "key-kind"},
		"RSA of 4104 bits":   {weak(new(big.Int).Lsh(n, 2056), 65537), "key-kind"},
		"exponent 3":         {weak(n, 3), "key-kind"},
		"exponent 65539":     {weak(n, 65539), "key-kind"},
		"an even number":     {weak(new(big.Int).Sub(n, big.NewInt(1)), 65537), "key-weak"},
		"a small factor":     {weak(small, 65537), "key-weak"},
		"two near primes":    {weak(nearPrimes(), 65537), "key-weak"},
		"a square":           {weak(square(), 65537), "key-weak"},
		"Ed25519":            {ed25519.NewKeyFromSeed(make([]byte, 32)).Public(), "key-kind"},
		"no key that I know": {"key", "key-kind"},
	} {
		if err := CheckKey(c.key); !fault.Of(err, fault.Invalid) || fault.As(err).Code != c.code {
			t.Errorf("%s: %v, want %s", name, err, c.code)
		}
	}
	if !roca(new(big.Int).Mul(rocaPrime(), rocaPrime())) {
		t.Error("a key of CVE-2017-15361 is not found")
	}
	for range 20 {
		if p := must(rand.Prime(rand.Reader, 512)); roca(new(big.Int).Mul(p, must(rand.Prime(rand.Reader, 512)))) {
			t.Error("an honest key is taken for one of CVE-2017-15361")
		}
	}
}

func square() *big.Int {
	for {
		p := must(rand.Prime(rand.Reader, 1024))
		if n := new(big.Int).Mul(p, p); n.BitLen() == 2048 {
			return n
		}
	}
}

// Whatever is sent, the answer is a key that was checked or a refusal in words.
func FuzzReadRequest(f *testing.F) {
	der := request(f, must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader)))
	f.Add(der)
	f.Add(PEM("CERTIFICATE REQUEST", der))
	f.Add([]byte(base64.StdEncoding.EncodeToString(der)))
	f.Add(request(f, must(rsa.GenerateKey(rand.Reader, 2048))))
	f.Add([]byte("-----BEGIN"))
	f.Fuzz(func(t *testing.T, sent []byte) {
		key, err := ReadRequest(sent)
		if err != nil {
			if !fault.Of(err, fault.Invalid) || key != nil {
				t.Errorf("%v, %v", key, err)
			}
			return
		}
		if CheckKey(key) != nil {
			t.Error("a key that was not checked")
		}
	})
}
