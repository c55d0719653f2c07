//! Test sounds made from numbers. It must not know who listens.

use std::io::Cursor;

use hound::{SampleFormat, WavSpec, WavWriter};

/// Samples per second.
const RATE: u32 = 16_000;
/// Length of the shortest sound, in samples: one second and a half.
const SAMPLES: u32 = RATE * 3 / 2;

/// A WAV file, 16 bits, mono, 16 kHz: tones that rise and fall like syllables, other ones for each `k`, and from 1.5 s to 3.25 s
/// long.
pub(crate) fn wav(k: usize) -> Vec<u8> {
    let k = k as u32;
    let spec = WavSpec {
        channels: 1,
        sample_rate: RATE,
        bits_per_sample: 16,
        sample_format: SampleFormat::Int,
    };
    let mut file = Cursor::new(Vec::new());
    let written = WavWriter::new(&mut file, spec).and_then(|mut writer| {
        (0..SAMPLES + RATE / 4 * (k % 8)).try_for_each(|n| writer.write_sample(sample(k, n)))?;
        writer.finalize()
    });
    debug_assert!(written.is_ok(), "memory takes what is written to it");
    file.into_inner()
}

/// The `n`-th sample of a sound.
fn sample(k: u32, n: u32) -> i16 {
    let at = f64::from(n) / f64::from(RATE);
    let syllable = (at * 4.0).floor();
    let pitch = 110.0 + 25.0 * ((syllable + f64::from(k) * 3.0) % 5.0) + 7.0 * f64::from(k % 11);
    let turn = std::f64::consts::TAU * at;
    let loudness = (turn * 2.0).sin().abs();
    let voice = (turn * pitch).sin() + 0.5 * (turn * pitch * 2.0).sin() + 0.25 * (turn * pitch * 5.0).sin();
    (voice * loudness * 9_000.0) as i16
}

#[cfg(test)]
mod tests {
    use super::wav;

    #[test]
    fn a_sound_is_a_whole_wav_file_and_each_is_another() {
        let (one, two) = (wav(0), wav(1));
        assert_eq!((&one[..4], &one[8..16]), (&b"RIFF"[..], &b"WAVEfmt "[..]));
        let size = |at: usize, file: &[u8]| u32::from_le_bytes(file[at..at + 4].try_into().unwrap()) as usize;
        for file in [&one, &two] {
            assert_eq!(size(4, file) + 8, file.len());
            assert_eq!(size(40, file) + 44, file.len());
        }
        assert!(two.len() > one.len());
        assert_ne!(one[44..], two[44..one.len()]);
        assert!(one[44..].iter().any(|byte| *byte != 0));
    }
}
