//! The catalogue: every model of the platform with what is declared of it. It knows no state.
//!
//! There are sixteen variants (five sizes of YOLO, RT-DETR R18 to R101, RF-DETR nano to medium, SAM2 tiny to large); the YOLO sizes
//! exist in two generations, so the registry has twenty-one models.

/// What is declared of one model.
#[derive(Debug)]
pub(crate) struct Variant {
    /// The registry's name, and its name under /v2.
    pub(crate) key: &'static str,
    /// For people.
    pub(crate) title: &'static str,
    /// `YOLO11`, `YOLO12`, `RT-DETR` or `SAM2`.
    pub(crate) framework: &'static str,
    /// Its size within the framework.
    pub(crate) size: &'static str,
    /// Whether it outlines what it finds, and knows no classes.
    pub(crate) segments: bool,
    /// Side of the input that the imitated model has.
    pub(crate) input_px: u32,
    /// Time to load it.
    pub(crate) load_ms: f64,
    /// Size of its weights.
    pub(crate) weights_mib: f64,
    /// Time of the accelerator for one image, mean.
    pub(crate) service_ms: f64,
    /// Channels of its network over those of the smallest one, in quarters.
    pub(crate) width: usize,
    /// Published accuracy (mAP, or mean IoU for SAM2) of what it imitates.
    pub(crate) accuracy: f64,
}

impl Variant {
    /// What the API calls its type.
    pub(crate) fn kind(&self) -> &'static str {
        if self.segments {
            "segmentation"
        } else {
            "detection"
        }
    }

    /// Images per second that one worker is declared to do.
    pub(crate) fn throughput_per_s(&self, service_scale: f64) -> f64 {
        1000.0 / (self.service_ms * service_scale).max(1e-3)
    }

    /// The seed of its weights, from its name: the same in every process.
    pub(crate) fn seed(&self) -> u64 {
        // FNV-1a.
        self.key.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
        })
    }
}

/// Every model, in the order of the registry. Load and service times are 60 % and 50 % of what the platform's own performance suite
/// allows each variant.
pub(crate) static VARIANTS: [Variant; 21] = [
    yolo("yolo11_nano", "YOLO11 Nano", "YOLO11", "nano", 0.375),
    yolo("yolo11_small", "YOLO11 Small", "YOLO11", "small", 0.465),
    yolo("yolo11_medium", "YOLO11 Medium", "YOLO11", "medium", 0.505),
    yolo("yolo11_large", "YOLO11 Large", "YOLO11", "large", 0.535),
    yolo(
        "yolo11_extra_large",
        "YOLO11 Extra Large",
        "YOLO11",
        "extra_large",
        0.550,
    ),
    yolo("yolo12_nano", "YOLO12 Nano", "YOLO12", "nano", 0.395),
    yolo("yolo12_small", "YOLO12 Small", "YOLO12", "small", 0.485),
    yolo("yolo12_medium", "YOLO12 Medium", "YOLO12", "medium", 0.525),
    yolo("yolo12_large", "YOLO12 Large", "YOLO12", "large", 0.555),
    yolo(
        "yolo12_extra_large",
        "YOLO12 Extra Large",
        "YOLO12",
        "extra_large",
        0.570,
    ),
    detr(
        "rtdetr_r18",
        "RT-DETR ResNet-18",
        "r18",
        0.468,
        [600.0, 77.0, 62.5],
        4,
    ),
    detr(
        "rtdetr_r34",
        "RT-DETR ResNet-34",
        "r34",
        0.482,
        [900.0, 120.0, 83.0],
        5,
    ),
    detr(
        "rtdetr_r50",
        "RT-DETR ResNet-50",
        "r50",
        0.514,
        [1200.0, 164.0, 125.0],
        6,
    ),
    detr(
        "rtdetr_r101",
        "RT-DETR ResNet-101",
        "r101",
        0.528,
        [1800.0, 290.0, 250.0],
        8,
    ),
    detr(
        "rtdetr_rf_nano",
        "RF-DETR Nano",
        "rf_nano",
        0.395,
        [300.0, 60.0, 33.0],
        4,
    ),
    detr(
        "rtdetr_rf_small",
        "RF-DETR Small",
        "rf_small",
        0.425,
        [600.0, 90.0, 62.5],
        5,
    ),
    detr(
        "rtdetr_rf_medium",
        "RF-DETR Medium",
        "rf_medium",
        0.455,
        [900.0, 120.0, 100.0],
        6,
    ),
    sam("sam2_tiny", "SAM2 Tiny", "tiny", 0.725, [600.0, 149.0, 100.0], 5),
    sam(
        "sam2_small",
        "SAM2 Small",
        "small",
        0.745,
        [1200.0, 176.0, 167.0],
        6,
    ),
    sam(
        "sam2_base_plus",
        "SAM2 Base+",
        "base_plus",
        0.768,
        [1800.0, 309.0, 250.0],
        8,
    ),
    sam(
        "sam2_large",
        "SAM2 Large",
        "large",
        0.785,
        [3000.0, 857.0, 500.0],
        10,
    ),
];

