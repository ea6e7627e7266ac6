"""The second referee: does with the SPIFFE Workload API what a program that uses the PyPI package spiffe does. Its parts and what it prints are
those of test/spiffe-go: fetch AUDIENCE DIRECTORY, watch, refused."""

import hashlib
import json
import os
import sys
import threading

from cryptography.hazmat.primitives import serialization
from spiffe import SpiffeId, WorkloadApiClient
from spiffe.errors import PySpiffeError
from spiffe.svid.jwt_svid import JwtSvid

LIMIT = 60
printing = threading.Lock()


def say(**fields):
    with printing:
        print(json.dumps(fields), flush=True)


def pem(certificates):
    return b"".join(one.public_bytes(serialization.Encoding.PEM) for one in certificates)


def status(call):
    """The gRPC status that it ends with."""
    try:
        call()
        return "OK"
    except PySpiffeError as error:
        cause = error
        while cause is not None:
            if callable(getattr(cause, "code", None)):
                return "".join(word.capitalize() for word in cause.code().name.split("_"))
            cause = cause.__cause__ or cause.__context__
        return f"{type(error).__name__}: {error}"


def fetch(client, audience, directory):
    context = client.fetch_x509_context(timeout=LIMIT)
    for index, svid in enumerate(context.x509_svids):
        bundle = context.x509_bundle_set.get_bundle_for_trust_domain(svid.spiffe_id.trust_domain)
        key = svid.private_key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        files = {"chain": pem(svid.cert_chain), "key": key, "bundle": pem(bundle.x509_authorities)}
        for name, content in files.items():
            with open(os.path.join(directory, f"{name}-{index}.pem"), "wb") as file:
                file.write(content)
        say(part="x509", id=str(svid.spiffe_id), serial=format(svid.leaf.serial_number, "x"))
    for bundle in client.fetch_x509_bundles(timeout=LIMIT).bundles:
        say(part="x509-bundle", trustDomain=bundle.trust_domain.name, authorities=len(bundle.x509_authorities))
    bundles = client.fetch_jwt_bundles(timeout=LIMIT)
    for bundle in bundles.bundles:
        say(part="jwt-bundle", trustDomain=bundle.trust_domain.name, authorities=len(bundle.jwt_authorities))
    for svid in client.fetch_jwt_svids({audience}, timeout=LIMIT):
        # Once by the library, with the bundle, and once by weft.
        bundle = bundles.get_bundle_for_trust_domain(svid.spiffe_id.trust_domain)
        own = JwtSvid.parse_and_validate(svid.token, bundle, {audience})
        checked = client.validate_jwt_svid(svid.token, audience, timeout=LIMIT)
        assert own.spiffe_id == checked.spiffe_id, f"{own.spiffe_id} and {checked.spiffe_id}"
        elsewhere = status(lambda: client.validate_jwt_svid(svid.token, "somebody-else", timeout=LIMIT))
        say(part="jwt", id=str(own.spiffe_id), audience=sorted(checked.audience), elsewhere=elsewhere)
    other = SpiffeId("spiffe://mesh.local/ns/default/sa/not-mine")
    say(part="jwt-of-another", code=status(lambda: client.fetch_jwt_svid({audience}, other, timeout=LIMIT)))


def watch(client):
    def on_context(context):
        roots = [
            hashlib.sha256(one.public_bytes(serialization.Encoding.DER)).hexdigest()[:16]
            for bundle in context.x509_bundle_set.bundles
            for one in bundle.x509_authorities
        ]
        svids = context.x509_svids
        say(
            part="x509",
            ids=[str(svid.spiffe_id) for svid in svids],
            serials=[format(svid.leaf.serial_number, "x") for svid in svids],
            roots=roots,
        )

    def on_jwt_bundles(bundles):
        say(part="jwt-bundle", keys=[key for bundle in bundles.bundles for key in bundle.jwt_authorities])

    handles = [
        client.stream_x509_contexts(on_context, lambda error: say(part="x509-error", message=str(error))),
        client.stream_jwt_bundles(on_jwt_bundles, lambda error: say(part="jwt-bundle-error", message=str(error))),
    ]
    sys.stdin.read()
    for handle in handles:
        handle.cancel()


def refused(client):
    say(
        part="refused",
        FetchX509SVID=status(lambda: client.fetch_x509_svid(timeout=LIMIT)),
        FetchX509Bundles=status(lambda: client.fetch_x509_bundles(timeout=LIMIT)),
        FetchJWTSVID=status(lambda: client.fetch_jwt_svid({"a"}, timeout=LIMIT)),
        FetchJWTBundles=status(lambda: client.fetch_jwt_bundles(timeout=LIMIT)),
    )


with WorkloadApiClient() as client:
    {"fetch": fetch, "watch": watch, "refused": refused}[sys.argv[1]](client, *sys.argv[2:])
