import { expect, test } from "bun:test";
import { parseUnixUser } from "../../src/model/annotations.ts";
import { parseDocuments } from "../../src/model/index.ts";

test("weft.dev/unix-user is a user's number, or a name in lower case", () => {
  for (const user of ["1001", "1", "4294967294", "web", "_weft", "web-1"]) expect(parseUnixUser(user)).toEqual({ value: user });
  for (const user of [
    "",
    "-1",
    "01",
    "1.0",
    "4294967295",
    "99999999999",
    "65534",
    "nobody",
    "Web",
    "web user",
    "web\n",
    "../etc",
    "1e3",
    " 1",
  ]) {
    expect(parseUnixUser(user)).toHaveProperty("error");
  }
});

test("nobody cannot be the user of a workload, and the reason says so", () => {
  for (const user of ["nobody", "65534"]) {
    const [problem, ...more] = parseDocuments(entry(user), "web.yaml").problems;
    expect([problem?.message, more.length]).toEqual([expect.stringContaining("run its Envoy as a user of its own"), 0]);
  }
});

test("root cannot be the user of a workload, by whichever name", () => {
  for (const user of ["root", "0", "00"]) {
    const problems = parseDocuments(entry(user), "web.yaml").problems.map(({ code, line, message }) => ({ code, line, message }));
    expect(problems).toEqual([{ code: "WF0016", line: 5, message: expect.stringContaining("root is no user of a workload's own") }]);
  }
  expect(parseDocuments(entry("1001"), "web.yaml").problems).toEqual([]);
});

test("instances of a WorkloadGroup have no user of their own", () => {
  const group = `apiVersion: networking.istio.io/v1
kind: WorkloadGroup
metadata: {name: web}
spec:
  metadata:
    annotations:
      weft.dev/unix-user: "1001"
  template: {serviceAccount: web}
`;
  const { problems } = parseDocuments(group, "group.yaml");
  expect(problems.map(({ line, message }) => ({ line, message }))).toEqual([
    { line: 7, message: expect.stringContaining("is for one workload") },
  ]);
});

const entry = (user: string) => `apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata:
  name: web-1
  annotations: {weft.dev/unix-user: "${user}"}
spec: {address: 127.0.0.9, serviceAccount: web}
`;

test("no workload has weft's own identity", () => {
  const weft = (namespace: string) =>
    entry("1001").replace("name: web-1", `name: web-1\n  namespace: ${namespace}`).replace("serviceAccount: web", "serviceAccount: weft");
  expect(parseDocuments(weft("weft-system"), "x.yaml").problems.map(({ message }) => message)).toEqual([
    expect.stringContaining("weft's own identity"),
  ]);
  expect(parseDocuments(weft("istio-system"), "x.yaml").problems.map(({ message }) => message)).toEqual([
    expect.stringContaining("weft's own identity"),
  ]);
  expect(parseDocuments(weft("default"), "x.yaml").problems).toEqual([]);
});
