import { buildCommand } from "@stricli/core";
import type { ApiResource } from "../admin/control-plane.ts";
import { BRIEF } from "./briefs.ts";
import { type ConnectFlags, connect, connectFlags } from "./client.ts";
import { KIND_NAMES, namespaceFlag, parseKind, parseText, proposeKinds, resourcePath } from "./names.ts";
import { age, clean, json, table, yaml } from "./output.ts";
import { summaryOf } from "./resource-summary.ts";
import { UsageError, verb } from "./verb.ts";

const FORMATS = ["table", "wide", "json", "yaml", "name"] as const;

interface Flags extends ConnectFlags {
  readonly namespace?: string;
  readonly output: (typeof FORMATS)[number];
}

export const getCommand = buildCommand({
  docs: {
    brief: BRIEF.get,
    customUsage: ["KIND [NAME] [-n NS]"],
    fullDescription:
      "Lists a kind in all namespaces, or in that of -n; with NAME it shows one, from namespace default unless -n says otherwise.",
  },
  parameters: {
    flags: {
      namespace: { ...namespaceFlag, brief: "Namespace" },
      output: { kind: "enum", values: FORMATS, default: "table", brief: "Format" },
      ...connectFlags,
    },
    aliases: { n: "namespace", o: "output" },
    positional: {
      kind: "tuple",
      parameters: [
        {
          parse: parseText,
          placeholder: "KIND",
          brief: "VirtualService, virtualservices, vs, ...",
          optional: true,
          proposeCompletions: proposeKinds,
        },
        { parse: parseText, placeholder: "NAME", brief: "One resource's name", optional: true },
      ],
    },
  },
  func: verb<Flags, [string | undefined, string | undefined]>(async (cli, flags, kindText, name) => {
    if (kindText === undefined) throw new UsageError("Say what to get: KIND, or KIND NAME", `kinds: ${KIND_NAMES}`);
    const kind = parseKind(kindText);
    const client = await connect(cli.io, flags);
    const one =
      name === undefined
        ? undefined
        : await client.call<ApiResource>(resourcePath({ kind, namespace: flags.namespace ?? "default", name }));
    const items = one
      ? [one]
      : (await client.call<{ items: ApiResource[] }>("/v1/resources", { query: { kind, namespace: flags.namespace } })).items;
    switch (flags.output) {
      case "json":
        cli.print(json(one ?? { apiVersion: "v1", kind: "List", items }));
        break;
      case "yaml":
        cli.print(items.map((item) => yaml(item)).join("\n---\n"));
        break;
      case "name":
        for (const item of items) cli.print(clean(`${item.kind}/${item.metadata.namespace}/${item.metadata.name}`));
        break;
      default:
        if (items.length === 0) cli.complain(`no ${kind}${flags.namespace ? ` in namespace ${flags.namespace}` : ""}`);
        else cli.print(resourceTable(items, cli.io.clock.now(), flags.output === "wide"));
    }
    return 0;
  }),
});

function resourceTable(items: readonly ApiResource[], now: number, wide: boolean): string {
  const header = ["NAMESPACE", "NAME", "SUMMARY", "REVISION", "AGE", ...(wide ? ["API", "UID"] : [])];
  const rows = items.map((item) => {
    const { namespace, name, resourceVersion, creationTimestamp, uid } = item.metadata;
    return [
      namespace,
      name,
      summaryOf(item),
      resourceVersion,
      age(creationTimestamp, now),
      ...(wide ? [item.apiVersion, String(uid ?? "")] : []),
    ];
  });
  return table(header, rows);
}
