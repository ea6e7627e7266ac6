import type { MessageInitShape } from "@bufbuild/protobuf";
import { FractionalPercent_DenominatorType as Denominator, type FractionalPercentSchema } from "../gen/envoy/type/v3/percent_pb.ts";

/** 0 to 100, to four digits after the point (Istio, translatePercentToFractionalPercent). */
export function fractionalPercent(percent: number): MessageInitShape<typeof FractionalPercentSchema> {
  return { numerator: Math.trunc(percent * 10_000 + 1e-6), denominator: Denominator.MILLION };
}
