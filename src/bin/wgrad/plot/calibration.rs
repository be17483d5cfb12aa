//! Whether probabilities are what they say: the accuracy of the answers, by their probability.

use plotters::prelude::*;
use wgrad::Result;

use crate::charts::{self, FONT};
use crate::common::OkabeIto;
use crate::measure::{Measured, largest};

const BINS: usize = 10;

/// The answers whose probability is in a tenth.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
struct Bin {
    answers: usize,
    right: usize,
    /// The sum of their probabilities.
    probability: f64,
}

impl Bin {
    fn mean(self) -> f64 {
        self.probability / self.answers.max(1) as f64
    }

    fn accuracy(self) -> f64 {
        self.right as f64 / self.answers.max(1) as f64
    }
}

fn bins<'a>(answers: impl Iterator<Item = (&'a [f32], usize)>) -> [Bin; BINS] {
    let mut bins = [Bin::default(); BINS];
    for (row, label) in answers {
        let answer = largest(row);
        let probability = f64::from(row[answer]);
        let bin = &mut bins[((probability * BINS as f64) as usize).min(BINS - 1)];
        bin.answers += 1;
        bin.right += usize::from(answer == label);
        bin.probability += probability;
    }
    bins
}

/// The mean distance between probability and accuracy, weighed by the answers: the expected
/// calibration error of Naeini et al., "Obtaining Well Calibrated Probabilities Using Bayesian
/// Binning".
fn error(bins: &[Bin]) -> f64 {
    let all: usize = bins.iter().map(|bin| bin.answers).sum();
    let distances = bins.iter().map(|bin| {
        let share = bin.answers as f64 / all.max(1) as f64;
        share * (bin.accuracy() - bin.mean()).abs()
    });
    distances.sum()
}

/// The accuracy of the answers to a test set against their probability, in ten bins.
///
/// # Errors
/// It cannot be drawn.
pub fn chart(measured: &Measured) -> Result<String> {
    let rows = (0..measured.labels.len()).map(|at| (measured.row(at), measured.labels[at]));
    let bins = bins(rows);
    let title = format!(
        "Calibration: expected error {:.1} points",
        100.0 * error(&bins)
    );
    charts::svg((560, 520), |area| {
        let mut chart = ChartBuilder::on(area)
            .caption(title, (FONT, 20))
            .margin(12)
            .x_label_area_size(44)
            .y_label_area_size(60)
            .build_cartesian_2d(0.0..100.0, 0.0..104.0)?;
        chart
            .configure_mesh()
            .max_light_lines(0)
            .x_desc("probability of the answer, %")
            .y_desc("right answers, %")
            .draw()?;
        let ideal = LineSeries::new([(0.0, 0.0), (100.0, 100.0)], BLACK.mix(0.4));
        chart
            .draw_series(ideal)?
            .label("calibrated")
            .legend(|(x, y)| PathElement::new([(x, y), (x + 18, y)], BLACK.mix(0.4)));
        let color = OkabeIto::pick(0).to_rgba();
        let filled = bins.iter().filter(|bin| bin.answers > 0);
        let points: Vec<(f64, f64, usize)> = filled
            .map(|bin| (100.0 * bin.mean(), 100.0 * bin.accuracy(), bin.answers))
            .collect();
        let line = points.iter().map(|&(x, y, _)| (x, y));
        chart
            .draw_series(LineSeries::new(line, color.stroke_width(2)).point_size(4))?
            .label("the model, with its answers in each tenth")
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 18, y)], color.stroke_width(2)));
        chart.draw_series(points.iter().map(|&(x, y, answers)| {
            Text::new(answers.to_string(), (x - 1.0, y - 2.0), (FONT, 12))
        }))?;
        chart
            .configure_series_labels()
            .position(SeriesLabelPosition::UpperLeft)
            .background_style(WHITE.mix(0.85))
            .border_style(BLACK.mix(0.3))
            .draw()?;
        Ok(())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Four answers of probability 0.75, three of them right, and two of 0.95, one of them right.
    #[test]
    fn the_error_is_the_weighed_distance_to_the_accuracy() {
        let rows: [(&[f32], usize); 6] = [
            (&[0.75, 0.25], 0),
            (&[0.75, 0.25], 0),
            (&[0.25, 0.75], 1),
            (&[0.25, 0.75], 0),
            (&[0.95, 0.05], 0),
            (&[0.95, 0.05], 1),
        ];
        let bins = bins(rows.into_iter());
        assert_eq!((bins[7].answers, bins[7].right), (4, 3));
        assert_eq!((bins[9].answers, bins[9].right), (2, 1));
        assert!((error(&bins) - 2.0 / 6.0 * 0.45).abs() < 1e-6);
    }
}
