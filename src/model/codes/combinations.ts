/** WF03xx: how values of one document go together. */
import type { CodeEntry } from "./entry.ts";

export const COMBINATIONS_CODES = {
  duplicateItem: {
    code: "WF0301",
    title: "A duplicate in a list",
    cause: "Items of this list must differ in name, number or host, or one of them could never be used.",
    mend: "Remove one, or rename it.",
    example: `apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: orders}
spec:
  host: orders
  subsets:
    - {name: v1, labels: {version: v1}}
    - {name: v1, labels: {version: v2}}
`,
  },
  exclusive: {
    code: "WF0302",
    title: "Fields that exclude each other",
    cause: "Only one of these fields may be set.",
    mend: "Keep the one that you mean.",
    example: `apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: orders}
spec:
  hosts: [orders]
  http:
    - match: [{uri: {exact: /v1, prefix: /v2}}]
      route: [{destination: {host: orders}}]
`,
  },
  together: {
    code: "WF0303",
    title: "A field that needs another",
    cause: "What is written has an effect only together with another field or value.",
    mend: "Add what the message names, or remove the field.",
    example: `apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: {name: default}
spec:
  portLevelMtls: {"8080": {mode: DISABLE}}
`,
  },
  selfForward: {
    code: "WF0304",
    title: "A sidecar that would call itself",
    cause: "The sidecar listens on the workload's address and port and forwards to 127.0.0.1 at the same port, which is the sidecar again.",
    mend: 'Let the application listen elsewhere and name the place: annotation weft.dev/app: "http=127.0.0.1:9001".',
    example: `apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata: {name: orders-1}
spec:
  address: 127.0.0.1
  ports: {http: 8080}
  serviceAccount: orders
`,
  },
  keyMismatch: {
    code: "WF0305",
    title: "A key that belongs to another certificate",
    cause: "TLS cannot be served with a private key that is not the certificate's: Envoy refuses the pair.",
    mend: "Write the key that the certificate was made for; in a chain, the server's own certificate comes first.",
    example: "A Secret whose tls.key is the key of another certificate than the first one in tls.crt.\n",
  },
} as const satisfies Record<string, CodeEntry>;
