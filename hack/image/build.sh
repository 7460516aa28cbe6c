#!/usr/bin/env bash
# Builds a static binary and packs it into an image FROM scratch: an OCI image layout in a tar file, which `docker load`,
# `podman load`, `ctr images import` and `skopeo copy oci-archive:` take. Prints the tar's path on stdout, progress on stderr.
#
#   build.sh                       the operator, for this machine's architecture
#   build.sh --arch arm64          for another one: amd64, arm64, or `all` for both in one multi-arch image
#   build.sh --example partner     an example as an image, for tests: compiled unoptimised
#   build.sh --ref NAME:TAG        what the image is called; default ghcr.io/kognitiv/<binary>:<version>
#   build.sh --binary-only         no image: print the path of the binary (with `all`: of both, one a line)
#
# All of it lands in target/image: NAME-VERSION-ARCH.oci.tar, and of the operator NAME-VERSION-ARCH.cdx.json, the list of what
# is linked into it, and ARCH.rootfs.tar, which the Dockerfile copies.
#
# The same commit, toolchain and C library give the same image, byte by byte, from whatever folder: paths are mapped away and
# times are the commit's (SOURCE_DATE_EPOCH overrides). What the image holds, and why: docs/image.md.
set -euo pipefail

root=$(cd "$(dirname "$0")/../.." && pwd)
cd "$root"

say() { echo "image: $*" >&2; }
fail() {
    say "$*"
    exit 1
}
usage() { fail "usage: $0 [--arch amd64|arm64|all] [--example NAME] [--ref NAME:TAG] [--binary-only]"; }

arches=''
example=''
ref=''
binary_only=''
while [ $# -gt 0 ]; do
    case $1 in
    --binary-only) binary_only=yes ;;
    --arch | --example | --ref)
        [ $# -ge 2 ] || usage
        case $1 in
        --arch) arches=$2 ;;
        --example) example=$2 ;;
        --ref) ref=$2 ;;
        esac
        shift
        ;;
    *) usage ;;
    esac
    shift
done

case $(uname -m) in
x86_64) here=amd64 ;;
aarch64 | arm64) here=arm64 ;;
*) here='' ;;
esac
[ "$(uname -s)" = Linux ] || fail 'a static Linux binary is built with the GNU toolchain of Linux: run this on Linux or in a container'
arches=${arches:-$here}
case $arches in
amd64 | arm64) ;;
all) arches='amd64 arm64' ;;
*) usage ;;
esac

name=${example:-partner-integration-operator}
target_folder=${CARGO_TARGET_DIR:-$root/target}

target() { if [ "$1" = amd64 ]; then echo x86_64-unknown-linux-gnu; else echo aarch64-unknown-linux-gnu; fi; }
machine() { if [ "$1" = amd64 ]; then echo x86_64; else echo aarch64; fi; }

# What is missing, and how to get it, before minutes are spent.
check_tools() {
    command -v cargo >/dev/null || fail 'cargo is needed: https://rustup.rs'
    for arch in $arches; do
        triple=$(target "$arch")
        if ! [ -d "$(rustc --print sysroot)/lib/rustlib/$triple/lib" ]; then
            if command -v rustup >/dev/null && say "fetching the standard library of $triple" && rustup target add "$triple" >&2; then
                continue
            fi
            fail "the standard library of $triple is missing: rustup target add $triple"
        fi
    done
    for arch in $arches; do
        compiler=$(compiler "$arch")
        command -v "$compiler" >/dev/null ||
            fail "$compiler is missing, the C compiler and linker for $arch; Debian and Ubuntu: apt-get install gcc-$(machine "$arch" | tr _ -)-linux-gnu, Fedora: cross toolchains lack a C library, use a Debian container"
    done
}

# The C compiler and linker for an architecture: the machine's own, or the cross compiler as Debian calls it.
compiler() { if [ "$1" = "$here" ]; then echo cc; else echo "$(machine "$1")-linux-gnu-gcc"; fi; }

# flags ARCH. Where sources are lie in panic messages; they must not depend on who builds. Later mappings win.
# The linker is the toolchain's own, for both architectures, so that it is pinned and can cross-link. Packed relocations spare
# 1 MB; glibc applies them to itself since 2.36.
flags() {
    sysroot=$(rustc --print sysroot)
    commit=$(rustc -vV | awk '$1 == "commit-hash:" { print $2 }')
    host=$(rustc -vV | awk '$1 == "host:" { print $2 }')
    printf '%s\x1f' -Ctarget-feature=+crt-static "--remap-path-prefix=${CARGO_HOME:-$HOME/.cargo}=/cargo" \
        "--remap-path-prefix=$root=/src" "--remap-path-prefix=$target_folder=/src/target"
    if [ -x "$sysroot/lib/rustlib/$host/bin/gcc-ld/ld.lld" ]; then
        printf '%s\x1f' -Clink-arg=-fuse-ld=lld "-Clink-arg=-B$sysroot/lib/rustlib/$host/bin/gcc-ld"
        libc=$(printf '#include <features.h>\n__GLIBC__ __GLIBC_MINOR__\n' | "$(compiler "$1")" -E -P - | awk 'END { print $1 * 1000 + $2 }')
        [ "$libc" -lt 2036 ] || printf '%s\x1f' -Clink-arg=-Wl,-z,pack-relative-relocs
    fi
    printf '%s' "--remap-path-prefix=$sysroot/lib/rustlib/src/rust=/rustc/$commit"
}

