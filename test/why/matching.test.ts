import { expect, test } from "bun:test";
import type { RouteTable } from "../../src/mesh/route-tables.ts";
import { contains } from "../../src/why/cidr.ts";
import { normalizePath, queryParameters } from "../../src/why/path.ts";
import { matchesTemplate } from "../../src/why/path-template.ts";
import { replaceMatched } from "../../src/why/rewrite.ts";
import { firstMismatch, type HttpRequest } from "../../src/why/route-match.ts";
import { matchesRegex, matchesString, matchesText, replaceRegex } from "../../src/why/text-match.ts";
import { findVirtualHost } from "../../src/why/virtual-host.ts";

const request = (more: Partial<HttpRequest> = {}): HttpRequest => ({
  method: "GET",
  authority: "orders:8080",
  path: "/v2/x?user=jason",
  scheme: "http",
  headers: new Map(),
  ...more,
});

test("a regular expression is RE2 and must match the whole text", () => {
  expect(matchesRegex("/v2/.*", "/v2/x")).toBe(true);
  expect(matchesRegex("/v2", "/v2/x")).toBe(false);
  expect(matchesRegex("(?i)/V2", "/v2")).toBe(true);
  expect(matchesRegex("(", "(")).toBe(false);
});

test("no condition, and the regex *, ask for presence", () => {
  expect(matchesString({}, "")).toBe(true);
  expect(matchesString({ regex: "*" }, "anything")).toBe(true);
  expect(matchesString({ prefix: "ja" }, "jason")).toBe(true);
  expect(matchesString({ exact: "ja" }, "jason")).toBe(false);
});

test("a policy's text matches by prefix, suffix, whole or presence, with or without case", () => {
  expect(matchesText({ kind: "suffix", value: ".Example", ignoreCase: true }, "a.EXAMPLE")).toBe(true);
  expect(matchesText({ kind: "suffix", value: ".Example", ignoreCase: false }, "a.example")).toBe(false);
  expect(matchesText({ kind: "prefix", value: "/admin", ignoreCase: false }, "/admin/x")).toBe(true);
  expect(matchesText({ kind: "present" }, "")).toBe(true);
  expect(matchesText({ kind: "regex", value: ".+" }, "")).toBe(false);
});

test("an address is in a range of its own family only", () => {
  expect(contains({ address: "10.1.0.0", prefixLength: 16 }, "10.1.2.3")).toBe(true);
  expect(contains({ address: "10.1.0.0", prefixLength: 16 }, "10.2.2.3")).toBe(false);
  expect(contains({ address: "::", prefixLength: 0 }, "10.2.2.3")).toBe(false);
  expect(contains({ address: "10.0.0.0", prefixLength: 8 }, "no address")).toBe(false);
});

test("each level of path normalization does what Envoy does", () => {
  const odd = "/a/./b/../%61//c%2Fd\\e?q=/../";
  expect(normalizePath(odd, "NONE")).toBe(odd);
  expect(normalizePath(odd, "BASE")).toBe("/a/a//c%2Fd/e?q=/../");
  expect(normalizePath(odd, "MERGE_SLASHES")).toBe("/a/a/c%2Fd/e?q=/../");
  expect(normalizePath(odd, "DECODE_AND_MERGE_SLASHES")).toBe("/a/a/c/d/e?q=/../");
});

test("slashes alone become two, as in Envoy", () => {
  expect(normalizePath("///", "MERGE_SLASHES")).toBe("//");
  expect(normalizePath("//admin//", "MERGE_SLASHES")).toBe("/admin/");
});

test("a path with a fragment, a NUL or anything but visible ASCII is none", () => {
  for (const path of ["/a#b", "/a%00b", "/a b", "/é"]) expect(normalizePath(path, "BASE")).toBeUndefined();
});

test("dots at the root go nowhere", () => {
  expect(normalizePath("/../../a", "BASE")).toBe("/a");
  expect(normalizePath("/a/..", "BASE")).toBe("/");
  expect(normalizePath("/a/.", "BASE")).toBe("/a/");
  expect(normalizePath("/%2e%2E/a", "BASE")).toBe("/a");
});

test("the first value of a query parameter counts, as it is written", () => {
  const parameters = queryParameters("/x?a=1&a=2&b&c=%20");
  expect([...parameters]).toEqual([
    ["a", "1"],
    ["b", ""],
    ["c", "%20"],
  ]);
});

