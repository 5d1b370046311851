package rig_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/smallstep/pkcs7"

	"doorward/internal/audit"
	"doorward/internal/directory"
	"doorward/internal/enrolment"
	"doorward/internal/fault"
	"doorward/internal/login"
	"doorward/internal/pki"
	"doorward/internal/rig"
	"doorward/internal/sqlstore"
	"doorward/internal/testdb"
)

const estRoot = "/.well-known/est/"

// by is an agent at work, for what is not asked through pages.
func (c *counter) by(s *rig.Somebody) login.By {
	return login.By{Signed: login.Signed{Realm: c.Realm, Person: s.Is}}
}

// offer makes a secret for a device of Anna's.
func (c *counter) offer(device string) (pki.Enrolment, string) {
	c.T.Helper()
	e, word, err := c.Enrols.Offer(c.T.Context(), c.by(c.ben), enrolment.Order{Person: c.anna.Is.ID, Device: device, Reason: "New client since Monday"})
	c.must(err)
	return e, string(word)
}

// events counts those of a type about Anna.
func (c *counter) events(kind string) (n int) {
	c.T.Helper()
	c.Read(func(tx *sqlstore.Tx) error {
		all, err := tx.Events(audit.Query{Realm: c.Realm.ID, Person: c.anna.Is.ID, Limit: 500})
		n = 0
		for _, e := range all {
			if e.Type == kind {
				n++
			}
		}
		return err
	})
	return n
}

// request is a certificate request for a key, as EST has it; it asks for names that nobody gives it.
func request(t *testing.T, key crypto.Signer) []byte {
	t.Helper()
	der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{
		Subject: pkix.Name{CommonName: "Olga Owner", Organization: []string{"Northline"}}, DNSNames: []string{"login.example.com"}, EmailAddresses: []string{"olga@northline.example"},
	}, key)
	if err != nil {
		t.Fatal(err)
	}
	return []byte(base64.StdEncoding.EncodeToString(der))
}

// signsItself is a request by an RSA key with the exponent 1: what is signed is its own signature, and nobody has to have a key.
func signsItself(t *testing.T, n *big.Int) []byte {
	t.Helper()
	marshal := func(v any) []byte {
		der, err := asn1.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		return der
	}
	public, err := x509.MarshalPKIXPublicKey(&rsa.PublicKey{N: n, E: 1})
	if err != nil {
		t.Fatal(err)
	}
	info := marshal(struct {
		Version               int
		Subject, Public, None asn1.RawValue
	}{0, asn1.RawValue{FullBytes: marshal(pkix.Name{CommonName: "Laptop"}.ToRDNSequence())}, asn1.RawValue{FullBytes: public}, asn1.RawValue{FullBytes: []byte{0xa0, 0}}})
	digest := sha256.Sum256(info)
	head := marshal(struct {
		Algorithm pkix.AlgorithmIdentifier
		Digest    []byte
	}{pkix.AlgorithmIdentifier{Algorithm: asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 2, 1}, Parameters: asn1.NullRawValue}, digest[:]})
	signature := slices.Concat([]byte{0, 1}, bytes.Repeat([]byte{0xff}, n.BitLen()/8-3-len(head)), []byte{0}, head)
	der := marshal(struct {
		Info      asn1.RawValue
		Algorithm pkix.AlgorithmIdentifier
		Signature asn1.BitString
	}{
		asn1.RawValue{FullBytes: info}, pkix.AlgorithmIdentifier{Algorithm: asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 11}, Parameters: asn1.NullRawValue},
		asn1.BitString{Bytes: signature, BitLength: n.BitLen()},
	})
	return []byte(base64.StdEncoding.EncodeToString(der))
}

func newKey(t *testing.T) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// answer is what a device gets.
type answer struct {
	status int
	header http.Header
	body   string
}

// fromDevice asks as a device does. word empty sends no secret; headers are pairs of name and value.
func fromDevice(t *testing.T, client *http.Client, method, what, word, kind string, body []byte, headers ...string) answer {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, "https://"+certHost+estRoot+what, bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if kind != "" {
		r.Header.Set("Content-Type", kind)
	}
	if word != "" {
		r.SetBasicAuth("device", word)
	}
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	res, err := client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer{res.StatusCode, res.Header, string(text)}
}

