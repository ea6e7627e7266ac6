/**
 * CEL (https://github.com/google/cel-spec, langdef.md), as far as Envoy evaluates it in access logs: syntax, and the functions and attributes
 * that there are. Envoy has neither comprehensions nor string conversion, concatenation or manipulation, and refuses a whole listener for an
 * expression that it cannot build; tried on Envoy 1.37 to 1.40.
 */

/** An expression as tokens, or what is wrong with it. */
export type ParsedCel = { readonly tokens: readonly string[] } | CelError;

export interface CelError {
  readonly error: string;
  readonly help?: string;
  /** All that is wrong: this name, which is none of Envoy's attributes. */
  readonly unknown?: string;
}

/** Envoy's attributes (Envoy's documentation, "Attributes"), the ones of proxies that are no part of Envoy left out. */
const ATTRIBUTES: ReadonlySet<string> = new Set([
  ...["request", "response", "source", "destination", "connection", "upstream", "metadata", "filter_state", "upstream_filter_state", "xds"],
]);

const CONVERSIONS: ReadonlySet<string> = new Set(["int", "uint", "double", "bool", "bytes", "duration", "timestamp", "size", "has", "dyn"]);

const METHODS: ReadonlySet<string> = new Set([
  ...["contains", "startsWith", "endsWith", "matches", "size"],
  ...["getFullYear", "getMonth", "getDate", "getDayOfMonth", "getDayOfWeek", "getDayOfYear"],
  ...["getHours", "getMinutes", "getSeconds", "getMilliseconds"],
]);

