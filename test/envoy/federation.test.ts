import { beforeAll, expect, test } from "bun:test";
import { X509Certificate } from "node:crypto";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { waitFor } from "../../scripts/lib/lab/wait.ts";
import { startWeft, type Weft } from "../../scripts/lib/lab/weft.ts";
import { inboundOf, startSidecar, untilLive } from "../../scripts/lib/lab/workload.ts";
import { type OpenedAuthority, openAuthority } from "../../src/ca/open-authority.ts";
import { systemClock } from "../../src/lib/clock.ts";
import { makePki } from "../ca/pki.ts";
import { callFrom, describeMesh, expectStatus, type Member, peerOf, serviceEntryYaml } from "./harness.ts";
import { getOverTls } from "./tls-call.ts";

const HINT_S = 15;
const settings = { WEFT_BUNDLE_ENDPOINT: "127.0.0.1:0", WEFT_BUNDLE_REFRESH_HINT: `${HINT_S}s`, WEFT_JWKS_ALLOW: "127.0.0.0/8" };
const WEB = "spiffe://mesh.local/ns/default/sa/web";
const ORDERS = "spiffe://other.example/ns/default/sa/orders";

const STRICT = `apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: {name: default}
spec: {mtls: {mode: STRICT}}
`;

/** What a mesh says of the other one: where its bundle is, and who serves it. */
async function trustDomainYaml(trustDomain: string, weft: Weft): Promise<string> {
  const { bundle_endpoint: endpoint } = JSON.parse(readFileSync(join(weft.data, "listening.json"), "utf8")) as { bundle_endpoint: string };
  const bundle = JSON.stringify((await weft.api("GET", "/v1/bundle")).json);
  return `apiVersion: weft.dev/v1
kind: TrustDomain
metadata: {name: ${trustDomain}}
spec:
  bundleEndpoint: {url: "https://${endpoint}/", profile: https_spiffe, endpointSPIFFEID: "spiffe://${trustDomain}/ns/weft-system/sa/weft"}
  bundle: ${JSON.stringify(bundle)}
`;
}

/** The other mesh's service, at its sidecar, with the names that its server may present. */
function foreignService(host: string, to: Member, names: readonly string[]): string {
  const { address, port } = inboundOf(to.place);
  return `apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: ${host.replaceAll(".", "-")}}
spec:
  hosts: [${host}]
  location: MESH_EXTERNAL
  resolution: STATIC
  ports: [{number: 8080, name: http, protocol: HTTP}]
  endpoints: [{address: ${address}, ports: {http: ${port}}}]
  subjectAltNames: ${JSON.stringify(names)}
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: ${host.replaceAll(".", "-")}}
spec:
  host: ${host}
  trafficPolicy:
    tls: {mode: ISTIO_MUTUAL}
    connectionPool: {http: {maxRequestsPerConnection: 20}}
`;
}

const allow = (app: string, principal: string) => `apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: ${app}}
spec:
  selector: {matchLabels: {app: ${app}}}
  rules: [{from: [{source: {principals: ["${principal.slice("spiffe://".length)}"]}}]}]
`;

