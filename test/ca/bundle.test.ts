import { expect, test } from "bun:test";
import { createPublicKey, X509Certificate } from "node:crypto";
import { join } from "node:path";
import { spiffeBundle } from "../../src/ca/bundle.ts";
import { openAuthority } from "../../src/ca/open-authority.ts";
import { FakeClock } from "../fakes/clock.ts";
import { inTemporaryDirectory } from "./temporary.ts";

test("The bundle is a JWK Set with one x509-svid key, with its certificate, for each CA.", () =>
  inTemporaryDirectory(async (dir) => {
    const clock = new FakeClock();
    const authority = await openAuthority({ dir, trustDomain: "mesh.local", clock });
    const bundle = spiffeBundle(authority.bundlePem());
    expect(bundle.spiffe_refresh_hint).toBe(300);
    expect(bundle.keys.length).toBe(1);
    const [key] = bundle.keys;
    expect(key).toMatchObject({ use: "x509-svid", kty: "EC", crv: "P-256" });
    expect(key).not.toHaveProperty("kid");
    const certificate = new X509Certificate(Buffer.from(key?.x5c[0] ?? "", "base64"));
    expect(certificate.fingerprint256).toBe(new X509Certificate(authority.bundlePem()).fingerprint256);
    const { kty, crv, x, y } = createPublicKey(certificate.toString()).export({ format: "jwk" });
    expect({ kty, crv, x, y }).toEqual({ kty: key?.kty, crv: key?.crv, x: key?.x, y: key?.y });

    await clock.advance(60_000);
    const other = await openAuthority({ dir: join(dir, "other"), trustDomain: "mesh.local", clock });
    const both = spiffeBundle(authority.bundlePem() + other.bundlePem());
    expect(both.keys.map(({ x }) => x)).toEqual([key?.x, spiffeBundle(other.bundlePem()).keys[0]?.x]);
    expect(both.spiffe_sequence).toBe(bundle.spiffe_sequence + 60);
  }));
