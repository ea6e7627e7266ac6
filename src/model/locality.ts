/** localityLbSetting: which regions and zones are preferred. istio/api destination_rule.proto, checked as Istio's ValidateLocalityLbSetting does. */
import type * as v from "valibot";
import { flag, integer, list, map, object, type Report, text } from "./schema.ts";

const distribute = object({ from: text(), to: map(integer(1, 100)) }, ({ to = {} }, report) => {
  const total = Object.values(to).reduce((sum, weight) => sum + weight, 0);
  if (total !== 100) report("together", `the shares add up to ${total}, not 100`, { path: ["to"], atKey: true });
  checkLocalities(Object.keys(to), (index) => ["to", Object.keys(to)[index] ?? ""], report);
});

/** "region", "region/zone" or "region/zone/subzone", the last of which may be "*"; none may cover another. */
function checkLocalities(localities: readonly string[], pathOf: (index: number) => readonly (string | number)[], report: Report): void {
  for (const [index, locality] of localities.entries()) {
    const path = pathOf(index);
    const parts = locality.split("/");
    const isWell = parts.length <= 3 && parts.every((part) => part !== "") && !/\*(?!$)/.test(locality);
    if (!isWell) report("badValue", `${JSON.stringify(locality)} is no locality`, { path, help: "write region/zone/subzone, or region/*" });
    const twice = localities.slice(0, index).find((other) => covers(other, locality) || covers(locality, other));
    if (twice !== undefined) report("duplicateItem", `${locality} overlaps with ${twice}`, { path });
  }
}

function covers(wide: string, narrow: string): boolean {
  const [own, other] = [wide.split("/"), narrow.split("/")];
  return own.every((part, index) => part === "*" || part === other[index]);
}

const failover = object({ from: text(), to: text() }, ({ from, to }, report) => {
  if (from === to) report("badValue", "from and to must be different regions");
  for (const [name, region = ""] of [["from", from] as const, ["to", to] as const]) {
    if (/[/*]/.test(region)) report("badValue", "must be a region alone", { path: [name] });
  }
});

const TOPOLOGY = ["topology.kubernetes.io/region", "topology.kubernetes.io/zone", "topology.istio.io/subzone"];

export const localityLbSetting = object(
  {
    distribute: list(distribute, (all, report) =>
      checkLocalities(
        all.map(({ from = "" }) => from),
        (index) => [index, "from"],
        report,
      ),
    ),
    failover: list(failover),
    failoverPriority: list(text()),
    enabled: flag(),
  },
  ({ distribute = [], failover = [], failoverPriority = [] }, report) => {
    if (distribute.length > 0 && failover.length > 0) report("exclusive", "may have only one of distribute, failover");
    const label = failover.length > 0 ? failoverPriority.find((name) => TOPOLOGY.includes(name)) : undefined;
    if (label) report("exclusive", `failover already speaks about ${label}`, { path: ["failoverPriority"], atKey: true });
  },
);

export type LocalityLbSetting = v.InferOutput<typeof localityLbSetting>;
