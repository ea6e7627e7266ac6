import { afterAll, beforeAll, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { openTestWeft, type TestWeft } from "./weft.ts";

const ENTRIES = (user: string, group: string) => `apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata:
  name: web-1
  annotations: {weft.dev/unix-user: "${user}"}
spec: {address: 127.0.0.9, serviceAccount: web}
---
apiVersion: weft.dev/v1
kind: WorkloadRegistration
metadata: {name: billing}
spec:
  serviceAccount: billing
  selectors:
    unix:
      user: ${user}
      group: ${group}
`;

/** One that is there: not root and not nobody, who are nobody's users. */
const known = (file: string) => /^(?!root:|nobody:|nogroup:)([a-z_][a-z0-9_-]*):/m.exec(readFileSync(file, "utf8"))?.[1] ?? "";

let weft: TestWeft;
beforeAll(async () => {
  weft = await openTestWeft();
});
afterAll(() => weft.close());

test("a user or group that this machine does not have is told of by an apply and by weft check", async () => {
  const place = ({ code, line, message }: { code: string; line: number; message: string }) => `${code} ${line} ${message}`;
  const told = async (method: string, path: string, body?: string) => {
    const { status, json } = await weft.ask(method, path, body);
    expect(status).toBe(200);
    return (json.problems as Parameters<typeof place>[0][]).filter(({ code }) => code === "WF0406").map(place);
  };
  const expected = [
    'WF0406 5 there is no user "weft-nosuch" on this machine: its proxy needs a token',
    'WF0406 15 there is no user "weft-nosuch" on this machine: no process gets an identity by this',
    'WF0406 16 there is no group "weft-nogroup" on this machine: no process gets an identity by this',
  ];
  expect(await told("POST", "/v1/apply?file=users.yaml&dryRun=true", ENTRIES("weft-nosuch", "weft-nogroup"))).toEqual(expected);
  expect(await told("POST", "/v1/apply?file=users.yaml", ENTRIES("weft-nosuch", "weft-nogroup"))).toEqual(expected);
  expect((await told("GET", "/v1/check")).sort()).toEqual([...expected].sort());
  expect(await told("POST", "/v1/apply?file=users.yaml", ENTRIES(known("/etc/passwd"), known("/etc/group")))).toEqual([]);
  expect(await told("GET", "/v1/check")).toEqual([]);
});
