//! What the numbers that a model gives mean: boxes and classes as YOLO or RT-DETR lay them out, or the classes of a classifier. It knows
//! no runtime.

use super::super::network::Candidate;

/// Values of a box before those of its classes: middle, width and height.
const BOX: usize = 4;
/// Strides of the three grids of a YOLO: each cell gives one box.
const STRIDES: [usize; 3] = [8, 16, 32];
/// Boxes that a YOLO older than version 8 gives for each cell, with a value of their own between box and classes.
const BOXES_PER_CELL_BEFORE_8: usize = 3;
/// How far a box that is given in parts of the input may reach; one that is given in pixels reaches further.
const PARTS_MAX: f32 = 2.0;
/// How far a confidence may lie beyond 0 or 1 by rounding.
const ROUNDED: f32 = 1e-3;
/// What is served, for whoever has something else.
const SERVED: &str = "served are [1, 4 + classes, boxes] of YOLO 8 to 12, [1, queries, 4 + classes] of RT-DETR, and [1, classes]";

/// Shape and values of one output.
pub(super) type Output = (Vec<i64>, Vec<f32>);

/// A family of models.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    /// Boxes in pixels of the input, a column each; what overlaps has to be suppressed.
    Yolo,
    /// Boxes in parts of the input, a row each; nothing is found twice.
    Detr,
    /// No boxes.
    Classifier,
}

/// How one model lays out its output.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Layout {
    form: Form,
    classes: usize,
    boxes: usize,
    /// Whether confidences still have to be brought between 0 and 1.
    logits: bool,
}

impl Layout {
    /// From what a model gave for different pictures on an input of so many rows and columns, and the number of classes that its file
    /// names, if it does. The error says what is served.
    pub(super) fn of(tried: &[Output], input: [usize; 2], named: Option<usize>) -> Result<Self, String> {
        let Some((shape, _)) = tried.first() else {
            return Err("it gave nothing".to_owned());
        };
        if tried.iter().any(|(other, _)| other != shape) {
            return Err(format!(
                "the shape of its output depends on the picture, as where overlaps are suppressed inside\nexport it with nms=False; {SERVED}"
            ));
        }
        let (form, classes, boxes) = form(shape, input, named)?;
        if let Some(named) = named.filter(|named| *named != classes) {
            return Err(format!(
                "its file names {named} classes, and its output {shape:?} has {classes}: models that give more than boxes and classes \
                 (masks, poses, rotated boxes) are not served\n{SERVED}"
            ));
        }
        let layout = Self {
            form,
            classes,
            boxes,
            logits: false,
        };
        if form == Form::Detr {
            layout.check_parts(tried)?;
        }
        let logits = tried.iter().any(|(_, values)| layout.is_beyond_shares(values));
        Ok(Self { logits, ..layout })
    }

    /// How many classes it knows.
    pub(super) fn classes(&self) -> usize {
        self.classes
    }

