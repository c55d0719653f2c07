//! The chunked transfer coding, incrementally (RFC 9112, section 7.1).

use super::Broken;

/// Longest size line with its extensions.
const SIZE_LINE_BYTES_MAX: u32 = 4096;

/// Where the reader stands between two reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum At {
    Size { digits: u8 },
    Extension,
    SizeEnd,
    Data,
    DataCr,
    DataLf,
    TrailerStart,
    TrailerLine,
    TrailerEnd,
    Done,
}

/// An incremental reader of chunks.
#[derive(Clone, Debug)]
pub(super) struct Chunks {
    at: At,
    left: u64,
    line_bytes: u32,
    trailer_bytes: usize,
    trailer_bytes_max: usize,
}

impl Chunks {
    pub(super) fn new(trailer_bytes_max: usize) -> Self {
        Self {
            at: At::Size { digits: 0 },
            left: 0,
            line_bytes: 0,
            trailer_bytes: 0,
            trailer_bytes_max,
        }
    }

    pub(super) fn is_done(&self) -> bool {
        self.at == At::Done
    }

    /// Takes bytes from the front of `input`; returns how many, and which of them are body.
    /// Call it until it takes nothing or is done.
    pub(super) fn take<'a>(&mut self, input: &'a [u8]) -> Result<(usize, &'a [u8]), Broken> {
        let mut used = 0;
        while let Some(&byte) = input.get(used) {
            match self.at {
                At::Data => {
                    let n = usize::try_from(self.left)
                        .unwrap_or(usize::MAX)
                        .min(input.len() - used);
                    self.left -= n as u64;
                    if self.left == 0 {
                        self.at = At::DataCr;
                    }
                    return Ok((used + n, &input[used..used + n]));
                }
                At::Done => break,
                _ => {
                    self.step(byte)?;
                    used += 1;
                }
            }
        }
        Ok((used, &[]))
    }

    fn step(&mut self, byte: u8) -> Result<(), Broken> {
        self.at = match (self.at, byte) {
            (At::Size { digits }, _) if byte.is_ascii_hexdigit() => {
                if digits == 15 {
                    return Err(Broken::Malformed("a chunk size that is too large"));
                }
                let digit = (byte as char).to_digit(16).unwrap_or_default();
                self.left = self.left << 4 | u64::from(digit);
                At::Size { digits: digits + 1 }
            }
            (At::Size { digits: 0 }, _) => return Err(Broken::Malformed("a chunk without a size")),
            (At::Size { .. } | At::Extension, b'\r') => At::SizeEnd,
            (At::Size { .. } | At::Extension | At::SizeEnd, b'\n') => self.after_size(),
            (At::Size { .. }, b';' | b' ' | b'\t') | (At::Extension, _) => self.extend()?,
            (At::Size { .. }, _) => {
                return Err(Broken::Malformed("a chunk size that is no hexadecimal number"));
            }
            (At::SizeEnd, _) => return Err(Broken::Malformed("a broken line end after a chunk size")),
            (At::DataCr, b'\r') => At::DataLf,
            (At::DataCr | At::DataLf, b'\n') => At::Size { digits: 0 },
            (At::DataCr | At::DataLf, _) => {
                return Err(Broken::Malformed("a chunk longer than its size"));
            }
            (At::TrailerStart, b'\r') => At::TrailerEnd,
            (At::TrailerStart | At::TrailerEnd, b'\n') => At::Done,
            (At::TrailerEnd, _) => return Err(Broken::Malformed("a broken end of the trailers")),
            (At::TrailerLine, b'\n') => At::TrailerStart,
            (At::TrailerStart | At::TrailerLine, _) => {
                self.trailer_bytes += 1;
                if self.trailer_bytes > self.trailer_bytes_max {
                    return Err(Broken::HeadTooLarge);
                }
                At::TrailerLine
            }
            (At::Data | At::Done, _) => self.at,
        };
        Ok(())
    }

    fn after_size(&mut self) -> At {
        self.line_bytes = 0;
        if self.left == 0 {
            At::TrailerStart
        } else {
            At::Data
        }
    }

    fn extend(&mut self) -> Result<At, Broken> {
        self.line_bytes += 1;
        if self.line_bytes > SIZE_LINE_BYTES_MAX {
            return Err(Broken::Malformed("a chunk size line that does not end"));
        }
        Ok(At::Extension)
    }
}
