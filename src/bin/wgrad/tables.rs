//! Tables of text.

use wgrad::plan::{Phase, Plan};

/// A table. Columns whose head begins with `<` are aligned to the left, the others to the right.
pub fn table(head: &[&str], rows: &[Vec<String>]) -> String {
    let is_left: Vec<bool> = head.iter().map(|name| name.starts_with('<')).collect();
    let head: Vec<&str> = head
        .iter()
        .map(|name| name.trim_start_matches('<'))
        .collect();
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column));
        let cells = cells.map(|cell| cell.chars().count());
        cells
            .chain([head[column].chars().count()])
            .max()
            .unwrap_or(0)
    };
    let widths: Vec<usize> = (0..head.len()).map(width).collect();
    let line = |cells: &[&str]| {
        let cells = cells.iter().zip(&widths).enumerate();
        let cells = cells.map(|(column, (cell, width))| match is_left[column] {
            true => format!("{cell:<width$}"),
            false => format!("{cell:>width$}"),
        });
        let line: Vec<String> = cells.collect();
        line.join("  ").trim_end().to_owned()
    };
    let rows = rows.iter().map(|row| {
        let cells: Vec<&str> = row.iter().map(String::as_str).collect();
        line(&cells)
    });
    std::iter::once(line(&head))
        .chain(rows)
        .collect::<Vec<_>>()
        .join("\n")
}

/// The layers of a model: output shapes and numbers of parameters.
pub fn layers(plan: &Plan) -> String {
    let rows = plan.layers().iter().map(|layer| {
        vec![
            format!("{} {}", layer.name, layer.layer),
            layer.output.to_string(),
            layer.parameters.to_string(),
        ]
    });
    let mut rows: Vec<Vec<String>> = rows.collect();
    let total: usize = plan.layers().iter().map(|layer| layer.parameters).sum();
    rows.push(vec!["total".to_owned(), String::new(), total.to_string()]);
    table(&["<layer", "output", "parameters"], &rows)
}

/// The ops of a training step: their number, operations, and bytes read and written.
pub fn work(plan: &Plan) -> (usize, u64, u64) {
    let costs = plan
        .nodes_of(&Phase::TRAIN)
        .map(|node| plan.nodes()[node].op.cost());
    costs.fold((0, 0, 0), |(ops, flop, bytes), cost| {
        (ops + 1, flop + cost.flop, bytes + cost.bytes)
    })
}

/// Bytes in MiB.
pub fn mebibytes(words: usize) -> String {
    format!("{:.1} MiB", words as f64 * 4.0 / f64::from(1 << 20))
}