const fn yolo(
    key: &'static str,
    title: &'static str,
    framework: &'static str,
    size: &'static str,
    accuracy: f64,
) -> Variant {
    let ([load_ms, weights_mib, service_ms], width) = match size.as_bytes()[0] {
        b'n' => ([300.0, 5.4, 25.0], 4),
        b's' => ([600.0, 18.4, 50.0], 5),
        b'm' => ([1200.0, 38.8, 100.0], 6),
        b'l' => ([1800.0, 49.0, 250.0], 8),
        _ => ([3000.0, 109.0, 500.0], 10),
    };
    Variant {
        key,
        title,
        framework,
        size,
        segments: false,
        input_px: 640,
        load_ms,
        weights_mib,
        service_ms,
        width,
        accuracy,
    }
}

const fn detr(
    key: &'static str,
    title: &'static str,
    size: &'static str,
    accuracy: f64,
    [load_ms, weights_mib, service_ms]: [f64; 3],
    width: usize,
) -> Variant {
    Variant {
        key,
        title,
        framework: "RT-DETR",
        size,
        segments: false,
        input_px: 640,
        load_ms,
        weights_mib,
        service_ms,
        width,
        accuracy,
    }
}

const fn sam(
    key: &'static str,
    title: &'static str,
    size: &'static str,
    accuracy: f64,
    [load_ms, weights_mib, service_ms]: [f64; 3],
    width: usize,
) -> Variant {
    Variant {
        key,
        title,
        framework: "SAM2",
        size,
        segments: true,
        input_px: 1024,
        load_ms,
        weights_mib,
        service_ms,
        width,
        accuracy,
    }
}

/// The eighty classes of COCO, by their index.
pub(crate) const CLASSES: [&str; 80] = [
    "person",
    "bicycle",
    "car",
    "motorcycle",
    "airplane",
    "bus",
    "train",
    "truck",
    "boat",
    "traffic light",
    "fire hydrant",
    "stop sign",
    "parking meter",
    "bench",
    "bird",
    "cat",
    "dog",
    "horse",
    "sheep",
    "cow",
    "elephant",
    "bear",
    "zebra",
    "giraffe",
    "backpack",
    "umbrella",
    "handbag",
    "tie",
    "suitcase",
    "frisbee",
    "skis",
    "snowboard",
    "sports ball",
    "kite",
    "baseball bat",
    "baseball glove",
    "skateboard",
    "surfboard",
    "tennis racket",
    "bottle",
    "wine glass",
    "cup",
    "fork",
    "knife",
    "spoon",
    "bowl",
    "banana",
    "apple",
    "sandwich",
    "orange",
    "broccoli",
    "carrot",
    "hot dog",
    "pizza",
    "donut",
    "cake",
    "chair",
    "couch",
    "potted plant",
    "bed",
    "dining table",
    "toilet",
    "tv",
    "laptop",
    "mouse",
    "remote",
    "keyboard",
    "cell phone",
    "microwave",
    "oven",
    "toaster",
    "sink",
    "refrigerator",
    "book",
    "clock",
    "vase",
    "scissors",
    "teddy bear",
    "hair drier",
    "toothbrush",
];

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn sixteen_variants_make_twenty_one_models() {
        let keys: HashSet<_> = VARIANTS.iter().map(|one| one.key).collect();
        assert_eq!(keys.len(), 21);
        let sizes: HashSet<_> = VARIANTS
            .iter()
            .map(|one| {
                (
                    one.framework.trim_end_matches(char::is_numeric).len(),
                    one.framework.starts_with("YOLO"),
                    one.size,
                )
            })
            .collect();
        assert_eq!(sizes.len(), 16);
        for one in &VARIANTS {
            assert!(one.key.ends_with(one.size), "{}", one.key);
        }
    }
}
