package keyfile

import (
	"crypto"
	"crypto/x509"
	"fmt"

	"github.com/google/uuid"
	"github.com/micromdm/plist"
	"github.com/smallstep/pkcs7"
)

// ProfileType is the media type of a configuration profile.
const ProfileType = "application/x-apple-aspen-config"

// Profile is what an iPad or iPhone shows before it installs a certificate, and what it asks the owner of to go on.
type Profile struct {
	Realm        string // names the profile for the device: a second one of the same realm and device replaces the first
	Device       string // the device's id
	Title        string // "Meridian Portal: certificate for “iPad”"
	Organization string // the operator's name
	About        string // one sentence: what it is for, and that it can be removed
	File         string // name of the PKCS #12 file inside
}

type payload struct {
	Type         string `plist:"PayloadType"`
	Version      int    `plist:"PayloadVersion"`
	Identifier   string `plist:"PayloadIdentifier"`
	UUID         string `plist:"PayloadUUID"`
	DisplayName  string `plist:"PayloadDisplayName"`
	Description  string `plist:"PayloadDescription,omitempty"`
	Organization string `plist:"PayloadOrganization,omitempty"`
	FileName     string `plist:"PayloadCertificateFileName,omitempty"`
	Content      []byte `plist:"PayloadContent,omitempty"`
}

type configuration struct {
	Type         string    `plist:"PayloadType"`
	Version      int       `plist:"PayloadVersion"`
	Identifier   string    `plist:"PayloadIdentifier"`
	UUID         string    `plist:"PayloadUUID"`
	DisplayName  string    `plist:"PayloadDisplayName"`
	Description  string    `plist:"PayloadDescription,omitempty"`
	Organization string    `plist:"PayloadOrganization,omitempty"`
	Content      []payload `plist:"PayloadContent"`
}

// MobileConfig is the profile with the PKCS #12 file inside, unsigned. The file's password is not in it: the device asks for
// it while it installs, so that whoever finds the profile has no more than whoever finds the file.
func (p Profile) MobileConfig(file []byte) ([]byte, error) {
	name := "doorward." + p.Realm + "." + p.Device
	id := func(of string) string { return uuid.NewSHA1(uuid.NameSpaceURL, []byte(of)).String() }
	return plist.MarshalIndent(configuration{
		Type: "Configuration", Version: 1, Identifier: name, UUID: id(name),
		DisplayName: p.Title, Description: p.About, Organization: p.Organization,
		Content: []payload{{
			Type: "com.apple.security.pkcs12", Version: 1, Identifier: name + ".certificate", UUID: id(name + ".certificate"),
			DisplayName: p.Title, FileName: p.File, Content: file,
		}},
	}, "\t")
}

// Sign wraps a profile in CMS SignedData (RFC 5652) with SHA-256, the signer's chain included: a device shows who signed it, and
// says "verified" where it trusts the chain. The signer is the server's own TLS certificate, which the device trusts already.
func Sign(profile []byte, signer crypto.Signer, certificate *x509.Certificate, issuers []*x509.Certificate) ([]byte, error) {
	signed, err := pkcs7.NewSignedData(profile)
	if err != nil {
		return nil, fmt.Errorf("keyfile: %w", err)
	}
	signed.SetDigestAlgorithm(pkcs7.OIDDigestAlgorithmSHA256)
	if err := signed.AddSignerChain(certificate, signer, issuers, pkcs7.SignerInfoConfig{}); err != nil {
		return nil, fmt.Errorf("keyfile: %w", err)
	}
	out, err := signed.Finish()
	if err != nil {
		return nil, fmt.Errorf("keyfile: %w", err)
	}
	return out, nil
}
