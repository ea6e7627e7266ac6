import { afterEach, beforeEach, expect, test } from "bun:test";
import { chmodSync } from "node:fs";
import { describeWhere } from "../skip.ts";
import { type Child, type Door, openDoor, python, pythonPlace, run } from "./processes.ts";

let door: Door;
const children: Child[] = [];
const keep = (child: Child) => {
  children.push(child);
  return child;
};
const start = (script: string) => keep(python(door, script));

beforeEach(async () => {
  door = await openDoor();
});
afterEach(async () => {
  for (const child of children.splice(0)) await child.end();
  door.close();
});

const isRoot = process.getuid?.() === 0;

test("A process that connects is the one that the kernel names, with its user and its program", async () => {
  const child = start("s = dial(); wait()");
  const caller = await door.accepted();
  const found = caller.process();
  expect(found).toMatchObject({
    pid: child.pid,
    uid: process.getuid?.(),
    gid: process.getgid?.(),
    path: pythonPlace().executable,
  });
  expect(caller.who).toBe(`uid ${found.uid} (${found.path})`);
});

test("A process that became another program since it connected has no identity", async () => {
  const child = start(`s = dial(); wait(); os.execv("/bin/sleep", ["sleep", "60"])`);
  const caller = await door.accepted();
  const { path } = caller.process();
  child.say("go");
  const end = performance.now() + 10_000;
  let refusal = "";
  while (refusal === "" && performance.now() < end) {
    try {
      caller.process();
      await Bun.sleep(10);
    } catch (reason) {
      refusal = String(reason);
    }
  }
  expect(refusal).toContain("it has become another program since it connected");
  expect(path).toContain("python");
});

test("A process that left its connection to another has taken its identity with it", async () => {
  // The middle process connects and ends; its child holds the connection.
  const child = start(`
middle = os.fork()
if middle == 0:
    s = dial()
    if os.fork() == 0:
        time.sleep(60); os._exit(0)
    os._exit(0)
os.waitpid(middle, 0); say("ended"); wait()`);
  const caller = await door.accepted();
  await child.line();
  expect(() => caller.process()).toThrow(/it has ended/);
});

describeWhere(isRoot, "root, who may choose the next pid", "A pid that is used anew", () => {
  test("gives the new process nothing of the one before", async () => {
    const child = start(`
first = os.fork()
if first == 0:
    s = dial()
    if os.fork() == 0:
        time.sleep(60); os._exit(0)
    sys.stdin.readline(); os._exit(0)
say(str(first)); os.waitpid(first, 0)
second = 0
for _ in range(1000):
    open("/proc/sys/kernel/ns_last_pid", "w").write(str(first - 1))
    second = os.fork()
    if second == 0:
        time.sleep(60); os._exit(0)
    if second == first: break
    os.kill(second, 9); os.waitpid(second, 0)
say("%d %d" % (first, second)); wait()`);
    const first = Number(await child.line());
    const caller = await door.accepted();
    expect(caller.process().pid).toBe(first);
    child.say("end");
    expect(await child.line()).toBe(`${first} ${first}`);
    // The same program, the same user, the same number: and nobody.
    expect(() => caller.process()).toThrow(/it has ended/);
  });
});

describeWhere(isRoot, "root, who may become another user", "Users", () => {
  test("are told with their groups", async () => {
    chmodSync(door.directory, 0o755);
    chmodSync(door.path, 0o666);
    start(`os.setgroups([4244, 4245]); os.setresgid(4243, 4243, 4243); os.setresuid(4242, 4242, 4242); s = dial(); wait()`);
    const found = (await door.accepted()).process();
    expect([found.uid, found.gid, [...found.groups]]).toEqual([4242, 4243, [4244, 4245]]);
  });

  test("that a process takes on after it connected are not believed, nor those that it had", async () => {
    const child = start(
      `s = dial(); say("in"); wait(); os.setresgid(4243, 4243, 4243); os.setresuid(4242, 4242, 4242); say("down"); wait()`,
    );
    const caller = await door.accepted();
    expect(caller.process().uid).toBe(0);
    await child.line();
    child.say("go");
    await child.line();
    expect(() => caller.process()).toThrow(/changed its user or group/);
  });
});

describeWhere(isRoot, "root, who may make a mount namespace", "A path", () => {
  test("that a process gave its program in a mount namespace of its own is not the program's path", async () => {
    const { executable, home } = pythonPlace();
    const script = "import socket, sys; s = socket.socket(socket.AF_UNIX); s.connect(sys.argv[1]); sys.stdin.readline()";
    const disguised = `mount --bind ${executable} /bin/sleep && PYTHONHOME=${home} exec /bin/sleep -c "$1" "$2"`;
    keep(run(["unshare", "--mount", "sh", "-c", disguised, "sh", script, door.path]));
    const found = (await door.accepted()).process();
    expect(found.path).toBeUndefined();
  });
});
