//! A body compressed piece by piece, each piece complete for whoever reads it at once.

use std::io::Write as _;

use flate2::Compression;
use flate2::write::GzEncoder;

/// The compressor of one body.
#[derive(Debug)]
pub(crate) struct Zip(GzEncoder<Vec<u8>>);

impl Zip {
    /// Nothing compressed yet.
    pub(crate) fn new() -> Self {
        Self(GzEncoder::new(Vec::new(), Compression::fast()))
    }

    /// One piece.
    pub(crate) fn piece(&mut self, bytes: &[u8]) -> Vec<u8> {
        // Writing to memory cannot fail.
        let _ = self.0.write_all(bytes);
        let _ = self.0.flush();
        std::mem::take(self.0.get_mut())
    }

    /// What ends the body.
    pub(crate) fn end(&mut self) -> Vec<u8> {
        let _ = self.0.try_finish();
        std::mem::take(self.0.get_mut())
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use super::*;

    #[test]
    fn every_piece_can_be_read_when_it_comes() {
        let mut zip = Zip::new();
        let first = zip.piece(b"data: one\n\n");
        let mut read = [0; 11];
        flate2::read::GzDecoder::new(&first[..])
            .read_exact(&mut read)
            .unwrap();
        assert_eq!(&read, b"data: one\n\n");
        let whole = [first, zip.piece(b"data: two\n\n"), zip.end()].concat();
        let mut text = String::new();
        flate2::read::GzDecoder::new(&whole[..])
            .read_to_string(&mut text)
            .unwrap();
        assert_eq!(text, "data: one\n\ndata: two\n\n");
    }
}
