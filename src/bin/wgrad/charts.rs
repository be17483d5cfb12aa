//! Charts of a run, as SVG.

use plotters::coord::Shift;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};
use wgrad::{ConfusionMatrix, Error, RateCurve, Result};

use crate::common::OkabeIto;
use crate::run_folder::Epoch;

pub type Drawn = std::result::Result<(), Box<dyn std::error::Error>>;
pub type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;

/// A line of a chart: its label and its points.
pub type Line = (String, Vec<(f64, f64)>);

pub const FONT: &str = "sans-serif";

/// Classes of which a confusion matrix shows the counts; with more, colours alone.
const MOST_COUNTED: usize = 20;

/// A picture of `size`, drawn by `draw`.
pub fn svg(size: (u32, u32), draw: impl FnOnce(&Area<'_>) -> Drawn) -> Result<String> {
    let mut text = String::new();
    let drawn = {
        let area = SVGBackend::with_string(&mut text, size).into_drawing_area();
        let drawn = area
            .fill(&WHITE)
            .map_err(Into::into)
            .and_then(|()| draw(&area));
        drawn.and_then(|()| Ok(area.present()?))
    };
    drawn.map_err(|error| Error::value("chart", "one that can be drawn", error))?;
    Ok(text)
}

/// Loss and accuracy of both sets, by epoch.
pub fn epochs(epochs: &[Epoch]) -> Result<String> {
    svg((1000, 440), |area| {
        let (left, right) = area.split_horizontally(500);
        let line = |name: &str, value: fn(&Epoch) -> f64| -> Line {
            let points = epochs
                .iter()
                .map(|epoch| (epoch.epoch as f64, value(epoch)));
            let points = points.filter(|point| point.1.is_finite());
            (name.to_owned(), points.collect())
        };
        let losses = [
            line("training", |epoch| epoch.train_loss),
            line("test", |epoch| epoch.test_loss),
        ];
        curves(&left, "Loss", "cross-entropy", &losses)?;
        let accuracies = [
            line("training", |epoch| 100.0 * epoch.train_accuracy),
            line("test", |epoch| 100.0 * epoch.test_accuracy),
        ];
        curves(&right, "Accuracy", "right answers, %", &accuracies)
    })
}

/// The accuracies of several runs on the test set, by epoch.
pub fn accuracies(runs: &[Line]) -> Result<String> {
    svg((800, 480), |area| {
        curves(area, "Accuracy on the test set", "right answers, %", runs)
    })
}

/// Lines over the epochs.
fn curves(area: &Area<'_>, title: &str, unit: &str, lines: &[Line]) -> Drawn {
    let points = || lines.iter().flat_map(|(_, points)| points);
    let last = points().map(|point| point.0).fold(1.0, f64::max);
    let (least, most) = points().fold((f64::INFINITY, 0f64), |(least, most), point| {
        (least.min(point.1), most.max(point.1))
    });
    let margin = 0.05 * (most - least).max(1e-3);
    let (bottom, top) = match points().next() {
        Some(_) => ((least - margin).max(0.0), most + margin),
        None => (0.0, 1.0),
    };
    let mut chart = ChartBuilder::on(area)
        .caption(title, (FONT, 20))
        .margin(12)
        .x_label_area_size(40)
        .y_label_area_size(60)
        .build_cartesian_2d(0.0..last + 0.5, bottom..top)?;
    chart
        .configure_mesh()
        .max_light_lines(0)
        .x_desc("epoch")
        .y_desc(unit)
        .x_label_formatter(&|epoch| format!("{epoch:.0}"))
        .draw()?;
    for (i, (name, points)) in lines.iter().enumerate() {
        let color = OkabeIto::pick(i).to_rgba();
        let line = LineSeries::new(points.iter().copied(), color.stroke_width(2)).point_size(2);
        chart
            .draw_series(line)?
            .label(name)
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 18, y)], color.stroke_width(2)));
    }
    let mut labels = chart.configure_series_labels();
    labels
        .background_style(WHITE.mix(0.85))
        .border_style(BLACK.mix(0.3))
        .draw()?;
    Ok(())
}

