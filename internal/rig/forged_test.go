package rig_test

import (
	"crypto/tls"
	"encoding/base64"
	"encoding/hex"
	"encoding/pem"
	"fmt"
	"net/url"
	"strings"
)

// A forgery is one request that says in its own words whose certificate it comes with. The rules of the list:
//
//   - Each is what a client can write on its connection, byte for byte; nothing in it is made well by a library.
//   - None may be taken for the certificate it names, whoever passes it on.
//   - TICKET stands for a ticket of the test's own, HOST for the host for certificates, HERE and XFCC for the certificate that
//     is claimed, in the two forms that Doorward reads from its proxies.
type forgery struct {
	name    string
	request string
	header  string // where the whole of it is one header line: its name
}

// claims are the forms in which proxies and programs write a certificate.
func claims(c tls.Certificate) map[string]string {
	text := string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Leaf.Raw}))
	escaped := strings.ReplaceAll(url.QueryEscape(text), "+", "%20")
	return map[string]string{
		"HERE": ":" + base64.StdEncoding.EncodeToString(c.Leaf.Raw) + ":", "XFCC": `Cert="` + escaped + `"`, "ESCAPED": escaped,
		"BARE": base64.StdEncoding.EncodeToString(c.Leaf.Raw), "HEX": hex.EncodeToString(c.Leaf.Raw),
		"SPACED": strings.ReplaceAll(strings.TrimSpace(text), "\n", " "), "FOLDED": strings.ReplaceAll(strings.TrimSpace(text), "\n", "\r\n "),
	}
}

// headerNames are headers in which somebody's proxy names a certificate, or says that it has looked at one.
var headerNames = []string{
	"Client-Cert", "client-cert", "CLIENT-CERT", "cLIENT-cERT", "Client-Cert-Chain", "Client_Cert", "CLIENT_CERT", "Client_Cert_Chain", "client.cert", "Client-Certificate",
	"X-Client-Cert", "x-client-cert", "X-Client-Cert-Chain", "X_Client_Cert", "X-Client-Certificate", "X-ClientCert", "X-Client-Cert-DER", "X-Client-Cert-Subject", "X-Client-Cert-Verified",
	"X-SSL-Client-Cert", "X-SSL-CERT", "X-SSL-Client-Verify", "X-SSL-Client-S-DN", "X_SSL_CLIENT_CERT", "SSL-Client-Cert", "SSL_CLIENT_CERT", "SSL-Client-Verify", "X-SSL-Client-DN", "X-SSL-Client-SHA1",
	"X-Forwarded-Client-Cert", "x-forwarded-client-cert", "X-FORWARDED-CLIENT-CERT", "X_Forwarded_Client_Cert", "X-Forwarded-Client_Cert", "X-Forwarded-Client-Certificate",
	"X-Forwarded-Tls-Client-Cert", "X-Forwarded-Tls-Client-Cert-Info", "X-Forwarded-SSL-Client-Cert", "X-TLS-Client-Cert", "TLS-Client-Cert", "X-ARR-ClientCert", "X-AMZN-mTLS-ClientCert",
	"X-AMZN-mTLS-ClientCert-Leaf", "X-Goog-Client-Cert", "CF-Client-Cert-DER-Base64", "X-MS-Client-Cert", "WL-Proxy-Client-Cert", "Proxy-Client-Cert", "X-Nginx-SSL-Client-Cert", "X-Real-Client-Cert",
	"Ssl-Cert", "X-Mtls-Client-Cert", "X-WebSeal-Client-Cert", "X-Apigee-TLS-Client-Cert", "HTTP_CLIENT_CERT", "HTTP-Client-Cert", "X-Envoy-Client-Cert", "Clientcert", "Client--Cert", "X-Forwarded-ClientCert",
}

const plainRequest = "GET /certificate/TICKET HTTP/1.1\r\nHost: HOST\r\nConnection: close\r\n"

