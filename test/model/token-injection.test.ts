import { describe } from "bun:test";
import { accepts, refuses } from "./support.ts";

type Spec = Record<string, unknown>;

const plain = (more: Spec = {}): Spec => ({ hosts: ["orders"], audience: "orders", ...more });

describe("TokenInjection", () => {
  accepts("TokenInjection", {
    "hosts and an audience": plain(),
    "wildcards and names outside of the mesh": plain({ hosts: ["*.example.com", "api.example.net", "orders.shop"] }),
    "an audience that is a URL": plain({ audience: "https://api.example.com/v1" }),
    "a header and a prefix of its own": plain({ header: "X-Token", prefix: "Token " }),
    "no prefix": plain({ prefix: "" }),
    "a selector": plain({ selector: { matchLabels: { app: "web" } } }),
  });

  const at = (field: string) => `spec.${field}`;
  refuses("TokenInjection", {
    "no hosts": [{ audience: "a" }, "missing", "spec: needs hosts"],
    "an empty list of hosts": [plain({ hosts: [] }), "badValue", at("hosts: must name a host")],
    "every host": [plain({ hosts: ["*"] }), "badHost", at('hosts[0]: "*" would hand the token to every service')],
    "a URL for a host": [plain({ hosts: ["https://orders"] }), "badHost", at("hosts[0]")],
    "a host twice": [plain({ hosts: ["orders", "orders"] }), "duplicateItem", at("hosts[1]")],
    "no audience": [{ hosts: ["orders"] }, "missing", "spec: needs audience"],
    "an empty audience": [plain({ audience: "" }), "badValue", at("audience: must not be empty")],
    "a header that is none": [plain({ header: "x token" }), "badHeader", at("header")],
    "an empty header": [plain({ header: "" }), "badHeader", at("header")],
    "a pseudo-header": [plain({ header: ":authority" }), "badHeader", at("header")],
    "a header of the connection": [plain({ header: "Transfer-Encoding" }), "badHeader", at("header")],
    "the Host header": [plain({ header: "host" }), "badHeader", at("header")],
    "what proxies say of the caller": [plain({ header: "X-Forwarded-Client-Cert" }), "badHeader", at("header")],
    "what Envoy takes orders by": [plain({ header: "x-envoy-original-dst-host" }), "badHeader", at("header")],
    "a prefix that would end the line": [plain({ prefix: "Bearer\r\nx: " }), "badHeader", at("prefix")],
  });
});
