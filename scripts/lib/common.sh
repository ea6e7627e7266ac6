# Sourced by the scripts: messages, hashing, and taking turns.

# No colours in a log file or a pipe, nor where the user wants none (no-color.org).
if [ -t 2 ] && [ -z "${NO_COLOR:-}" ]; then mark=$'\033[2m==>\033[0m'; else mark='==>'; fi
say() { printf '%s %s\n' "$mark" "$*" >&2; }
fail() { printf 'error: %s\n' "$*" >&2; exit 2; }

# Hash of standard input.
hash() { python3 -c 'import hashlib,sys; print(hashlib.sha256(sys.stdin.buffer.read()).hexdigest())'; }

# Holds FILE's lock until this shell ends; says so once if it has to wait. Without flock(1) (macOS) Python's fcntl waits in a child
# that keeps the lock for as long as this shell lives.
take_turn() {
  exec 9>"$1"
  if command -v flock >/dev/null; then
    flock -n 9 || { say "waiting for another run to finish its setup"; flock 9; }
  else
    python3 -c 'import fcntl,sys; fcntl.flock(9, fcntl.LOCK_EX)' || fail "cannot lock $1"
  fi
}