// forgeries is the whole list.
func forgeries() (all []forgery) {
	for i, name := range headerNames {
		forms := []string{"HERE", "XFCC", []string{"BARE", "SPACED", "ESCAPED", "HEX"}[i%4]}
		for _, form := range forms {
			all = append(all, forgery{name + " with " + form, plainRequest + name + ": " + form + "\r\n\r\n", name})
		}
	}
	lines := func(name string, headers ...string) {
		all = append(all, forgery{name: name, request: plainRequest + strings.Join(headers, "\r\n") + "\r\n\r\n"})
	}
	for _, h := range []struct{ name, value string }{{"Client-Cert", "HERE"}, {"X-Forwarded-Client-Cert", "XFCC"}} {
		n, v := h.name, h.value
		line := n + ": " + v
		lines(n+" twice", line, line)
		lines(n+" empty, then full", n+":", line)
		lines(n+" full, then empty", line, n+":")
		lines(n+" beside its chain", line, n+"-Chain: "+v)
		lines(n+" as a list", n+": "+v+", "+v)
		lines(n+" in lines of its own", strings.Repeat(line+"\r\n", 9)+line)
		lines(n+" with a space before the colon", n+" : "+v)
		lines(n+" with a tab before the colon", n+"\t: "+v)
		lines(n+" after a space", " "+line)
		lines(n+" after a tab", "X-A: b\r\n\t"+line)
		lines(n+" folded", n+":\r\n "+v)
		lines(n+" folded as PEM", n+": FOLDED")
		lines(n+" behind a bare line feed", "X-A: b\n"+line)
		lines(n+" behind a bare return", "X-A: b\r"+line)
		lines(n+" behind a zero", "X-A: b\x00\r\n"+line)
		lines(n+" with a zero in its name", "Client\x00-Cert: "+v)
		lines(n+" with a zero in its value", n+": "+v+"\x00")
		lines(n+" with a vertical tab", n+":\v"+v)
		lines(n+" behind a form feed", "\f"+line)
		lines(n+" with letters beyond ASCII", strings.Replace(n, "i", "\u0131", 1)+": "+v)
		lines(n+" with a dash that is none", strings.ReplaceAll(n, "-", "\u2010")+": "+v)
		lines(n+" in Latin-1", strings.Replace(n, "e", "\xe9", 1)+": "+v)
		lines(n+" with a byte order mark", "\xef\xbb\xbf"+line)
		lines(n+" percent-encoded", strings.ReplaceAll(n, "-", "%2D")+": "+v)
		lines(n+" in quotes", `"`+n+`": `+v)
		lines(n+" inside another", "X-A: b%0d%0a"+line)
		lines(n+" named hop by hop", "Connection: close, "+n, line)
		lines(n+" named hop by hop, with what names the client", "Connection: close, X-Forwarded-For, X-Real-IP, Forwarded, "+n, line)
		lines(n+" named in Proxy-Connection", "Proxy-Connection: "+n, line)
		lines(n+" in an upgrade", "Connection: Upgrade", "Upgrade: h2c", "HTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA", line)
		lines(n+" with an address of ours", "X-Forwarded-For: 127.0.0.1", "X-Real-IP: 127.0.0.1", line)
		lines(n+" with an address of ours, by RFC 7239", "Forwarded: for=127.0.0.1;by=127.0.0.1;host=HOST;proto=https", line)
		lines(n+" with the host of somebody else", "X-Forwarded-Host: HOST", "X-Original-URL: /certificate/TICKET", line)
		lines(n+" with padding of 16 KiB", n+": "+v+strings.Repeat(" ", 16<<10))
		lines(n+" behind 24 KiB", "X-A: "+strings.Repeat("a", 24<<10), line)
		lines(n+" behind 60 KiB", "X-A: "+strings.Repeat("a", 60<<10), line)
		lines(n+" behind 400 headers", strings.Repeat("X-A: b\r\n", 400)+line)
		raw := func(name, request string) { all = append(all, forgery{name: n + " " + name, request: request}) }
		raw("over HTTP/1.0", "GET /certificate/TICKET HTTP/1.0\r\nHost: HOST\r\n"+line+"\r\n\r\n")
		raw("over HTTP/1.0 without a host", "GET /certificate/TICKET HTTP/1.0\r\n"+line+"\r\n\r\n")
		raw("over HTTP/1.2", "GET /certificate/TICKET HTTP/1.2\r\nHost: HOST\r\nConnection: close\r\n"+line+"\r\n\r\n")
		raw("with an absolute address", "GET https://HOST/certificate/TICKET HTTP/1.1\r\nHost: HOST\r\nConnection: close\r\n"+line+"\r\n\r\n")
		raw("with an absolute address in the clear", "GET http://HOST/certificate/TICKET HTTP/1.1\r\nHost: HOST\r\nConnection: close\r\n"+line+"\r\n\r\n")
		raw("with an absolute address and another host", "GET https://HOST/certificate/TICKET HTTP/1.1\r\nHost: other.example\r\nConnection: close\r\n"+line+"\r\n\r\n")
		raw("with a name in the address", "GET https://anna@HOST/certificate/TICKET HTTP/1.1\r\nHost: HOST\r\nConnection: close\r\n"+line+"\r\n\r\n")
		raw("with two hosts", "GET /certificate/TICKET HTTP/1.1\r\nHost: HOST\r\nHost: other.example\r\nConnection: close\r\n"+line+"\r\n\r\n")
		raw("with a port and a dot", "GET /certificate/TICKET HTTP/1.1\r\nHost: HOST.:443\r\nConnection: close\r\n"+line+"\r\n\r\n")
		raw("by POST", "POST /certificate/TICKET HTTP/1.1\r\nHost: HOST\r\nConnection: close\r\nContent-Length: 0\r\n"+line+"\r\n\r\n")
		raw("by HEAD", "HEAD /certificate/TICKET HTTP/1.1\r\nHost: HOST\r\nConnection: close\r\n"+line+"\r\n\r\n")
		raw("in the body", "POST /certificate/TICKET HTTP/1.1\r\nHost: HOST\r\nConnection: close\r\nContent-Type: message/http\r\nContent-Length: LENGTH\r\n\r\n"+line+"\r\n\r\n")
		raw("in the trailer", "GET /certificate/TICKET HTTP/1.1\r\nHost: HOST\r\nConnection: close\r\nTE: trailers\r\nTrailer: "+n+"\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n"+line+"\r\n\r\n")
		raw("in a trailer that was not announced", "GET /certificate/TICKET HTTP/1.1\r\nHost: HOST\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n"+line+"\r\n\r\n")
		raw("in an extension of a chunk", "GET /certificate/TICKET HTTP/1.1\r\nHost: HOST\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n1;\n"+line+"\r\na\r\n0\r\n\r\n")
		raw("in the query", "GET /certificate/TICKET?"+n+"="+url.QueryEscape("x")+"%0d%0a"+n+":%20 HTTP/1.1\r\nHost: HOST\r\nConnection: close\r\n\r\n")
		raw("in the first line", "GET /certificate/TICKET HTTP/1.1 "+line+"\r\nHost: HOST\r\nConnection: close\r\n\r\n")
		raw("behind the preface of a proxy", "PROXY TCP4 127.0.0.1 127.0.0.1 443 443\r\n"+plainRequest+line+"\r\n\r\n")
		raw("behind the preface of HTTP/2", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"+plainRequest+line+"\r\n\r\n")
		// A request inside another: should a proxy and Doorward disagree where one ends, the inner one comes from the proxy.
		inner := "GET /certificate/TICKET HTTP/1.1\r\nHost: HOST\r\n" + line + "\r\n\r\n"
		outer := func(name, headers, body string) {
			raw("inside a request: "+name, "POST /certificate/none HTTP/1.1\r\nHost: HOST\r\n"+headers+"\r\n\r\n"+body)
		}
		for _, te := range []string{
			"Transfer-Encoding: chunked", "Transfer-Encoding : chunked", "Transfer-Encoding: xchunked", "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity", "Transfer-Encoding:\tchunked",
			"Transfer-Encoding: chunked, identity", " Transfer-Encoding: chunked", "X: x\nTransfer-Encoding: chunked", "Transfer_Encoding: chunked", "Transfer-Encoding: \"chunked\"", "Transfer-Encoding:\v chunked",
		} {
			outer(fmt.Sprintf("%q, longer", te), te+"\r\nContent-Length: LENGTH", "0\r\n\r\n"+inner)
		}
		outer("two lengths", "Content-Length: 0\r\nContent-Length: LENGTH", inner)
		outer("a length with a sign", "Content-Length: +0", inner)
		outer("a length in a list", "Content-Length: 0, LENGTH", inner)
		outer("a length with an underscore", "Content_Length: LENGTH", inner)
		outer("a chunk that is too long", "Transfer-Encoding: chunked", "fffffffffffffffff1\r\n"+inner+"0\r\n\r\n")
		outer("a chunk with a line feed alone", "Transfer-Encoding: chunked", "0\n\r\n"+inner)
		outer("a wish to go on", "Expect: 100-continue\r\nContent-Length: 0", inner)
		outer("a switch to another protocol", "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 777\r\nContent-Length: 0", inner)
	}
	return all
}

// is the request as it goes on the wire.
func (f forgery) is(host, ticket string, claimed map[string]string) []byte {
	words := []string{"TICKET", ticket, "HOST", host}
	for form, value := range claimed {
		words = append(words, form, value)
	}
	s := strings.NewReplacer(words...).Replace(f.request)
	if _, body, ok := strings.Cut(s, "\r\n\r\n"); ok {
		s = strings.Replace(s, "LENGTH", fmt.Sprint(len(body)), 1)
	}
	return []byte(s)
}
