import { describe, expect, test } from "bun:test";
import { parseCel } from "../../src/lib/cel.ts";

const errorOf = (text: string) => {
  const parsed = parseCel(text);
  return "error" in parsed ? parsed.error : undefined;
};

describe("A CEL expression", () => {
  test.each([
    "response.code >= 400",
    'connection.mtls && request.url_path.contains("v1beta3")',
    '!has(request.useragent) || !(request.useragent.startsWith("Amazon-Route53-Health-Check-Service"))',
    "request.headers['x-tenant'] in ['a', 'b'] ? 1 : -2",
    "{'a': 1}['a'] + 2 * size(request.method)",
    "request.time.getHours() < 12 && metadata.filter_metadata['x'] != null",
    "request.path.matches(r'^/a.*')",
  ])("is taken as Envoy takes it: %s", (text) => {
    expect(errorOf(text)).toBeUndefined();
  });

  test.each([
    ["", "is empty"],
    ["response.code >=", "ends too early"],
    ["(response.code", "needs ) at the end"],
    ["request.host request.path", "has request where nothing should follow"],
    ["request.path == 'a", "cannot be read"],
    ["node.metadata['x']", "names node, which is no attribute"],
    ["string(response.code) == '200'", "calls string()"],
    ["request.path.split('/')[1]", "calls split()"],
    ["[1, 2].exists(x, x == 1)", "calls exists()"],
    ["'a' + request.method", "joins strings"],
    ["has(request.headers['x'])", "has() asks for a field"],
    ["(".repeat(500), "is nested too deeply"],
  ])("is told to be wrong: %s", (text, error) => {
    expect(errorOf(text)).toContain(error);
  });
});
