//! A report as a table.

use std::collections::BTreeSet;
use std::fmt;

use super::{Drift, GradientReport, ModelReport, NetworkReport, OutputReport, Report};

impl fmt::Display for Report {
    /// For each model, each op's outputs, the worse of the two steps; for each op and each
    /// gradient, the worst of its random cases.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}\n", self.adapter)?;
        for model in &self.models {
            write_model(f, model)?;
        }
        write_ops(f, &self.ops)?;
        write_gradients(f, &self.gradients)?;
        write_large(f, &self.large)?;
        write_networks(f, "random network", &self.networks)?;
        write_networks(f, "long network", &self.long)?;
        write_counts(f, self)?;
        f.write_str(match self.passes() {
            true => "Every result is within its bound.",
            false => "WRONG RESULTS: see above.",
        })
    }
}

fn write_model(f: &mut fmt::Formatter<'_>, model: &ModelReport) -> fmt::Result {
    let what = format!("model \"{}\": tensor, shape", model.name);
    heading(f, "op", &what)?;
    let key = |report: &OutputReport| (report.op, report.tensor.clone());
    for group in groups(&model.outputs, key) {
        let worst = worst(&group, |report| report.error_ratio);
        let what = format!("{} {}", worst.tensor, worst.shape);
        line(f, worst.op, &what, worst.ulp, worst.error_ratio)?;
        write_fault(f, worst)?;
    }
    let Drift {
        steps,
        loss,
        parameters,
        largest_parameter,
    } = model.drift;
    writeln!(
        f,
        "after {steps} free steps losses differ by {loss:.1e} of their value, parameters, of up to \
         {largest_parameter:.2}, by {parameters:.1e}\n"
    )
}

fn write_ops(f: &mut fmt::Formatter<'_>, reports: &[OutputReport]) -> fmt::Result {
    heading(f, "op by itself", "output, random cases")?;
    // A tensor is named `gemm.3.0.product`: family, round, number, binding.
    let binding = |report: &OutputReport| report.tensor.rsplit('.').next().map(str::to_owned);
    for group in groups(reports, |report| (report.op, binding(report))) {
        let worst = worst(&group, |report| report.error_ratio);
        let what = format!("{}, {}", binding(worst).unwrap_or_default(), group.len());
        line(f, worst.op, &what, worst.ulp, worst.error_ratio)?;
        write_fault(f, worst)?;
    }
    writeln!(f)
}

fn write_large(f: &mut fmt::Formatter<'_>, reports: &[OutputReport]) -> fmt::Result {
    heading(f, "op at large sizes", "output, sizes; some elements")?;
    let output = |report: &OutputReport| report.tensor.split('.').next().map(str::to_owned);
    for group in groups(reports, |report| (report.op, output(report))) {
        let worst = worst(&group, |report| report.error_ratio);
        let what = format!("{}, {}", output(worst).unwrap_or_default(), group.len());
        line(f, worst.op, &what, worst.ulp, worst.error_ratio)?;
        write_fault(f, worst)?;
    }
    writeln!(f)
}

fn write_networks(
    f: &mut fmt::Formatter<'_>,
    what: &str,
    reports: &[NetworkReport],
) -> fmt::Result {
    for report in reports {
        let network = &report.network;
        match &report.outputs {
            Err(why) => writeln!(f, "{what} refused: {network}: {why}")?,
            Ok(outputs) => {
                writeln!(f, "{what}, {} outputs: {network}", outputs.len())?;
                let wrong = outputs.iter().filter(|output| !output.passes());
                wrong
                    .into_iter()
                    .try_for_each(|output| write_fault(f, output))?;
            }
        }
    }
    writeln!(f)
}

fn write_gradients(f: &mut fmt::Formatter<'_>, reports: &[GradientReport]) -> fmt::Result {
    heading(f, "gradient", "of op, by input, random directions")?;
    // An op prints as `Gemm { batch: 2, … }`.
    let op = |report: &GradientReport| report.of.split(' ').next().map(str::to_owned);
    for group in groups(reports, |report| (report.op, op(report), report.by)) {
        let worst = worst(&group, GradientReport::error_ratio);
        let of = op(worst).unwrap_or_default();
        let what = format!("{of}, {}, {}", worst.by, group.len());
        line(f, worst.op, &what, f64::NAN, worst.error_ratio())?;
        if !worst.passes() {
            let GradientReport {
                of,
                gradient,
                difference,
                ..
            } = worst;
            writeln!(f, "    expected {difference:e}, got {gradient:e}: {of}")?;
        }
    }
    writeln!(f)
}

/// The numbers of checked cases and elements.
fn write_counts(f: &mut fmt::Formatter<'_>, report: &Report) -> fmt::Result {
    let kernels: BTreeSet<&str> = report.ops.iter().map(|output| output.op).collect();
    // The outputs of one case differ only after the last dot.
    let case = |output: &OutputReport| {
        output
            .tensor
            .rsplit_once('.')
            .map(|(case, _)| case.to_owned())
    };
    let cases: BTreeSet<_> = report.ops.iter().map(case).collect();
    writeln!(
        f,
        "checked: {} models, {} random cases of {} kernels, {} directions of gradients, {} outputs at large sizes, \
         {} random networks",
        report.models.len(),
        cases.len(),
        kernels.len(),
        report.gradients.len(),
        report.large.len(),
        report.networks.len() + report.long.len(),
    )
}

fn heading(f: &mut fmt::Formatter<'_>, first: &str, second: &str) -> fmt::Result {
    writeln!(f, "{first:<22} {second:<48} {:>8} {:>9}", "ulp", "of bound")
}

/// A line of a table; a NaN error in ulp is left out.
fn line(
    f: &mut fmt::Formatter<'_>,
    op: &str,
    what: &str,
    ulp: f64,
    error_ratio: f64,
) -> fmt::Result {
    let verdict = if error_ratio <= 1.0 { "right" } else { "WRONG" };
    let ulp = match ulp.is_nan() {
        true => String::new(),
        false if ulp < 1e5 => format!("{ulp:.1}"),
        false => format!("{ulp:.0e}"),
    };
    writeln!(
        f,
        "{op:<22} {what:<48} {ulp:>8} {error_ratio:>9.4} {verdict}"
    )
}

fn write_fault(f: &mut fmt::Formatter<'_>, report: &OutputReport) -> fmt::Result {
    if report.passes() {
        return Ok(());
    }
    let (at, got, expected) = report.at;
    writeln!(
        f,
        "    at {at}: expected {expected:e}, got {got:e}: {}",
        report.shape
    )
}

/// Groups items by key, in the order of the keys' first appearance.
fn groups<T, K: PartialEq>(items: &[T], key: impl Fn(&T) -> K) -> Vec<Vec<&T>> {
    let mut groups: Vec<(K, Vec<&T>)> = Vec::new();
    for item in items {
        let key = key(item);
        match groups.iter_mut().find(|(found, _)| *found == key) {
            Some((_, group)) => group.push(item),
            None => groups.push((key, vec![item])),
        }
    }
    groups.into_iter().map(|(_, group)| group).collect()
}

/// The item with the largest value in a non-empty group.
fn worst<'a, T>(group: &[&'a T], value: impl Fn(&T) -> f64) -> &'a T {
    let mut worst = group[0];
    for item in &group[1..] {
        if value(item) > value(worst) {
            worst = item;
        }
    }
    worst
}
