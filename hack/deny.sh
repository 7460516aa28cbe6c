#!/bin/sh
# cargo-deny over bans, licences and sources (deny.toml), where it can be had. It is no part of the toolchain and takes minutes
# to build: CI installs it once, unoptimised because it runs for a second or two, a person is told how.
set -eu

if ! command -v cargo-deny >/dev/null 2>&1; then
    if [ -z "${CI:-}" ]; then
        echo 'lint: cargo-deny is not installed, so licences and sources were not checked; get it: cargo install cargo-deny --locked'
        exit 0
    fi
    if ! cargo install --quiet --locked --debug cargo-deny; then
        echo 'lint: cargo-deny could not be built here; licences and sources were not checked' >&2
        exit 0
    fi
fi
exec cargo deny --locked check bans licenses sources
