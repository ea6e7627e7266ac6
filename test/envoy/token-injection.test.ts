import { beforeAll, expect, test } from "bun:test";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { waitFor } from "../../scripts/lib/lab/wait.ts";
import type { Sidecar } from "../../scripts/lib/lab/workload.ts";
import { callFrom, callPlaintext, describeMesh, expectStatus, type Member } from "./harness.ts";

/** Its clock makes tokens due for renewal every few seconds after SIGUSR2. */
const SIXTY_FOLD = [process.execPath, join(import.meta.dir, "sixty-fold-weft.ts")];

const ISSUER = "spiffe://mesh.local";
const WEB = `${ISSUER}/ns/default/sa/web`;

const claimsOf = (header: string | undefined): Record<string, unknown> => {
  const [, payload = ""] = (header ?? "").replace(/^Bearer /, "").split(".");
  return JSON.parse(Buffer.from(payload, "base64url").toString() || "{}");
};
const kidOf = (header: string) => JSON.parse(Buffer.from(header.replace(/^Bearer /, "").split(".")[0] ?? "", "base64url").toString()).kid;

const POLICIES = `apiVersion: weft.dev/v1
kind: TokenInjection
metadata: {name: to-orders}
spec:
  selector: {matchLabels: {app: web}}
  hosts: [orders]
  audience: orders
---
apiVersion: security.istio.io/v1
kind: RequestAuthentication
metadata: {name: orders}
spec:
  selector: {matchLabels: {app: orders}}
  jwtRules: [{issuer: "${ISSUER}", audiences: [orders], forwardOriginalToken: true}]
---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: orders}
spec:
  selector: {matchLabels: {app: orders}}
  rules: [{from: [{source: {requestPrincipals: ["${ISSUER}/${WEB}"]}}]}]
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: orders}
spec:
  hosts: [orders]
  http:
    - retries: {attempts: 2, retryOn: 5xx}
      mirror: {host: billing}
      route: [{destination: {host: orders}}]
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: alias}
spec:
  hosts: [alias]
  http:
    - match: [{uri: {prefix: /billing}}]
      route: [{destination: {host: billing}}]
    - route: [{destination: {host: orders}}]
`;

