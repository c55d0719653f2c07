//! The tensors of the models: pictures in, boxes out. It knows neither protocol.

use image::RgbImage;

use super::super::engine::Found;

/// Most images of one request.
pub(super) const BATCH_MAX: i64 = 8;
/// Longest side of an image.
pub(super) const SIDE_MAX: i64 = 4096;

/// One tensor as it is declared; -1 is any length.
#[derive(Debug)]
pub(super) struct Declared {
    pub(super) name: &'static str,
    pub(super) datatype: &'static str,
    pub(super) shape: &'static [i64],
}

/// Rows of RGB pixels.
pub(super) const INPUT: Declared = Declared {
    name: "images",
    datatype: "UINT8",
    shape: &[-1, -1, -1, 3],
};

/// As many rows for each image as the fullest one has; the others end in zeros, `counts` tells where.
pub(super) const OUTPUTS: [Declared; 4] = [
    Declared {
        name: "boxes",
        datatype: "FP32",
        shape: &[-1, -1, 4],
    },
    Declared {
        name: "scores",
        datatype: "FP32",
        shape: &[-1, -1],
    },
    Declared {
        name: "classes",
        datatype: "INT64",
        shape: &[-1, -1],
    },
    Declared {
        name: "counts",
        datatype: "INT32",
        shape: &[-1],
    },
];

/// One tensor of an answer.
#[derive(Debug)]
pub(super) struct Output {
    pub(super) declared: &'static Declared,
    pub(super) shape: Vec<i64>,
    pub(super) data: Data,
}

/// Its values.
#[derive(Debug)]
pub(super) enum Data {
    F32(Vec<f32>),
    I64(Vec<i64>),
    I32(Vec<i32>),
}

impl Data {
    /// Little-endian, row by row.
    pub(super) fn to_bytes(&self) -> Vec<u8> {
        match self {
            Self::F32(values) => values.iter().flat_map(|value| value.to_le_bytes()).collect(),
            Self::I64(values) => values.iter().flat_map(|value| value.to_le_bytes()).collect(),
            Self::I32(values) => values.iter().flat_map(|value| value.to_le_bytes()).collect(),
        }
    }
}

/// The bytes that a shape of the input needs, if it is one that is taken.
pub(super) fn input_bytes(shape: &[i64]) -> Result<usize, String> {
    let wrong = |why: &str| {
        Err(format!(
            "unexpected shape for input 'images', {why}, got {shape:?}"
        ))
    };
    let [batch, height, width, 3] = *shape else {
        return wrong("expected [-1,-1,-1,3]");
    };
    if !(1..=BATCH_MAX).contains(&batch) {
        return wrong("a batch has 1 to 8 images");
    }
    if !(1..=SIDE_MAX).contains(&height) || !(1..=SIDE_MAX).contains(&width) {
        return wrong("a side has 1 to 4096 pixels");
    }
    Ok((batch * height * width * 3) as usize)
}

/// The pictures of an input of `shape`, whose length was checked.
pub(super) fn pictures(shape: &[i64], bytes: &[u8]) -> Vec<RgbImage> {
    let (height, width) = (shape[1] as u32, shape[2] as u32);
    bytes
        .chunks_exact(3 * height as usize * width as usize)
        .filter_map(|one| RgbImage::from_raw(width, height, one.to_vec()))
        .collect()
}

/// What was found in each image, as tensors.
pub(super) fn outputs(found: &[Found]) -> Vec<Output> {
    let rows = found.iter().map(|one| one.detections.len()).max().unwrap_or(0);
    let (mut boxes, mut scores, mut classes, mut counts) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for one in found {
        for detection in &one.detections {
            boxes.extend(detection.bbox);
            scores.push(detection.confidence);
            classes.push(i64::try_from(detection.class).unwrap_or(i64::MAX));
        }
        counts.push(i32::try_from(one.detections.len()).unwrap_or(i32::MAX));
        boxes.resize(counts.len() * rows * 4, 0.0);
        scores.resize(counts.len() * rows, 0.0);
        classes.resize(counts.len() * rows, 0);
    }
    let length = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
    let (batch, rows) = (length(found.len()), length(rows));
    let all = [
        (vec![batch, rows, 4], Data::F32(boxes)),
        (vec![batch, rows], Data::F32(scores)),
        (vec![batch, rows], Data::I64(classes)),
        (vec![batch], Data::I32(counts)),
    ];
    OUTPUTS
        .iter()
        .zip(all)
        .map(|(declared, (shape, data))| Output {
            declared,
            shape,
            data,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::super::super::detect::Detection;
    use super::*;

    #[test]
    fn shapes_are_bounded() {
        assert_eq!(input_bytes(&[2, 4, 5, 3]), Ok(120));
        for shape in [
            &[1, 4, 5][..],
            &[1, 4, 5, 4],
            &[0, 4, 5, 3],
            &[9, 4, 5, 3],
            &[1, -1, 5, 3],
            &[1, 4, i64::MAX, 3],
        ] {
            assert!(input_bytes(shape).is_err(), "{shape:?}");
        }
    }

    #[test]
    fn rows_are_filled_with_zeros() {
        let one = |confidence| Detection {
            bbox: [1.0, 2.0, 3.0, 4.0],
            confidence,
            class: 5,
            outline: Vec::new(),
        };
        let found = |detections| Found {
            detections,
            labels: None,
            service_ms: 0.0,
        };
        let told = outputs(&[found(vec![]), found(vec![one(0.9), one(0.8)])]);
        assert_eq!(told[0].shape, [2, 2, 4]);
        assert!(matches!(&told[1].data, Data::F32(scores) if *scores == [0.0, 0.0, 0.9, 0.8]));
        assert!(matches!(&told[2].data, Data::I64(classes) if *classes == [0, 0, 5, 5]));
        assert!(matches!(&told[3].data, Data::I32(counts) if *counts == [0, 2]));
        assert_eq!(told[0].data.to_bytes().len(), 2 * 2 * 4 * 4);
    }
}
