import { expect, test } from "bun:test";
import { why } from "../../src/why/index.ts";
import { httpService, meshOf, resource, workload } from "../mesh/harness.ts";

const town = [httpService("orders"), workload("web-1", "web", "10.0.0.1"), workload("orders-1", "orders", "10.0.0.2")];

function authorities(route: string): readonly (string | undefined)[] {
  const routes = resource("VirtualService", "x", `{hosts: [orders], http: [${route}]}`);
  const { destinations } = why(meshOf(...town, routes), { from: "default/web-1", to: "orders" }, { now: 0 });
  return destinations.map(({ request }) => request?.authority);
}

const to = (weight: number, host = "") =>
  `{destination: {host: orders}, weight: ${weight}${host ? `, headers: {request: {set: {host: ${host}}}}` : ""}}`;

test("The host that a route writes goes before what its weighted destinations write; without one each has its own", () => {
  const both = `route: [${to(1, "a.example")}, ${to(1)}]`;
  expect(authorities(`{${both}, rewrite: {authority: route.example}}`)).toEqual(["route.example", "route.example"]);
  expect(authorities(`{${both}, headers: {request: {set: {":authority": route.example}}}}`)).toEqual(["route.example", "route.example"]);
  expect(authorities(`{${both}}`)).toEqual(["a.example", "orders"]);
  expect(authorities(`{route: [${to(1, "a.example")}, ${to(0)}], rewrite: {authority: route.example}}`)).toEqual(["route.example"]);
  expect(authorities(`{route: [${to(1, "a.example")}]}`)).toEqual(["a.example"]);
});
