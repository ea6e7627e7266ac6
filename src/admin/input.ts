/** Request bodies: limited, UTF-8, YAML or JSON, one file or several. */
import * as v from "valibot";
import { parse } from "yaml";
import { WeftError } from "../lib/errors.ts";
import { decodeUtf8, MAX_INPUT_BYTES } from "../model/index.ts";
import type { AdminContext } from "./context.ts";
import type { InputFile } from "./control-plane.ts";

/** Besides JSON and YAML: what curl sends by default (--data-binary), and what file servers say of YAML. Told apart by content. */
const READABLE = /^(application\/(json|x-yaml|yaml|octet-stream|x-www-form-urlencoded)|text\/[\w.+-]+|application\/[\w.-]+\+(json|yaml))$/;

/** @throws WeftError "too_large" */
async function readBytes(request: Request, most: number = MAX_INPUT_BYTES): Promise<Uint8Array> {
  const tooLarge = () =>
    new WeftError("too_large", `The body is larger than ${most < 1024 * 1024 ? `${most / 1024} KiB` : `${most / 1024 / 1024} MiB`}`, {
      help: "split it, and apply the parts one after the other",
    });
  if (Number(request.headers.get("content-length") ?? 0) > most) throw tooLarge();
  const chunks: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of request.body ?? []) {
    size += chunk.byteLength;
    if (size > most) throw tooLarge();
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

/** @throws WeftError "invalid", with the place of the first byte that is no UTF-8. */
function textOf(bytes: Uint8Array, file: string): string {
  const decoded = decodeUtf8(bytes, file);
  if ("problem" in decoded) throw new WeftError("invalid", `${file} is not UTF-8`, { problems: [decoded.problem] });
  return decoded.text;
}

function mediaType(request: Request): string {
  return (request.headers.get("content-type") ?? "application/yaml").split(";")[0]?.trim().toLowerCase() ?? "";
}

/**
 * The files of a request: its body, named by `?file=` or "<http>"; or the files of a multipart/form-data body, each with its own name,
 * as `curl -F file=@mesh.yaml` sends them.
 * @throws WeftError "invalid", "too_large"
 */
export async function readFiles(c: AdminContext, file: string | undefined): Promise<readonly InputFile[]> {
  const type = mediaType(c.req.raw);
  refuseEncoded(c.req.raw);
  const bytes = await readBytes(c.req.raw);
  if (type !== "multipart/form-data") {
    if (!READABLE.test(type)) {
      throw new WeftError("invalid", `A body of type ${type} is not read here`, {
        help: "send application/yaml, application/json, or multipart/form-data with one file a part",
      });
    }
    const name = file || "<http>";
    return [{ file: name, text: textOf(bytes, name) }];
  }
  const files: InputFile[] = [];
  const whole = new Response(bytes, { headers: { "content-type": c.req.header("content-type") ?? "" } });
  const form = await whole.formData().catch((cause: unknown) => {
    throw new WeftError("invalid", "The multipart body cannot be read", { cause });
  });
  for (const [field, part] of form) {
    if (typeof part === "string") files.push({ file: field, text: part });
    else files.push({ file: part.name || field, text: textOf(await part.bytes(), part.name || field) });
  }
  return files;
}

function refuseEncoded(request: Request): void {
  const encoding = request.headers.get("content-encoding");
  if (encoding && encoding !== "identity")
    throw new WeftError("invalid", `A body in Content-Encoding ${encoding} is not read here: send it plain`);
}

/** What the API's own objects may be long, but for those of many items, which only people with a right send. */
const STRANGERS_BYTES = 64 * 1024;
/** A YAML parser that looks for keys that occur twice takes seconds for a long list: what is longer must be JSON. */
const LONGEST_YAML = 16 * 1024;

/** A small JSON or YAML object of the API's own, checked against `schema`. @throws WeftError "invalid" */
export async function readObject<S extends v.GenericSchema>(c: AdminContext, schema: S): Promise<v.InferOutput<S>> {
  refuseEncoded(c.req.raw);
  // On a few calls the token is judged afterwards: until then nobody is known.
  const most = c.get("principal") === undefined ? STRANGERS_BYTES : MAX_INPUT_BYTES;
  const text = textOf(await readBytes(c.req.raw, most), "<http>");
  let value: unknown;
  try {
    value = text.length > LONGEST_YAML ? JSON.parse(text) : parse(text, { uniqueKeys: true, maxAliasCount: 0 });
  } catch (cause) {
    const wanted = text.length > LONGEST_YAML ? `not JSON, which a body over ${LONGEST_YAML / 1024} KiB must be` : "neither JSON nor YAML";
    throw new WeftError("invalid", `The body is ${wanted}: ${WeftError.from(cause).message}`, { cause });
  }
  const result = v.safeParse(schema, value);
  if (result.success) return result.output;
  const findings = result.issues.map((issue) => `${v.getDotPath(issue) ?? "body"}: ${issue.message}`);
  throw new WeftError("invalid", `The body is wrong: ${findings.join("; ")}`);
}

/**
 * What a write demands of the stored resource (RFC 9110, 13.1): If-Match with an ETag or "*", If-None-Match with "*".
 * @throws WeftError "invalid"
 */
export function preconditionOf(c: AdminContext): number | "absent" | "present" | undefined {
  const match = c.req.header("if-match");
  const noneMatch = c.req.header("if-none-match");
  if (match !== undefined && noneMatch !== undefined) throw new WeftError("invalid", "If-Match and If-None-Match exclude each other");
  if (noneMatch !== undefined) {
    if (noneMatch.trim() === "*") return "absent";
    throw new WeftError("invalid", 'On a write If-None-Match takes only "*" (create, never overwrite)');
  }
  if (match === undefined) return undefined;
  if (match.trim() === "*") return "present";
  const revision = /^"(\d{1,15})"$/.exec(match.trim())?.[1];
  if (revision === undefined) {
    throw new WeftError("invalid", `If-Match must be one ETag of the resource, such as "7", not ${match}`, {
      help: "take it from the ETag header of a GET",
    });
  }
  return Number(revision);
}