# compile ARCH: builds, and sets `binary`. A linker is named only when cross-building: Cargo would use it for build scripts too
# where it is the machine's own, and compile everything again whenever the architecture changes.
compile() {
    triple=$(target "$1")
    cross=()
    if [ "$1" != "$here" ]; then
        cross=("CARGO_TARGET_$(echo "$triple" | tr a-z- A-Z_)_LINKER=$(compiler "$1")" "CC_${triple//-/_}=$(compiler "$1")")
    fi
    from=$(date +%s)
    if [ -n "$example" ]; then
        # The dependencies that the tests use are used again; only the last link is static.
        where=$target_folder/debug/examples
        of=()
        if [ "$1" != "$here" ]; then
            where=$target_folder/$triple/debug/examples
            of=(--target "$triple")
        fi
        say "$name for $1, unoptimised: 1 to 4 min the first time"
        env "${cross[@]}" cargo rustc --locked --example "$name" "${of[@]}" -- -C target-feature=+crt-static -C strip=symbols >&2
        binary=$where/$name
    else
        say "$name for $1, optimised: 5 to 10 min on 2 cores the first time"
        env "${cross[@]}" "CARGO_ENCODED_RUSTFLAGS=$(flags "$1")" \
            cargo build --locked --release --target "$triple" --bin "$name" >&2
        binary=$target_folder/$triple/release/$name
    fi
    say "$name for $1 is built, $(($(date +%s) - from)) s, $(($(stat -c %s "$binary") / 1024)) KiB"
}

# Whatever differs from the commit cannot be built again from it: the image says so.
origin() {
    if revision=$(git rev-parse HEAD 2>/dev/null); then
        created=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct)}
        [ -z "$(git status --porcelain)" ] || revision=$revision-dirty
    else
        revision=${REVISION:-unknown}
        created=${SOURCE_DATE_EPOCH:-0}
    fi
}

# One that runs here is run: it must do without files. Another one is run where an emulator is at hand; its ELF header is
# checked by the packer in either case.
try() {
    emulator=''
    if [ "$1" != "$here" ]; then
        for each in "qemu-$(machine "$1")-static" "qemu-$(machine "$1")"; do
            if command -v "$each" >/dev/null; then emulator=$each; fi
        done
        if [ -z "$emulator" ]; then
            say "$name for $1 cannot be run here (no qemu-$(machine "$1")-static); only its ELF header is checked"
            return
        fi
    fi
    said=$(${emulator:+"$emulator"} "$2" --help 2>&1) || fail "$2 does not run: $said"
    say "$name for $1 runs${emulator:+ under $emulator}"
}

check_tools
origin
version=$(awk -F '"' '/^version = / { print $2; exit }' Cargo.toml)
ref=${ref:-ghcr.io/kognitiv/$name:$version}
out=$target_folder/image
packer=(cargo run --quiet --locked --example image --)
stamp=(--revision "$revision" --created "$created")
binaries=()
paths=()
for arch in $arches; do
    compile "$arch"
    try "$arch" "$binary"
    binaries+=(--binary "$arch=$binary")
    paths+=("$binary")
done
if [ -n "$binary_only" ]; then
    printf '%s\n' "${paths[@]}"
    exit
fi

say 'the packer: 2 to 4 min the first time, unless the tests were built'
rootfs=()
if [ -z "$example" ]; then
    rootfs=(--rootfs "$out")
    for binary in "${binaries[@]}"; do
        [ "$binary" != --binary ] || continue
        "${packer[@]}" sbom --binary "$binary" "${stamp[@]}" --out "$out/$name-$version-${binary%%=*}.cdx.json" >&2
    done
fi
suffix=${arches// /-}
[ "$arches" != 'amd64 arm64' ] || suffix=all
tar=$out/$name-$version-$suffix.oci.tar
"${packer[@]}" pack "${binaries[@]}" --ref "$ref" "${stamp[@]}" --out "$tar" "${rootfs[@]}" >&2
echo "$tar"