    /// Its family, for the admin port.
    pub(super) fn name(&self) -> &'static str {
        match self.form {
            Form::Yolo => "yolo",
            Form::Detr => "detr",
            Form::Classifier => "classifier",
        }
    }

    /// Whether the one suppresses the other where they overlap.
    pub(super) fn are_rivals(&self, one: &Candidate, other: &Candidate) -> bool {
        self.form == Form::Yolo && one.class == other.class
    }

    /// What an output says, in pixels of the input, from the least confidence on; an error when it has another shape than when the
    /// model was tried.
    pub(super) fn candidates(
        &self,
        shape: &[i64],
        values: &[f32],
        [rows, columns]: [usize; 2],
        least: f32,
    ) -> Result<Vec<Candidate>, String> {
        let wanted = if self.form == Form::Classifier {
            self.classes
        } else {
            self.boxes * (BOX + self.classes)
        };
        if values.len() != wanted {
            return Err(format!("an output of shape {shape:?} has not {wanted} values"));
        }
        let (width, height) = (columns as f32, rows as f32);
        if self.form == Form::Classifier {
            let whole = |(class, confidence)| Candidate {
                corners: [0.0, 0.0, width, height],
                confidence,
                class,
            };
            let shares = self.shares(values);
            let confident = shares
                .into_iter()
                .enumerate()
                .filter(|(_, share)| *share >= least);
            return Ok(confident.map(whole).collect());
        }
        let unit = if self.form == Form::Detr {
            [width, height]
        } else {
            [1.0, 1.0]
        };
        Ok((0..self.boxes)
            .filter_map(|index| self.one(values, index, unit, least))
            .collect())
    }

    /// The box of that number, if it is confident enough.
    fn one(&self, values: &[f32], index: usize, unit: [f32; 2], least: f32) -> Option<Candidate> {
        let value = |field: usize| values[self.at(index, field)];
        let (class, score) = (0..self.classes).map(|class| (class, value(BOX + class))).fold(
            (0, f32::NEG_INFINITY),
            |best, next| {
                if next.1 > best.1 { next } else { best }
            },
        );
        let confidence = if self.logits {
            sigmoid(score)
        } else {
            score.clamp(0.0, 1.0)
        };
        let (middle, half) = (
            [value(0) * unit[0], value(1) * unit[1]],
            [value(2) * unit[0] / 2.0, value(3) * unit[1] / 2.0],
        );
        let corners = [
            middle[0] - half[0],
            middle[1] - half[1],
            middle[0] + half[0],
            middle[1] + half[1],
        ];
        let is_finite = score.is_finite() && corners.iter().all(|corner| corner.is_finite());
        (is_finite && confidence >= least).then_some(Candidate {
            corners,
            confidence,
            class,
        })
    }

    /// Where a value of a box is: its own four, then those of the classes.
    fn at(&self, index: usize, field: usize) -> usize {
        if self.form == Form::Yolo {
            field * self.boxes + index
        } else {
            index * (BOX + self.classes) + field
        }
    }

    /// The confidence in each class; a value that is no number is none.
    fn shares(&self, values: &[f32]) -> Vec<f32> {
        if !self.logits {
            return values
                .iter()
                .map(|value| {
                    if value.is_nan() {
                        0.0
                    } else {
                        value.clamp(0.0, 1.0)
                    }
                })
                .collect();
        }
        let finite = |value: &f32| if value.is_finite() { *value } else { f32::MIN };
        let most = values.iter().map(finite).fold(f32::MIN, f32::max);
        let weights: Vec<f32> = values.iter().map(|value| (finite(value) - most).exp()).collect();
        let sum: f32 = weights.iter().sum();
        weights.iter().map(|weight| weight / sum).collect()
    }

    /// Whether confidences lie beyond 0 and 1.
    fn is_beyond_shares(&self, values: &[f32]) -> bool {
        let is_beyond = |value: &f32| value.is_finite() && !(-ROUNDED..=1.0 + ROUNDED).contains(value);
        if self.form == Form::Classifier {
            return values.iter().any(is_beyond);
        }
        (0..self.boxes)
            .any(|index| (0..self.classes).any(|class| is_beyond(&values[self.at(index, BOX + class)])))
    }

    /// Refuses rows whose boxes are in pixels, or that are all empty: overlaps were suppressed inside then, and a row is corners, a
    /// confidence and a class.
    fn check_parts(&self, tried: &[Output]) -> Result<(), String> {
        let reach = tried
            .iter()
            .flat_map(|(_, values)| values.chunks(BOX + self.classes))
            .flat_map(|row| &row[..BOX])
            .fold(0.0_f32, |most, value| most.max(value.abs()));
        if reach > 0.0 && reach <= PARTS_MAX {
            return Ok(());
        }
        Err(format!(
            "its boxes are not parts of the picture, as those of RT-DETR are, but reach to {reach}: a YOLO that suppresses overlaps inside \
             is not served\nexport it with nms=False (and end2end=False); {SERVED}"
        ))
    }
}

