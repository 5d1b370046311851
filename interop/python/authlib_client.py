"""Authlib with requests, as Debian ships it."""
import time
from urllib.parse import parse_qs, urlencode, urlsplit, urlunsplit

from authlib.common.security import generate_token
from authlib.integrations.base_client import OAuthError
from authlib.integrations.requests_client import OAuth2Session
from authlib.jose import JsonWebKey, JsonWebToken
from authlib.jose.errors import JoseError
from authlib.oauth2.rfc7523 import PrivateKeyJWT
from authlib.oauth2.rfc6749.errors import MismatchingStateException
from authlib.oauth2.rfc8414 import AuthorizationServerMetadata
from authlib.oidc.core import CodeIDToken
from authlib.oidc.discovery import OpenIDProviderMetadata

import requests
from talk import open_browser, play, refused, site

found = requests.get(site["issuer"] + "/.well-known/openid-configuration", timeout=10)
found.raise_for_status()
provider = OpenIDProviderMetadata(found.json())
# Authlib wants "none" among the algorithms of request objects, as OpenID Connect Discovery 3 advises. Unsigned ones are refused
# here, and RFC 9101 forbids the server to take them; everything else of the metadata is right.
refused("no unsigned request objects", ValueError, "SHOULD support none", provider.validate)
OpenIDProviderMetadata({k: v for k, v in provider.items() if k != "request_object_signing_alg_values_supported"}).validate()
assert provider["issuer"] == site["issuer"]


def client(**more):
    return OAuth2Session(
        "web", site["secret"], scope="openid email", redirect_uri=site["redirect"], code_challenge_method="S256",
        token_endpoint=provider["token_endpoint"], **more,
    )


def begin(session):
    nonce, verifier = generate_token(20), generate_token(48)
    url, state = session.create_authorization_url(provider["authorization_endpoint"], code_verifier=verifier, nonce=nonce)
    return url, state, nonce, verifier


def claims(token, client_id, nonce, algorithm="ES256"):
    """Verifies an ID token: signature, issuer, audience, nonce, times, at_hash."""
    keys = JsonWebKey.import_key_set({"keys": [
        k for k in requests.get(provider["jwks_uri"], timeout=10).json()["keys"] if k["alg"] == algorithm
    ]})
    read = JsonWebToken([algorithm]).decode(
        token["id_token"], keys, claims_cls=CodeIDToken,
        claims_options={"iss": {"essential": True, "value": provider["issuer"]}, "aud": {"essential": True, "value": client_id}},
        # Authlib 1.2 knows no hash for EdDSA, so at_hash cannot be compared there.
        claims_params={"nonce": nonce, "client_id": client_id, "access_token": None if algorithm == "EdDSA" else token["access_token"]},
    )
    read.validate()
    return read


def code():
    session = client()
    url, state, nonce, verifier = begin(session)
    token = session.fetch_token(authorization_response=open_browser(url), state=state, code_verifier=verifier)
    who = claims(token, "web", nonce)
    assert who["acr"] == "urn:doorward:acr:mfa"
    info = session.get(provider["userinfo_endpoint"])
    info.raise_for_status()
    assert info.json()["sub"] == who["sub"] and info.json()["email"].endswith("@alder.example")

    second = session.refresh_token(provider["token_endpoint"])
    assert second["refresh_token"] != token["refresh_token"]
    alive = session.introspect_token(provider["introspection_endpoint"], token=second["access_token"])
    assert alive.json()["active"] and alive.json()["sub"] == who["sub"]
    assert session.revoke_token(provider["revocation_endpoint"], token=second["refresh_token"]).status_code == 200
    assert not session.introspect_token(provider["introspection_endpoint"], token=second["access_token"]).json()["active"]
    refused("refresh after revocation", OAuthError, "invalid_grant", lambda: session.refresh_token(provider["token_endpoint"], second["refresh_token"]))


def notices():
    session = client()
    url, state, nonce, verifier = begin(session)
    back = open_browser(url)
    parts = urlsplit(back)
    query = {k: v[0] for k, v in parse_qs(parts.query).items()}
    forged = urlunsplit(parts._replace(query=urlencode({**query, "state": "another"})))
    refused("another state", MismatchingStateException, "", lambda: session.fetch_token(authorization_response=forged, state=state, code_verifier=verifier))
    token = session.fetch_token(authorization_response=back, state=state, code_verifier=verifier)
    refused("another nonce", JoseError, "nonce", lambda: claims(token, "web", "another"))
    refused("another audience", JoseError, "aud", lambda: claims(token, "post", nonce))
    claims(token, "web", nonce)
    url, state, nonce, verifier = begin(session)
    refused("another verifier", OAuthError, "invalid_grant", lambda: session.fetch_token(
        authorization_response=open_browser(url), state=state, code_verifier=generate_token(48)))


def signatures():
    """The algorithms of our ID tokens, as another library verifies them."""
    for client_id, method, algorithm in [("post", "client_secret_post", "RS256"), ("native", "none", "EdDSA")]:
        redirect = site["redirect"] if client_id == "post" else "http://127.0.0.1:49153/callback"
        session = OAuth2Session(
            client_id, site["secret"] if client_id == "post" else None, token_endpoint_auth_method=method, scope="openid email",
            redirect_uri=redirect, code_challenge_method="S256", token_endpoint=provider["token_endpoint"],
        )
        url, state, nonce, verifier = begin(session)
        token = session.fetch_token(authorization_response=open_browser(url, redirect), state=state, code_verifier=verifier)
        assert claims(token, client_id, nonce, algorithm)["sub"]


def machine():
    def fetch(key, life):
        session = OAuth2Session("keys", JsonWebKey.import_key(site["keys"][key]), token_endpoint_auth_method="private_key_jwt", scope="orders")
        session.register_client_auth_method(PrivateKeyJWT(
            provider["token_endpoint"], headers={"kid": "keys"}, alg="ES256", claims=life and {"exp": int(time.time()) + life}))
        return session.fetch_token(provider["token_endpoint"], grant_type="client_credentials")

    assert fetch("keys", 60)["scope"] == "orders"
    refused("another client's key", OAuthError, "invalid_client", lambda: fetch("strict", 60))
    # Authlib's own choice is an hour, of which five minutes are taken: the refusal says so.
    refused("an assertion for an hour", OAuthError, "valid for more than five minutes", lambda: fetch("keys", None))
    AuthorizationServerMetadata(requests.get(site["issuer"] + "/.well-known/oauth-authorization-server", timeout=10).json()).validate()


play({"code": code, "notices": notices, "signatures": signatures, "machine": machine})