const TOKEN =
  /\s*(?:(r?(?:"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*'))|(0[xX][0-9a-fA-F]+u?|\d+(?:\.\d+)?(?:[eE][+-]?\d+)?[uU]?)|([A-Za-z_][A-Za-z0-9_]*)|(&&|\|\||==|!=|<=|>=|[-+*/%<>!?:.,()[\]{}]))/y;

export function parseCel(text: string): ParsedCel {
  const tokens = tokenize(text);
  if ("error" in tokens) return tokens;
  const parser = new Parser(tokens.tokens);
  const error = parser.run();
  return error ?? tokens;
}

/** Whether the whole expression is one string, and which: `'v1'`. */
export function celString(tokens: readonly string[]): string | undefined {
  const [only, ...more] = tokens;
  if (only === undefined || more.length > 0 || !/^["']/.test(only) || only.includes("\\")) return undefined;
  return only.slice(1, -1);
}

/** With a blank between all parts, so that no part of Envoy's format ends in it. */
export function celText(tokens: readonly string[]): string {
  return tokens.join(" ");
}

function tokenize(text: string): ParsedCel {
  const tokens: string[] = [];
  TOKEN.lastIndex = 0;
  while (TOKEN.lastIndex < text.length) {
    const at = TOKEN.lastIndex;
    const match = TOKEN.exec(text);
    if (!match) {
      if (text.slice(at).trim() === "") break;
      return { error: `cannot be read from ${JSON.stringify(text.slice(at).trim().slice(0, 20))} on` };
    }
    tokens.push(match[0].trim());
  }
  return tokens.length > 0 ? { tokens } : { error: "is empty" };
}

class Failure extends Error {
  readonly help?: string;

  constructor(message: string, help?: string) {
    super(message);
    this.help = help;
  }
}

const BINARY: readonly (readonly string[])[] = [["||"], ["&&"], ["==", "!=", "<", "<=", ">", ">=", "in"], ["+", "-"], ["*", "/", "%"]];

/** Deeper than this nobody writes; Envoy's own limit is 250. */
const DEEPEST = 100;

class Parser {
  #at = 0;
  #depth = 0;
  readonly #tokens: readonly string[];
  #unknown: string | undefined;

  constructor(tokens: readonly string[]) {
    this.#tokens = tokens;
  }

  run(): CelError | undefined {
    try {
      this.#expression();
      if (this.#next !== undefined) throw new Failure(`has ${this.#next} where nothing should follow`);
      const unknown = this.#unknown;
      if (unknown === undefined) return undefined;
      return { error: `names ${unknown}, which is no attribute of Envoy's`, help: `there are ${[...ATTRIBUTES].join(", ")}`, unknown };
    } catch (reason) {
      if (reason instanceof Failure) return { error: reason.message, help: reason.help };
      throw reason;
    }
  }

  get #next(): string | undefined {
    return this.#tokens[this.#at];
  }

  #take(expected: string): void {
    if (this.#next !== expected) throw new Failure(`needs ${expected} ${this.#next === undefined ? "at the end" : `before ${this.#next}`}`);
    this.#at += 1;
  }

  #accept(token: string): boolean {
    if (this.#next !== token) return false;
    this.#at += 1;
    return true;
  }

  #expression(): void {
    this.#depth += 1;
    if (this.#depth > DEEPEST) throw new Failure("is nested too deeply");
    this.#binary(0);
    if (this.#accept("?")) {
      this.#binary(0);
      this.#take(":");
      this.#expression();
    }
    this.#depth -= 1;
  }

  #binary(level: number): void {
    const operators = BINARY[level];
    if (!operators) {
      this.#unary();
      return;
    }
    this.#binary(level + 1);
    while (this.#next !== undefined && operators.includes(this.#next)) {
      const operator = this.#next;
      const before = this.#tokens[this.#at - 1];
      this.#at += 1;
      if (operator === "+" && (isText(before) || isText(this.#next))) throw new Failure("joins strings, which Envoy does not", JOIN_HELP);
      this.#binary(level + 1);
    }
  }

  #unary(): void {
    while (this.#next === "!" || this.#next === "-") this.#at += 1;
    this.#member();
  }

  #member(): void {
    this.#primary();
    for (;;) {
      if (this.#accept(".")) {
        const name = this.#name();
        if (this.#next !== "(") continue;
        if (!METHODS.has(name)) throw new Failure(`calls ${name}(), which Envoy does not have`, `it has ${[...METHODS].join(", ")}`);
        this.#arguments();
      } else if (this.#accept("[")) {
        this.#expression();
        this.#take("]");
      } else return;
    }
  }

  #name(): string {
    const name = this.#next;
    if (name === undefined || !/^[A-Za-z_]/.test(name) || isText(name)) throw new Failure("needs a name after .");
    this.#at += 1;
    return name;
  }

  #arguments(): void {
    this.#take("(");
    if (this.#accept(")")) return;
    do this.#expression();
    while (this.#accept(","));
    this.#take(")");
  }

  #primary(): void {
    const token = this.#next;
    if (token === undefined) throw new Failure("ends too early");
    this.#at += 1;
    if (isText(token) || /^\d/.test(token) || ["true", "false", "null"].includes(token)) return;
    if (token === "(") {
      this.#expression();
      this.#take(")");
    } else if (token === "[") this.#list("]");
    else if (token === "{") this.#list("}");
    else if (/^[A-Za-z_]/.test(token)) this.#reference(token);
    else throw new Failure(`has ${token} where a value should be`);
  }

  #list(end: "]" | "}"): void {
    if (this.#accept(end)) return;
    do {
      this.#expression();
      if (end === "}") {
        this.#take(":");
        this.#expression();
      }
    } while (this.#accept(","));
    this.#take(end);
  }

  #reference(name: string): void {
    if (this.#next === "(") {
      if (!CONVERSIONS.has(name)) {
        throw new Failure(
          `calls ${name}(), which Envoy does not have`,
          name === "string" ? STRING_HELP : `it has ${[...CONVERSIONS].join(", ")}`,
        );
      }
      const from = this.#at;
      this.#arguments();
      if (name === "has" && !isSelection(this.#tokens.slice(from + 1, this.#at - 1))) {
        throw new Failure("has() asks for a field such as request.useragent", "ask for a header with 'NAME' in request.headers");
      }
    } else if (!ATTRIBUTES.has(name)) this.#unknown ??= name;
  }
}

const JOIN_HELP = "give each part a tag of its own";
const STRING_HELP = "string() may stand around a whole value only: what a tag's expression gives is written as text anyway";

function isText(token: string | undefined): boolean {
  return token !== undefined && /^r?["']/.test(token);
}

function isSelection(tokens: readonly string[]): boolean {
  return tokens.length >= 3 && tokens.at(-2) === "." && /^[A-Za-z_]/.test(tokens.at(-1) ?? "");
}
