import { describe, expect, test } from "bun:test";
import { ProxyFeeds } from "../../src/control/feeds.ts";
import { type ProxySnapshot, TYPE } from "../../src/lib/encoded.ts";
import { buildMesh } from "../../src/mesh/build.ts";
import { parseDocuments } from "../../src/model/index.ts";
import { secretResources, tokenResource } from "../../src/xds/secret.ts";
import { FakeClock } from "../fakes/clock.ts";

const ENTRY = `apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata: {name: web-1}
spec: {address: 10.0.0.1, labels: {app: web}, serviceAccount: web}
`;

function meshOf(yaml: string, revision: number) {
  return buildMesh(parseDocuments(yaml, "mesh.yaml").resources, { revision, trustDomain: "mesh.local" });
}

function open(secretsReady = true) {
  const clock = new FakeClock();
  const seen: ProxySnapshot[] = [];
  const troubles: unknown[] = [];
  let give = () => {};
  const feeds = new ProxyFeeds({
    clock,
    onTrouble: (_proxy, reason) => troubles.push(reason),
    secretsOf: (_spiffeId, _tokens, onSecrets) => {
      give = () => onSecrets(secretResources({ trustDomain: "mesh.local", bundlePem: "bundle" }));
      if (secretsReady) give();
      return () => {};
    },
  });
  const close = feeds.subscribe({ id: "default/web-1" }, (snapshot) => seen.push(snapshot));
  const listeners = () => seen.at(-1)?.resources.get(TYPE.listener)?.size ?? 0;
  return { clock, feeds, seen, troubles, close, listeners, give: () => give() };
}

describe("a proxy's feed", () => {
  test("gives nothing before the first Mesh, then each Mesh's snapshot", () => {
    const { feeds, seen, listeners } = open();
    expect(seen).toHaveLength(0);
    feeds.update(meshOf(ENTRY, 1));
    feeds.update(meshOf(ENTRY, 2));
    expect(seen.map(({ revision }) => revision)).toEqual([1, 2]);
    expect(listeners()).toBe(1);
  });

  test("waits for the workload's first certificate", () => {
    const { feeds, seen, give } = open(false);
    feeds.update(meshOf(ENTRY, 1));
    expect(seen).toHaveLength(0);
    give();
    expect(seen[0]?.resources.get(TYPE.secret)?.has("ROOTCA")).toBe(true);
  });

  test("names a token in its clusters only when it was made, and follows which tokens its calls need", () => {
    const service = `apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: orders}
spec: {hosts: [orders], location: MESH_INTERNAL, resolution: STATIC, ports: [{number: 8080, name: http, protocol: HTTP}]}
`;
    const injection = (audience: string) => `apiVersion: weft.dev/v1
kind: TokenInjection
metadata: {name: to-orders}
spec: {hosts: [orders], audience: ${audience}}
`;
    const followed: string[] = [];
    const seen: ProxySnapshot[] = [];
    let give = () => {};
    const feeds = new ProxyFeeds({
      clock: new FakeClock(),
      onTrouble: (_proxy, reason) => {
        throw reason;
      },
      secretsOf: (_spiffeId, tokens, onSecrets) => {
        const names = tokens.map(({ secret }) => secret).join();
        followed.push(`+${names}`);
        const secrets = [
          ...secretResources({ trustDomain: "mesh.local", bundlePem: "CA" }),
          ...tokens.map((need) => tokenResource(need, "t")),
        ];
        give = () => onSecrets(secrets);
        if (tokens.length === 0) give();
        return () => followed.push(`-${names}`);
      },
    });
    const upstreamFilters = () => {
      const cluster = seen.at(-1)?.resources.get(TYPE.cluster)?.get("outbound|8080||orders.default.mesh.local");
      return /jwt-svid:\w+/.exec(new TextDecoder().decode(cluster?.any))?.[0];
    };
    feeds.subscribe({ id: "default/web-1" }, (snapshot) => seen.push(snapshot));
    feeds.update(meshOf(`${ENTRY}---\n${service}`, 1));
    expect([seen.length, upstreamFilters()]).toEqual([1, undefined]);
    feeds.update(meshOf([ENTRY, service, injection("a")].join("---\n"), 2));
    expect(seen).toHaveLength(1);
    give();
    expect(upstreamFilters()).toBe("jwt-svid:a");
    expect(seen.at(-1)?.resources.get(TYPE.secret)?.has("jwt-svid:a")).toBe(true);
    feeds.update(meshOf([ENTRY, service, injection("a")].join("---\n"), 3));
    expect(seen.at(-1)?.revision).toBe(3);
    feeds.update(meshOf([ENTRY, service, injection("b")].join("---\n"), 4));
    give();
    expect(upstreamFilters()).toBe("jwt-svid:b");
    expect(followed).toEqual(["+", "+jwt-svid:a", "-", "+jwt-svid:b", "-jwt-svid:a"]);
  });

  test("keeps a deleted workload's configuration until its callers had time to leave, then takes it all away", async () => {
    const { clock, feeds, listeners } = open();
    feeds.update(meshOf(ENTRY, 1));
    feeds.update(meshOf("", 2));
    await clock.advance(4_999);
    expect(listeners()).toBe(1);
    await clock.advance(2);
    expect(listeners()).toBe(0);
  });

  test("goes on where a deleted workload comes back in time", async () => {
    const { clock, feeds, listeners, seen } = open();
    feeds.update(meshOf(ENTRY, 1));
    feeds.update(meshOf("", 2));
    await clock.advance(1_000);
    feeds.update(meshOf(ENTRY, 3));
    await clock.advance(60_000);
    expect(seen.at(-1)?.revision).toBe(3);
    expect(listeners()).toBe(1);
  });

  test("an unregistered workload gets an empty configuration at once", () => {
    const { feeds, seen } = open();
    feeds.update(meshOf("", 1));
    expect(seen.at(-1)?.resources.size).toBe(0);
  });

  test("that fails is told, and the other proxies get theirs", () => {
    const { feeds, troubles } = open();
    feeds.subscribe({ id: "default/web-1" }, () => {
      throw new Error("defect");
    });
    const seen: number[] = [];
    feeds.subscribe({ id: "default/web-1" }, ({ revision }) => seen.push(revision));
    feeds.update(meshOf(ENTRY, 1));
    expect(troubles).toHaveLength(1);
    expect(seen).toEqual([1]);
  });
});
