/** WF01xx: the shape of a spec. */
import type { CodeEntry } from "./entry.ts";

export const SHAPE_CODES = {
  unknownField: {
    code: "WF0101",
    title: "Unknown field",
    cause: "The field is none of the kind's. Ignoring it would silently drop what it was meant to say.",
    mend: "Check the spelling and the indentation; the message suggests the nearest known name.",
    example: `apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: orders}
spec:
  hosts: [orders]
  http:
    - routes:
        - destination: {host: orders}
      timeout: 2s
      route:
        - destination: {host: orders}
`,
  },
  notYet: {
    code: "WF0102",
    title: "Not translated yet",
    cause: "Istio knows this field or value, weft does not honour it yet, and weft refuses what it would otherwise silently ignore.",
    mend: "Remove it, or say the same with what is translated.",
    example: `apiVersion: extensions.istio.io/v1alpha1
kind: WasmPlugin
metadata: {name: header-adder}
spec: {}
`,
  },
  wrongType: {
    code: "WF0103",
    title: "Wrong type",
    cause: "The field takes a value of another type.",
    mend: "Write the type that the message names. A number or a boolean where a string is due needs quotes.",
    example: `apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata: {name: orders-1}
spec:
  address: 10.0.0.8
  labels: {version: 2}
`,
  },
  missing: {
    code: "WF0104",
    title: "A required field is missing",
    cause: "Istio requires the field, and there is no sensible default.",
    mend: "Add the field.",
    example: `apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: orders}
spec:
  subsets: [{name: v1, labels: {version: v1}}]
`,
  },
  notOneOf: {
    code: "WF0105",
    title: "Not one of the allowed values",
    cause: "The field takes one of a few fixed words.",
    mend: "Write one of the words that the message lists; case matters.",
    example: `apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: {name: default}
spec:
  mtls: {mode: STRIKT}
`,
  },
  kubernetesOnly: {
    code: "WF0106",
    title: "A field for Kubernetes only",
    cause:
      "The field speaks of something that only Kubernetes has, such as its Gateway API. docs/istio-compatibility.md lists these fields.",
    mend: "Remove it, or write what the message names instead.",
    example: `apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: readers}
spec:
  targetRefs: [{group: gateway.networking.k8s.io, kind: Gateway, name: front}]
  rules: [{}]
`,
  },
} as const satisfies Record<string, CodeEntry>;
