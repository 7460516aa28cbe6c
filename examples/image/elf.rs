//! Reads of an ELF file what an empty root file system depends on: for which machine it is, and that it needs no loader.

/// An architecture, as Go, and so every image, calls it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Arch {
    Amd64,
    Arm64,
}

impl Arch {
    pub fn name(self) -> &'static str {
        match self {
            Self::Amd64 => "amd64",
            Self::Arm64 => "arm64",
        }
    }

    pub fn variant(self) -> Option<&'static str> {
        match self {
            Self::Amd64 => None,
            Self::Arm64 => Some("v8"),
        }
    }

    /// As Rust calls it.
    pub fn target(self) -> &'static str {
        match self {
            Self::Amd64 => "x86_64-unknown-linux-gnu",
            Self::Arm64 => "aarch64-unknown-linux-gnu",
        }
    }

    /// `e_machine` of the ELF header.
    fn machine(self) -> u64 {
        match self {
            Self::Amd64 => 62,
            Self::Arm64 => 183,
        }
    }
}

/// The program header that names the dynamic loader.
const PT_INTERP: u64 = 3;

/// That these bytes are a static 64-bit program for `arch`: it cannot be run where it is packed for another machine, and in an
/// image without files a dynamic one fails with nothing but "no such file or directory".
///
/// # Errors
/// What it is instead, in words.
pub fn check(bytes: &[u8], arch: Arch) -> Result<(), String> {
    // 64-bit, little endian.
    if !bytes.starts_with(b"\x7fELF\x02\x01") {
        return Err("it is no 64-bit ELF file".to_owned());
    }
    let cut = || "its ELF header is cut off".to_owned();
    let machine = number(bytes, 18, 2).ok_or_else(cut)?;
    if machine != arch.machine() {
        return Err(format!("its machine is {machine}, {} is {}", arch.name(), arch.machine()));
    }
    let (table, size, count) = (number(bytes, 32, 8), number(bytes, 54, 2), number(bytes, 56, 2));
    let (table, size, count) = (table.ok_or_else(cut)?, size.ok_or_else(cut)?, count.ok_or_else(cut)?);
    for index in 0..count {
        let entry = usize::try_from(table.saturating_add(index * size)).map_err(|_| cut())?;
        if number(bytes, entry, 4).ok_or_else(cut)? == PT_INTERP {
            return Err("it needs a dynamic loader; link it with -C target-feature=+crt-static".to_owned());
        }
    }
    Ok(())
}

fn number(bytes: &[u8], at: usize, size: usize) -> Option<u64> {
    let field = bytes.get(at..at.checked_add(size)?)?;
    Some(field.iter().rev().fold(0, |sum, byte| sum << 8 | u64::from(*byte)))
}
