//! Images per second against batch size, as SVG.

use std::error::Error;

use plotters::prelude::*;

use super::Measured;
use crate::common::OkabeIto;

const SIZE: (u32, u32) = (900, 560);

/// The margin around the outermost points, as a factor, since both axes are logarithmic.
const MARGIN: f64 = 1.3;

/// A line of the chart: its label and its points.
type Line = (String, Vec<(f64, f64)>);

/// The chart, with a line for each device and model that ran; `None` if none ran.
pub fn svg(measured: &[Measured]) -> Result<Option<String>, Box<dyn Error>> {
    let lines = lines(measured);
    let points = || lines.iter().flat_map(|(_, points)| points);
    let range = |values: &mut dyn Iterator<Item = f64>| {
        let (low, high) = values.fold((f64::INFINITY, 0f64), |(low, high), value| {
            (low.min(value), high.max(value))
        });
        low / MARGIN..high * MARGIN
    };
    if points().next().is_none() {
        return Ok(None);
    }
    let (batches, rates) = (
        range(&mut points().map(|point| point.0)),
        range(&mut points().map(|point| point.1)),
    );
    let mut text = String::new();
    {
        let area = SVGBackend::with_string(&mut text, SIZE).into_drawing_area();
        area.fill(&WHITE)?;
        let mut chart = ChartBuilder::on(&area)
            .caption("Training", ("sans-serif", 22))
            .margin(12)
            .x_label_area_size(44)
            .y_label_area_size(72)
            .build_cartesian_2d(batches.log_scale().base(2.0), rates.log_scale())?;
        chart
            .configure_mesh()
            .max_light_lines(0)
            .x_desc("batch size")
            .y_desc("images per second")
            .x_label_formatter(&|batch| format!("{batch:.0}"))
            .y_label_formatter(&|rate| format!("{rate:.0}"))
            .draw()?;
        for (i, (name, points)) in lines.iter().enumerate() {
            let color = OkabeIto::pick(i).to_rgba();
            let line = LineSeries::new(points.iter().copied(), color.stroke_width(2));
            let line = line.point_size(4);
            chart.draw_series(line)?.label(name).legend(move |(x, y)| {
                PathElement::new([(x, y), (x + 18, y)], color.stroke_width(2))
            });
        }
        chart
            .configure_series_labels()
            .position(SeriesLabelPosition::LowerRight)
            .background_style(WHITE.mix(0.85))
            .border_style(BLACK)
            .draw()?;
        area.present()?;
    }
    Ok(Some(text))
}

fn lines(measured: &[Measured]) -> Vec<Line> {
    let mut lines: Vec<Line> = Vec::new();
    for device in measured {
        for run in &device.runs {
            let Ok(training) = &run.training else {
                continue;
            };
            let name = format!("{}, {}", run.name(), device.short_name);
            let point = (run.batch as f64, training.images_per_second());
            match lines.iter_mut().find(|(of, _)| *of == name) {
                Some((_, points)) => points.push(point),
                None => lines.push((name, vec![point])),
            }
        }
    }
    for (_, points) in &mut lines {
        points.sort_by(|one, other| one.0.total_cmp(&other.0));
    }
    lines
}
