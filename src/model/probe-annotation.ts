/** Annotation weft.dev/probe of a WorkloadEntry: a WorkloadGroup's probe (Istio's ReadinessProbe), as text, for one workload of a node. */
import * as v from "valibot";
import type { Parsed } from "./annotations.ts";
import { readinessProbe } from "./readiness-probe.ts";
import { readYaml } from "./yaml-reader.ts";

/** Many times what a probe has: it is read again whenever its workload changes. */
const LONGEST = 4_096;

export type AnnotatedProbe = v.InferOutput<typeof readinessProbe>;

export function parseProbeAnnotation(text: string): Parsed<AnnotatedProbe> {
  if (text.length > LONGEST) return { error: `has ${text.length} characters; a probe may have ${LONGEST}` };
  const { documents, problems } = read(text);
  const [first] = problems;
  if (first) return { error: `line ${first.line} of it: ${first.message}` };
  const [document, ...more] = documents;
  if (!document || more.length > 0)
    return { error: 'must be one mapping, as a WorkloadGroup\'s probe: "{httpGet: {path: /healthz, port: 9001}}"' };
  const result = v.safeParse(readinessProbe, document.value);
  const [issue] = result.issues ?? [];
  if (issue) {
    const path = (issue.path ?? []).map(({ key }) => key).join(".");
    return { error: `${path ? `${path}: ` : ""}${issue.message}` };
  }
  if (!result.success) return { error: "is no probe" };
  if (result.output.exec) return { error: "exec: a node runs no commands for whoever writes policies; use httpGet, tcpSocket or grpc" };
  return { value: result.output };
}

function read(text: string) {
  const reading = readYaml(text, "");
  for (;;) {
    const step = reading.next();
    if (step.done) return step.value;
  }
}
