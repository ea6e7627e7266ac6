/** A reader of GET /v1/watch. */
import type { Weft } from "./harness.ts";

export interface WatchEvent {
  readonly id: string;
  readonly type: string;
  readonly revision: number;
  readonly changes: readonly { readonly action: string; readonly name: string; readonly resource: unknown }[];
}

export interface Watch {
  /** The answer began: weft watches. */
  readonly opened: Promise<void>;
  /** The next `count` events; fewer where the stream ends before. */
  take(count: number): Promise<WatchEvent[]>;
  close(): Promise<void>;
}

export function watch(weft: Weft, query: string, headers: Readonly<Record<string, string>> = {}): Watch {
  const started = fetch(`http://weft/v1/watch${query}`, { unix: weft.listening.admin_socket, headers });
  const opened = started.then(() => {});
  const events = read(started);
  return {
    opened,
    async take(count) {
      const taken: WatchEvent[] = [];
      while (taken.length < count) {
        const next = await events.next();
        if (next.done) break;
        taken.push(next.value);
      }
      return taken;
    },
    async close() {
      // Cancels the body, and with it the request.
      await events.return(undefined);
    },
  };
}

async function* read(started: Promise<Response>): AsyncGenerator<WatchEvent, undefined> {
  const response = await started;
  if (response.status !== 200) throw new Error(`watch: ${response.status} ${await response.text()}`);
  const decoder = new TextDecoder();
  let rest = "";
  for await (const chunk of response.body ?? []) {
    const blocks = (rest + decoder.decode(chunk, { stream: true })).split("\n\n");
    rest = blocks.pop() ?? "";
    for (const block of blocks) {
      const lines = new Map(block.split("\n").map((line) => line.split(/: (.*)/s, 2) as [string, string]));
      const data = lines.get("data");
      if (data !== undefined) yield { ...JSON.parse(data), id: lines.get("id") ?? "" };
    }
  }
}
