import { expect, test } from "bun:test";
import { analyze } from "../../src/mesh/analysis/index.ts";
import { buildMesh } from "../../src/mesh/build.ts";
import { meshOf, OPTIONS, resourcesOf, workload } from "../mesh/harness.ts";
import { accepts, documentWith, problemsOf, refuses } from "./support.ts";

const HASH = "0123456789abcdef".repeat(4);
const select = (unix: object) => ({ serviceAccount: "billing", selectors: { unix } });

accepts("WorkloadRegistration", {
  "a user, a path and a hash": select({ user: "billing", path: "/usr/bin/billing", sha256: HASH }),
  "a workload in place of a service account": { workload: "billing-1", selectors: { unix: { uid: 1001 } } },
  "groups and a hint": { ...select({ gid: 5, supplementaryGid: 6 }), hint: "internal" },
});

refuses("WorkloadRegistration", {
  "no selector": [select({}), "missing", "spec.selectors.unix"],
  "no identity": [{ selectors: { unix: { uid: 1 } } }, "missing", "spec"],
  "two identities": [{ ...select({ uid: 1 }), workload: "a" }, "exclusive", "spec"],
  "a uid and a user": [select({ uid: 1, user: "a" }), "exclusive", "spec.selectors.unix"],
  "a relative path": [select({ path: "billing" }), "badValue", "spec.selectors.unix.path"],
  "a path with dots": [select({ path: "/usr/bin/../bin/billing" }), "badValue", "spec.selectors.unix.path"],
  "a hash in capitals": [select({ sha256: HASH.toUpperCase() }), "badValue", "spec.selectors.unix.sha256"],
  "a service account that would be another path": [{ ...select({ uid: 1 }), serviceAccount: "a/b" }, "badValue", "spec.serviceAccount"],
  "a service account that is a relative path": [{ ...select({ uid: 1 }), serviceAccount: ".." }, "badValue", "spec.serviceAccount"],
  "a hint that no client need take": [{ ...select({ uid: 1 }), hint: "x".repeat(1025) }, "badValue", "spec.hint"],
});

test("a registration that more processes may meet than its author thinks is warned of", () => {
  const warnings = (unix: object) => problemsOf(documentWith("WorkloadRegistration", select(unix))).map((line) => line.slice(0, 60));
  expect(warnings({ uid: 1001, path: "/usr/bin/billing" })).toEqual([]);
  expect(warnings({ uid: 1001, path: "/tmp/billing" }).join()).toContain("spec.selectors.unix.path");
  expect(warnings({ uid: 1001, path: "/tmp/billing", sha256: HASH })).toEqual([]);
  expect(warnings({ uid: 0 }).join()).toContain("spec.selectors.unix.uid");
  expect(warnings({ user: "root" }).join()).toContain("spec.selectors.unix.user");
  expect(warnings({ path: "/usr/bin/billing" }).join()).toContain("spec.selectors.unix.path");
});

const registered = (name: string, spec: string, created: string) =>
  `apiVersion: weft.dev/v1\nkind: WorkloadRegistration\nmetadata: {name: ${name}, namespace: default, creationTimestamp: "${created}"}\nspec: ${spec}`;
const OLD = "2026-01-01T00:00:00Z";
const YOUNG = "2026-02-01T00:00:00Z";

test("a registration's identity is its namespace's service account, or that of its workload, the oldest first", () => {
  const mesh = meshOf(
    registered("a", "{serviceAccount: reports, selectors: {unix: {uid: 7}}, hint: external}", YOUNG),
    registered("b", "{workload: billing-1, selectors: {unix: {uid: 7}}}", OLD),
    registered("c", "{workload: nobody, selectors: {unix: {uid: 7}}}", OLD),
    workload("billing-1", "billing", "10.0.0.1"),
  );
  expect(mesh.registrations.map(({ spiffeId, hint }) => [spiffeId, hint])).toEqual([
    ["spiffe://mesh.local/ns/default/sa/billing", ""],
    ["spiffe://mesh.local/ns/default/sa/reports", "external"],
  ]);
});

test("registrations that did not change stay the same list, so that nobody who waits for them is woken", () => {
  const resources = resourcesOf(registered("a", "{serviceAccount: billing, selectors: {unix: {uid: 7}}}", OLD));
  const before = buildMesh(resources, OPTIONS);
  const other = resourcesOf(workload("orders-1", "orders", "10.0.0.1"));
  const after = buildMesh([...resources, ...other], { ...OPTIONS, revision: 2 }, before);
  expect(after.registrations).toBe(before.registrations);
});

test("a registration of a workload that is not there is told of, and of a service account that looks like a slip for another", () => {
  const resources = resourcesOf(
    registered("a", "{serviceAccount: biling, selectors: {unix: {uid: 7}}}", OLD),
    registered("program", "{serviceAccount: reports, selectors: {unix: {uid: 7}}}", OLD),
    registered("b", "{workload: billing-2, selectors: {unix: {uid: 7}}}", OLD),
    registered("c", "{serviceAccount: billing, selectors: {unix: {uid: 7}}}", OLD),
    workload("billing-1", "billing", "10.0.0.1"),
  );
  const found = analyze(resources, buildMesh(resources, OPTIONS)).filter(({ code }) => code === "WF0521");
  expect(found.map(({ message, resource, help }) => `${resource?.name} ${message} (${help})`)).toEqual([
    'a spec.serviceAccount: no workload of namespace default has service account "biling" (did you mean billing?)',
    "b spec.workload: there is no workload default/billing-2: nobody gets an identity by this (there are: billing-1)",
  ]);
});
