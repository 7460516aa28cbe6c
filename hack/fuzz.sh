#!/usr/bin/env bash
# Fuzzes the parsers that face partners and users, each for a while, from the kept corpus.
#
#   hack/fuzz.sh [SECONDS] [TARGET ...]   20 s each; all targets
#   MINIMISE=1 hack/fuzz.sh ...           then put what was found and is worth keeping into fuzz/corpus
#
# libFuzzer without cargo-fuzz: it comes with the crate libfuzzer-sys and is built by a C++ compiler; coverage is a pass of
# LLVM that the pinned stable compiler has, so no nightly one is needed. There is no address sanitizer, which would need
# one: our own code forbids `unsafe`.
# A crash ends it, and says which file holds the input: run TARGET with that file to see it again.
set -euo pipefail
cd "$(dirname "$0")/.."
each=${1:-20}
shift || true
targets=("$@")
[ ${#targets[@]} -gt 0 ] || targets=(retry_after duration judge expression guard)

if ! command -v c++ >/dev/null && ! command -v g++ >/dev/null && ! command -v clang++ >/dev/null; then
    echo "make fuzz is left out: libFuzzer needs a C++ compiler, for example: apt-get install g++"
    exit 0
fi

out=$PWD/target/fuzz
triple=$(rustc -vV | sed -n 's/^host: //p')
coverage="-Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 -Cllvm-args=-sanitizer-coverage-inline-8bit-counters"
coverage="$coverage -Cllvm-args=-sanitizer-coverage-pc-table -Cllvm-args=-sanitizer-coverage-trace-compares"
echo "building the fuzz targets into target/fuzz (10 to 20 min once, on two cores)"
# --target: build scripts and macros are not to be instrumented.
RUSTFLAGS="--cfg fuzzing $coverage " CARGO_TARGET_DIR=$out \
    cargo build --release --locked --target "$triple" --manifest-path fuzz/Cargo.toml

for target in "${targets[@]}"; do
    kept=fuzz/corpus/$target new=$out/corpus/$target crashes=$out/crashes/$target
    mkdir -p "$kept" "$new" "$crashes"
    options=(-max_total_time="$each" -timeout=10 -rss_limit_mb=2048 -max_len=4096 -artifact_prefix="$crashes/" -print_final_stats=1)
    [ -f "fuzz/dictionaries/$target" ] && options+=(-dict="fuzz/dictionaries/$target")
    log=$out/$target.log
    if ! "$out/$triple/release/$target" "${options[@]}" "$new" "$kept" >"$log" 2>&1; then
        tail -n 40 "$log"
        echo "$target found something; again: $out/$triple/release/$target FILE, with a file of $crashes"
        exit 1
    fi
    runs=$(sed -n 's/^stat::number_of_executed_units: *//p' "$log")
    echo "$target: $runs inputs in $each s, coverage $(grep -o 'cov: [0-9]*' "$log" | tail -n 1 | cut -d' ' -f2), nothing found"
    if [ "${MINIMISE:-}" = 1 ]; then
        least=$out/least/$target
        rm -rf "$least"
        mkdir -p "$least"
        "$out/$triple/release/$target" -merge=1 -max_len=512 "$least" "$kept" "$new" >>"$log" 2>&1
        rm -rf "$kept"
        cp -r "$least" "$kept"
    fi
done