// leaf is the one certificate of an answer.
func (a answer) leaf(t *testing.T) *x509.Certificate {
	t.Helper()
	if a.status != http.StatusOK || a.header.Get("Content-Type") != "application/pkcs7-mime; smime-type=certs-only" {
		t.Fatalf("%d %s: %s", a.status, a.header.Get("Content-Type"), a.body)
	}
	der, err := base64.StdEncoding.DecodeString(a.body)
	if err != nil {
		t.Fatal(err)
	}
	read, err := pkcs7.Parse(der)
	if err != nil || len(read.Certificates) != 1 {
		t.Fatalf("%v, %+v", err, read)
	}
	return read.Certificates[0]
}

// A device that is somebody else's program: curl and OpenSSL. Its secret comes from the page of the person.
func TestREQ_A11_SEC_C6_AManagedDeviceEnrolsAndReenrols(t *testing.T) {
	testdb.Each(t, func(t *testing.T, store *sqlstore.Store) {
		c := newCounter(t, store)
		c.anna.Is.Contact = c.hana.Is.ID
		c.Write(func(tx *sqlstore.Tx) error {
			p, err := tx.Person(c.Realm.ID, c.anna.Is.ID)
			if err != nil {
				return err
			}
			p.Contact = c.hana.Is.ID
			return tx.UpdatePerson(p)
		})
		served := c.Serve()
		dir := t.TempDir()
		file := func(name string) string { return filepath.Join(dir, name) }
		run := func(name string, args ...string) string {
			t.Helper()
			cmd := exec.CommandContext(t.Context(), name, args...)
			cmd.Dir = dir
			out, err := cmd.Output()
			if err != nil {
				t.Fatalf("%s %v: %v", name, args, err)
			}
			return string(out)
		}
		_, port, err := net.SplitHostPort(served.Addr)
		c.must(err)
		// -k: the rig's time is not the machine's. That our listener shows the right certificate is asked elsewhere.
		curl := func(what string, args ...string) (status, body string) {
			t.Helper()
			status = run("curl", append([]string{"-sk", "--resolve", certHost + ":" + port + ":127.0.0.1", "-o", file("out"), "-w", "%{http_code} %{content_type}",
				"https://" + certHost + ":" + port + estRoot + what}, args...)...)
			out, err := os.ReadFile(file("out"))
			c.must(err)
			return status, string(out)
		}
		certs := func(body string) string {
			t.Helper()
			der, err := base64.StdEncoding.DecodeString(body)
			c.must(err)
			c.must(os.WriteFile(file("p7"), der, 0o600))
			return run("openssl", "pkcs7", "-inform", "DER", "-in", "p7", "-print_certs")
		}
		makeKey := func(name string) {
			run("openssl", "req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", name+".key", "-subj", "/CN=Olga Owner",
				"-addext", "subjectAltName=DNS:login.example.com", "-outform", "DER", "-out", name+".der")
			run("openssl", "base64", "-in", name+".der", "-out", name+".csr")
		}

		if !strings.Contains(string(c.get(c.ben.Browser, c.page()).Body), c.anna.Is.ID+"/managed\"") {
			t.Fatal("nothing on the page of the person leads to managed devices")
		}
		if p := c.post(c.ben.Browser, c.page()+"/managed", "device", " ", "reason", "New client since Monday"); p.Status != http.StatusUnprocessableEntity || p.Text("error-summary") == "" {
			t.Errorf("without a device: %d", p.Status)
		}
		p := c.post(c.ben.Browser, c.page()+"/managed", "device", "Laptop", "reason", "New client since Monday")
		word := strings.TrimSpace(p.Text("est-secret"))
		if len(word) != 43 || !strings.Contains(p.Main(), "https://"+certHost) {
			t.Fatalf("the page shows %q: %s", word, p.Main())
		}
		if p := c.get(c.ben.Browser, c.page()+"/managed"); strings.Contains(string(p.Body), word) || !strings.Contains(p.Main(), "Laptop") {
			t.Errorf("the list shows %s", p.Main())
		}

		status, body := curl("cacerts")
		if n := strings.Count(certs(body), "BEGIN CERTIFICATE"); status != "200 application/pkcs7-mime" || n != 2 {
			t.Errorf("cacerts: %s, %d certificates", status, n)
		}
		c.must(os.WriteFile(file("chain.pem"), []byte(certs(body)), 0o600))
		if status, body = curl("csrattrs"); status != "200 application/csrattrs" {
			t.Errorf("csrattrs: %s", status)
		}
		der, err := base64.StdEncoding.DecodeString(body)
		c.must(err)
		c.must(os.WriteFile(file("attrs"), der, 0o600))
		if out := run("openssl", "asn1parse", "-inform", "DER", "-in", "attrs"); !strings.Contains(out, "id-ecPublicKey") || !strings.Contains(out, "prime256v1") {
			t.Errorf("csrattrs: %s", out)
		}

		makeKey("first")
		enrol := func(name, word string) (status, body string) {
			return curl("simpleenroll", "-u", "device:"+word, "-H", "Content-Type: application/pkcs10", "--data-binary", "@"+name+".csr")
		}
		c.Deliver()
		status, body = enrol("first", word)
		if status != "200 application/pkcs7-mime; smime-type=certs-only" {
			t.Fatalf("simpleenroll: %s %s", status, body)
		}
		c.must(os.WriteFile(file("first.pem"), []byte(certs(body)), 0o600))
		run("openssl", "verify", "-attime", fmt.Sprint(c.Clock.Now().Unix()), "-purpose", "sslclient", "-x509_strict", "-CAfile", "chain.pem", "first.pem")
		block, _ := pem.Decode([]byte(certs(body)[strings.Index(certs(body), "-----BEGIN"):]))
		leaf, err := x509.ParseCertificate(block.Bytes)
		c.must(err)
		if !strings.HasPrefix(leaf.Subject.CommonName, "Laptop ") || len(leaf.DNSNames) != 0 || len(leaf.URIs) != 1 {
			t.Errorf("the certificate says %s %v %v", leaf.Subject, leaf.DNSNames, leaf.URIs)
		}
		letters := map[string]string{}
		for _, l := range c.Deliver() {
			letters[l.Template] = l.Person
		}
		if letters["certificate-enrolled"] != c.anna.Is.ID || letters["certificate-enrolled-console"] != c.hana.Is.ID {
			t.Errorf("letters: %v", letters)
		}
		row := c.certificates()[0]
		if row.Approver != c.ben.Is.ID || row.SHA256 != pki.Hash(leaf.Raw) || c.events("certificate.enrolled") != 1 || c.events("certificate.issued") != 1 || c.events("enrolment.offered") != 1 {
			t.Errorf("on record: %+v", row)
		}

		// A line that broke costs no secret, and another key gets nothing by it.
		if s, again := enrol("first", word); s != status || again != body {
			t.Errorf("again: %s %s", s, again)
		}
		makeKey("second")
		if s, why := enrol("second", word); !strings.HasPrefix(s, "403 text/plain") || !strings.Contains(why, "used already") {
			t.Errorf("another key: %s %s", s, why)
		}
		if n := len(c.certificates()); n != 1 || c.events("enrolment.refused") != 1 {
			t.Fatalf("%d certificates, %d refusals", n, c.events("enrolment.refused"))
		}

		reenrol := func(shown, name string) (status, body string) {
			return curl("simplereenroll", "--cert", shown+".pem", "--key", shown+".key", "-H", "Content-Type: application/pkcs10", "--data-binary", "@"+name+".csr")
		}
		if s, why := reenrol("first", "second"); !strings.HasPrefix(s, "403 ") || !strings.Contains(why, "can be renewed from") {
			t.Errorf("too early: %s %s", s, why)
		}
		c.Clock.Until(row.NotAfter.AddDate(0, 0, -30))
		if s, why := reenrol("first", "first"); !strings.HasPrefix(s, "409 ") || !strings.Contains(why, "new key") {
			t.Errorf("with the same key: %s %s", s, why)
		}
		status, body = reenrol("first", "second")
		if status != "200 application/pkcs7-mime; smime-type=certs-only" {
			t.Fatalf("simplereenroll: %s %s", status, body)
		}
		if s, again := reenrol("first", "second"); s != status || again != body {
			t.Errorf("again: %s", s)
		}
		makeKey("third")
		if s, _ := reenrol("first", "third"); !strings.HasPrefix(s, "409 ") {
			t.Errorf("a second successor: %s", s)
		}
		all := c.certificates()
		if len(all) != 2 || all[0].Replaces != all[1].ID || all[0].Device != all[1].Device || all[0].Person != c.anna.Is.ID || !all[1].Live(c.Clock.Now()) || all[0].Approver != "" {
			t.Errorf("on record: %+v", all)
		}
		if c.events("certificate.renewed") != 1 {
			t.Errorf("%d renewals", c.events("certificate.renewed"))
		}
		// What was revoked gets no other.
		c.must(os.WriteFile(file("second.pem"), []byte(certs(body)), 0o600))
		c.Clock.Until(all[0].NotAfter.AddDate(0, 0, -30))
		c.Change(rig.Device{Row: all[0]}, func(c *pki.Certificate) { c.State, c.Reason = pki.Revoked, pki.KeyCompromise })
		if s, why := reenrol("second", "third"); !strings.HasPrefix(s, "403 ") || !strings.Contains(why, "revoked") {
			t.Errorf("revoked: %s %s", s, why)
		}
		if n := len(c.certificates()); n != 2 {
			t.Errorf("%d certificates", n)
		}
	})
}

