//! Scaling curves, as SVG with both axes logarithmic.

use super::{Group, time};

const WIDTH: f64 = 720.0;
const HEIGHT: f64 = 400.0;
/// Around the field: left, right (where the names stand), top, bottom.
const MARGIN: [f64; 4] = [70.0, 180.0, 30.0, 40.0];
const COLOURS: [&str; 6] = [
    "#1b6ca8", "#c0392b", "#2e8b57", "#8e44ad", "#b9770e", "#555555",
];

/// A curve for each row over the parameter; `None` where that takes fewer than three values, or is no number.
#[must_use]
pub fn plot(name: &str, group: &Group) -> Option<String> {
    let columns = group.columns();
    let numbers: Option<Vec<f64>> = columns.iter().map(|column| column.parse().ok()).collect();
    let numbers = numbers.filter(|numbers| numbers.len() >= 3 && numbers[0] > 0.0)?;
    let medians = || {
        group
            .rows
            .iter()
            .flat_map(|row| &row.cells)
            .map(|cell| cell.1)
    };
    let [left, right, top, bottom] = MARGIN;
    let across = Axis {
        from: numbers[0].log10(),
        to: numbers[numbers.len() - 1].log10(),
        start: left,
        end: WIDTH - right,
    };
    let up = Axis {
        from: medians().fold(f64::INFINITY, f64::min).log10().floor(),
        to: medians().fold(1.0, f64::max).log10().ceil(),
        start: HEIGHT - bottom,
        end: top,
    };

    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" font-family=\"sans-serif\" font-size=\"12\">\n\
         <rect width=\"{WIDTH}\" height=\"{HEIGHT}\" fill=\"white\"/>\n\
         <text x=\"{left}\" y=\"18\">{name}: median by parameter</text>\n"
    );
    for (column, number) in columns.iter().zip(&numbers) {
        let x = across.place(*number);
        line(&mut svg, [x, up.start, x, up.end]);
        let y = up.start + 18.0;
        svg += &format!("<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"middle\">{column}</text>\n");
    }
    for power in up.from as i32..=up.to as i32 {
        let nanos = 10_f64.powi(power);
        let y = up.place(nanos);
        line(&mut svg, [across.start, y, across.end, y]);
        let (x, label) = (left - 6.0, time(nanos));
        svg += &format!(
            "<text x=\"{x:.1}\" y=\"{:.1}\" text-anchor=\"end\">{label}</text>\n",
            y + 4.0
        );
    }
    for (index, row) in group.rows.iter().enumerate() {
        let colour = COLOURS[index % COLOURS.len()];
        let mut points: Vec<(f64, f64)> = Vec::new();
        for (column, median) in &row.cells {
            points.push((across.place(column.parse().ok()?), up.place(*median)));
        }
        points.sort_by(|a, b| a.0.total_cmp(&b.0));
        let (x, y) = *points.last()?;
        let points: Vec<_> = points
            .iter()
            .map(|(x, y)| format!("{x:.1},{y:.1}"))
            .collect();
        let points = points.join(" ");
        svg += &format!(
            "<polyline points=\"{points}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\"/>\n\
             <text x=\"{:.1}\" y=\"{:.1}\" fill=\"{colour}\">{}</text>\n",
            x + 8.0,
            y + 4.0,
            row.name
        );
    }
    svg += "</svg>\n";
    Some(svg)
}

fn line(svg: &mut String, [x1, y1, x2, y2]: [f64; 4]) {
    *svg += &format!(
        "<line x1=\"{x1:.1}\" y1=\"{y1:.1}\" x2=\"{x2:.1}\" y2=\"{y2:.1}\" stroke=\"#dddddd\"/>\n"
    );
}

/// Where logarithms are on the paper.
struct Axis {
    from: f64,
    to: f64,
    start: f64,
    end: f64,
}

impl Axis {
    fn place(&self, value: f64) -> f64 {
        let part = (value.log10() - self.from) / (self.to - self.from).max(f64::EPSILON);
        self.start + part * (self.end - self.start)
    }
}
