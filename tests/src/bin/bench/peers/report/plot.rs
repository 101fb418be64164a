//! Bars with their spread, as SVG that can be read on dark and on light ground.

use std::fmt::Write;

use super::figures::{Spread, number};
use crate::peers::peer::{FEEDWAY, Unit, Work};

const WIDTH: f64 = 760.0;
/// Where bars begin; names stand before it.
const LEFT: f64 = 230.0;
/// What is left behind the longest bar for its value.
const RIGHT: f64 = 100.0;
const TOP: f64 = 44.0;
const ROW: f64 = 28.0;
const BAR: f64 = 16.0;

const STYLE: &str = "\
text{font:13px system-ui,sans-serif;fill:#1f2328}.title{font-weight:600;font-size:15px}.value{font-size:12px}\
.bar{fill:#8c959f}.ours{fill:#0969da}.spread{stroke:#1f2328;stroke-width:1.5}\
@media(prefers-color-scheme:dark){text{fill:#e6edf3}.bar{fill:#6e7681}.ours{fill:#4493f8}.spread{stroke:#e6edf3}}";

/// A plot of one work; the best stands first.
pub(super) fn plot(work: Work, mut rows: Vec<(&'static str, Spread)>) -> String {
    let more_is_better = work.unit() == Unit::PerSecond;
    rows.sort_by(|(_, a), (_, b)| {
        let order = a.median.total_cmp(&b.median);
        if more_is_better {
            order.reverse()
        } else {
            order
        }
    });
    let highest = rows
        .iter()
        .map(|(_, spread)| spread.highest)
        .fold(f64::MIN_POSITIVE, f64::max);
    let scale = (WIDTH - LEFT - RIGHT) / highest;
    let height = TOP + ROW * rows.len() as f64 + 8.0;
    let title = escaped(work.title().0);
    let better = if more_is_better {
        "more is better"
    } else {
        "less is better"
    };
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" role=\"img\" aria-label=\"{title}\">\n\
         <title>{title}</title>\n<style>{STYLE}</style>\n\
         <text class=\"title\" x=\"8\" y=\"22\">{title} ({better})</text>\n"
    );
    for (index, (who, spread)) in rows.iter().enumerate() {
        let middle = TOP + ROW * index as f64 + ROW / 2.0;
        bar(&mut svg, work, who, *spread, middle, scale);
    }
    svg.push_str("</svg>\n");
    svg
}

fn bar(svg: &mut String, work: Work, who: &str, spread: Spread, middle: f64, scale: f64) {
    let class = if who == FEEDWAY { "bar ours" } else { "bar" };
    let base = middle + 4.5;
    let length = (spread.median * scale).max(1.0);
    let end = LEFT + (spread.highest * scale).max(1.0);
    let _ = writeln!(
        svg,
        "<text x=\"{:.1}\" y=\"{base:.1}\" text-anchor=\"end\">{}</text>",
        LEFT - 8.0,
        escaped(who)
    );
    let _ = writeln!(
        svg,
        "<rect class=\"{class}\" x=\"{LEFT:.1}\" y=\"{:.1}\" width=\"{length:.1}\" height=\"{BAR:.1}\" rx=\"2\"/>",
        middle - BAR / 2.0
    );
    if spread.lowest < spread.highest {
        let from = LEFT + spread.lowest * scale;
        let _ = writeln!(
            svg,
            "<line class=\"spread\" x1=\"{from:.1}\" y1=\"{middle:.1}\" x2=\"{end:.1}\" y2=\"{middle:.1}\"/>"
        );
    }
    let _ = writeln!(
        svg,
        "<text class=\"value\" x=\"{:.1}\" y=\"{base:.1}\">{}</text>",
        end + 6.0,
        number(spread.median, work.unit())
    );
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::peers::peer::REDIS;

    #[test]
    fn it_is_xml_with_a_bar_for_each() {
        let of = |median| Spread {
            median,
            lowest: median * 0.9,
            highest: median * 1.1,
        };
        let svg = plot(
            Work::AppendOne,
            vec![
                ("a <\"b\"> & c", of(1.0)),
                (FEEDWAY, of(9.0)),
                (REDIS, of(4.0)),
            ],
        );
        let mut reader = quick_xml::Reader::from_str(&svg);
        let (mut bars, mut depth) = (0, 0);
        loop {
            match reader.read_event().unwrap() {
                quick_xml::events::Event::Start(_) => depth += 1,
                quick_xml::events::Event::End(_) => depth -= 1,
                quick_xml::events::Event::Empty(tag) => {
                    bars += u32::from(tag.name().into_inner() == "rect");
                    assert!(tag.attributes().all(|attribute| attribute.is_ok()));
                }
                quick_xml::events::Event::Eof => break,
                _ => {}
            }
        }
        assert_eq!((bars, depth), (3, 0));
        // The best first.
        assert!(svg.find(FEEDWAY).unwrap() < svg.find(REDIS).unwrap());
    }
}
