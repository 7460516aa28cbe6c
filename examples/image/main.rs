//! Packs a static binary into an image, and lists what is linked into it: `hack/image/build.sh`, or `make image`, calls this.
//!
//! It is an example and no package of its own, so that the tests, clippy and the lock file cover it. See docs/image.md.
#![allow(clippy::print_stderr)]

mod elf;
mod oci;
mod sbom;

use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use elf::Arch;
use oci::{About, Binary};

/// Images FROM scratch, and their bills of materials.
#[derive(Parser)]
struct Arguments {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// Write an OCI image layout as a tar file.
    Pack {
        /// `ARCH=FILE`, a static binary; two of them make a multi-arch image. May be repeated.
        #[arg(long, required = true)]
        binary: Vec<String>,
        /// What the image is called, NAME:TAG.
        #[arg(long = "ref")]
        reference: String,
        #[command(flatten)]
        origin: Origin,
        #[arg(long)]
        out: PathBuf,
        /// Also write the root file system of each architecture as FOLDER/ARCH.rootfs.tar, which the Dockerfile takes.
        #[arg(long)]
        rootfs: Option<PathBuf>,
    },
    /// Write a `CycloneDX` list of what is linked into a binary of this package.
    Sbom {
        /// `ARCH=FILE`.
        #[arg(long)]
        binary: String,
        #[command(flatten)]
        origin: Origin,
        #[arg(long)]
        out: PathBuf,
    },
}

#[derive(clap::Args)]
struct Origin {
    /// The commit that it was built from.
    #[arg(long)]
    revision: String,
    /// When that commit was made, in seconds since 1970.
    #[arg(long, env = "SOURCE_DATE_EPOCH")]
    created: i64,
}

fn main() -> ExitCode {
    match run(Arguments::parse().verb) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("image: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(verb: Verb) -> Result<(), Box<dyn Error>> {
    match verb {
        Verb::Pack { binary, reference, origin, out, rootfs } => {
            let binaries = binary.iter().map(|text| read(text)).collect::<Result<Vec<_>, _>>()?;
            let about = About {
                title: binaries.first().map_or_else(String::new, |first| first.name.clone()),
                reference,
                revision: origin.revision,
                created: jiff::Timestamp::from_second(origin.created)?,
            };
            let image = oci::pack(&about, &binaries)?;
            write(&out, &image.tar)?;
            for (folder, binary) in rootfs.iter().flat_map(|folder| binaries.iter().map(move |binary| (folder, binary)))
            {
                let file = folder.join(format!("{}.rootfs.tar", binary.arch.name()));
                write(&file, &oci::layer(about.created, binary)?)?;
            }
            eprintln!("image: {} ({} KiB), {}", about.reference, image.tar.len() / 1024, image.digest);
        }
        Verb::Sbom { binary, origin, out } => {
            let binary = read(&binary)?;
            let listed = sbom::of(&binary, &origin.revision, jiff::Timestamp::from_second(origin.created)?)?;
            write(&out, &serde_json::to_vec_pretty(&listed)?)?;
            let count = listed["components"].as_array().map_or(0, Vec::len);
            eprintln!("image: {} lists {count} components", out.display());
        }
    }
    Ok(())
}

/// `ARCH=FILE`.
fn read(text: &str) -> Result<Binary, Box<dyn Error>> {
    let (arch, path) = text.split_once('=').ok_or("--binary is ARCH=FILE")?;
    let known = [Arch::Amd64, Arch::Arm64];
    let arch = known.into_iter().find(|each| each.name() == arch).ok_or("ARCH is amd64 or arm64")?;
    let path = Path::new(path);
    let name = path.file_name().and_then(|name| name.to_str()).ok_or("--binary names no file")?.to_owned();
    Ok(Binary { arch, name, bytes: fs::read(path).map_err(|error| format!("{}: {error}", path.display()))? })
}

/// Whole or not at all: whoever looks for the file finds no half of it.
fn write(path: &Path, bytes: &[u8]) -> Result<(), Box<dyn Error>> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    let part = path.with_extension("part");
    fs::write(&part, bytes)?;
    Ok(fs::rename(part, path)?)
}
