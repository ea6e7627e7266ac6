/**
 * The schema, as the ordered list of the steps that made it: step n brings a database from version n - 1 to n. A step that was released
 * is never edited; a change of the schema is a new file at the end.
 */
import { resourcesAndHistory } from "./001-resources-and-history.ts";
import { historyOfAResource } from "./002-history-of-a-resource.ts";
import { health } from "./003-health.ts";
import { audit } from "./004-audit.ts";
import { privateRecords } from "./005-private.ts";
import { place } from "./006-place.ts";

export const MIGRATIONS: readonly string[] = [resourcesAndHistory, historyOfAResource, health, audit, privateRecords, place];

/** "weft" in ASCII, in the header of every database of weft's (PRAGMA application_id). */
export const APPLICATION_ID = 0x77656674;
