//! The SVG format: a chart of tokens per second in all over those of a user, one below the other for each curve. Text in it is
//! bounded and escaped; it holds no script, no style sheet and no link.

use std::fmt::Write as _;

use crate::chart::curves::{self, HEIGHT, WIDTH};
use crate::curves::Curve;
use crate::{FormatDef, Report};

/// Registry entry.
pub(crate) static DEF: FormatDef = FormatDef {
    name: "svg",
    file: "curves.svg",
    description: "charts of throughput against interactivity, where streams were measured at several concurrencies",
    applies: |report| !report.curves.is_empty(),
    render: |report, _| Ok(render(report)),
};

fn render(report: &Report) -> String {
    match report.curves.as_slice() {
        [] => page(
            1,
            &curves::nothing("no streams were measured at several concurrencies"),
        ),
        [curve] => one(curve),
        several => {
            let mut panels = String::new();
            for (i, curve) in several.iter().enumerate() {
                let top = HEIGHT * i as f64;
                let _ = writeln!(
                    panels,
                    "<g transform=\"translate(0 {top})\">\n{}</g>",
                    curves::draw(curve)
                );
            }
            page(several.len(), &panels)
        }
    }
}

/// The chart of one curve.
pub(crate) fn one(curve: &Curve) -> String {
    page(1, &curves::draw(curve))
}

fn page(panels: usize, content: &str) -> String {
    let height = HEIGHT * panels as f64;
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{WIDTH}\" height=\"{height}\" viewBox=\"0 0 {WIDTH} {height}\" \
         role=\"img\" font-family=\"sans-serif\" font-size=\"12\">\n<rect width=\"{WIDTH}\" height=\"{height}\" fill=\"#ffffff\"/>\n\
         {content}</svg>\n"
    )
}