test("in a path template {*} is one segment and {**} any rest", () => {
  expect(matchesTemplate("/v2/*/x", "/v2/a/x")).toBe(true);
  expect(matchesTemplate("/v2/*/x", "/v2/a/b/x")).toBe(false);
  expect(matchesTemplate("/v2/*", "/v2/")).toBe(false);
  expect(matchesTemplate("/v2/**", "/v2/")).toBe(true);
  expect(matchesTemplate("/v2/**/x", "/v2/a/b/x")).toBe(true);
  expect(matchesTemplate("/v2/*", "/v2/*")).toBe(true);
  expect(matchesTemplate("/v2.x", "/v2ax")).toBe(false);
});

test("a Host header names the exact domain, else the longest wildcard, in any case", () => {
  const host = (name: string, ...domains: string[]) => ({ name, domains, routes: [], sources: [] });
  const virtualHosts = [
    host("all", "*"),
    host("wild", "*.example"),
    host("longer", "*.a.example"),
    host("exact", "x.a.example", "x.a.example:80"),
  ];
  const table: RouteTable = { name: "t", virtualHosts, ignorePort: false };
  const found = (authority: string) => findVirtualHost(table, authority)?.name;
  expect(found("X.a.example")).toBe("exact");
  expect(found("x.a.example:80")).toBe("exact");
  expect(found("y.a.example")).toBe("longer");
  expect(found("y.example")).toBe("wild");
  expect(found(".example")).toBe("all");
  expect(findVirtualHost({ ...table, virtualHosts: virtualHosts.slice(1) }, "nobody")).toBeUndefined();
  expect(findVirtualHost({ ...table, ignorePort: true }, "x.a.example:9999")?.name).toBe("exact");
});

test("of a match the first condition that fails is told, in Envoy's order", () => {
  const match = { uri: { prefix: "/v2" }, headers: { "x-user": { exact: "anna" } }, method: { exact: "POST" } };
  expect(firstMismatch(match, request({ path: "/v1" }))).toContain("uri");
  expect(firstMismatch(match, request())).toBe('header x-user is absent, not "anna"');
  expect(firstMismatch(match, request({ headers: new Map([["x-user", "anna"]]) }))).toBe('method is GET, not "POST"');
  expect(firstMismatch(match, request({ method: "POST", headers: new Map([["x-user", "anna"]]) }))).toBeUndefined();
});

test("ignoreUriCase holds for prefix and exact, and the query is no part of the path", () => {
  expect(firstMismatch({ uri: { exact: "/V2/X" }, ignoreUriCase: true }, request())).toBeUndefined();
  expect(firstMismatch({ uri: { exact: "/V2/X" } }, request())).toContain("uri");
  expect(firstMismatch({ uri: { exact: "/v2/x?user=jason" } }, request())).toContain("uri");
});

test("withoutHeaders takes an absent header for an empty one, unless it asks for presence", () => {
  const absent = request();
  const empty = request({ headers: new Map([["x-user", ""]]) });
  expect(firstMismatch({ withoutHeaders: { "x-user": {} } }, absent)).toBeUndefined();
  expect(firstMismatch({ withoutHeaders: { "x-user": {} } }, empty)).toContain("withoutHeaders");
  expect(firstMismatch({ withoutHeaders: { "x-user": { regex: ".*" } } }, absent)).toContain("withoutHeaders");
});

test("a rewrite replaces the matched prefix, or, with exact and regex, the whole path, and keeps the query", () => {
  expect(replaceMatched("/v2/x?a=1", { uri: { prefix: "/v2" } }, "/new")).toBe("/new/x?a=1");
  expect(replaceMatched("/v2/x?a=1", { uri: { exact: "/v2/x" } }, "/new")).toBe("/new?a=1");
  expect(replaceMatched("/v2/x?a=1", { uri: { regex: "/v2/.*" } }, "/new")).toBe("/new?a=1");
  expect(replaceMatched("/x", undefined, "/new/")).toBe("/new/x");
});

test("a rewrite by regular expression replaces every match, with groups", () => {
  expect(replaceRegex("/v([0-9])/([a-z]+)", "/v2/x/v3/y", "/\\2/\\1")).toBe("/x/2/y/3");
  expect(replaceRegex("z", "/abc", "y")).toBe("/abc");
});