describeMesh(
  "two meshes of different trust domains",
  (lab) => {
    let other: Weft;
    let web: Member;
    let stock: Member;
    let orders: Member;

    beforeAll(async () => {
      const { directory, processes, weft, envoy } = lab();
      other = await startWeft({
        binary: weft.binary,
        data: join(directory, "other"),
        processes,
        env: { ...settings, WEFT_TRUST_DOMAIN: "other.example" },
      });
      [web, stock, orders] = await Promise.all([
        lab().workload({ name: "web-1", service: "web" }),
        lab().workload({ name: "stock-1", service: "stock" }),
        lab().workload({ name: "orders-1", service: "orders" }),
      ]);
      await lab().join([{ name: "web" }, { name: "stock" }], [web, stock]);
      await other.apply([serviceEntryYaml({ name: "orders" }), orders.yaml].join("---\n"));
      await untilLive(startSidecar({ weft: other, processes, envoy }, orders.place));
      const here = [
        STRICT,
        allow("stock", ORDERS),
        foreignService("orders.other.example", orders, [ORDERS]),
        await trustDomainYaml("other.example", other),
      ];
      const there = [
        STRICT,
        allow("orders", WEB),
        foreignService("stock.mesh.example", stock, ["spiffe://mesh.local/ns/default/sa/stock"]),
        await trustDomainYaml("mesh.local", weft),
      ];
      await Promise.all([weft.apply(here.join("---\n")), other.apply(there.join("---\n"))]);
    });

    const toOrders = () => callFrom(web, "orders.other.example");
    const toStock = () => callFrom(orders, "stock.mesh.example");
    const reached = (call: () => ReturnType<typeof toOrders>, status: number) =>
      waitFor("the answer", call, (answer) => answer.status === status, { everyMs: 100 });

    test("call each other both ways by mutual TLS, each with its own identity", async () => {
      const [there, here] = [await reached(toOrders, 200), await reached(toStock, 200)];
      expect(peerOf(there)).toBe(WEB);
      expect(peerOf(here)).toBe(ORDERS);
    });

    test("decide by the other's principals", async () => {
      await reached(toOrders, 200);
      expectStatus(await callFrom(stock, "orders.other.example"), 403);
      await other.apply(allow("orders", "spiffe://mesh.local/ns/default/sa/stock"));
      await reached(toOrders, 403);
      expectStatus(await callFrom(stock, "orders.other.example"), 200);
      await other.apply(allow("orders", WEB));
      await reached(toOrders, 200);
    });

    test("hold a server of the other to the identity that is named, and to the own trust domain where none is", async () => {
      const named = (names: readonly string[]) => lab().weft.apply(foreignService("orders.other.example", orders, names));
      await reached(toOrders, 200);
      await named(["spiffe://other.example/ns/default/sa/somebody"]);
      await reached(toOrders, 503);
      await named([]);
      expectStatus(await toOrders(), 503);
      await named([ORDERS]);
      await reached(toOrders, 200);
    });

    test("refuse a third trust domain, and one that vouches for more than its own", async () => {
      const { directory } = lab();
      const now = Date.now();
      // One operator's root above two trust domains: the third one's bundle, and certificates in the name of mesh.local.
      const pki = makePki({ dir: join(directory, "pki"), notBefore: now - 86_400_000, notAfter: now + 30 * 86_400_000 });
      const authorityOf = (dir: string, trustDomain: string): Promise<OpenedAuthority> =>
        openAuthority({ dir: join(directory, dir), trustDomain, clock: systemClock, upstream: pki });
      const [third, forger] = await Promise.all([authorityOf("third", "third.example"), authorityOf("forger", "mesh.local")]);
      try {
        const pairOf = async (authority: OpenedAuthority, id: string) => {
          const { chainPem, privateKeyPem } = await authority.issueX509(id);
          return { certificate: chainPem, key: privateKeyPem };
        };
        const stranger = await pairOf(third, "spiffe://third.example/ns/default/sa/web");
        const forged = await pairOf(forger, WEB);
        const call = async (pair: typeof stranger) => (await getOverTls(inboundOf(orders.place), "orders", pair)).status;
        expect([await call(stranger), await call(forged)]).toEqual([0, 0]);

        await other.apply(`apiVersion: weft.dev/v1
kind: TrustDomain
metadata: {name: third.example}
spec:
  bundleEndpoint: {url: "https://127.0.0.1:9/", profile: https_spiffe, endpointSPIFFEID: "spiffe://third.example/bundle"}
  bundle: ${JSON.stringify(JSON.stringify(await bundleOf(third)))}
`);
        // Known now, and so refused by the policy; its root, which has signed both, vouches for its own trust domain only.
        await waitFor(
          "the third to be known",
          () => call(stranger),
          (status) => status === 403,
          { everyMs: 100 },
        );
        expect(await call(forged)).toBe(0);
        const check = await other.cli(["check"]);
        expect(check.stdout).toContain("the bundle of trust domain third.example was not fetched");
        expect(await other.metric("weft_bundle_ok", { trust_domain: "third.example" })).toBe(0);
        expect(await other.metric("weft_bundle_ok", { trust_domain: "mesh.local" })).toBe(1);
      } finally {
        third.close();
        forger.close();
        await other.cli(["delete", "TrustDomain", "third.example", "-n", "weft-system"]);
      }
    });

    test("keep every call while both rotate their CA", async () => {
      await reached(toOrders, 200);
      const failures: string[] = [];
      let calls = 0;
      let loading = true;
      const load = [toOrders, toStock, toOrders, toStock].map(async (call) => {
        while (loading) {
          const answer = await call();
          calls += 1;
          if (answer.status !== 200) failures.push(JSON.stringify(answer));
        }
      });
      const rootOf = async (weft: Weft) => {
        const { x509 } = (await weft.api("GET", "/v1/ca")).json as { x509: { id: string; state: string }[] };
        return x509.find(({ state }) => state === "active")?.id;
      };
      try {
        const wefts = [lab().weft, other];
        const before = await Promise.all(wefts.map(rootOf));
        const rotated = await Promise.all(wefts.map((weft) => weft.cli(["ca", "rotate", "--wait", "55s"])));
        expect(rotated.map(({ code, stderr }) => [code, stderr])).toEqual([
          [0, ""],
          [0, ""],
        ]);
        const after = await Promise.all(wefts.map(rootOf));
        expect(after[0]).not.toBe(before[0]);
        expect(after[1]).not.toBe(before[1]);
        const atRotation = calls;
        await waitFor("calls after the rotation", () => calls > atRotation + 400, Boolean, { limitMs: 60_000 });
      } finally {
        loading = false;
        await Promise.all(load);
      }
      expect(failures).toEqual([]);
    }, 180_000);

    test("part at once where a TrustDomain is deleted", async () => {
      await reached(toOrders, 200);
      const deleted = await other.cli(["delete", "TrustDomain", "mesh.local", "-n", "weft-system"]);
      expect([deleted.code, deleted.stderr]).toEqual([0, ""]);
      await reached(toOrders, 503);
    });
  },
  { env: settings },
);

async function bundleOf(authority: OpenedAuthority) {
  const { x509, sequence } = authority.bundle();
  const keys = x509.map((pem) => ({ use: "x509-svid", kty: "EC", x5c: [new X509Certificate(pem).raw.toString("base64")] }));
  return { keys, spiffe_sequence: sequence };
}
