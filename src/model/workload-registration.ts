/**
 * WorkloadRegistration: which processes of this machine are a workload, told by what the kernel says of them, so that the SPIFFE Workload
 * API gives them its identity. The identity is always one of the registration's own namespace.
 */
import type * as v from "valibot";
import { filled, onlyOne } from "./common.ts";
import { needed, object, type Report, text, uint32 } from "./schema.ts";

/** A segment of a SPIFFE ID's path (SPIFFE-ID, 2.2), of the length of a Kubernetes name. */
const NAME = /^(?!\.{1,2}$)[a-zA-Z0-9._-]{1,253}$/;
/** SPIFFE Workload API, 8: implementations should not take longer ones. */
const LONGEST_HINT = 1024;
/** Where anybody may put a file of any name that is not there yet. */
const SHARED_DIRECTORIES = ["/tmp/", "/var/tmp/", "/dev/shm/", "/run/lock/", "/dev/mqueue/"];

const name = () =>
  text((value, report) => {
    if (!NAME.test(value)) report("badValue", `${JSON.stringify(value)} is no name: use letters, digits, '.', '-' and '_'`);
  });

const path = () =>
  text((value, report) => {
    const isPlain = value.startsWith("/") && !value.endsWith("/") && !/\/\.{0,2}(\/|$)/.test(value);
    if (!isPlain)
      report("badValue", "must be the absolute path of a file, without '.', '..' or doubled slashes: as /proc/PID/exe shows it");
    // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is refused
    else if (/[\u0000-\u001f]/.test(value)) report("badValue", "holds a control character");
  });

const sha256 = () =>
  text((value, report) => {
    if (/^[0-9a-f]{64}$/.test(value)) return;
    report("badValue", "must be the SHA-256 of the executable, 64 hexadecimal digits in lower case", { help: "sha256sum FILE prints it" });
  });

const unix = () =>
  object(
    {
      uid: uint32(),
      user: filled(),
      gid: uint32(),
      group: filled(),
      supplementaryGid: uint32(),
      path: path(),
      sha256: sha256(),
    },
    (value, report) => {
      onlyOne(value, ["uid", "user"], report);
      onlyOne(value, ["gid", "group"], report);
      if (Object.keys(value).length === 0) {
        report("missing", "needs a selector: what it selects would be every process of the machine", { help: "write uid, path or sha256" });
      }
      warn(value, report);
    },
  );

interface UnixSelectors {
  readonly uid?: number;
  readonly user?: string;
  readonly path?: string;
  readonly sha256?: string;
}

function warn({ uid, user, path, sha256 }: UnixSelectors, report: Report): void {
  const owner = uid !== undefined || user !== undefined;
  const shared = path === undefined ? undefined : SHARED_DIRECTORIES.find((directory) => path.startsWith(directory));
  if (shared !== undefined && sha256 === undefined) {
    report("surprising", `anybody may put a program into ${shared.slice(0, -1)}`, {
      path: ["path"],
      severity: "warning",
      help: owner ? "add sha256, or install the program elsewhere" : "add uid and sha256, or install the program elsewhere",
    });
  }
  if ((uid === 0 || user === "root") && path === undefined && sha256 === undefined) {
    report("surprising", "every process of root would be this workload", {
      path: [uid === 0 ? "uid" : "user"],
      severity: "warning",
      help: "add path or sha256, or run the workload as a user of its own",
    });
  }
  if (path !== undefined && !owner) {
    report("surprising", "whoever may run the program is this workload", {
      path: ["path"],
      severity: "warning",
      help: "add the uid or user that the workload runs as",
    });
  }
}

export const WorkloadRegistrationSchema = object(
  {
    /** Of a WorkloadEntry in the same namespace: its service account is the identity. */
    workload: name(),
    serviceAccount: name(),
    selectors: needed(object({ unix: needed(unix()) })),
    hint: text((value, report) => {
      if (Buffer.byteLength(value) > LONGEST_HINT) report("badValue", `must not be longer than ${LONGEST_HINT} bytes`);
    }),
  },
  (value, report) => {
    onlyOne(value, ["workload", "serviceAccount"], report);
    if (value.workload === undefined && value.serviceAccount === undefined) {
      report("missing", "needs serviceAccount, or workload", {
        help: "serviceAccount: NAME is spiffe://TRUST-DOMAIN/ns/NAMESPACE/sa/NAME",
      });
    }
  },
);

export type WorkloadRegistrationSpec = v.InferOutput<typeof WorkloadRegistrationSchema>;
