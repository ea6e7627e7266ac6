/** ProxyConfig: how the process of a workload's proxy is started. istio/api networking/v1beta1/proxy_config.proto, checked as Istio's ValidateProxyConfig does. */
import type * as v from "valibot";
import { checkSelector } from "./check-label.ts";
import { integer, kubernetesOnly, map, object, text } from "./schema.ts";

/** Threads that take requests; 0 for one a processor. */
export const concurrency = () => integer(0);

/** What no process's environment can hold is refused here rather than lost at the start. */
export const environment = () =>
  map(
    text((value, report) => {
      if (value.includes("\0")) report("badValue", "an environment variable's value holds no NUL");
    }),
    (variables, report) => {
      for (const name of Object.keys(variables)) {
        if (name === "" || /[=\0]/.test(name))
          report("badValue", `${JSON.stringify(name)} is no name of an environment variable`, { path: [name], atKey: true });
      }
    },
  );

export const ProxyConfigSchema = object({
  selector: object({ matchLabels: map(text(), checkSelector) }, ({ matchLabels }, report) => {
    if (Object.keys(matchLabels ?? {}).length > 0) return;
    report("noEffect", "has no labels, and so selects no workload, not even the namespace's", {
      severity: "warning",
      help: "leave selector out to mean all workloads of the namespace",
    });
  }),
  concurrency: concurrency(),
  environmentVariables: environment(),
  image: kubernetesOnly("it names the image of an injected container", "$WEFT_ENVOY is the Envoy that `weft proxy run` starts"),
});

export type ProxyConfigSpec = v.InferOutput<typeof ProxyConfigSchema>;
