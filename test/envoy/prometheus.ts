/** Prometheus' text format, as far as Envoy writes it. */
import type { SocketAddress } from "../../scripts/lib/lab/network.ts";

export interface Sample {
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}

/** What `/stats/prometheus` at an address tells of what was used. */
export async function scrape({ address, port }: SocketAddress): Promise<readonly Sample[]> {
  const response = await fetch(`http://${address}:${port}/stats/prometheus?usedonly`);
  if (!response.ok) throw new Error(`${address}:${port} answers ${response.status}`);
  return parseSamples(await response.text());
}

function parseSamples(text: string): Sample[] {
  return text.split("\n").flatMap((line) => {
    const [, name, labels = "", value] = /^([a-zA-Z_:][\w:]*)(?:\{(.*)\})? ([^ ]+)$/.exec(line) ?? [];
    if (name === undefined || value === undefined) return [];
    return [
      {
        name,
        labels: Object.fromEntries([...labels.matchAll(/(\w+)="([^"]*)"/g)].map(([, key, text]) => [key, text])),
        value: Number(value),
      },
    ];
  });
}
