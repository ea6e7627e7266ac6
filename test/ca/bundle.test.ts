import { expect, test } from "bun:test";
import { createPublicKey, X509Certificate } from "node:crypto";
import { spiffeBundle, type X509BundleKey } from "../../src/ca/bundle.ts";
import { openAuthority } from "../../src/ca/open-authority.ts";
import { FakeClock } from "../fakes/clock.ts";
import { inTemporaryDirectory } from "./temporary.ts";

const DAY = 86_400_000;

test("The bundle is a JWK Set with one x509-svid key, with its certificate and no kid, for each root, and one jwt-svid key, with a kid, for each JWT authority.", () =>
  inTemporaryDirectory(async (dir) => {
    const clock = new FakeClock();
    const authority = await openAuthority({ dir, trustDomain: "mesh.local", clock });
    const bundle = spiffeBundle(authority.bundle());
    expect(bundle.spiffe_refresh_hint).toBe(300);
    expect(bundle.keys.map(({ use }) => use)).toEqual(["x509-svid", "jwt-svid"]);
    const [key, jwt] = bundle.keys as [X509BundleKey, Record<string, unknown>];
    expect(key).toMatchObject({ use: "x509-svid", kty: "EC", crv: "P-256" });
    expect(Object.keys(key).sort()).toEqual(["crv", "kty", "use", "x", "x5c", "y"]);
    expect(key.x5c.length).toBe(1);
    const certificate = new X509Certificate(Buffer.from(key.x5c[0], "base64"));
    expect(certificate.fingerprint256).toBe(new X509Certificate(authority.bundle().x509Pem).fingerprint256);
    const { kty, crv, x, y } = createPublicKey(certificate.toString()).export({ format: "jwk" });
    expect({ kty, crv, x, y }).toEqual({ kty: key.kty, crv: key.crv, x: key.x, y: key.y });
    expect(jwt).toMatchObject({ use: "jwt-svid", kty: "EC", crv: "P-256", kid: expect.stringMatching(/^[\w-]{43}$/) });
    expect(Object.keys(jwt).sort()).toEqual(["crv", "kid", "kty", "use", "x", "y"]);
  }));

test("The bundle's sequence grows with every change of its keys, and stays while nothing changes, also over a restart and a clock set back.", () =>
  inTemporaryDirectory(async (dir) => {
    const clock = new FakeClock();
    const open = () => openAuthority({ dir, trustDomain: "mesh.local", clock });
    const authority = await open();
    const first = authority.bundle();
    await clock.advance(60_000);
    await authority.run();
    expect(authority.bundle()).toBe(first);
    expect((await open()).bundle()).toEqual(first);
    clock.setWallClock(clock.now() + DAY / 2);
    await authority.run();
    const second = authority.bundle();
    expect(second.sequence).toBeGreaterThan(first.sequence);
    expect(second.x509.length).toBe(2);
    clock.setWallClock(clock.now() - 2 * DAY);
    await authority.run();
    expect(authority.bundle().sequence).toBeGreaterThan(second.sequence);
  }));
