#!/usr/bin/env bash
# cargo-mutants over src/core: changes one thing after the other and asks the unit tests. Outside of CI: a whole run takes hours.
#
#   hack/mutants.sh                 all of src/core
#   hack/mutants.sh --shard 0/40    a fortieth of it
#   SINCE=main hack/mutants.sh      only what differs from that commit
#
# Whatever follows is passed on. What is missing is installed once, under .cache/. The report is in target/mutants.out; each line
# of its missed.txt is a change that no test sees: add a test, or say in docs/reliability.md why it changes nothing.
set -euo pipefail
cd "$(dirname "$0")/.."

version=27.1.0
bin=".cache/tools/cargo-mutants-$version/bin/cargo-mutants"
if [ ! -x "$bin" ]; then
    echo "installing cargo-mutants $version into .cache/tools (once, a few minutes)" >&2
    cargo install --locked --version "$version" --root ".cache/tools/cargo-mutants-$version" cargo-mutants
fi
mkdir -p target
extra=()
if [ -n "${SINCE:-}" ]; then
    git diff "$SINCE" -- src/core >target/mutants.diff
    extra=(--in-diff target/mutants.diff)
fi
# --gitignore=true: target/ and .cache/ are not copied. The tests that only take long are left out: a day of checks, and a
# thousand restarts, are the same rules once more.
exec "$bin" mutants --file 'src/core/**/*.rs' --output target --gitignore=true --timeout 120 "${extra[@]}" "$@" \
    -- --lib -- core:: --skip core::tests::properties --skip core::tests::ways --skip thousand