/// Family, classes and boxes of an output of this shape.
fn form(
    shape: &[i64],
    [rows, columns]: [usize; 2],
    named: Option<usize>,
) -> Result<(Form, usize, usize), String> {
    let other = || format!("its output of shape {shape:?} is none of those that are served\n{SERVED}");
    let sizes: Vec<usize> = shape
        .iter()
        .filter_map(|size| usize::try_from(*size).ok())
        .collect();
    let (first, last) = match sizes[..] {
        [1, classes] if classes > 1 => return Ok((Form::Classifier, classes, 0)),
        [1, first, last] => (first, last),
        _ => return Err(other()),
    };
    let cells: usize = STRIDES
        .iter()
        .map(|stride| (rows / stride) * (columns / stride))
        .sum();
    if first == BOXES_PER_CELL_BEFORE_8 * cells {
        return Err(format!(
            "its output of shape {shape:?} is that of a YOLO before version 8\n{SERVED}"
        ));
    }
    let (yolo, detr) = (
        first.checked_sub(BOX).filter(|classes| *classes > 0),
        last.checked_sub(BOX).filter(|classes| *classes > 0),
    );
    // The names in the file tell which axis has the classes, else the number of a YOLO's cells; else there are more boxes than classes.
    let is_yolo = match named {
        Some(_) if yolo == named => true,
        Some(_) if detr == named => false,
        _ => last == cells || last > first,
    };
    match (is_yolo, yolo, detr) {
        (true, Some(classes), _) if last > 0 => Ok((Form::Yolo, classes, last)),
        (false, _, Some(classes)) if first > 0 => Ok((Form::Detr, classes, first)),
        _ => Err(other()),
    }
}

fn sigmoid(logit: f32) -> f32 {
    1.0 / (1.0 + (-logit).exp())
}

#[cfg(test)]
mod tests {
    use super::super::super::detect::{Limits, suppress};
    use super::*;

    const INPUT: [usize; 2] = [64, 64];

    fn layout(shape: &[i64], values: &[f32], named: Option<usize>) -> Result<Layout, String> {
        Layout::of(&[(shape.to_vec(), values.to_vec())], INPUT, named)
    }

    /// Rows of box and classes, as YOLO lays them out.
    fn columns(rows: &[[f32; 6]]) -> Vec<f32> {
        (0..6)
            .flat_map(|field| rows.iter().map(move |row| row[field]))
            .collect()
    }

    fn told(layout: &Layout, shape: &[i64], values: &[f32], least: f32) -> Vec<(usize, f32, Vec<f32>)> {
        layout
            .candidates(shape, values, INPUT, least)
            .unwrap()
            .iter()
            .map(|one| (one.class, one.confidence, one.corners.to_vec()))
            .collect()
    }

    #[test]
    fn the_shape_tells_the_family() {
        let name = |shape: &[i64], named| {
            let count: i64 = shape.iter().product();
            let found = layout(shape, &vec![0.5; count as usize], named)?;
            Ok::<_, String>((found.name(), found.classes()))
        };
        assert_eq!(
            name(&[1, 84, 84], None),
            Ok(("yolo", 80)),
            "84 cells of a square of 64"
        );
        assert_eq!(name(&[1, 6, 100], None), Ok(("yolo", 2)));
        assert_eq!(name(&[1, 300, 95], None), Ok(("detr", 91)));
        assert_eq!(name(&[1, 300, 369], Some(365)), Ok(("detr", 365)));
        assert_eq!(name(&[1, 369, 300], Some(365)), Ok(("yolo", 365)));
        assert_eq!(name(&[1, 1000], None), Ok(("classifier", 1000)));
        for (shape, named, says) in [
            (&[1, 116, 100][..], Some(80), "names 80 classes"),
            (&[1, 252, 85], None, "before version 8"),
            (&[1, 4, 3], None, "served are"),
            (&[2, 1000], None, "served are"),
            (&[1, 1], None, "served are"),
            (&[1, 3, 64, 64], None, "served are"),
        ] {
            let refused = name(shape, named).unwrap_err();
            assert!(refused.contains(says), "{shape:?}: {refused}");
        }
    }

    #[test]
    fn a_yolo_gives_pixels_in_columns() {
        let values = columns(&[
            [16.0, 24.0, 8.0, 4.0, 0.1, 0.9],
            [32.0, 32.0, 2.0, 2.0, 0.6, 0.2],
            [1.0, 1.0, 2.0, 2.0, 0.2, 0.1],
            [5.0, 5.0, 2.0, 2.0, 0.3, 0.3],
            [f32::NAN, 5.0, 2.0, 2.0, 0.8, 0.3],
            [5.0, 5.0, 2.0, 2.0, f32::NAN, f32::NAN],
            [5.0, 5.0, 2.0, 2.0, 0.0, 0.0],
        ]);
        let shape = [1, 6, 7];
        let yolo = layout(&shape, &values, None).unwrap();
        assert_eq!(
            told(&yolo, &shape, &values, 0.5),
            [
                (1, 0.9, vec![12.0, 22.0, 20.0, 26.0]),
                (0, 0.6, vec![31.0, 31.0, 33.0, 33.0])
            ]
        );
        assert_eq!(
            told(&yolo, &shape, &values, 0.0).len(),
            5,
            "what is no number is left out"
        );
        assert!(yolo.candidates(&[1, 6, 8], &[0.0; 48], INPUT, 0.5).is_err());
    }

