//! The measurements as Markdown.

use std::time::Duration;

use wgrad::Result;
use wgrad::ops::Cost;

use super::Run;
use super::ceilings::Ceilings;
use super::measure::{Clock, Training, rates};
use super::products::Timed;

pub fn ceilings(ceilings: &Ceilings) -> String {
    let row = |name: &str, measured: &Result<f64>, unit: &str| match measured {
        Ok(value) => format!("| {name} | {} {unit} |\n", number(*value)),
        Err(error) => format!("| {name} | {} |\n", cell(error)),
    };
    let mut text = "| ceiling | measured |\n| --- | ---: |\n".to_owned();
    text += &row("copy bandwidth, read and written", &ceilings.copy, "GB/s");
    text += &row("multiply-add rate, f32", &ceilings.multiply_add, "GFLOP/s");
    text += &row("empty dispatch among many", &ceilings.dispatch, "µs");
    text
}

pub fn training_head() -> &'static str {
    "| model | batch | images/s | step, ms | predicted | dispatches | MiB | GFLOP/s | of ceiling | GB/s | of ceiling |\n\
     | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |"
}

/// One row of the table that [`training_head`] begins.
pub fn training(run: &Run, ceilings: &Ceilings) -> String {
    let (model, batch) = (run.name(), run.batch);
    let training = match &run.training {
        Ok(training) => training,
        Err(error) => return format!("| {model} | {batch} | {} | | | | | | | | |", cell(error)),
    };
    let [flop, bytes] = rates(training.cost, training.step);
    format!(
        "| {model} | {batch} | {:.0} | {} | {} | {} | {:.1} | {} | {} | {} | {} |",
        training.images_per_second(),
        number(training.step.as_secs_f64() * 1e3),
        predicted(training),
        training.dispatches,
        training.bytes as f64 / f64::from(1 << 20),
        number(flop),
        share_of(flop, &ceilings.multiply_add),
        number(bytes),
        share_of(bytes, &ceilings.copy),
    )
}

/// In milliseconds; empty if a ceiling is unknown.
fn predicted(training: &Training) -> String {
    let predicted = training.predicted.map(|time| time.as_secs_f64() * 1e3);
    predicted.map_or_else(String::new, number)
}

/// The table of the kernels of a step.
pub fn kernels(training: &Training) -> String {
    let total = training.kernel_time();
    let row = |name: &str, calls: usize, time: Duration, cost: Cost| {
        let [flop, bytes] = rates(cost, time);
        format!(
            "| {name} | {calls} | {} | {} | {} | {} |\n",
            number(time.as_secs_f64() * 1e6),
            percent(time.as_secs_f64() / training.step.as_secs_f64()),
            number(flop),
            number(bytes),
        )
    };
    let mut text = "| kernel | calls a step | µs a step | of step | GFLOP/s | GB/s |\n\
                    | --- | ---: | ---: | ---: | ---: | ---: |\n"
        .to_owned();
    for kernel in &training.kernels {
        text += &row(kernel.name, kernel.calls, kernel.time, kernel.cost);
    }
    text += &row("all", training.dispatches, total, training.cost);
    text
}

/// The table of the kernels of a product.
pub fn product(product: &Timed, ceilings: &Ceilings) -> String {
    let mut text = format!(
        "## Product of {}\n\n| kernel | µs | GFLOP/s | of ceiling |\n| --- | ---: | ---: | ---: |\n",
        product.extents
    );
    for (kernel, time) in &product.kernels {
        text += &match time {
            Ok(time) => {
                let rate = product.flop() / time.as_secs_f64() * 1e-9;
                let share = share_of(rate, &ceilings.multiply_add);
                let micros = number(time.as_secs_f64() * 1e6);
                format!("| {kernel} | {micros} | {} | {share} |\n", number(rate))
            }
            Err(error) => format!("| {kernel} | {} | | |\n", cell(error)),
        };
    }
    text
}

pub fn clock(clock: Clock) -> &'static str {
    match clock {
        Clock::Timestamps => "the adapter's timestamps around each op of a step",
        Clock::Repeats => "the host's clock around repeated dispatches of each op",
        Clock::Reference => "the host's clock around each op's reference",
    }
}

/// Three significant digits, or all digits before the decimal point if there are more.
fn number(value: f64) -> String {
    let digits = match value {
        _ if value >= 100.0 => 0,
        _ if value >= 10.0 => 1,
        _ if value >= 1.0 => 2,
        _ => 3,
    };
    format!("{value:.digits$}")
}

fn percent(share: f64) -> String {
    format!("{:.1} %", share * 100.0)
}

fn share_of(rate: f64, ceiling: &Result<f64>) -> String {
    match ceiling {
        Ok(ceiling) => percent(rate / ceiling),
        Err(_) => "—".to_owned(),
    }
}

/// An error within a table.
fn cell(error: &wgrad::Error) -> String {
    let text = error.to_string().replace('|', "\\|");
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
