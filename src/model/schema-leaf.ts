/** Schemas of single values: strings, numbers, booleans, words of a list. */
import * as v from "valibot";
import { type Report, refuseType, reporter, withRun } from "./schema-core.ts";
import { nearest } from "./suggest.ts";

function leaf<S extends v.GenericSchema>(
  base: S,
  is: (value: unknown) => boolean,
  expected: string,
  rules?: (value: v.InferOutput<S>, report: Report) => void,
): S {
  return withRun(base, (dataset) => {
    if (!is(dataset.value)) return refuseType(dataset, expected);
    dataset.typed = true;
    rules?.(dataset.value as v.InferOutput<S>, reporter(dataset));
    return dataset;
  });
}

/** A string; `rules` judges its syntax. */
export const text = (rules?: (value: string, report: Report) => void) => leaf(v.string(), (x) => typeof x === "string", "a string", rules);

export const flag = () => leaf(v.boolean(), (x) => typeof x === "boolean", "true or false");

/** Any finite number. */
export const number = (rules?: (value: number, report: Report) => void) =>
  leaf(v.number(), (x) => typeof x === "number" && Number.isFinite(x), "a number", rules);

/** A whole number from `min` to `max`, both included. The defaults are protobuf's int32. */
export const integer = (min = -(2 ** 31), max = 2 ** 31 - 1) =>
  leaf(
    v.pipe(v.number(), v.integer(), v.minValue(min), v.maxValue(max)),
    (x) => typeof x === "number" && Number.isInteger(x),
    "a whole number",
    (x, report) => {
      if (x < min || x > max) report("outOfRange", `must be from ${min} to ${max}, not ${x}`);
    },
  );

/** protobuf's uint32. */
export const uint32 = () => integer(0, 2 ** 32 - 1);

/** A uint64, as far as JSON numbers are exact. */
export const uint64 = () => integer(0, Number.MAX_SAFE_INTEGER);

/** One of `values`. Those in `later` are Istio's too, but not translated yet: refused with the reason given there. */
export function choice<const V extends readonly string[]>(
  values: V,
  later: Readonly<Record<string, string | undefined>> = {},
): v.PicklistSchema<V, undefined> {
  const base = Object.assign(v.picklist(values), { later });
  return withRun(base, (dataset) => {
    const { value } = dataset;
    dataset.typed = false;
    if (typeof value !== "string") return refuseType(dataset, `one of ${values.join(", ")}`);
    if (values.includes(value)) dataset.typed = true;
    else if (Object.hasOwn(later, value)) reporter(dataset)("notYet", `${value} is not translated yet`, { help: later[value] });
    else {
      const near = nearest(value, [...values, ...Object.keys(later)]);
      reporter(dataset)("notOneOf", `must be one of ${values.join(", ")}, not ${JSON.stringify(value)}`, {
        help: near && `did you mean ${near}?`,
      });
    }
    return dataset;
  });
}
