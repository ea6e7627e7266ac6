/** Telemetry: which requests a workload's proxy logs, and where. istio/api telemetry/v1alpha1/telemetry.proto. */
import type * as v from "valibot";
import { filled, selector } from "./common.ts";
import { choice, flag, kubernetesOnly, list, needed, notYet, object } from "./schema.ts";

const providers = () => list(object({ name: needed(filled()) }));

const accessLogging = object({
  match: object({ mode: choice(["CLIENT_AND_SERVER", "CLIENT", "SERVER"]) }),
  providers: providers(),
  disabled: flag(),
  filter: object({ expression: needed(filled()) }),
});

export const TelemetrySchema = object({
  selector: selector(),
  targetRef: kubernetesOnly("it names a Gateway of Kubernetes' Gateway API"),
  targetRefs: kubernetesOnly("they name Gateways of Kubernetes' Gateway API"),
  accessLogging: list(accessLogging),
  tracing: notYet(),
  metrics: notYet("the tags are those of Istio's stats filter, which is no part of Envoy"),
});

export type TelemetrySpec = v.InferOutput<typeof TelemetrySchema>;
export type AccessLogging = v.InferOutput<typeof accessLogging>;
