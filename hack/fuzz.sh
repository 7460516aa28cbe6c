#!/usr/bin/env bash
# Fuzzes the parsers that face partners and users, each for a while, from the kept corpus.
#
#   hack/fuzz.sh [SECONDS] [TARGET ...]   20 s each; all targets
#   MINIMISE=1 hack/fuzz.sh ...           then put what was found and is worth keeping into fuzz/corpus
#
# libFuzzer without cargo-fuzz: it comes with the crate libfuzzer-sys and is built by a C++ compiler; hack/fuzz-rustc.sh says how
# coverage is had without a nightly compiler. There is no address sanitizer, which would need one: our own code forbids `unsafe`.
# A crash ends it, and says which file holds the input: run the target with that file to see it again.
set -euo pipefail
cd "$(dirname "$0")/.."
each=${1:-20}
shift || true
targets=("$@")
[ ${#targets[@]} -gt 0 ] || targets=(retry-after duration judge expression guard)

if ! command -v c++ >/dev/null && ! command -v g++ >/dev/null && ! command -v clang++ >/dev/null; then
    echo "make fuzz is left out: libFuzzer needs a C++ compiler, for example: apt-get install g++"
    exit 0
fi

# Beside what was built for the tests: cargo keeps what a wrapper has compiled apart, and uses the dependencies of both.
echo "building the fuzz targets (a minute or two once, where the tests have been built)"
built=()
for target in "${targets[@]}"; do built+=(--example "fuzz-$target"); done
RUSTC_WORKSPACE_WRAPPER=$PWD/hack/fuzz-rustc.sh \
    cargo build --locked --config profile.dev.opt-level=1 --features fuzzing "${built[@]}"

out=$PWD/target/fuzz
for target in "${targets[@]}"; do
    kept=fuzz/corpus/${target//-/_} new=$out/corpus/$target crashes=$out/crashes/$target
    mkdir -p "$kept" "$new" "$crashes"
    options=(-max_total_time="$each" -timeout=10 -rss_limit_mb=2048 -max_len=4096 -artifact_prefix="$crashes/" -print_final_stats=1)
    [ -f "fuzz/dictionaries/${target//-/_}" ] && options+=(-dict="fuzz/dictionaries/${target//-/_}")
    log=$out/$target.log program=$PWD/target/debug/examples/fuzz-$target
    if ! "$program" "${options[@]}" "$new" "$kept" >"$log" 2>&1; then
        tail -n 40 "$log"
        echo "$target found something; again: $program FILE, with a file of $crashes"
        exit 1
    fi
    runs=$(sed -n 's/^stat::number_of_executed_units: *//p' "$log")
    echo "$target: $runs inputs in $each s, coverage $(grep -o 'cov: [0-9]*' "$log" | tail -n 1 | cut -d' ' -f2), nothing found"
    if [ "${MINIMISE:-}" = 1 ]; then
        least=$out/least/$target
        rm -rf "$least"
        mkdir -p "$least"
        "$program" -merge=1 -max_len=512 "$least" "$kept" "$new" >>"$log" 2>&1
        rm -rf "$kept"
        cp -r "$least" "$kept"
    fi
done
