/** WF00xx: the text, the envelope and the metadata. */
import type { CodeEntry } from "./entry.ts";

export const TEXT_CODES = {
  notUtf8: {
    code: "WF0001",
    title: "The input is not UTF-8",
    cause: "YAML and JSON are read as UTF-8, and a byte of the input is not part of any UTF-8 character.",
    mend: "Save the file as UTF-8. A binary file, or one in UTF-16 or Latin-1, is the usual reason.",
    example: "A file saved as Latin-1, in which the byte 0xE9 stands for é.",
  },
  tooLarge: {
    code: "WF0002",
    title: "The input is too large",
    cause: "One input may hold 4 MiB, so that no request can take weft's memory.",
    mend: "Split the input into several files and apply them one after the other.",
    example: "A file of more than 4 MiB, such as one that a template filled by mistake.",
  },
  syntax: {
    code: "WF0003",
    title: "The input is no YAML",
    cause: "The text breaks YAML's grammar, so nothing certain can be said about what it means.",
    mend: "Mend the line that is named. Indentation and unquoted special characters are the usual reasons.",
    example: `kind: [VirtualService
metadata: {name: orders}
`,
  },
  duplicateKey: {
    code: "WF0004",
    title: "A key occurs twice",
    cause: "A mapping has the same key twice; one of the two values would be lost without a word.",
    mend: "Remove one, or merge the two values.",
    example: `apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: {name: default}
spec:
  mtls: {mode: STRICT}
  mtls: {mode: PERMISSIVE}
`,
  },
  tooDeep: {
    code: "WF0005",
    title: "The input is nested too deeply",
    cause: "No kind needs more than a few levels; deep nesting is a way to exhaust a parser.",
    mend: "Remove the needless levels.",
    example: `[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]
`,
  },
  aliasBomb: {
    code: "WF0006",
    title: "Too much is repeated by aliases",
    cause: "Aliases (*name) that contain aliases let a short text stand for gigabytes.",
    mend: "Write the values out instead of repeating them with aliases.",
    example: `labels: &all
  everything: *all
`,
  },
  unsupportedYaml: {
    code: "WF0007",
    title: "A YAML feature without a JSON meaning",
    cause: "A resource is a JSON object: custom tags, mappings as keys, and numbers such as .inf have no place in it.",
    mend: "Write a plain string, number, boolean, list or mapping.",
    example: `apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: orders}
spec:
  host: orders
  trafficPolicy:
    outlierDetection: {consecutive5xxErrors: .inf}
`,
  },
  notAResource: {
    code: "WF0010",
    title: "The document is no resource",
    cause: "Every document must be a mapping with apiVersion, kind, metadata and spec (or a List of such).",
    mend: "Start the document with apiVersion and kind.",
    example: `metadata: {name: orders}
spec:
  hosts: [orders]
`,
  },
  badApiVersion: {
    code: "WF0011",
    title: "The apiVersion does not fit the kind",
    cause: "Each kind belongs to one API group, in the versions that Istio serves.",
    mend: "Write the apiVersion that the message names.",
    example: `apiVersion: networking.istio.io/v2
kind: DestinationRule
metadata: {name: orders}
spec:
  host: orders
`,
  },
  unknownKind: {
    code: "WF0012",
    title: "The kind is unknown",
    cause: "weft reads Istio's kinds that it translates, and MeshConfig of weft.dev/v1.",
    mend: "Check the spelling. Kubernetes' own kinds (Service, Deployment, ...) have no meaning without Kubernetes: write a ServiceEntry.",
    example: `apiVersion: networking.istio.io/v1
kind: VirtualServise
metadata: {name: orders}
spec:
  hosts: [orders]
`,
  },
  duplicateResource: {
    code: "WF0013",
    title: "The same resource twice in one input",
    cause: "Two documents have the same kind, namespace and name; only one of them can be in force.",
    mend: "Rename one, or remove it.",
    example: `apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: {name: default}
spec:
  mtls: {mode: STRICT}
---
apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: {name: default}
spec:
  mtls: {mode: PERMISSIVE}
`,
  },
  badName: {
    code: "WF0014",
    title: "A name that Kubernetes would not take",
    cause: "Names are DNS-1123 subdomains and namespaces DNS-1123 labels: lower-case letters, digits, '-' (and '.' in names).",
    mend: "Use lower-case letters, digits and '-', starting and ending with a letter or digit.",
    example: `apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: {name: Default_Policy}
spec:
  mtls: {mode: STRICT}
`,
  },
  badMetadata: {
    code: "WF0015",
    title: "Invalid metadata",
    cause: "A label, annotation or other metadata value is not what Kubernetes takes there.",
    mend: "Mend the value as the message says.",
    example: `apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: {name: default, labels: {team: "orders and billing"}}
spec:
  mtls: {mode: STRICT}
`,
  },
  badAnnotation: {
    code: "WF0016",
    title: "An invalid weft.dev annotation",
    cause: "Annotations that begin with weft.dev/ configure the workload, and this one cannot be read.",
    mend: "Write it in the form that the message shows.",
    example: `apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata:
  name: web-1
  annotations: {weft.dev/outbound: "15101"}
spec: {address: 10.0.0.7, serviceAccount: web}
`,
  },
} as const satisfies Record<string, CodeEntry>;
