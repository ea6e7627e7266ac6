/** WF02xx: values. */
import type { CodeEntry } from "./entry.ts";

export const VALUES_CODES = {
  outOfRange: {
    code: "WF0201",
    title: "Number out of range",
    cause: "The number is too small or too large for the field.",
    mend: "Write a number in the range that the message names.",
    example: `apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata: {name: orders-1}
spec:
  address: 10.0.0.8
  ports: {http: 80800}
`,
  },
  badHost: {
    code: "WF0202",
    title: "Invalid host",
    cause: "A host is a DNS name, possibly with one leading wildcard label, as Istio takes it in this field.",
    mend: "Write a name such as orders, orders.default.mesh.local or *.example.com.",
    example: `apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: orders}
spec:
  hosts: ["https://orders"]
  http:
    - route: [{destination: {host: orders}}]
`,
  },
  badAddress: {
    code: "WF0203",
    title: "Invalid address",
    cause: "The field takes an IP address or what else the message names.",
    mend: "Write an IPv4 or IPv6 address, or a CIDR block such as 10.0.0.0/8.",
    example: `apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: orders}
spec:
  hosts: [orders]
  resolution: STATIC
  ports: [{number: 80, name: http, protocol: HTTP}]
  endpoints: [{address: orders.example.com}]
`,
  },
  badDuration: {
    code: "WF0204",
    title: "Invalid duration",
    cause: "Durations are written as 1.5s, 250ms, 1h30m; Istio asks for at least 1ms in most places.",
    mend: "Write a duration with its unit.",
    example: `apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: orders}
spec:
  hosts: [orders]
  http:
    - timeout: 2 seconds
      route: [{destination: {host: orders}}]
`,
  },
  badRegex: {
    code: "WF0205",
    title: "Invalid regular expression",
    cause: "Envoy uses RE2, which has no look-around and no back-references, and limits the size of an expression.",
    mend: "Write it in RE2's syntax.",
    example: `apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: orders}
spec:
  hosts: [orders]
  http:
    - match: [{uri: {regex: "/(?!admin).*"}}]
      route: [{destination: {host: orders}}]
`,
  },
  badHeader: {
    code: "WF0206",
    title: "Invalid header name or value",
    cause: "A header's name holds letters, digits and a few signs; a value may not break Envoy's format syntax.",
    mend: "Mend the header as the message says.",
    example: `apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: orders}
spec:
  hosts: [orders]
  http:
    - headers: {request: {set: {"x version": "2"}}}
      route: [{destination: {host: orders}}]
`,
  },
  badLabel: {
    code: "WF0207",
    title: "Invalid label",
    cause: "Labels follow Kubernetes' syntax: 63 letters, digits, '-', '_' and '.', and a key may have a DNS prefix.",
    mend: "Shorten it or replace the characters that are not allowed.",
    example: `apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata: {name: orders-1}
spec:
  address: 10.0.0.8
  labels: {app: "orders!"}
`,
  },
  badValue: {
    code: "WF0208",
    title: "Invalid value",
    cause: "Istio refuses this value in this field.",
    mend: "Mend the value as the message says.",
    example: `apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: orders}
spec:
  host: orders
  subsets: [{name: "v1.2", labels: {version: v1}}]
`,
  },
  badPattern: {
    code: "WF0209",
    title: "Invalid match pattern",
    cause: "The pattern can match nothing, or is not one that Istio takes in this field.",
    mend: "Mend the pattern as the message says.",
    example: `apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: readers}
spec:
  rules:
    - to: [{operation: {paths: ["/{*}/orders-{id}"]}}]
`,
  },
  badPem: {
    code: "WF0210",
    title: "No certificate or key in PEM",
    cause: "The value cannot be used in TLS: it is not PEM, cannot be read, or is of a sort that Envoy does not take.",
    mend: "Write the whole PEM file, with its BEGIN and END lines; keys are RSA from 2048 bits, or ECDSA on P-256, P-384 or P-521.",
    example: `apiVersion: v1
kind: Secret
metadata: {name: front}
type: Opaque
stringData:
  cacert: not a certificate
`,
  },
} as const satisfies Record<string, CodeEntry>;
