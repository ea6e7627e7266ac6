import { buildCommand } from "@stricli/core";
import { BRIEF } from "./briefs.ts";
import { dataDirectory } from "./client.ts";
import { parseText } from "./names.ts";
import { clean } from "./output.ts";
import { UsageError, verb } from "./verb.ts";

interface Flags {
  readonly token?: string;
  readonly data?: string;
  readonly node?: string;
  readonly trustDomain?: string;
}

const flag = (brief: string, placeholder: string) => ({ kind: "parsed", parse: parseText, optional: true, brief, placeholder }) as const;

export const joinCommand = buildCommand({
  docs: {
    brief: BRIEF.join,
    fullDescription:
      "weft node token, on an authority, prints the whole line. Before the token is shown to whoever answers at ADDRESS, that must prove to be the\n" +
      "authority which the token names. Afterwards: weft run with the same --data and the mesh's --store.",
  },
  parameters: {
    flags: {
      token: flag("The token; good for one node, once [$WEFT_JOIN_TOKEN]", "TOKEN"),
      data: flag("Data directory of the new node, an empty one [$WEFT_DATA]", "DIR"),
      node: flag("What it is to be called: the host's name where absent [$WEFT_NODE]", "NAME"),
      trustDomain: flag("The mesh must be of this trust domain", "TD"),
    },
    positional: {
      kind: "tuple",
      parameters: [{ parse: parseText, placeholder: "ADDRESS", brief: "An authority's --cluster: HOST:PORT" }],
    },
  },
  func: verb<Flags, [string]>(async (cli, flags, address) => {
    const token = flags.token ?? cli.io.env.WEFT_JOIN_TOKEN;
    if (!token)
      throw new UsageError("A token is needed: --token TOKEN, or $WEFT_JOIN_TOKEN", "weft node token, on an authority, prints one");
    const data = await dataDirectory(cli.io, flags.data);
    const node = flags.node ?? (cli.io.env.WEFT_NODE || undefined);
    const { trustDomain } = flags;
    const joined = await cli.io.joinNode({
      data,
      address,
      token,
      ...(node === undefined ? {} : { node }),
      ...(trustDomain === undefined ? {} : { trustDomain }),
    });
    cli.print(
      clean(`node ${joined.node} joined the mesh ${joined.trustDomain}${joined.authority ? " as an authority" : ""}, by ${joined.by}`),
    );
    const serve = joined.authority ? " --cluster ADDR:15016" : "";
    cli.print(clean(`  next   weft run --data ${data} --store STORE --trust-domain ${joined.trustDomain}${serve}`));
    return 0;
  }),
});