    #[test]
    fn a_detr_gives_parts_in_rows() {
        let values = [0.25, 0.5, 0.5, 0.25, 0.1, 0.7, 0.5, 0.5, 1.0, 1.0, 0.2, 0.1];
        let shape = [1, 2, 6];
        let detr = layout(&shape, &values, Some(2)).unwrap();
        assert_eq!(
            told(&detr, &shape, &values, 0.5),
            [(1, 0.7, vec![0.0, 24.0, 32.0, 40.0])]
        );
        let logits = [0.25, 0.5, 0.5, 0.25, -3.0, 0.0, 0.5, 0.5, 1.0, 1.0, -2.0, -1.0];
        let raw = layout(&shape, &logits, Some(2)).unwrap();
        assert_eq!(
            told(&raw, &shape, &logits, 0.5),
            [(1, 0.5, vec![0.0, 24.0, 32.0, 40.0])]
        );
    }

    #[test]
    fn suppression_inside_the_model_is_refused() {
        let pixels = [10.0, 10.0, 50.0, 50.0, 0.9, 1.0].repeat(10);
        let empty = [0.0; 60];
        for values in [&pixels[..], &empty] {
            let refused = layout(&[1, 10, 6], values, None).unwrap_err();
            assert!(refused.contains("nms=False"), "{refused}");
        }
        let changing = [(vec![1, 0, 6], vec![]), (vec![1, 1, 6], vec![0.0; 6])];
        assert!(
            Layout::of(&changing, INPUT, None)
                .unwrap_err()
                .contains("nms=False")
        );
    }

    #[test]
    fn a_classifier_gives_the_whole_picture() {
        let shares = [0.1, 0.7, 0.2];
        let classifier = layout(&[1, 3], &shares, None).unwrap();
        let whole = vec![0.0, 0.0, 64.0, 64.0];
        assert_eq!(told(&classifier, &[1, 3], &shares, 0.5), [(1, 0.7, whole)]);
        let logits = [2.0_f32.ln(), 6.0_f32.ln(), 0.0];
        let raw = layout(&[1, 3], &logits, None).unwrap();
        let found = told(&raw, &[1, 3], &logits, 0.0);
        let total: f32 = found.iter().map(|one| one.1).sum();
        assert!(
            (found[1].1 - 6.0 / 9.0).abs() < 1e-6 && (total - 1.0).abs() < 1e-6,
            "{found:?}"
        );
    }

    #[test]
    fn only_boxes_of_a_yolo_and_of_one_class_suppress_each_other() {
        let limits = Limits {
            confidence: 0.5,
            overlap: 0.4,
            count: 100,
        };
        let kept = |layout: &Layout, shape: &[i64], values: &[f32]| -> Vec<(usize, f32)> {
            let found = layout
                .candidates(shape, values, INPUT, limits.confidence)
                .unwrap();
            suppress(&found, limits, |one, other| layout.are_rivals(one, other))
                .iter()
                .map(|one| (one.class, one.confidence))
                .collect()
        };
        let rows = [
            [16.0, 16.0, 8.0, 8.0, 0.8, 0.0],
            [17.0, 16.0, 8.0, 8.0, 0.9, 0.0],
            [16.0, 17.0, 8.0, 8.0, 0.0, 0.7],
            [40.0, 40.0, 8.0, 8.0, 0.6, 0.0],
        ];
        let yolo = layout(&[1, 6, 4], &columns(&rows), Some(2)).unwrap();
        assert_eq!(
            kept(&yolo, &[1, 6, 4], &columns(&rows)),
            [(0, 0.9), (1, 0.7), (0, 0.6)]
        );
        let parts: Vec<f32> = rows
            .iter()
            .flat_map(|row| row.iter().enumerate())
            .map(|(field, value)| if field < BOX { value / 64.0 } else { *value })
            .collect();
        let detr = layout(&[1, 4, 6], &parts, Some(2)).unwrap();
        assert_eq!(kept(&detr, &[1, 4, 6], &parts).len(), 4);
    }
}
