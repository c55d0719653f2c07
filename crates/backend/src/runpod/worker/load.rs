//! Reading the weights: the whole file into memory, held against the checksum at its end. It knows no model.

use std::io;
use std::path::Path;

use rand::{RngCore as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;

const CRC: crc::Crc<u32> = crc::Crc::<u32>::new(&crc::CRC_32_ISO_HDLC);
const CHECKSUM_BYTES: usize = 4;

/// Writes weights of `mib` MiB that the seed decides.
pub(crate) fn generate(path: &Path, mib: usize, seed: u64) -> io::Result<()> {
    let mut bytes = vec![0; mib * 1024 * 1024];
    ChaCha8Rng::seed_from_u64(seed).fill_bytes(&mut bytes);
    let checksum = CRC.checksum(&bytes);
    bytes.extend(checksum.to_le_bytes());
    std::fs::write(path, bytes)
}

/// Reads them.
pub(crate) fn weights(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = std::fs::read(path)?;
    let split = bytes.len().saturating_sub(CHECKSUM_BYTES);
    let checksum = bytes.split_off(split);
    if CRC.checksum(&bytes).to_le_bytes().as_slice() == checksum {
        Ok(bytes)
    } else {
        Err(io::Error::new(
            io::ErrorKind::InvalidData,
            format!("{} is damaged", path.display()),
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn damage_is_seen() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("weights");
        generate(&path, 1, 3).unwrap();
        assert_eq!(weights(&path).unwrap().len(), 1024 * 1024);
        let mut bytes = std::fs::read(&path).unwrap();
        bytes[77] ^= 1;
        std::fs::write(&path, bytes).unwrap();
        assert!(weights(&path).is_err());
    }
}
