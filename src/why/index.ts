/** The evaluator's public face. */
export type { Evaluation } from "./evaluation.ts";
export type * from "./types.ts";
export { evaluate, why } from "./why.ts";