func TestSEC_C6_WhatADeviceIsRefused(t *testing.T) {
	c := newCounter(t, testdb.SQLite(t))
	served := c.Serve()
	client := served.Client()
	_, word := c.offer("Laptop")
	good := request(t, newKey(t))
	der, err := base64.StdEncoding.DecodeString(string(good))
	c.must(err)
	broken := slices.Clone(der)
	broken[len(broken)-1] ^= 1
	weak, err := rsa.GenerateKey(rand.Reader, 1024) //nolint:gosec // it is refused
	c.must(err)
	wide, err := ecdsa.GenerateKey(elliptic.P521(), rand.Reader)
	c.must(err)
	small := filepath.Join(t.TempDir(), "small.der") // no curve of Go's
	c.must(exec.CommandContext(t.Context(), "openssl", "req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime192v1", "-nodes", "-keyout", small+".key",
		"-subj", "/CN=Laptop", "-outform", "DER", "-out", small).Run())
	p192, err := os.ReadFile(small)
	c.must(err)
	one, err := rsa.GenerateKey(rand.Reader, 2048)
	c.must(err)
	used := newKey(t)
	ca := rig.NewCA(t, "Other CA")
	c.Device(ca, c.Trust(ca), c.ada.Is, "Taken", func(x *x509.Certificate) { x.PublicKey = used.Public() })
	const kind = "application/pkcs10"
	for name, x := range map[string]struct {
		method, word, kind string
		body               []byte
		status             int
		says               string
	}{
		"a look":             {"GET", word, "", nil, 405, ""},
		"no secret":          {"POST", "", kind, good, 401, "password (HTTP Basic)"},
		"another secret":     {"POST", word[1:] + "A", kind, good, 401, "not known"},
		"another type":       {"POST", word, "application/octet-stream", good, 415, "application/pkcs10"},
		"no type":            {"POST", word, "", good, 415, "application/pkcs10"},
		"a form":             {"POST", word, "application/x-www-form-urlencoded", good, 415, "application/pkcs10"},
		"PEM":                {"POST", word, kind, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der}), 400, "without the BEGIN"},
		"DER":                {"POST", word, kind, der, 400, "not base64"},
		"base64 of nothing":  {"POST", word, kind, []byte("aGVsbG8="), 400, "no certificate request"},
		"corrupt base64":     {"POST", word, kind, good[:len(good)-3], 400, "not base64"},
		"nothing":            {"POST", word, kind, nil, 400, "not base64"},
		"ten megabytes":      {"POST", word, kind, bytes.Repeat([]byte("A"), 10<<20), 413, "longer than 8,192"},
		"another signature":  {"POST", word, kind, []byte(base64.StdEncoding.EncodeToString(broken)), 400, "not signed with its own key"},
		"RSA of 1024 bits":   {"POST", word, kind, request(t, weak), 400, "kind of key"},
		"P-192":              {"POST", word, kind, []byte(base64.StdEncoding.EncodeToString(p192)), 400, "no certificate request"},
		"exponent 1":         {"POST", word, kind, signsItself(t, one.N), 400, "kind of key"},
		"P-521":              {"POST", word, kind, request(t, wide), 400, "kind of key"},
		"a key of another's": {"POST", word, kind, request(t, used), 409, "had a certificate before"},
	} {
		c.Clock.Advance(time.Hour) // no budget is in the way
		a := fromDevice(t, client, x.method, "simpleenroll", x.word, x.kind, x.body)
		if a.status != x.status || !strings.Contains(a.body, x.says) || x.status == 401 && !strings.HasPrefix(a.header.Get("WWW-Authenticate"), "Basic ") ||
			x.says != "" && a.header.Get("Content-Type") != "text/plain; charset=utf-8" {
			t.Errorf("%s: %d %v %q", name, a.status, a.header, a.body)
		}
	}
	if n := len(c.certificates()); n != 0 {
		t.Fatalf("%d certificates of what was refused", n)
	}
	for name, x := range map[string]struct {
		spoil func(pki.Enrolment)
		says  string
	}{
		"withdrawn": {func(e pki.Enrolment) { c.must(c.Enrols.Withdraw(t.Context(), c.by(c.ben), e.ID)) }, "withdrawn"},
		"too late":  {func(e pki.Enrolment) { c.Clock.Until(e.Until) }, "seven days"},
	} {
		e, word := c.offer(name)
		x.spoil(e)
		if a := fromDevice(t, client, "POST", "simpleenroll", word, kind, good); a.status != 403 || !strings.Contains(a.body, x.says) {
			t.Errorf("%s: %d %q", name, a.status, a.body)
		}
	}
	for who, by := range map[string]*rig.Somebody{"a customer's administrator": c.ada, "herself": c.anna} {
		if _, _, err := c.Enrols.Offer(t.Context(), c.by(by), enrolment.Order{Person: c.anna.Is.ID, Device: "Laptop", Reason: "New client since Monday"}); !fault.Of(err, fault.Forbidden) {
			t.Errorf("%s makes a secret: %v", who, err)
		}
	}

	// Nobody but a device that was enrolled so gets the next one by showing what it has.
	file := c.Device(ca, c.Trust(rig.NewCA(t, "Unused CA")), c.anna.Is, "From a file")
	stranger := rig.NewCA(t, "Stranger").Issue(func(x *x509.Certificate) { x.Subject.CommonName = "Laptop" })
	for name, x := range map[string]struct {
		client *http.Client
		says   string
	}{
		"no certificate":       {client, "No certificate was shown"},
		"of another authority": {served.Client(stranger), "not one of ours"},
		"of another issuer":    {served.Client(file.Cert), "not one of ours"}, // on record under one, signed by the other
	} {
		if a := fromDevice(t, x.client, "POST", "simplereenroll", "", kind, good); a.status != 403 || !strings.Contains(a.body, x.says) {
			t.Errorf("%s: %d %q", name, a.status, a.body)
		}
	}
	file = c.Device(ca, ofCA(c, ca), c.anna.Is, "From a file")
	for name, x := range map[string]struct {
		change func(*pki.Certificate)
		says   string
	}{
		"one from a file": {func(*pki.Certificate) {}, "not set up as a managed device"},
		"on hold":         {func(x *pki.Certificate) { x.State = pki.Suspended }, "on hold"},
		"revoked":         {func(x *pki.Certificate) { x.State = pki.Revoked }, "revoked"},
	} {
		c.Change(file, func(x *pki.Certificate) { x.State = pki.Issued })
		c.Change(file, x.change)
		c.Clock.Advance(time.Hour)
		if a := fromDevice(t, served.Client(file.Cert), "POST", "simplereenroll", "", kind, good); a.status != 403 || !strings.Contains(a.body, x.says) {
			t.Errorf("%s: %d %q", name, a.status, a.body)
		}
	}
	for range 30 {
		fromDevice(t, client, "POST", "simpleenroll", "guess", kind, good)
	}
	if a := fromDevice(t, client, "POST", "simpleenroll", "guess", kind, good); a.status != 429 || a.header.Get("Retry-After") == "" {
		t.Errorf("after thirty guesses: %d %v", a.status, a.header)
	}
	_, word = c.offer("Laptop, at last")
	if leaf := fromDevice(t, client, "POST", "simpleenroll", word, kind+"; charset=utf-8", good).leaf(t); leaf.Subject.CommonName[:6] != "Laptop" {
		t.Errorf("%s", leaf.Subject)
	}
	_, word = c.offer("Gone")
	c.Write(func(tx *sqlstore.Tx) error {
		p, err := tx.Person(c.Realm.ID, c.anna.Is.ID)
		p.State = directory.Disabled
		if err != nil {
			return err
		}
		return tx.UpdatePerson(p)
	})
	c.Clock.Advance(time.Hour)
	if a := fromDevice(t, client, "POST", "simpleenroll", word, kind, request(t, newKey(t))); a.status != 403 || !strings.Contains(a.body, "withdrawn") {
		t.Errorf("of somebody who is shut out: %d %q", a.status, a.body)
	}
}

