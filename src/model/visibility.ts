/** exportTo: the namespaces that see a resource. Istio's validateExportTo, as far as one document tells. */
import { isDnsLabel } from "./check.ts";
import { list, type Report, text } from "./schema.ts";

/** "." the own namespace, "*" all, or names; with `none` "~" for nobody. Empty means all. */
export const exportTo = (options: { readonly none?: boolean } = {}) =>
  list(text(), (namespaces, report) => {
    for (const [index, name] of namespaces.entries()) {
      if (namespaces.indexOf(name) < index) report("duplicateItem", `${name} occurs twice`, { path: [index] });
      else checkName(name, index, options.none ?? false, report);
    }
    const all = namespaces.find((name) => name === "*" || name === "~");
    if (all !== undefined && namespaces.length > 1) report("exclusive", `"${all}" leaves nothing for other entries to say`);
  });

function checkName(name: string, index: number, none: boolean, report: Report): void {
  if (name === "." || name === "*" || (name === "~" && none)) return;
  if (isDnsLabel(name)) return;
  const help = none ? 'write ".", "*", "~" or a namespace' : 'write ".", "*" or a namespace';
  report("badValue", `${JSON.stringify(name)} is no namespace`, { path: [index], help });
}

/** Whether a resource of `own` namespace is seen from `namespace`. */
export function isVisible(exported: readonly string[] | undefined, own: string, namespace: string): boolean {
  if (!exported?.length || exported.includes("*")) return true;
  return exported.includes(namespace) || (exported.includes(".") && own === namespace);
}
