package demo

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"doorward/internal/directory"
	"doorward/internal/secret"
)

// The sample applications are strangers to the rest of the program: they know the address of their realm, their own name and
// their secret, and speak OpenID Connect through a library that is not ours. What is said here is what an operator would
// write into the realm file and hand to whoever runs the application.

// Hosts of the applications.
const (
	StoreHost      = "store.localhost"
	ComplaintsHost = "complaints.localhost"
	PortfolioHost  = "portfolio.localhost"
)

// application is one of them.
type application struct {
	ID    string // client_id, and the key of demo.json
	Realm string
	Host  string
	Name  string
	Auth  string
	Brand directory.Brand
	Pays  bool // moves money: asks for a fresh proof before it does
	Tills bool // has devices without a browser
}

var applications = []application{
	{ID: "store", Realm: "shop", Host: StoreHost, Name: "Northline Store", Auth: directory.AuthSecretBasic, Tills: true,
		Brand: directory.Brand{Hue: 150, Chroma: .09, Paper: 150, Tint: .004, Panel: .36, Round: 1.8, Heading: "sans", Motif: "plain"}},
	{ID: "complaints", Realm: "shop", Host: ComplaintsHost, Name: "Northline Complaints", Auth: directory.AuthSecretPost,
		Brand: directory.Brand{Hue: 40, Chroma: .09, Paper: 40, Tint: .004, Panel: .36, Round: 1.4, Heading: "sans", Motif: "plain"}},
	{ID: "portfolio", Realm: "wealth", Host: PortfolioHost, Name: "Meridian Portfolio", Auth: directory.AuthSecretBasic, Pays: true,
		Brand: directory.Brand{Hue: 262, Chroma: .06, Paper: 84, Tint: .009, Panel: .24, Round: 1, Heading: "serif", Motif: "plain"}},
}

// Hosts are those of the demo's own pages and of the applications.
func Hosts() []string {
	hosts := []string{TourHost, MailHost}
	for _, a := range applications {
		hosts = append(hosts, a.Host)
	}
	return hosts
}

// clientsFile holds the applications' secrets, by client.
const clientsFile = "clients.json"

// Secrets reads the secrets of a directory's applications, and makes those that are missing. They are of this directory
// alone, in a file of its owner.
func Secrets(dir string) (map[string]string, error) {
	path := filepath.Join(dir, clientsFile)
	all := map[string]string{}
	b, err := os.ReadFile(path)
	if err == nil {
		err = json.Unmarshal(b, &all)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	made := false
	for _, a := range applications {
		if all[a.ID] == "" {
			all[a.ID], made = secret.Token(), true
		}
	}
	if !made {
		return all, nil
	}
	return all, writeJSON(path, all)
}

// Paths of every application.
const (
	callbackPath    = "/callback"
	backchannelPath = "/backchannel-logout"
)

var appScopes = []string{"openid", "profile", "email", "organization"}

// RelyingParties are the applications of a realm as its file would name them. origin gives the address of a host.
func RelyingParties(realm string, origin func(host string) string, secrets map[string]string) (all []directory.RelyingParty) {
	for _, a := range applications {
		if a.Realm != realm {
			continue
		}
		sum, at := sha256.Sum256([]byte(secrets[a.ID])), origin(a.Host)
		grants := []string{directory.GrantCode}
		if a.Tills {
			grants = append(grants, directory.GrantDevice)
		}
		all = append(all, directory.RelyingParty{
			ID: a.ID, Name: a.Name, Home: at + "/", Auth: a.Auth, SecretSHA256: hex.EncodeToString(sum[:]),
			RedirectURIs: []string{at + callbackPath}, PostLogoutURIs: []string{at + "/"}, BackchannelLogoutURI: at + backchannelPath,
			Grants: grants, Scopes: appScopes, IDTokenAlg: appAlg, FirstParty: true,
		})
	}
	return all
}

// Parties is what demo.json says of the applications.
func Parties(origin func(host string) string, secrets map[string]string) map[string]map[string]string {
	all := map[string]map[string]string{}
	for _, a := range applications {
		all[a.ID] = map[string]string{"url": origin(a.Host), "client_id": a.ID, "client_secret": secrets[a.ID]}
	}
	return all
}

// Client calls the demo's hosts at address, wherever their names would lead: names below .localhost resolve in browsers
// alone. It trusts the demo's CA in caFile and nothing else, and follows no redirect.
func Client(address, caFile string) (*http.Client, error) {
	ca, err := os.ReadFile(caFile)
	if err != nil {
		return nil, err
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(ca) {
		return nil, errors.New(caFile + " holds no certificate")
	}
	dial := &net.Dialer{Timeout: 5 * time.Second}
	return &http.Client{
		Timeout:       10 * time.Second,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport: &http.Transport{
			DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
				return dial.DialContext(ctx, network, address)
			},
			TLSClientConfig: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS13}, ForceAttemptHTTP2: true,
			MaxIdleConns: 4, IdleConnTimeout: 15 * time.Second,
		},
	}, nil
}
