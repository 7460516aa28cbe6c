//! The image and its bill of materials, by what packs and lists them (`examples/image`).
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "../examples/image/elf.rs"]
mod elf;
#[path = "../examples/image/oci.rs"]
mod oci;
#[path = "../examples/image/sbom.rs"]
mod sbom;

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;
use std::process::Command;

use elf::Arch;
use flate2::read::GzDecoder;
use jiff::Timestamp;
use oci::{About, Binary, Refused};
use serde_json::Value;

/// What a tar file holds: mode, owner, group, time and bytes of each path.
type Files = BTreeMap<String, (u32, u64, u64, u64, Vec<u8>)>;

const CREATED: i64 = 1_790_000_000;

fn about() -> About {
    About {
        title: "a-program".to_owned(),
        reference: "registry.example/a/program:1.2.3".to_owned(),
        revision: "0123abcd".to_owned(),
        created: Timestamp::from_second(CREATED).unwrap(),
    }
}

/// The head of a program with one program header of that type, and what else it is to hold.
fn program(arch: Arch, header: u8, rest: &[u8]) -> Binary {
    let mut bytes = vec![0; 64 + 56];
    bytes[..6].copy_from_slice(b"\x7fELF\x02\x01");
    bytes[18] = if arch == Arch::Amd64 { 62 } else { 183 };
    bytes[32] = 64;
    bytes[54] = 56;
    bytes[56] = 1;
    bytes[64] = header;
    bytes.extend_from_slice(rest);
    Binary { arch, name: "a-program".to_owned(), bytes }
}

fn static_program(arch: Arch) -> Binary {
    program(arch, 1, b"the rest of it")
}

fn files(tar: &[u8]) -> Files {
    let mut files = Files::new();
    for entry in tar::Archive::new(tar).entries().unwrap() {
        let mut entry = entry.unwrap();
        let mut bytes = Vec::new();
        entry.read_to_end(&mut bytes).unwrap();
        let (path, head) = (entry.path().unwrap().to_str().unwrap().to_owned(), entry.header());
        let facts = (head.mode().unwrap(), head.uid().unwrap(), head.gid().unwrap(), head.mtime().unwrap(), bytes);
        assert!(files.insert(path.clone(), facts).is_none(), "{path} is there twice");
    }
    files
}

/// The JSON behind a descriptor, whose digest and size are checked on the way.
fn blob(layout: &Files, described: &Value) -> Vec<u8> {
    let digest = described["digest"].as_str().unwrap().strip_prefix("sha256:").unwrap();
    let bytes = &layout[&format!("blobs/sha256/{digest}")].4;
    assert_eq!(oci::sha256(bytes), digest);
    assert_eq!(described["size"], bytes.len());
    bytes.clone()
}

fn json(layout: &Files, described: &Value) -> Value {
    serde_json::from_slice(&blob(layout, described)).unwrap()
}

fn unpack(layer: &[u8]) -> Vec<u8> {
    let mut unpacked = Vec::new();
    GzDecoder::new(layer).read_to_end(&mut unpacked).unwrap();
    unpacked
}

#[test]
fn the_same_binary_gives_the_same_image_byte_by_byte() {
    let pack = || oci::pack(&about(), &[static_program(Arch::Amd64)]).unwrap();
    let (first, second) = (pack(), pack());
    assert_eq!(first.digest, second.digest);
    assert!(first.tar == second.tar, "the tars differ");
    let mut other = about();
    other.created = Timestamp::from_second(CREATED + 1).unwrap();
    assert_ne!(oci::pack(&other, &[static_program(Arch::Amd64)]).unwrap().digest, first.digest);
}

