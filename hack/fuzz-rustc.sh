#!/bin/sh
# What hack/fuzz.sh has cargo call in place of rustc for this package: it is compiled for coverage, by a pass of LLVM that the
# pinned stable compiler has, with the flags of cargo-fuzz. The dependencies are not: so they are those of the tests, built already.
case "$CARGO_PKG_NAME" in
partner-integration-operator)
    exec "$@" -Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
        -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
        -Cllvm-args=-sanitizer-coverage-trace-compares
    ;;
esac
exec "$@"
