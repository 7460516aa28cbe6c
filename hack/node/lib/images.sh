# Images of one static binary, FROM scratch, with tar and sha256sum; and loading them. Sourced by node.sh.

# make_image TAR REF BINARY: an archive as `docker save` writes it; the same bytes for the same binary.
make_image() {
    local out=$1 ref=$2 binary=$3 work name layer config
    work=$(mktemp -d -p "$run")
    name=$(basename "$binary")
    install -D -m 755 "$binary" "$work/layer/$name"
    archive "$work/layer" "$work/layer.tar" "$name"
    layer=$(sha256sum "$work/layer.tar" | cut -d' ' -f1)
    mkdir "$work/image"
    mv "$work/layer.tar" "$work/image/$layer.tar"
    cat >"$work/config" <<JSON
{"architecture":"$(architecture)","os":"linux","created":"1970-01-01T00:00:00Z",
"config":{"Entrypoint":["/$name"],"User":"65532:65532","WorkingDir":"/"},
"rootfs":{"type":"layers","diff_ids":["sha256:$layer"]},"history":[{"created_by":"hack/node"}]}
JSON
    config=$(sha256sum "$work/config" | cut -d' ' -f1).json
    mv "$work/config" "$work/image/$config"
    printf '[{"Config":"%s","RepoTags":["%s"],"Layers":["%s"]}]\n' "$config" "$(full "$ref")" "$layer.tar" >"$work/image/manifest.json"
    archive "$work/image" "$out" "$config" "$layer.tar" manifest.json
    rm -rf "$work"
}

# archive FOLDER TAR NAME...
archive() {
    local folder=$1 tar=$2
    shift 2
    tar --create --file "$tar" --directory "$folder" --format=ustar --owner=0 --group=0 --numeric-owner --mtime=@0 -- "$@"
}

# The whole name of an image, as the kubelet asks for it: NAME:TAG is short for docker.io/library/NAME:TAG.
full() {
    case $1 in
    *.*/* | localhost/*) echo "$1" ;;
    */*) echo "docker.io/$1" ;;
    *) echo "docker.io/library/$1" ;;
    esac
}

architecture() { case $(uname -m) in aarch64) echo arm64 ;; *) echo amd64 ;; esac; }

load() { in_all ctr --namespace k8s.io images import "$(realpath "$1")" >&2; }

load_binary() {
    local tar
    tar=$(mktemp -p "$run")
    make_image "$tar" "$1" "$2"
    load "$tar"
    rm -f "$tar"
}