// A request that is tied to a connection counts on that one alone, over TLS 1.2 and 1.3 (RFC 7030 3.5, RFC 9266).
func TestSEC_C6_ARequestIsTiedToItsConnection(t *testing.T) {
	c := newCounter(t, testdb.SQLite(t))
	served := c.Serve()
	dir := t.TempDir()
	tied := func(value string) []byte {
		t.Helper()
		conf := filepath.Join(dir, "request.cnf")
		c.must(os.WriteFile(conf, []byte("[req]\nprompt = no\ndistinguished_name = dn\nattributes = at\n[dn]\nCN = Laptop\n[at]\nchallengePassword = "+value+"\n"), 0o600))
		der, err := exec.CommandContext(t.Context(), "openssl", "req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
			"-keyout", filepath.Join(dir, "key"), "-config", conf, "-outform", "DER").Output()
		c.must(err)
		return []byte(base64.StdEncoding.EncodeToString(der))
	}
	for name, version := range map[string]uint16{"TLS 1.2": tls.VersionTLS12, "TLS 1.3": tls.VersionTLS13} {
		// connect opens a connection, and says by what a request is tied to it.
		connect := func() (*http.Client, string) {
			t.Helper()
			config := served.TLS()
			config.ServerName, config.MaxVersion = certHost, version
			conn, err := (&tls.Dialer{Config: config}).DialContext(t.Context(), "tcp", served.Addr)
			c.must(err)
			t.Cleanup(func() { _ = conn.Close() })
			state := conn.(*tls.Conn).ConnectionState()
			value := state.TLSUnique
			if version == tls.VersionTLS13 {
				value, err = state.ExportKeyingMaterial("EXPORTER-Channel-Binding", nil, 32)
				c.must(err)
			}
			return &http.Client{Transport: &http.Transport{DialTLSContext: func(context.Context, string, string) (net.Conn, error) { return conn, nil }}}, base64.StdEncoding.EncodeToString(value)
		}
		_, word := c.offer(name)
		_, other := connect()
		own, value := connect()
		if a := fromDevice(t, own, "POST", "simpleenroll", word, "application/pkcs10", tied(other)); a.status != 400 || !strings.Contains(a.body, "does not belong to this connection") {
			t.Errorf("%s: tied to another: %d %q", name, a.status, a.body)
		}
		if a := fromDevice(t, own, "POST", "simpleenroll", word, "application/pkcs10", tied(value)); a.status != 200 {
			t.Errorf("%s: tied to its own: %d %q", name, a.status, a.body)
		}
	}
}