#[test]
fn the_image_runs_the_binary_as_nobody_and_says_where_it_comes_from() {
    let image = oci::pack(&about(), &[static_program(Arch::Amd64)]).unwrap();
    let layout = files(&image.tar);
    let index: Value = serde_json::from_slice(&layout["index.json"].4).unwrap();
    let described = &index["manifests"][0];
    assert_eq!(described["digest"], image.digest.as_str());
    assert_eq!(described["annotations"]["io.containerd.image.name"], "registry.example/a/program:1.2.3");
    assert_eq!(described["annotations"]["org.opencontainers.image.ref.name"], "1.2.3");
    let manifest = json(&layout, described);
    let config = json(&layout, &manifest["config"]);
    assert_eq!((&config["architecture"], &config["os"]), (&"amd64".into(), &"linux".into()));
    assert_eq!(config["config"]["User"], "65532:65532");
    assert_eq!(config["config"]["Entrypoint"], serde_json::json!(["/a-program"]));
    assert_eq!(config["created"], "2026-09-21T14:13:20Z");
    for labels in [&config["config"]["Labels"], &manifest["annotations"]] {
        for (key, value) in [
            ("title", "a-program"),
            ("description", env!("CARGO_PKG_DESCRIPTION")),
            ("source", "https://github.com/kognitiv/partner-integration-operator"),
            ("version", env!("CARGO_PKG_VERSION")),
            ("revision", "0123abcd"),
            ("licenses", "Apache-2.0"),
            ("created", "2026-09-21T14:13:20Z"),
        ] {
            assert_eq!(labels[format!("org.opencontainers.image.{key}")], value, "{key}");
        }
    }
    let layer = unpack(&blob(&layout, &manifest["layers"][0]));
    assert_eq!(config["rootfs"]["diff_ids"], serde_json::json!([format!("sha256:{}", oci::sha256(&layer))]));
}

#[test]
fn docker_load_finds_the_same_blobs() {
    let image = oci::pack(&about(), &[static_program(Arch::Amd64)]).unwrap();
    let layout = files(&image.tar);
    let docker: Value = serde_json::from_slice(&layout["manifest.json"].4).unwrap();
    assert_eq!(docker[0]["RepoTags"], serde_json::json!(["registry.example/a/program:1.2.3"]));
    let config: Value = serde_json::from_slice(&layout[docker[0]["Config"].as_str().unwrap()].4).unwrap();
    let layer = unpack(&layout[docker[0]["Layers"][0].as_str().unwrap()].4);
    assert_eq!(config["rootfs"]["diff_ids"][0], format!("sha256:{}", oci::sha256(&layer)));
}

#[test]
fn the_root_file_system_holds_the_binary_and_what_its_libraries_read() {
    let image = oci::pack(&about(), &[static_program(Arch::Amd64)]).unwrap();
    let layout = files(&image.tar);
    let docker: Value = serde_json::from_slice(&layout["manifest.json"].4).unwrap();
    let root = files(&unpack(&layout[docker[0]["Layers"][0].as_str().unwrap()].4));
    let modes: Vec<(&str, u32)> = root.iter().map(|(path, facts)| (path.as_str(), facts.0)).collect();
    assert_eq!(
        modes,
        [
            ("a-program", 0o755),
            ("etc/", 0o755),
            ("etc/group", 0o644),
            ("etc/nsswitch.conf", 0o644),
            ("etc/passwd", 0o644),
            ("etc/ssl/", 0o755),
            ("etc/ssl/certs/", 0o755),
            ("etc/ssl/certs/ca-certificates.crt", 0o644),
        ]
    );
    for (path, (_, uid, gid, time, _)) in &root {
        assert_eq!((*uid, *gid, i64::try_from(*time).unwrap()), (0, 0, CREATED), "{path}");
    }
    assert_eq!(root["a-program"].4, static_program(Arch::Amd64).bytes);
    let roots = &root["etc/ssl/certs/ca-certificates.crt"].4;
    let mut store = rustls::RootCertStore::empty();
    for certificate in
        <rustls::pki_types::CertificateDer<'_> as rustls::pki_types::pem::PemObject>::pem_slice_iter(roots)
    {
        store.add(certificate.unwrap()).unwrap();
    }
    assert_eq!(store.len(), webpki_root_certs::TLS_SERVER_ROOT_CERTS.len());
}

