//! Cuts bytes into reads: whole, one by one, or at places that a seed chooses. Knows no protocol.

/// How a stream of bytes arrives.
#[derive(Clone, Copy, Debug)]
pub enum Cut {
    /// In one read.
    Whole,
    /// Byte by byte.
    Single,
    /// In pieces whose lengths follow from the seed, empty ones among them.
    Seeded(u32),
}

/// The reads in order.
pub fn pieces(mut bytes: &[u8], cut: Cut) -> Vec<&[u8]> {
    let mut state = match cut {
        Cut::Whole => return vec![bytes],
        Cut::Single => return bytes.chunks(1).collect(),
        Cut::Seeded(seed) => u64::from(seed) | 1 << 32,
    };
    let mut pieces = Vec::new();
    while !bytes.is_empty() {
        // xorshift64: enough to choose lengths with.
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        // Short reads mostly: the ends of lines and chunks are where they hurt.
        let bound = if state & 0x700 == 0 { 64 } else { 6 };
        let n = ((state >> 32) as usize % bound).min(bytes.len());
        pieces.push(&bytes[..n]);
        bytes = &bytes[n..];
    }
    pieces
}