// ofCA is the authority on record of a CA.
func ofCA(c *counter, ca *rig.CA) (out pki.Authority) {
	c.Read(func(tx *sqlstore.Tx) error {
		all, err := tx.Authorities(c.Realm.ID)
		for _, a := range all {
			if bytes.Equal(a.DER, ca.Cert.Raw) {
				out = a
			}
		}
		return err
	})
	return out
}

// A secret that 64 devices have at once is good for one of them, and nothing is left of the others. A device that sends its
// request 64 times at once is refused nothing.
func TestSEC_C6_OneSecretAmong64(t *testing.T) {
	testdb.Each(t, func(t *testing.T, store *sqlstore.Store) {
		c := newCounter(t, store)
		for n, same := range []bool{false, true} { // as many keys, or one request sent as often
			_, word := c.offer("Laptop")
			asks := make([]enrolment.Ask, 64)
			for i := range asks {
				if asks[i].Request = asks[0].Request; i == 0 || !same {
					asks[i].Request = request(t, newKey(t))
				}
			}
			var wait sync.WaitGroup
			made, errs := make([]pki.Certificate, len(asks)), make([]error, len(asks))
			for i := range asks {
				wait.Go(func() {
					made[i], errs[i] = c.Enrols.Enrol(t.Context(), login.Caller{Realm: c.Realm.ID, Network: fmt.Sprintf("198.51.100.%d", i+1)}, word, asks[i])
				})
			}
			wait.Wait()
			won, all := 0, c.certificates()
			for i, err := range errs {
				switch f := fault.As(err); {
				case err == nil:
					won++
					if made[i].ID != all[0].ID {
						t.Errorf("%s beside %s", made[i].ID, all[0].ID)
					}
				case f == nil || f.Code != "enrolment-busy" && (f.Code != "enrolment-used" || same):
					t.Errorf("refused with %v", err)
				}
			}
			if won == 0 || won > 1 && !same || len(all) != n+1 || !all[0].Live(c.Clock.Now()) || c.events("certificate.enrolled") != n+1 {
				t.Errorf("%d got one, on record %+v", won, all)
			}
		}
	})
}

