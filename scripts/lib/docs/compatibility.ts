/** docs/istio-compatibility.md: every field of every kind, read from the schemas. */
import { type Field, fieldName, fieldsOf, typeOf } from "../../../src/model/fields.ts";
import { REVISION, UNHONOURED } from "../../../src/model/istio-metadata.ts";
import { KINDS, type KindInfo, LATER_KINDS } from "../../../src/model/kinds.ts";

export function compatibilityPage(): string {
  const kinds = Object.values(KINDS) as readonly KindInfo[];
  return `${[INTRODUCTION, summary(kinds), ...kinds.map(chapter), annotations(), LIMITS].join("\n\n")}\n`;
}

const INTRODUCTION = `# Istio compatibility

<!-- Written by scripts/docs from the schemas in src/model: change them there. -->

What weft makes of each field that Istio documents. There are three sorts, and no field is accepted and ignored: a test sets each translated
field alone and requires that some proxy's configuration changes.

- **translated**: it has Istio's meaning.
- **refused**: weft does not honour it, and refuses the resource by the field's name (WF0102), with what to write instead where there is something.
- **Kubernetes only**: it speaks of what only Kubernetes has, and is refused by name (WF0106).

\`[]\` stands for a list's items, \`*\` for any key of a mapping. A field that is named nowhere here is unknown, and refused with a suggestion (WF0101).`;

const LIMITS = `## Names and defaults that differ

| | Istio | weft |
|---|---|---|
| a service's domain | \`svc.cluster.local\` | \`mesh.local\`; Istio's forms mean the same |
| root namespace | \`istio-system\` | \`weft-system\`; Istio's name means the same wherever a namespace is named: metadata, specs, policies, hosts, callers' Host headers, the API and the command line |
| trust domain | \`cluster.local\` | \`mesh.local\`, or \`weft run --trust-domain\`; \`cluster.local\` in a principal is its alias |
| path normalisation | BASE | MERGE_SLASHES: a path rule that \`//admin\` gets around is no rule |
| protocol of a port | detected where it is not declared | as declared, else by the port's name, else TCP |
| a span's \`service.name\` | \`APP.NAMESPACE\` | \`WORKLOAD.NAMESPACE\`, as Envoy's node; \`istio.mesh_id\` and \`istio.cluster_id\` are \`unknown\` |
| EnvoyFilter's listener match \`virtualInbound\` | one listener, a chain for each port | every inbound listener |
| EnvoyFilter's route match by port | the table of that port | at the outbound listener, that port's virtual hosts of the table \`http_proxy\` |
| a field of Envoy's that is not known, in an EnvoyFilter | dropped with a warning | the same; in an extension's configuration that is not merged, handed to Envoy with a warning |
| a ServiceEntry's resolution NONE | the intercepted connection's destination | the entry's addresses, else what its name resolves to; of a wildcard without addresses the name that is called, which plain TCP does not say: it is refused |
| a WorkloadEntry's network | a label, and the gateways of that network | a label (\`topology.istio.io/network\`); an instance without an address is refused |
| PeerAuthentication | | mode NONE is read as DISABLE, kind PeerAuthenticationPolicy as PeerAuthentication |

## Values that Istio's validation takes and weft refuses

Envoy refuses most of them, and with them the whole listener or route table in which they stand; Istio finds that out when Envoy says so.

| Where | What |
|---|---|
| headers that are set, added or removed | a name that HTTP does not have (\`a b\`), a format command that Envoy does not have |
| \`directResponse.status\`, \`fault.abort.httpStatus\` | 600 |
| \`fault.delay.percent\` | what is not from 0 to 100 |
| \`rewrite.uriRegexRewrite.rewrite\` | a group that the expression does not have, a backslash that is not doubled |
| regular expressions | two groups of one name |
| \`rewrite\` and \`redirect\` of VirtualServices, attributes of a DestinationRule's cookie | NUL and line ends |
| \`match[].queryParams\` | a parameter without a name, or one of more than 1,024 bytes |
| a DestinationRule's \`tls.sni\` | more than 255 bytes |
| a DestinationRule's \`consistentHash\` | a ring of more than 8,388,608, a time to live below zero |
| a DestinationRule's \`portLevelSettings\` | no port, or one that there is not |
| a DestinationRule's \`distribute\` | a place within another one; Istio takes it in one of two orders, and has none |
| expressions in Telemetry | functions and comprehensions that Envoy's CEL does not have |
| \`metadata\` | names, labels and annotations that Kubernetes would refuse |`;

function annotations(): string {
  const rows = UNHONOURED.map(({ key, kinds, why, help }) => {
    return `| \`${key}${/[/-]$/.test(key) ? "*" : ""}\` | ${kinds.join(", ")} | ${[why, ...(help ? [help] : [])].join("; ")} |`;
  });
  return `## Istio's annotations and labels

These are not honoured, and a warning (WF0402) says so where one stands. \`${REVISION}\` is a warning (WF0403) on every kind: there is one control plane.

${["| Annotation or label | On | Instead |", "|---|---|---|", ...rows].join("\n")}`;
}

function summary(kinds: readonly KindInfo[]): string {
  const rows = kinds.map(({ kind, group, versions, schema }) => {
    const fields = fieldsOf(schema);
    const count = (status: Field["status"]) => String(fields.filter((field) => field.status === status).length);
    return `| [${kind}](#${kind.toLowerCase()}) | \`${group}\` ${versions.join(", ")} | ${count("translated")} | ${count("not-yet")} | ${count("kubernetes-only")} |`;
  });
  const later = [...LATER_KINDS].sort().map((kind) => `| ${kind} | refused by name (WF0102) | | | |`);
  return ["| Kind | API | translated | refused | Kubernetes only |", "|---|---|---|---|---|", ...rows, ...later].join("\n");
}

function chapter({ kind, schema }: KindInfo): string {
  const shown = new Map<object, string>();
  const rows: string[] = [];
  let below: string | undefined;
  for (const field of fieldsOf(schema)) {
    const name = fieldName(field);
    // Fields of a part that stands in the table already are not repeated.
    if (below !== undefined && (name.startsWith(`${below}.`) || name.startsWith(`${below}[]`))) continue;
    below = undefined;
    const part = partOf(field);
    const first = part && shown.get(part);
    if (first !== undefined) below = name;
    else if (part !== undefined) shown.set(part, name);
    rows.push(row(field, name, first));
  }
  return [`## ${kind}`, ["| Field | Type | | Notes |", "|---|---|---|---|", ...rows].join("\n")].join("\n\n");
}

/** What a field shares with others that have the same fields below them. */
function partOf({ schema }: Field): object | undefined {
  return schema && /object/.test(typeOf(schema)) ? schema : undefined;
}

const STATUS = { translated: "translated", "not-yet": "refused", "kubernetes-only": "Kubernetes only" } as const;

function row(field: Field, name: string, first: string | undefined): string {
  const { schema, status, reason, required, choices, laterChoices } = field;
  const notes = [
    ...(required ? ["required"] : []),
    ...(choices ? [choices.map((choice) => `\`${choice}\``).join(", ")] : []),
    ...Object.entries(laterChoices ?? {}).map(([choice, why]) => `refused: \`${choice}\`${why ? ` (${why})` : ""}`),
    ...(first ? [`as \`${first}\``] : []),
    ...(reason ? [reason] : []),
  ];
  const cell = (text: string) => text.replaceAll("|", "\\|");
  return `| \`${name}\` | ${schema ? typeOf(schema) : ""} | ${STATUS[status]} | ${cell(notes.join("; "))} |`;
}
