/** Names of users and groups, as /etc/passwd and /etc/group have them: passwd(5), group(5). What is known elsewhere (LDAP) has no name here. */
import { readFileSync, statSync } from "node:fs";

export interface UnixNames {
  /** Undefined where there is no such user. */
  uidOf(user: string): number | undefined;
  gidOf(group: string): number | undefined;
}

/** Reads the files again when they change. */
export function unixNames(passwd = "/etc/passwd", group = "/etc/group"): UnixNames {
  const users = followed(passwd);
  const groups = followed(group);
  return { uidOf: (user) => users().get(user), gidOf: (name) => groups().get(name) };
}

function followed(file: string): () => ReadonlyMap<string, number> {
  let known: { readonly version: string; readonly ids: ReadonlyMap<string, number> } | undefined;
  return () => {
    try {
      const { ino, size, mtimeNs, ctimeNs } = statSync(file, { bigint: true });
      const version = [ino, size, mtimeNs, ctimeNs].join();
      if (known?.version !== version) known = { version, ids: parseNames(readFileSync(file, "utf8")) };
      return known.ids;
    } catch {
      return NOBODY;
    }
  };
}

const NOBODY: ReadonlyMap<string, number> = new Map();

/** The first line of a name counts, as for getpwnam(3). */
function parseNames(text: string): ReadonlyMap<string, number> {
  const ids = new Map<string, number>();
  for (const line of text.split("\n")) {
    const [name, , id] = line.split(":");
    if (name && !ids.has(name) && id !== undefined && /^\d+$/.test(id)) ids.set(name, Number(id));
  }
  return ids;
}