// Of 64 who make secrets for somebody at once as many get one as there is room for, devices that wait for theirs counted.
func TestSEC_C6_NobodyHasMoreThanTwentyDevices(t *testing.T) {
	testdb.Each(t, func(t *testing.T, store *sqlstore.Store) {
		c := newCounter(t, store)
		ca := rig.NewCA(t, "Other CA")
		c.Device(ca, c.Trust(ca), c.anna.Is, "The first one")
		var wait sync.WaitGroup
		errs, made := make([]error, 64), make([]pki.Enrolment, 64)
		for i := range errs {
			wait.Go(func() {
				made[i], _, errs[i] = c.Enrols.Offer(t.Context(), c.by(c.ben), enrolment.Order{Person: c.anna.Is.ID, Device: "Laptop", Reason: "New client since Monday"})
			})
		}
		wait.Wait()
		won, one := 0, pki.Enrolment{}
		for i, err := range errs {
			if err == nil {
				won, one = won+1, made[i]
			} else if f := fault.As(err); f == nil || f.Code != "devices-many" {
				t.Errorf("refused with %v", err)
			}
		}
		if won != 19 {
			t.Errorf("%d secrets beside one device", won)
		}
		c.must(c.Enrols.Withdraw(t.Context(), c.by(c.ben), one.ID))
		c.offer("In its place")
	})
}