#[test]
fn two_architectures_stand_behind_one_digest() {
    let image = oci::pack(&about(), &[static_program(Arch::Amd64), static_program(Arch::Arm64)]).unwrap();
    let layout = files(&image.tar);
    assert!(!layout.contains_key("manifest.json"), "Docker's own format knows one architecture");
    let top: Value = serde_json::from_slice(&layout["index.json"].4).unwrap();
    assert_eq!(top["manifests"].as_array().unwrap().len(), 1);
    assert_eq!(top["manifests"][0]["digest"], image.digest.as_str());
    let index = json(&layout, &top["manifests"][0]);
    let found: Vec<(Value, Value)> = index["manifests"]
        .as_array()
        .unwrap()
        .iter()
        .map(|described| {
            let config = json(&layout, &json(&layout, described)["config"]);
            assert_eq!(config["architecture"], described["platform"]["architecture"]);
            (described["platform"]["architecture"].clone(), described["platform"]["variant"].clone())
        })
        .collect();
    assert_eq!(found, [("amd64".into(), Value::Null), ("arm64".into(), "v8".into())]);
}

#[test]
fn what_cannot_run_in_an_empty_root_or_is_too_large_is_refused() {
    let said = |binary: Binary| oci::pack(&about(), &[binary]).err().expect("it is packed").to_string();
    assert!(said(program(Arch::Amd64, 3, b"")).contains("dynamic loader"));
    let mut foreign = static_program(Arch::Arm64);
    foreign.arch = Arch::Amd64;
    assert!(said(foreign).contains("its machine is 183, amd64 is 62"));
    let script = Binary { arch: Arch::Amd64, name: "script".to_owned(), bytes: b"#!/bin/sh\n".to_vec() };
    assert_eq!(said(script), "script cannot go into an image FROM scratch: it is no 64-bit ELF file");
    let mut cut = static_program(Arch::Amd64);
    cut.bytes.truncate(66);
    assert!(said(cut).contains("cut off"));
    let large = oci::pack(&about(), &[program(Arch::Amd64, 1, &vec![0; oci::LIMIT])]);
    assert!(matches!(large.err(), Some(Refused::TooLarge { arch: "amd64", bytes }) if bytes > oci::LIMIT));
}

fn bill(arch: Arch) -> Value {
    sbom::of(&static_program(arch), "0123abcd", Timestamp::from_second(CREATED).unwrap()).unwrap()
}

fn names(bill: &Value) -> BTreeSet<&str> {
    bill["components"].as_array().unwrap().iter().map(|each| each["name"].as_str().unwrap()).collect()
}

/// The closure over normal edges as `cargo metadata` tells it, by name: another view than the one that the list is made from.
/// It may hold more, because it mixes in the features that the tests switch on.
fn closure(arch: Arch) -> (BTreeSet<String>, BTreeSet<String>) {
    let told = Command::new(env!("CARGO"))
        .args(["metadata", "--locked", "--format-version", "1", "--filter-platform", arch.target()])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap();
    let told: Value = serde_json::from_slice(&told.stdout).unwrap();
    let macros: BTreeSet<&str> = told["packages"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|package| package["targets"].as_array().unwrap().iter().any(|target| target["kind"][0] == "proc-macro"))
        .map(|package| package["id"].as_str().unwrap())
        .collect();
    let nodes = told["resolve"]["nodes"].as_array().unwrap();
    let nodes: BTreeMap<&str, &Value> = nodes.iter().map(|node| (node["id"].as_str().unwrap(), node)).collect();
    let normal = |id: &str| -> Vec<&str> {
        let deps = nodes[id]["deps"].as_array().unwrap().iter();
        deps.filter(|dep| dep["dep_kinds"].as_array().unwrap().iter().any(|kind| kind["kind"].is_null()))
            .map(|dep| dep["pkg"].as_str().unwrap())
            .filter(|id| !macros.contains(id))
            .map(|id| *nodes.get_key_value(id).unwrap().0)
            .collect()
    };
    let root = told["resolve"]["root"].as_str().unwrap();
    let (mut seen, mut next) = (BTreeSet::new(), normal(root));
    while let Some(id) = next.pop() {
        if seen.insert(id) {
            next.extend(normal(id));
        }
    }
    let name = |id: &&str| -> String {
        let package = told["packages"].as_array().unwrap().iter().find(|package| package["id"] == **id).unwrap();
        package["name"].as_str().unwrap().to_owned()
    };
    (normal(root).iter().map(name).collect(), seen.iter().map(name).collect())
}

