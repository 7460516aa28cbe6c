//! An OCI image layout in a tar file, which `docker load` understands too. The same input gives the same bytes.

use std::fmt::Write as _;
use std::io::Write as _;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use flate2::{Compression, GzBuilder};
use jiff::Timestamp;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tar::{Builder, EntryType, Header};

use super::elf::{self, Arch};

/// What an image may weigh, unpacked, in bytes.
pub const LIMIT: usize = 20 * 1000 * 1000;
/// Who the process is; the same numbers stand in the chart.
const USER: &str = "65532:65532";

/// Names of users for tools that want one, name lookups that heed a pod's `hostAliases` before DNS: glibc's own default would
/// ask DNS first.
const FILES: [(&str, &str); 3] = [
    ("etc/group", "root:x:0:\nnonroot:x:65532:\n"),
    ("etc/nsswitch.conf", "hosts: files dns\n"),
    ("etc/passwd", "root:x:0:0:root:/:/sbin/nologin\nnonroot:x:65532:65532:nonroot:/:/sbin/nologin\n"),
];

/// What an image says of itself; the rest comes from `Cargo.toml`.
pub struct About {
    pub title: String,
    /// NAME:TAG.
    pub reference: String,
    pub revision: String,
    pub created: Timestamp,
}

/// A program and whom it is for.
pub struct Binary {
    pub arch: Arch,
    pub name: String,
    pub bytes: Vec<u8>,
}

/// The tar, and the digest that a registry will know the image by.
pub struct Image {
    pub tar: Vec<u8>,
    pub digest: String,
}