// What was cut short between row and certificate does not stand in the way for longer than it takes to be sure, and the
// secret is spent by a certificate alone.
func TestSEC_C6_C2_AnEnrolmentThatWasCutShort(t *testing.T) {
	testdb.Each(t, func(t *testing.T, store *sqlstore.Store) {
		c := newCounter(t, store)
		e, word := c.offer("Laptop")
		c.Write(func(tx *sqlstore.Tx) error {
			return tx.AddCertificate(pki.Certificate{
				ID: "cut-short", Realm: e.Realm, Person: e.Person, Device: e.Device, Name: e.Name, Issuer: "issuer", Serial: "serial", Key: "key", State: pki.Reserved,
				Created: c.Clock.Now(), NotBefore: c.Clock.Now(), NotAfter: c.Clock.Now().AddDate(2, 0, 0),
			})
		})
		from := login.Caller{Realm: c.Realm.ID, Network: "198.51.100.1"}
		if _, err := c.Enrols.Enrol(t.Context(), from, word, enrolment.Ask{Request: request(t, newKey(t))}); !fault.Of(err, fault.Unavailable) || fault.As(err).RetryAfter == 0 {
			t.Errorf("while it could be in the making: %v", err)
		}
		c.Clock.Advance(5 * time.Minute)
		made, err := c.Enrols.Enrol(t.Context(), from, word, enrolment.Ask{Request: request(t, newKey(t))})
		if err != nil || made.Device != e.Device {
			t.Fatalf("%v, %+v", err, made)
		}
		c.Read(func(tx *sqlstore.Tx) error {
			cut, err := tx.Certificate(c.Realm.ID, "cut-short")
			if cut.State != pki.Revoked {
				t.Errorf("the row that was cut short is %s", cut.State)
			}
			return err
		})
	})
}