#[test]
fn the_bill_of_materials_lists_every_normal_dependency_and_no_test_dependency() {
    for arch in [Arch::Amd64, Arch::Arm64] {
        let bill = bill(arch);
        let listed = names(&bill);
        let (direct, all) = closure(arch);
        let missing: Vec<_> = direct.iter().filter(|name| !listed.contains(name.as_str())).collect();
        assert!(missing.is_empty(), "{arch:?}: {missing:?} are linked and not listed");
        let strange: Vec<_> = listed.iter().filter(|name| !all.contains(**name) && **name != "rust-std").collect();
        assert!(strange.is_empty(), "{arch:?}: {strange:?} are listed and not linked");
        // Reached only through others, and only through this architecture's C code.
        for name in ["ring", "untrusted", "hyper", "libc", "rustls-webpki", "serde_core"] {
            assert!(listed.contains(name), "{arch:?}: {name} is linked and not listed");
        }
        for name in ["proptest", "insta", "tempfile", "tar", "flate2", "cc", "serde_derive", "windows-sys"] {
            assert!(!listed.contains(name), "{arch:?}: {name} is listed and not linked");
        }
    }
}

#[test]
fn each_listed_crate_has_version_licence_and_the_checksum_of_the_lock_file() {
    let bill = bill(Arch::Amd64);
    let lock = include_str!("../Cargo.lock");
    let mut references = BTreeSet::new();
    for each in bill["components"].as_array().unwrap() {
        let (name, version) = (each["name"].as_str().unwrap(), each["version"].as_str().unwrap());
        assert!(references.insert(each["bom-ref"].as_str().unwrap()), "{name} {version} is listed twice");
        assert!(each["licenses"][0]["expression"].is_string(), "{name} has no licence");
        if name == "rust-std" {
            continue;
        }
        let checksum = each["hashes"][0]["content"].as_str().unwrap_or_else(|| panic!("{name} has no checksum"));
        let entry = format!(
            "name = \"{name}\"\nversion = \"{version}\"\nsource = \"registry+https://github.com/rust-lang/crates.io-index\"\n\
             checksum = \"{checksum}\"\n"
        );
        assert!(lock.contains(&entry), "the lock file has no {name} {version} with {checksum}");
    }
    references.insert(bill["metadata"]["component"]["bom-ref"].as_str().unwrap());
    let graph = bill["dependencies"].as_array().unwrap();
    for reference in graph.iter().flat_map(|node| node["dependsOn"].as_array().unwrap()) {
        assert!(references.contains(reference.as_str().unwrap()), "{reference} is needed and not listed");
    }
    let root = graph.iter().find(|node| node["ref"] == bill["metadata"]["component"]["bom-ref"]).unwrap();
    assert!(root["dependsOn"].as_array().unwrap().iter().any(|on| on.as_str().unwrap().starts_with("pkg:cargo/kube@")));
}

#[test]
fn a_binary_that_holds_more_than_its_dependencies_is_not_listed() {
    let at = |path: &str| {
        program(Arch::Amd64, 1, format!("a message/cargo/registry/src/index-0/{path}/src/lib.rs").as_bytes())
    };
    let list = |binary| sbom::of(&binary, "0123abcd", Timestamp::from_second(CREATED).unwrap());
    let said = list(at("left-pad-1.2.3-rc.1")).unwrap_err().to_string();
    assert!(said.starts_with("left-pad 1.2.3-rc.1 is in the binary"), "{said}");
    let bill = bill(Arch::Amd64);
    let ring = bill["components"].as_array().unwrap().iter().find(|each| each["name"] == "ring").unwrap();
    assert!(list(at(&format!("ring-{}", ring["version"].as_str().unwrap()))).is_ok());
}

#[test]
fn the_c_library_is_listed_as_it_calls_itself() {
    let binary =
        program(Arch::Amd64, 1, b"GNU C Library (Debian GLIBC 2.36-9+deb12u14) stable release version 2.36.\n");
    let bill = sbom::of(&binary, "0123abcd", Timestamp::from_second(CREATED).unwrap()).unwrap();
    let parts = bill["components"].as_array().unwrap();
    let glibc = parts.iter().find(|each| each["name"] == "glibc").expect("no glibc is listed");
    assert_eq!(glibc["version"], "2.36-9+deb12u14");
    assert_eq!(glibc["purl"], "pkg:generic/glibc@2.36-9%2Bdeb12u14");
}