/// Why there is no image.
#[derive(Debug, thiserror::Error)]
pub enum Refused {
    #[error("{0} cannot go into an image FROM scratch: {1}")]
    Binary(String, String),
    #[error("the image for {arch} weighs {bytes} bytes unpacked, the limit is {LIMIT}")]
    TooLarge { arch: &'static str, bytes: usize },
    #[error(transparent)]
    Io(#[from] std::io::Error),
    #[error(transparent)]
    Json(#[from] serde_json::Error),
}

/// Packs one binary for each architecture.
///
/// # Errors
/// A binary that is not static, is for another machine, or is too large.
pub fn pack(about: &About, binaries: &[Binary]) -> Result<Image, Refused> {
    let mut layout = Layout { blobs: Vec::new() };
    let (mut manifests, mut docker) = (Vec::new(), Vec::new());
    for binary in binaries {
        elf::check(&binary.bytes, binary.arch).map_err(|why| Refused::Binary(binary.name.clone(), why))?;
        let (manifest, legacy) = layout.image(about, binary)?;
        manifests.push(manifest);
        docker.push(legacy);
    }
    let mut top = match <[Value; 1]>::try_from(manifests) {
        Ok([single]) => single,
        Err(several) => {
            // `docker load` of old knows one architecture only; what it cannot express is left out rather than half said.
            docker.clear();
            layout.index(about, &several)?
        }
    };
    let digest = top["digest"].as_str().unwrap_or_default().to_owned();
    let tag = about.reference.rsplit_once(':').map_or("latest", |(_, tag)| tag);
    top["annotations"] = json!({"io.containerd.image.name": about.reference, "org.opencontainers.image.ref.name": tag});
    let index = json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": [top]});
    Ok(Image { tar: layout.tar(&index, &docker)?, digest })
}

const INDEX: &str = "application/vnd.oci.image.index.v1+json";
const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
const LAYER: &str = "application/vnd.oci.image.layer.v1.tar+gzip";

/// The blobs of an image layout, each with its SHA-256 in hex.
struct Layout {
    blobs: Vec<(String, Vec<u8>)>,
}

impl Layout {
    /// Adds a blob and describes it.
    fn blob(&mut self, media_type: &str, bytes: Vec<u8>) -> Value {
        let hex = sha256(&bytes);
        let described = json!({"mediaType": media_type, "digest": format!("sha256:{hex}"), "size": bytes.len()});
        self.blobs.push((hex, bytes));
        described
    }

    /// One architecture: its descriptor, and its line in Docker's own `manifest.json`.
    fn image(&mut self, about: &About, binary: &Binary) -> Result<(Value, Value), Refused> {
        let unpacked = layer(about.created, binary)?;
        if unpacked.len() > LIMIT {
            return Err(Refused::TooLarge { arch: binary.arch.name(), bytes: unpacked.len() });
        }
        let diff_id = format!("sha256:{}", sha256(&unpacked));
        // No name and no time in the head of the gzip stream: that is what makes two of them differ.
        let mut gzip = GzBuilder::new().mtime(0).write(Vec::new(), Compression::best());
        gzip.write_all(&unpacked)?;
        let layer = self.blob(LAYER, gzip.finish()?);
        let config = self.blob(CONFIG, serde_json::to_vec(&config(about, binary, &diff_id))?);
        let legacy = json!({"Config": place(&config), "RepoTags": [about.reference], "Layers": [place(&layer)]});
        let manifest = json!({
            "schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": [layer], "annotations": labels(about),
        });
        let mut described = self.blob(MANIFEST, serde_json::to_vec(&manifest)?);
        described["platform"] = platform(binary.arch);
        Ok((described, legacy))
    }

    /// Several architectures behind one digest.
    fn index(&mut self, about: &About, manifests: &[Value]) -> Result<Value, Refused> {
        let index = json!({
            "schemaVersion": 2, "mediaType": INDEX, "manifests": manifests, "annotations": labels(about),
        });
        Ok(self.blob(INDEX, serde_json::to_vec(&index)?))
    }

    fn tar(self, index: &Value, docker: &[Value]) -> Result<Vec<u8>, Refused> {
        let mut tar = Tar::new(0);
        tar.file("oci-layout", 0o644, br#"{"imageLayoutVersion":"1.0.0"}"#)?;
        tar.file("index.json", 0o644, &serde_json::to_vec(index)?)?;
        if !docker.is_empty() {
            tar.file("manifest.json", 0o644, &serde_json::to_vec(docker)?)?;
        }
        tar.folder("blobs/")?;
        tar.folder("blobs/sha256/")?;
        for (hex, bytes) in self.blobs {
            tar.file(&format!("blobs/sha256/{hex}"), 0o644, &bytes)?;
        }
        Ok(tar.end()?)
    }
}

/// Where a described blob lies in the layout.
fn place(described: &Value) -> String {
    format!("blobs/{}", described["digest"].as_str().unwrap_or_default().replace(':', "/"))
}

fn platform(arch: Arch) -> Value {
    let mut platform = json!({"architecture": arch.name(), "os": "linux"});
    if let Some(variant) = arch.variant() {
        platform["variant"] = variant.into();
    }
    platform
}

/// The root file system: the program, and the few files that its libraries look for.
///
/// # Errors
/// A path that no tar file can hold.
pub fn layer(created: Timestamp, binary: &Binary) -> Result<Vec<u8>, Refused> {
    let mut tar = Tar::new(created.as_second().try_into().unwrap_or_default());
    tar.folder("etc/")?;
    for (path, text) in FILES {
        tar.file(path, 0o644, text.as_bytes())?;
    }
    tar.folder("etc/ssl/")?;
    tar.folder("etc/ssl/certs/")?;
    tar.file("etc/ssl/certs/ca-certificates.crt", 0o644, roots().as_bytes())?;
    tar.file(&binary.name, 0o755, &binary.bytes)?;
    Ok(tar.end()?)
}

/// Mozilla's roots as PEM, at the version of the lock file: those of the building machine would differ from day to day.
/// Partners are judged by the roots compiled in; this file is for an API server whose kubeconfig names no authority.
fn roots() -> String {
    let mut pem = String::new();
    for certificate in webpki_root_certs::TLS_SERVER_ROOT_CERTS {
        pem.push_str("-----BEGIN CERTIFICATE-----\n");
        let text = BASE64_STANDARD.encode(certificate);
        let mut rest = text.as_str();
        while !rest.is_empty() {
            let (line, more) = rest.split_at(rest.len().min(64));
            pem.push_str(line);
            pem.push('\n');
            rest = more;
        }
        pem.push_str("-----END CERTIFICATE-----\n");
    }
    pem
}

fn config(about: &About, binary: &Binary, diff_id: &str) -> Value {
    let mut config = platform(binary.arch);
    let created = about.created.to_string();
    config["created"] = created.as_str().into();
    config["config"] = json!({
        "User": USER,
        "Entrypoint": [format!("/{}", binary.name)],
        "Env": ["PATH=/"],
        "WorkingDir": "/",
        "Labels": labels(about),
    });
    config["rootfs"] = json!({"type": "layers", "diff_ids": [diff_id]});
    config["history"] = json!([{"created": created, "created_by": "hack/image/build.sh"}]);
    config
}

/// The keys of the OCI image specification.
fn labels(about: &About) -> Value {
    json!({
        "org.opencontainers.image.title": about.title,
        "org.opencontainers.image.description": env!("CARGO_PKG_DESCRIPTION"),
        "org.opencontainers.image.source": env!("CARGO_PKG_REPOSITORY"),
        "org.opencontainers.image.version": env!("CARGO_PKG_VERSION"),
        "org.opencontainers.image.revision": about.revision,
        "org.opencontainers.image.licenses": env!("CARGO_PKG_LICENSE"),
        "org.opencontainers.image.created": about.created.to_string(),
    })
}

/// In hex.
pub fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().fold(String::with_capacity(64), |mut hex, byte| {
        // Writing to a string cannot fail.
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}

/// A tar file of root's, in which every time is the same.
struct Tar {
    builder: Builder<Vec<u8>>,
    time: u64,
}

impl Tar {
    fn new(time: u64) -> Self {
        Self { builder: Builder::new(Vec::new()), time }
    }

    fn file(&mut self, path: &str, mode: u32, bytes: &[u8]) -> std::io::Result<()> {
        self.entry(path, EntryType::Regular, mode, bytes)
    }

    fn folder(&mut self, path: &str) -> std::io::Result<()> {
        self.entry(path, EntryType::Directory, 0o755, &[])
    }

    fn entry(&mut self, path: &str, kind: EntryType, mode: u32, bytes: &[u8]) -> std::io::Result<()> {
        let mut header = Header::new_ustar();
        header.set_entry_type(kind);
        header.set_mode(mode);
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(self.time);
        header.set_size(bytes.len() as u64);
        self.builder.append_data(&mut header, path, bytes)
    }

    fn end(self) -> std::io::Result<Vec<u8>> {
        self.builder.into_inner()
    }
}