describeMesh(
  "a JWT-SVID that Envoy adds",
  (lab) => {
    let web: Member;
    let orders: Member;
    let billing: Member;
    let sidecars: Sidecar[];

    beforeAll(async () => {
      [web, orders, billing] = await Promise.all([
        lab().workload({ name: "web-1", service: "web" }),
        lab().workload({ name: "orders-1", service: "orders" }),
        lab().workload({ name: "billing-1", service: "billing" }),
      ]);
      sidecars = await lab().join([{ name: "web" }, { name: "orders" }, { name: "billing" }, { name: "alias" }], [web, orders, billing]);
      await lab().weft.apply(POLICIES);
      await waitFor(
        "the policies",
        async () => [(await callPlaintext(orders)).status, (await callFrom(web, "orders")).status],
        ([plain, carried]) => plain === 403 && carried === 200,
      );
    });

    test("comes with each call of the host, names the caller and the audience, and is what policies judge", async () => {
      const seen = expectStatus(await callFrom(web, "orders", { headers: { authorization: "Bearer of.the.application" } }), 200);
      const claims = claimsOf(seen.echo?.headers.authorization);
      expect(claims).toMatchObject({ iss: ISSUER, sub: WEB, aud: ["orders"] });
      expect(Number(claims.exp) - Number(claims.iat)).toBe(300);
      // The same call of a caller for which there is no TokenInjection.
      expectStatus(await callFrom(billing, "orders"), 403);
    });

    test("goes to no other host: not to a mirror's, and not where a route leads elsewhere", async () => {
      billing.app.reset();
      expectStatus(await callFrom(web, "orders", { path: "/mirrored" }), 200);
      await waitFor(
        "the copy",
        () => billing.app.last?.path,
        (path) => path === "/mirrored",
      );
      expect(billing.app.last?.headers.authorization).toBeUndefined();
      expect(expectStatus(await callFrom(web, "billing"), 200).echo?.headers.authorization).toBeUndefined();
      expect(expectStatus(await callFrom(web, "alias", { path: "/billing" }), 200).echo?.headers.authorization).toBeUndefined();
      // The service decides, not the name by which it is called.
      expect(claimsOf(expectStatus(await callFrom(web, "alias"), 200).echo?.headers.authorization).sub).toBe(WEB);
    });

    test("comes with each try of a call", async () => {
      orders.app.reset();
      orders.app.failNext = 2;
      const { echo } = expectStatus(await callFrom(web, "orders"), 200);
      expect([orders.app.calls, claimsOf(echo?.headers.authorization).sub]).toEqual([3, WEB]);
    });

    test("weft why tells of it at the caller, and of its verdict at the server, without a claim being given", async () => {
      const ask = async (...args: string[]) => lab().weft.cli(["why", ...args, "--to", "orders", "-o", "json"]);
      const allowed = JSON.parse((await ask("--from", "web-1")).stdout);
      expect(allowed).toMatchObject({ verdict: "allow", jwt: { result: "valid", reason: `a token of ${ISSUER}` } });
      expect(allowed.steps).toContainEqual({
        stage: "token",
        result: "orders",
        reason: `the caller's sidecar adds a JWT-SVID of ${WEB} for orders as authorization`,
        source: expect.objectContaining({ kind: "TokenInjection", name: "to-orders" }),
      });
      expect(JSON.parse((await ask("--from", "billing-1")).stdout)).toMatchObject({ verdict: "deny", jwt: { result: "missing" } });
    });

    test("is in no dump and in no log", async () => {
      const header = (await callFrom(web, "orders")).echo?.headers.authorization ?? "";
      const token = header.replace(/^Bearer /, "");
      const signature = token.split(".")[2] ?? "";
      expect(signature.length).toBeGreaterThan(80);
      const [sidecar] = sidecars;
      const dumps = [
        (await lab().weft.api("GET", "/v1/proxies/default%2Fweb-1/config")).text,
        (await lab().weft.cli(["proxies", "web-1", "--config", "-o", "json"])).stdout,
        (await sidecar?.admin("/config_dump?include_eds")) ?? "",
        ...readdirSync(join(lab().directory, "logs"), { withFileTypes: true, recursive: true })
          .filter((entry) => entry.isFile())
          .map((entry) => readFileSync(join(entry.parentPath, entry.name), "utf8")),
      ];
      for (const dump of dumps) expect(dump.includes(signature)).toBe(false);
      expect(dumps[0]).toContain("jwt-svid:orders");
      // It is the proxy's own secret: no other's is told of it.
      expect((await lab().weft.api("GET", "/v1/proxies/default%2Fbilling-1/config")).text).not.toContain("jwt-svid:");
    });

    test("is renewed, and its authority rotated, under load and without a failed request", async () => {
      let loading = true;
      const tokens = new Set<string>();
      const kids = new Set<string>();
      const failures: string[] = [];
      let calls = 0;
      const load = Array.from({ length: 3 }, async () => {
        while (loading) {
          const answer = await callFrom(web, "orders");
          calls += 1;
          const header = answer.echo?.headers.authorization;
          if (answer.status !== 200 || !header) failures.push(JSON.stringify(answer));
          else {
            tokens.add(header);
            kids.add(kidOf(header));
          }
        }
      });
      try {
        process.kill(lab().weft.process().pid, "SIGUSR2");
        const rotated = await lab().weft.cli(["ca", "rotate", "--authority", "jwt"]);
        expect(rotated.code, rotated.stderr).toBe(0);
        await waitFor(
          "four tokens, of two authorities",
          () => [tokens.size, kids.size],
          ([own = 0, authorities = 0]) => own >= 4 && authorities >= 2,
          { limitMs: 45_000, everyMs: 100 },
        );
        const until = calls + 100;
        await waitFor(
          "calls with the last",
          () => calls,
          (now) => now >= until,
        );
      } finally {
        loading = false;
        await Promise.all(load);
      }
      expect(failures).toEqual([]);
    });
  },
  { runCommand: SIXTY_FOLD },
);
