import type { Problem } from "../lib/problem.ts";

/**
 * The catalogue of problems that the model finds in a user's input. A code, once released, keeps its meaning for good: new causes get
 * new codes. WF00xx is about the text and the envelope, WF01xx about the shape of a spec, WF02xx about values, WF03xx about how values
 * go together, WF04xx warnings.
 */
export interface CodeEntry {
  /** "WF0101". */
  readonly code: string;
  /** Five words or so. */
  readonly title: string;
  /** Why weft refuses it. */
  readonly cause: string;
  /** What to do about it. */
  readonly mend: string;
}

export const CODES = {
  notUtf8: {
    code: "WF0001",
    title: "The input is not UTF-8",
    cause: "YAML and JSON are read as UTF-8, and a byte of the input is not part of any UTF-8 character.",
    mend: "Save the file as UTF-8. A binary file, or one in UTF-16 or Latin-1, is the usual reason.",
  },
  tooLarge: {
    code: "WF0002",
    title: "The input is too large",
    cause: "One input may hold 4 MiB, so that no request can take weft's memory.",
    mend: "Split the input into several files and apply them one after the other.",
  },
  syntax: {
    code: "WF0003",
    title: "The input is no YAML",
    cause: "The text breaks YAML's grammar, so nothing certain can be said about what it means.",
    mend: "Mend the line that is named. Indentation and unquoted special characters are the usual reasons.",
  },
  duplicateKey: {
    code: "WF0004",
    title: "A key occurs twice",
    cause: "A mapping has the same key twice; one of the two values would be lost without a word.",
    mend: "Remove one, or merge the two values.",
  },
  tooDeep: {
    code: "WF0005",
    title: "The input is nested too deeply",
    cause: "No kind needs more than a few levels; deep nesting is a way to exhaust a parser.",
    mend: "Remove the needless levels.",
  },
  aliasBomb: {
    code: "WF0006",
    title: "Too much is repeated by aliases",
    cause: "Aliases (*name) that contain aliases let a short text stand for gigabytes.",
    mend: "Write the values out instead of repeating them with aliases.",
  },
  unsupportedYaml: {
    code: "WF0007",
    title: "A YAML feature without a JSON meaning",
    cause: "A resource is a JSON object: custom tags, mappings as keys, and numbers such as .inf have no place in it.",
    mend: "Write a plain string, number, boolean, list or mapping.",
  },
  notAResource: {
    code: "WF0010",
    title: "The document is no resource",
    cause: "Every document must be a mapping with apiVersion, kind, metadata and spec (or a List of such).",
    mend: "Start the document with apiVersion and kind.",
  },
  badApiVersion: {
    code: "WF0011",
    title: "The apiVersion does not fit the kind",
    cause: "Each kind belongs to one API group, in the versions that Istio serves.",
    mend: "Write the apiVersion that the message names.",
  },
  unknownKind: {
    code: "WF0012",
    title: "The kind is unknown",
    cause: "weft reads Istio's kinds that it translates, and MeshConfig of weft.dev/v1.",
    mend: "Check the spelling. Kubernetes' own kinds (Service, Deployment, ...) have no meaning without Kubernetes: write a ServiceEntry.",
  },
  duplicateResource: {
    code: "WF0013",
    title: "The same resource twice in one input",
    cause: "Two documents have the same kind, namespace and name; only one of them can be in force.",
    mend: "Rename one, or remove it.",
  },
  badName: {
    code: "WF0014",
    title: "A name that Kubernetes would not take",
    cause: "Names are DNS-1123 subdomains and namespaces DNS-1123 labels: lower-case letters, digits, '-' (and '.' in names).",
    mend: "Use lower-case letters, digits and '-', starting and ending with a letter or digit.",
  },
  badMetadata: {
    code: "WF0015",
    title: "Invalid metadata",
    cause: "A label, annotation or other metadata value is not what Kubernetes takes there.",
    mend: "Mend the value as the message says.",
  },
  badAnnotation: {
    code: "WF0016",
    title: "An invalid weft.dev annotation",
    cause: "Annotations that begin with weft.dev/ configure the workload, and this one cannot be read.",
    mend: "Write it in the form that the message shows.",
  },
  unknownField: {
    code: "WF0101",
    title: "Unknown field",
    cause: "The field is none of the kind's. Ignoring it would silently drop what it was meant to say.",
    mend: "Check the spelling and the indentation; the message suggests the nearest known name.",
  },
  notYet: {
    code: "WF0102",
    title: "Not translated yet",
    cause: "Istio knows this field or value, weft does not honour it yet, and weft refuses what it would otherwise silently ignore.",
    mend: "Remove it, or say the same with what is translated.",
  },
  wrongType: {
    code: "WF0103",
    title: "Wrong type",
    cause: "The field takes a value of another type.",
    mend: "Write the type that the message names. A number or a boolean where a string is due needs quotes.",
  },
  missing: {
    code: "WF0104",
    title: "A required field is missing",
    cause: "Istio requires the field, and there is no sensible default.",
    mend: "Add the field.",
  },
  notOneOf: {
    code: "WF0105",
    title: "Not one of the allowed values",
    cause: "The field takes one of a few fixed words.",
    mend: "Write one of the words that the message lists; case matters.",
  },
  outOfRange: {
    code: "WF0201",
    title: "Number out of range",
    cause: "The number is too small or too large for the field.",
    mend: "Write a number in the range that the message names.",
  },
  badHost: {
    code: "WF0202",
    title: "Invalid host",
    cause: "A host is a DNS name, possibly with one leading wildcard label, as Istio takes it in this field.",
    mend: "Write a name such as orders, orders.default.mesh.local or *.example.com.",
  },
  badAddress: {
    code: "WF0203",
    title: "Invalid address",
    cause: "The field takes an IP address or what else the message names.",
    mend: "Write an IPv4 or IPv6 address, or a CIDR block such as 10.0.0.0/8.",
  },
  badDuration: {
    code: "WF0204",
    title: "Invalid duration",
    cause: "Durations are written as 1.5s, 250ms, 1h30m; Istio asks for at least 1ms in most places.",
    mend: "Write a duration with its unit.",
  },
  badRegex: {
    code: "WF0205",
    title: "Invalid regular expression",
    cause: "Envoy uses RE2, which has no look-around and no back-references, and limits the size of an expression.",
    mend: "Write it in RE2's syntax.",
  },
  badHeader: {
    code: "WF0206",
    title: "Invalid header name or value",
    cause: "A header's name holds letters, digits and a few signs; a value may not break Envoy's format syntax.",
    mend: "Mend the header as the message says.",
  },
  badLabel: {
    code: "WF0207",
    title: "Invalid label",
    cause: "Labels follow Kubernetes' syntax: 63 letters, digits, '-', '_' and '.', and a key may have a DNS prefix.",
    mend: "Shorten it or replace the characters that are not allowed.",
  },
  badValue: {
    code: "WF0208",
    title: "Invalid value",
    cause: "Istio refuses this value in this field.",
    mend: "Mend the value as the message says.",
  },
  badPattern: {
    code: "WF0209",
    title: "Invalid match pattern",
    cause: "The pattern can match nothing, or is not one that Istio takes in this field.",
    mend: "Mend the pattern as the message says.",
  },
  duplicateItem: {
    code: "WF0301",
    title: "A duplicate in a list",
    cause: "Items of this list must differ in name, number or host, or one of them could never be used.",
    mend: "Remove one, or rename it.",
  },
  exclusive: {
    code: "WF0302",
    title: "Fields that exclude each other",
    cause: "Only one of these fields may be set.",
    mend: "Keep the one that you mean.",
  },
  together: {
    code: "WF0303",
    title: "A field that needs another",
    cause: "What is written has an effect only together with another field or value.",
    mend: "Add what the message names, or remove the field.",
  },
  selfForward: {
    code: "WF0304",
    title: "A sidecar that would call itself",
    cause: "The sidecar listens on the workload's address and port and forwards to 127.0.0.1 at the same port, which is the sidecar again.",
    mend: 'Let the application listen elsewhere and name the place: annotation weft.dev/app: "http=127.0.0.1:9001".',
  },
  deprecated: {
    code: "WF0401",
    title: "Deprecated",
    cause: "Istio has replaced the field; it still works.",
    mend: "Write what the message names.",
  },
  noEffect: {
    code: "WF0402",
    title: "Without effect",
    cause: "What is written is valid, but nothing will come of it.",
    mend: "Remove it, or add what gives it effect.",
  },
  surprising: {
    code: "WF0403",
    title: "It may do more or less than it seems",
    cause: "What is written is valid, but such a thing often means something else than its author thinks.",
    mend: "Read the message, and write it out if you mean it.",
  },
} as const satisfies Record<string, CodeEntry>;

export type CodeName = keyof typeof CODES;

/** The entry of "WF0102", whatever its case. */
export function findCode(code: string): CodeEntry | undefined {
  const wanted = code.toUpperCase();
  return Object.values(CODES).find((entry) => entry.code === wanted);
}

/** A problem of the catalogue; an error unless told. */
export function problem(
  name: CodeName,
  finding: Omit<Problem, "code" | "severity"> & { readonly severity?: Problem["severity"] },
): Problem {
  return { ...finding, code: CODES[name].code, severity: finding.severity ?? "error" };
}
