package pki

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"math/big"
	"strings"
	"sync"

	"doorward/internal/fault"
)

// Rules of requests (PKCS #10, RFC 2986): of what a request says only the key counts, which must have signed it. Names, dates
// and extensions in it are ignored: what a certificate says is ours to know (SEC C-7). Keys that are known to be weak are
// refused before they are certified.

// RequestMax is how long a request may be, in bytes as sent.
const RequestMax = 8 << 10

// ReadRequest reads a certificate request as PEM, DER, or base64 of DER (RFC 7030 4.2.1), and returns its key. It fails with
// fault.Invalid: "csr-size", "csr-form" (it is no request), "csr-signature" (whoever sent it does not have the key), or what
// CheckKey says.
func ReadRequest(sent []byte) (crypto.PublicKey, error) {
	if len(sent) > RequestMax {
		return nil, fault.New(fault.Invalid, "csr-size", "most", RequestMax)
	}
	der := sent
	switch text := bytes.TrimSpace(sent); {
	case bytes.HasPrefix(text, []byte("-----BEGIN")):
		block, rest := pem.Decode(text)
		if block == nil || block.Type != "CERTIFICATE REQUEST" && block.Type != "NEW CERTIFICATE REQUEST" || len(bytes.TrimSpace(rest)) > 0 {
			return nil, fault.New(fault.Invalid, "csr-form")
		}
		der = block.Bytes
	case len(text) > 0 && text[0] == 'M': // base64 of a SEQUENCE, which is no DER by itself
		decoded, err := base64.StdEncoding.DecodeString(strings.Join(strings.Fields(string(text)), ""))
		if err != nil {
			return nil, fault.New(fault.Invalid, "csr-form").Because(err)
		}
		der = decoded
	}
	r, err := x509.ParseCertificateRequest(der)
	if err != nil {
		return nil, fault.New(fault.Invalid, "csr-form").Because(err)
	}
	// The key first: to check a signature with a key of a million bits costs whoever checks.
	if err := CheckKey(r.PublicKey); err != nil {
		return nil, err
	}
	if err := r.CheckSignature(); err != nil {
		return nil, fault.New(fault.Invalid, "csr-signature").Because(err)
	}
	return r.PublicKey, nil
}

// Sizes of RSA keys, in bits. Above the upper one a handshake costs us more than the certificate is worth.
const (
	rsaLeast = 2048
	rsaMost  = 4096
)

// CheckKey refuses a device's key: fault.Invalid "key-kind" for what is not ECDSA on P-256 or P-384, or RSA of 2048 to 4096
// bits with the exponent 65537; "key-weak" for RSA keys that are known to be easy to factor: made by the library of
// CVE-2017-15361 (ROCA), of two primes that are close to each other (Fermat), or with a small factor.
func CheckKey(public crypto.PublicKey) error {
	switch k := public.(type) {
	case *ecdsa.PublicKey:
		if k.Curve == elliptic.P256() || k.Curve == elliptic.P384() {
			return nil // parsing has refused points that are not on the curve
		}
	case *rsa.PublicKey:
		bits := k.N.BitLen()
		if bits < rsaLeast || bits > rsaMost || bits%8 != 0 || k.E != 65537 {
			break
		}
		if roca(k.N) || smallFactor(k.N) || closePrimes(k.N) {
			return fault.New(fault.Invalid, "key-weak")
		}
		return nil
	}
	return fault.New(fault.Invalid, "key-kind")
}

// rocaPrimes are those modulo which the faulty library's keys, and hardly any others, are powers of 65537 (Nemec and others,
// "The Return of Coppersmith's Attack", 2017): these are the odd ones of the first 39, which are in all of its key sizes.
var rocaPrimes = []int64{
	3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37, 41, 43, 47, 53, 59, 61, 67, 71, 73, 79, 83, 89, 97, 101, 103, 107, 109, 113, 127, 131, 137, 139, 149, 151,
	157, 163, 167,
}

// powers are the powers of 65537 modulo each of rocaPrimes. They and primorial are made at the first RSA key: most programs of
// an installation never see one.
var powers = sync.OnceValue(func() []map[int64]bool {
	out := make([]map[int64]bool, len(rocaPrimes))
	for i, p := range rocaPrimes {
		out[i] = map[int64]bool{}
		for x := int64(1); !out[i][x]; x = x * 65537 % p {
			out[i][x] = true
		}
	}
	return out
})

// roca reports whether a modulus has the fingerprint of CVE-2017-15361.
func roca(n *big.Int) bool {
	var m big.Int
	powers := powers()
	for i, p := range rocaPrimes {
		if !powers[i][m.Mod(n, big.NewInt(p)).Int64()] {
			return false
		}
	}
	return true
}

// primorial is the product of the odd primes below 2000: one division looks for all of them.
var primorial = sync.OnceValue(func() *big.Int {
	product := big.NewInt(1)
	for p := int64(3); p < 2000; p += 2 {
		if n := big.NewInt(p); n.ProbablyPrime(0) { // exact below 2^64
			product.Mul(product, n)
		}
	}
	return product
})

func smallFactor(n *big.Int) bool {
	return n.Bit(0) == 0 || new(big.Int).GCD(nil, nil, new(big.Int).Mod(primorial(), n), n).Cmp(big.NewInt(1)) != 0
}

// closeRounds of Fermat's method find primes that agree in about half of their bits and four more.
const closeRounds = 100

// closePrimes reports whether a modulus is the product of two primes that lie close together.
func closePrimes(n *big.Int) bool {
	a := new(big.Int).Sqrt(n)
	one := big.NewInt(1)
	var rest, root big.Int
	for range closeRounds {
		if rest.Mul(a, a).Sub(&rest, n); rest.Sign() >= 0 {
			root.Sqrt(&rest)
			if root.Mul(&root, &root).Cmp(&rest) == 0 {
				return true
			}
		}
		a.Add(a, one)
	}
	return false
}
