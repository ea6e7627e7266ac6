/** The model's public face. The kinds' spec types are in the kinds' own files. */
export {
  ANNOTATION,
  parseAddressPort,
  parseAppAnnotation,
  parseListenAnnotation,
} from "./annotations.ts";
export { CODES, type CodeName, findCode, problem, suggestCode } from "./codes.ts";
export { documentOf, resourceFromStored, shownDocument } from "./document.ts";
export { canonicalHost } from "./host.ts";
export { findKind, KINDS, schemaOf } from "./kinds.ts";
export { readNamespace } from "./metadata.ts";
export { decodeUtf8, type ParsedDocuments, parseDocuments, parseInSteps } from "./parse.ts";
export { isPublicValue } from "./secret.ts";
export { MAX_INPUT_BYTES } from "./yaml-reader.ts";