/// The share of each true class that got each answer; counts where there is room for them.
pub fn confusion(matrix: &ConfusionMatrix, classes: &[String]) -> Result<String> {
    let count = classes.len() as u32;
    let longest = classes.iter().map(|name| name.chars().count()).max();
    // Pixels of a cell, and of the names beside the cells.
    let cell = (640 / count.max(1)).clamp(4, 56);
    let names = 8 * longest.unwrap_or(1).min(24) as u32 + 40;
    let side = cell * count;
    let (left, top) = (names as i32, 50);
    // Wide enough for the title.
    let width = (side + names + 30).max(340);
    svg((width, side + names + 60), |area| {
        let style = |size: u32| (FONT, size as i32).into_font().into_text_style(area);
        let title = "Test images by class and answer";
        area.draw(&Text::new(title, (12, 12), style(20)))?;
        let beside = style(13).pos(Pos::new(HPos::Right, VPos::Center));
        let below = FontTransform::Rotate90;
        let below = (FONT, 13)
            .into_font()
            .transform(below)
            .into_text_style(area);
        let below = below.pos(Pos::new(HPos::Left, VPos::Center));
        for (label, name) in classes.iter().enumerate() {
            let (at, middle) = ((label as u32 * cell) as i32, (cell / 2) as i32);
            if cell >= 10 {
                let name: String = name.chars().take(24).collect();
                area.draw(&Text::new(
                    name.clone(),
                    (left - 6, top + at + middle),
                    beside.clone(),
                ))?;
                let foot = (left + at + middle, top + side as i32 + 6);
                area.draw(&Text::new(name, foot, below.clone()))?;
            }
            let all: u64 = (0..classes.len())
                .map(|other| matrix.count(label, other))
                .sum();
            for answer in 0..classes.len() {
                let number = matrix.count(label, answer);
                let share = number as f64 / all.max(1) as f64;
                let from = (left + (answer as u32 * cell) as i32, top + at);
                let to = (from.0 + cell as i32, from.1 + cell as i32);
                let (fill, text) = shade(share);
                area.draw(&Rectangle::new([from, to], fill.filled()))?;
                if classes.len() <= MOST_COUNTED && number > 0 {
                    let style = (FONT, 13).into_font().color(&text);
                    let style = style.pos(Pos::new(HPos::Center, VPos::Center));
                    let place = (from.0 + middle, from.1 + middle);
                    area.draw(&Text::new(number.to_string(), place, style))?;
                }
            }
        }
        let frame = [(left, top), (left + side as i32, top + side as i32)];
        area.draw(&Rectangle::new(frame, BLACK.mix(0.4).stroke_width(1)))?;
        let height = area.dim_in_pixel().1 as i32;
        area.draw(&Text::new("class ↓", (4, top - 18), style(13)))?;
        let foot = (left, height - 20);
        area.draw(&Text::new("answer →", foot, style(13)))?;
        Ok(())
    })
}

/// From white for none to dark blue for all, and a colour of text that is readable on it.
fn shade(share: f64) -> (RGBColor, RGBColor) {
    let mix = |full: f64| (255.0 + share * (full - 255.0)).round() as u8;
    let text = if share > 0.5 { WHITE } else { BLACK };
    (RGBColor(mix(8.0), mix(48.0), mix(107.0)), text)
}

/// The smoothed losses of a rate test.
pub fn rates(curve: &RateCurve) -> Result<String> {
    svg((800, 480), |area| {
        let points: Vec<(f64, f64)> = curve
            .points
            .iter()
            .map(|point| (f64::from(point.rate), point.loss))
            .collect();
        let (first, last) = match (points.first(), points.last()) {
            (Some(first), Some(last)) if first.0 < last.0 => (first.0, last.0),
            _ => (1e-7, 10.0),
        };
        let least = points
            .iter()
            .map(|point| point.1)
            .fold(f64::INFINITY, f64::min);
        let top = 2.5 * if least.is_finite() { least } else { 1.0 };
        let mut chart = ChartBuilder::on(area)
            .caption("Loss by learning rate", (FONT, 20))
            .margin(12)
            .x_label_area_size(44)
            .y_label_area_size(64)
            .build_cartesian_2d((first..last).log_scale(), 0.0..top)?;
        chart
            .configure_mesh()
            .max_light_lines(0)
            .x_desc("learning rate")
            .y_desc("loss, smoothed")
            .x_label_formatter(&|rate| format!("{rate:.0e}"))
            .draw()?;
        let color = OkabeIto::pick(0).to_rgba();
        let shown = points.iter().copied().filter(|point| point.1 <= top);
        chart.draw_series(LineSeries::new(shown, color.stroke_width(2)))?;
        if let Some(rate) = curve.suggestion.map(f64::from) {
            let color = OkabeIto::pick(1).to_rgba();
            let line = LineSeries::new([(rate, 0.0), (rate, top)], color.stroke_width(2));
            chart
                .draw_series(line)?
                .label(format!("suggestion: {rate:.1e}"))
                .legend(move |(x, y)| {
                    PathElement::new([(x, y), (x + 18, y)], color.stroke_width(2))
                });
            let mut labels = chart.configure_series_labels();
            labels
                .background_style(WHITE)
                .border_style(BLACK.mix(0.3))
                .draw()?;
        }
        Ok(())
    })
}
