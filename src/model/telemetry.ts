/** Telemetry: which requests a workload's proxy logs and tells of, and where. istio/api telemetry/v1alpha1/telemetry.proto. */
import type * as v from "valibot";
import { parseCel } from "../lib/cel.ts";
import { filled, onlyOne, selector } from "./common.ts";
import { choice, flag, kubernetesOnly, list, map, needed, notYet, number, object, text } from "./schema.ts";
import { metrics } from "./telemetry-metrics.ts";

const providers = () => list(object({ name: needed(filled()) }));

const accessLogging = object({
  match: object({ mode: choice(["CLIENT_AND_SERVER", "CLIENT", "SERVER"]) }),
  providers: providers(),
  disabled: flag(),
  filter: object({
    expression: needed(
      text((value, report) => {
        // Envoy refuses the whole listener for what it cannot build.
        const parsed = parseCel(value);
        if ("error" in parsed) report("badValue", `the CEL expression ${parsed.error}`, { help: parsed.help });
      }),
    ),
  }),
});

const named = () => object({ name: needed(filled()), defaultValue: text() });

const TAGS = ["literal", "environment", "header"] as const;

const customTag = object(
  {
    literal: object({ value: needed(filled()) }),
    environment: named(),
    header: named(),
    formatter: notYet("name a header, or write the value"),
  },
  (value, report) => {
    onlyOne(value, TAGS, report);
    if (Object.keys(value).length === 0)
      report("noEffect", `has none of ${TAGS.join(", ")}: there is no such tag`, { severity: "warning" });
  },
);

const tracing = object({
  match: object({ mode: choice(["CLIENT_AND_SERVER", "CLIENT", "SERVER"]) }),
  providers: list(object({ name: needed(filled()) }), (value, report) => {
    if (value.length > 1) report("surprising", "only the first counts, as in Istio", { severity: "warning" });
  }),
  randomSamplingPercentage: number((value, report) => {
    if (value < 0 || value > 100) report("outOfRange", `must be from 0 to 100, not ${value}`);
  }),
  disableSpanReporting: flag(),
  customTags: map(customTag, (value, report) => {
    if (Object.hasOwn(value, "")) report("badValue", "a tag's name must not be empty", { path: [""], atKey: true });
  }),
  useRequestIdForTraceSampling: flag(),
  enableIstioTags: flag(),
  disableContextPropagation: notYet(),
});

export const TelemetrySchema = object({
  selector: selector(),
  targetRef: kubernetesOnly("it names a Gateway of Kubernetes' Gateway API"),
  targetRefs: kubernetesOnly("they name Gateways of Kubernetes' Gateway API"),
  accessLogging: list(accessLogging),
  tracing: list(tracing),
  metrics: list(metrics),
});

export type TelemetrySpec = v.InferOutput<typeof TelemetrySchema>;
export type TracingRule = v.InferOutput<typeof tracing>;
export type AccessLogging = v.InferOutput<typeof accessLogging>;
