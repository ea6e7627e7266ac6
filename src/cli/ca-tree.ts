/** `weft ca show` as text. */
import type { CaAnswer } from "../admin/ca-schemas.ts";

type Authority = CaAnswer["x509"][number];

/** Few enough to read; -o json has them all. */
const MOST_SVIDS = 20;

/** Lines. `now`: ms since the epoch. */
export function caTree(ca: CaAnswer, now: number): string[] {
  return [
    `trust domain ${ca.trustDomain}, bundle ${ca.sequence}`,
    "",
    "X.509 authority",
    ...ca.x509.flatMap((authority, index) => x509Lines(ca, authority, index === ca.x509.length - 1, now)),
    "",
    "JWT authority",
    ...ca.jwt.map(
      (authority, index) =>
        `${branch(index === ca.jwt.length - 1)}${authority.state.padEnd(8)}  kid ${authority.id}${holder(authority)}, ${end(authority, now)}${next(authority, now)}`,
    ),
    ...ca.rotations.map(({ type, reason, since, notBefore, waitingFor }) => {
      const who = waitingFor.length > 0 ? `, waits for ${waitingFor.join(", ")}` : "";
      const from =
        notBefore !== undefined && Date.parse(notBefore) > now ? `, signs not before ${notBefore} (${distance(notBefore, now)})` : "";
      return `\nrotation of the ${type === "x509" ? "X.509" : "JWT"} authority (${reason}) since ${since}${from}${who}`;
    }),
    ...ca.warnings.map(({ message, help }) => `\nwarning: ${message}\n    help: ${help}`),
  ];
}

function x509Lines(ca: CaAnswer, authority: Authority, last: boolean, now: number): string[] {
  const { state, id, subject = "", serial = "", issuers = [] } = authority;
  const indent = last ? "   " : "│  ";
  const svids = Object.entries(ca.svids).filter(([, svid]) => svid.authority === id);
  const shown = svids.slice(0, MOST_SVIDS).map(([spiffeId, { expires }]) => `${spiffeId}, until ${expires} (${distance(expires, now)})`);
  const rest = svids.length > MOST_SVIDS ? [`and ${svids.length - MOST_SVIDS} more`] : [];
  const leaves = [...shown, ...rest];
  return [
    `${branch(last)}${state.padEnd(8)}  ${subject}, serial ${serial}${holder(authority)}, ${end(authority, now)}${next(authority, now)}`,
    ...issuers.map(
      (one) => `${indent}signed by ${one.subject}, serial ${one.serial}, until ${one.notAfter} (${distance(one.notAfter, now)})`,
    ),
    ...leaves.map((text, index) => `${indent}${branch(index === leaves.length - 1)}${text}`),
  ];
}

const holder = ({ node }: Authority): string => (node === undefined ? "" : `, of node ${node}`);
const branch = (last: boolean): string => (last ? "└─ " : "├─ ");
const end = ({ notAfter }: Authority, now: number): string => `until ${notAfter} (${distance(notAfter, now)})`;

const STEPS = { "prepare-next": "the next one is made", activate: "signs from", retire: "leaves the bundle" } as const;

const next = ({ next: step }: Authority, now: number): string =>
  step ? `; ${STEPS[step.step]} ${step.at} (${distance(step.at, now)})` : "";

/** "in 23h", "5m ago". */
function distance(iso: string, now: number): string {
  const seconds = Math.round((Date.parse(iso) - now) / 1000);
  const text = short(Math.abs(seconds));
  return seconds < 0 ? `${text} ago` : `in ${text}`;
}

function short(seconds: number): string {
  if (seconds < 120) return `${seconds}s`;
  if (seconds < 7200) return `${Math.round(seconds / 60)}m`;
  return seconds < 172_800 ? `${Math.round(seconds / 3600)}h` : `${Math.round(seconds / 86_400)}d`;
}
