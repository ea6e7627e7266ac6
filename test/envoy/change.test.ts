import { beforeAll, expect, test } from "bun:test";
import { waitFor } from "../../scripts/lib/lab/wait.ts";
import { type Sidecar, untilLive } from "../../scripts/lib/lab/workload.ts";
import { callFrom, describeMesh, type Member, serviceEntryYaml } from "./harness.ts";

const destinationRule = (spec: string) => `apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: orders, namespace: default}
spec: {host: orders, ${spec}}
`;
const SUBSETS = "subsets: [{name: v1, labels: {version: v1}}, {name: v2, labels: {version: v2}}]";
const virtualService = (http: string) => `apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: orders, namespace: default}
spec: {hosts: [orders], http: [{${http}}]}
`;
const peerAuthentication = (mode: string) => `apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: {name: default, namespace: default}
spec: {mtls: {mode: ${mode}}}
`;
const ALLOW_WEB = `apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: orders, namespace: default}
spec: {selector: {matchLabels: {app: orders}}, rules: [{from: [{source: {principals: [mesh.local/ns/default/sa/web]}}]}]}
`;

describeMesh("a change under load", (lab) => {
  let web: Member;
  let v1: Member;
  let v2: Member;
  let v2Sidecar: Sidecar;

  beforeAll(async () => {
    [web, v1, v2] = await Promise.all([
      lab().workload({ name: "web-1", service: "web" }),
      lab().workload({ name: "orders-v1", service: "orders", version: "v1" }),
      lab().workload({ name: "orders-v2", service: "orders", version: "v2" }),
    ]);
    const sidecars = await lab().join([{ name: "web" }, { name: "orders" }], [web, v1, v2]);
    v2Sidecar = sidecars[2] ?? expect.unreachable();
    await waitFor(
      "the first call",
      () => callFrom(web, "orders"),
      ({ status }) => status === 200,
    );
  });

  /** The failures during `work`, with the step in which each happened. */
  async function failuresDuring(work: (step: (name: string, change: () => Promise<unknown>) => Promise<void>) => Promise<void>) {
    let loading = true;
    let calls = 0;
    let current = "";
    const failures: string[] = [];
    const load = Array.from({ length: 4 }, async () => {
      while (loading) {
        const answer = await callFrom(web, "orders");
        calls += 1;
        if (answer.status !== 200) failures.push(`${current}: ${answer.status} ${answer.error ?? answer.text}`);
      }
    });
    try {
      await work(async (name, change) => {
        current = name;
        await change();
        const until = calls + 150;
        await waitFor(
          `calls after: ${name}`,
          () => calls,
          (now) => now >= until,
        );
      });
    } finally {
      loading = false;
      await Promise.all(load);
    }
    return failures;
  }

  const apply = (yaml: string) => () => lab().weft.apply(yaml);
  const remove = (kind: string, name: string) => async () => {
    const { code, stderr } = await lab().weft.cli(["delete", kind, name]);
    if (code !== 0) throw new Error(stderr);
  };

  test("routes, subsets, pools and services change without a failed request", async () => {
    const failures = await failuresDuring(async (step) => {
      const toV2 = virtualService("route: [{destination: {host: orders, subset: v2}}]");
      await step("a subset and its route in one apply", apply(`${toV2}---\n${destinationRule(SUBSETS)}`));
      await step("another split", apply(virtualService("route: [{destination: {host: orders, subset: v1}}], timeout: 5s")));
      await step("a pool", apply(destinationRule(`${SUBSETS}, trafficPolicy: {connectionPool: {tcp: {maxConnections: 50}}}`)));
      await step("a balancer", apply(destinationRule(`${SUBSETS}, trafficPolicy: {loadBalancer: {simple: RANDOM}}`)));
      await step("no route", remove("VirtualService", "orders"));
      await step("no subsets", remove("DestinationRule", "orders"));
      await step("another service", apply(serviceEntryYaml({ name: "unrelated" })));
      await step("and its end", remove("ServiceEntry", "unrelated"));
    });
    expect(failures).toEqual([]);
  });

  test("mutual TLS becomes STRICT and PERMISSIVE again without a failed request in the mesh", async () => {
    const failures = await failuresDuring(async (step) => {
      await step("PERMISSIVE, as it was", apply(peerAuthentication("PERMISSIVE")));
      await step("STRICT", apply(peerAuthentication("STRICT")));
      await step("PERMISSIVE", apply(peerAuthentication("PERMISSIVE")));
      await step("STRICT again", apply(peerAuthentication("STRICT")));
      await step("none", remove("PeerAuthentication", "default"));
    });
    expect(failures).toEqual([]);
  });

  test("an AuthorizationPolicy that allows the caller comes and goes without a failed request", async () => {
    const failures = await failuresDuring(async (step) => {
      await step("a policy", apply(ALLOW_WEB));
      await step("another", apply(ALLOW_WEB.replace("rules:", "action: ALLOW, rules:")));
      await step("none", remove("AuthorizationPolicy", "orders"));
    });
    expect(failures).toEqual([]);
  });

  test("one of two instances' proxies ends and comes back, and no request is lost that a connection was there for", async () => {
    // A caller goes on trying an instance that is gone; with these retries it ends up at the other one.
    const retries = virtualService("route: [{destination: {host: orders}}], retries: {attempts: 5, retryOn: connect-failure}");
    await lab().weft.apply(`${retries}---\n${destinationRule("trafficPolicy: {loadBalancer: {simple: ROUND_ROBIN}}")}`);
    const failures = await failuresDuring(async (step) => {
      await step("both", async () => {});
      await step("SIGTERM", async () => {
        v2Sidecar.process.signal("SIGTERM");
        expect(await v2Sidecar.process.exited).toBe(0);
      });
      await step("one", async () => {});
      await step("both again", () => untilLive(lab().startSidecar(v2)));
    });
    expect(failures).toEqual([]);
    v2.app.reset();
    await waitFor(
      "the second to be called again",
      async () => {
        await callFrom(web, "orders");
        return v2.app.calls;
      },
      (calls) => calls > 0,
    );
  });
});
