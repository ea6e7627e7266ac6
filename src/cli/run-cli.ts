/** The command line: argv in, output and an exit code out. */
import {
  type Application,
  type ApplicationText,
  ArgumentScannerError,
  buildApplication,
  buildCommand,
  buildRouteMap,
  type Command,
  FlagNotFoundError,
  formatMessageForArgumentScannerError,
  proposeCompletions,
  type RouteMap,
  run,
  ExitCode as StricliExit,
  type StricliProcess,
  text_en,
} from "@stricli/core";
import { WeftError } from "../lib/errors.ts";
import { BRIEF } from "./briefs.ts";
import { clean } from "./clean.ts";
import { COMPLETE_VERB } from "./complete-verb.ts";
import type { CliIo } from "./io.ts";
import type { Cli } from "./verb.ts";

type Verb = keyof typeof BRIEF;
type Target = Command<Cli> | RouteMap<Cli>;

/** Each loaded alone: what one verb needs (the mesh, Envoy's messages) costs the others more than they do. */
const LOAD: { readonly [Name in Verb]: () => Promise<Target> } = {
  run: async () => (await import("./run.ts")).runCommand,
  apply: async () => (await import("./apply.ts")).applyCommand,
  get: async () => (await import("./get.ts")).getCommand,
  delete: async () => (await import("./delete.ts")).deleteCommand,
  validate: async () => (await import("./validate.ts")).validateCommand,
  diff: async () => (await import("./diff.ts")).diffCommand,
  why: async () => (await import("./why.ts")).whyCommand,
  test: async () => (await import("./test.ts")).testCommand,
  services: async () => (await import("./services.ts")).servicesCommand,
  mtls: async () => (await import("./mtls.ts")).mtlsCommand,
  proxies: async () => (await import("./proxies.ts")).proxiesCommand,
  proxy: async () => (await import("./proxy.ts")).proxyRoutes,
  ca: async () => (await import("./ca.ts")).caRoutes,
  token: async () => (await import("./token.ts")).tokenCommand,
  nodes: async () => (await import("./nodes.ts")).nodesCommand,
  node: async () => (await import("./node.ts")).nodeRoutes,
  join: async () => (await import("./join.ts")).joinCommand,
  check: async () => (await import("./check.ts")).checkCommand,
  access: async () => (await import("./access.ts")).accessRoutes,
  audit: async () => (await import("./audit.ts")).auditCommand,
  explain: async () => (await import("./explain.ts")).explainCommand,
  version: async () => (await import("./version.ts")).versionCommand,
  completion: async () => (await import("./completion.ts")).completionCommand,
};

const isVerb = (text: string | undefined): text is Verb => text !== undefined && Object.hasOwn(BRIEF, text);

/** `weft` and `weft --help` show how each verb is called. */
function verbsFor(asked: string | undefined): readonly Verb[] {
  if (isVerb(asked)) return [asked];
  return asked === undefined || asked.startsWith("-") ? (Object.keys(LOAD) as Verb[]) : [];
}

/** All verbs by name and brief, for completion and guesses; those that are asked for with all that they have. */
async function applicationFor(asked: string | undefined): Promise<Application<Cli>> {
  const routes = Object.fromEntries(
    Object.entries(BRIEF).map(([name, brief]): [string, Target] => [
      name,
      buildCommand<Record<never, never>, [], Cli>({
        docs: { brief },
        parameters: {},
        loader: () => Promise.reject(new WeftError("internal", `verb ${name} was not loaded`)),
      }),
    ]),
  );
  for (const verb of verbsFor(asked)) routes[verb] = await LOAD[verb]();
  const root = buildRouteMap<string, Cli>({
    routes,
    docs: {
      brief: "A service mesh for bare metal, VMs and the edge",
      fullDescription:
        "Start with: weft run, then weft apply -f FILE, then weft proxy run WORKLOAD.\n" +
        "Exit codes: 0 yes or done, 1 a negative answer (invalid, different, refused), 2 usage or could not do it;\nof weft run 3, this node was removed from its mesh.",
    },
  });
  return buildApplication(root, {
    name: "weft",
    scanner: { caseStyle: "allow-kebab-for-camel", allowArgumentEscapeSequence: true },
    documentation: {
      caseStyle: "convert-camel-to-kebab",
      disableAnsiColor: true,
      useAliasInUsageLine: true,
      onlyRequiredInUsageLine: true,
    },
    localization: { text },
  });
}

const text: ApplicationText = {
  ...text_en,
  noCommandRegisteredForInput: ({ input, corrections }) => {
    const guess = corrections.length > 0 ? `: did you mean ${corrections.join(" or ")}?` : "";
    return `weft: there is no verb "${clean(input)}"${guess}\n    help: weft --help lists all`;
  },
  exceptionWhileParsingArguments: (reason) => {
    const message = messageOf(reason);
    return `weft: ${clean(message)}\n    help: --help shows the flags and arguments of a verb`;
  },
};

/** By class, not by stricli's table of class names: the compiled binary is minified, and its classes have other names. */
function messageOf(reason: unknown): string {
  if (reason instanceof FlagNotFoundError) return unknownFlag(reason);
  if (reason instanceof ArgumentScannerError) return formatMessageForArgumentScannerError(reason, {});
  return WeftError.from(reason).message;
}

const kebab = (flag: string) => flag.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);

function unknownFlag({ input, corrections }: FlagNotFoundError): string {
  const guess = corrections.length > 0 ? `: did you mean ${corrections.map((one) => `--${kebab(one)}`).join(" or ")}?` : "";
  return `there is no flag --${input}${guess}`;
}

const line = (text: string) => (text.endsWith("\n") ? text : `${text}\n`);

/** The forms that hands know from other programs: `weft --version`, `weft help apply`. */
function asVerb(argv: readonly string[]): readonly string[] {
  const [first, ...rest] = argv;
  if (first === "--version") return ["version", ...rest];
  return first === "help" ? [...rest, "--help"] : argv;
}

/** Runs one command line (without the program's name). Never throws; 0, 1 or 2, of `weft run` 3 too (NODE_REMOVED_EXIT). */
export async function runCli(argv: readonly string[], io: CliIo): Promise<number> {
  let code: number | undefined;
  const process: StricliProcess = {
    stdout: { write: (text) => void io.stdout.write(text) },
    stderr: { write: (text) => void io.stderr.write(text) },
    env: {},
    exitCode: undefined,
  };
  const context: Cli & { readonly process: StricliProcess } = {
    process,
    io,
    print: (text) => void io.stdout.write(line(text)),
    complain: (text) => void io.stderr.write(line(text)),
    exit(chosen) {
      code = chosen;
    },
  };
  if (argv[0] === COMPLETE_VERB) {
    for (const { completion, brief } of await proposeCompletions(await applicationFor(argv[1]), argv.slice(1), context))
      context.print(`${completion}\t${brief}`);
    return 0;
  }
  const words = asVerb(argv);
  await run(await applicationFor(words[0]), words, context);
  // Whatever the parser refuses is usage.
  return code ?? (process.exitCode === StricliExit.Success ? 0 : 2);
}
