//! Copies a slice of each row: joins values along their channels, and cuts their gradient apart.

use rayon::prelude::*;

use super::case::{Case, Random, Read};
use super::reference::arithmetic::{ELEMENT, min_task_len};
use super::{
    Args, Binding, Bindings, Cost, Element, Elements, ErrorBound, Launch, Op, Prelude, Shader,
};

pub(super) const SHADER: Shader = Shader::new(
    &[Prelude::Invocation],
    include_str!("../../shaders/copy_slice.wgsl"),
);

/// `output[r, to + i] = input[r, from + i]` for every row r and every i below `len`. The other
/// elements of the output stay as they are, so that several ops fill one output.
#[derive(Debug, Clone)]
pub struct CopySlice {
    /// Rows of both arrays: N.
    pub rows: usize,
    /// Elements copied in each row.
    pub len: usize,
    /// Elements per row of the input, at least `from + len`.
    pub input_row: usize,
    /// The first element read in each row.
    pub from: usize,
    /// Elements per row of the output, at least `to + len`.
    pub output_row: usize,
    /// The first element written in each row.
    pub to: usize,
}

impl CopySlice {
    /// From rows of `len` elements into longer ones.
    pub fn into_rows(rows: usize, len: usize, output_row: usize, to: usize) -> Self {
        CopySlice {
            rows,
            len,
            input_row: len,
            from: 0,
            output_row,
            to,
        }
    }

    /// The opposite direction: its gradient.
    #[must_use]
    pub fn reversed(&self) -> Self {
        CopySlice {
            input_row: self.output_row,
            from: self.to,
            output_row: self.input_row,
            to: self.from,
            ..*self
        }
    }
}

impl Op for CopySlice {
    fn name(&self) -> &'static str {
        "copy_slice"
    }

    fn bindings(&self) -> Bindings {
        // An output of which only a part is written keeps the rest.
        let keeps = self.len < self.output_row;
        Bindings::new([
            Binding::read("input", self.rows * self.input_row),
            Binding::sum("output", self.rows * self.output_row, keeps),
        ])
    }

    fn launch(&self) -> Launch {
        Launch::new(SHADER, self.rows * self.len).constants([
            ("ROWS", self.rows as f64),
            ("LEN", self.len as f64),
            ("INPUT_ROW", self.input_row as f64),
            ("FROM", self.from as f64),
            ("OUTPUT_ROW", self.output_row as f64),
            ("TO", self.to as f64),
        ])
    }

    fn cost(&self) -> Cost {
        Cost {
            flop: 0,
            bytes: 8 * (self.rows * self.len) as u64,
        }
    }

    fn reference(&self, args: &mut Args<'_>) {
        let input = args.inputs[0].par_chunks(self.input_row);
        let rows = args.outputs[0].par_chunks_mut(self.output_row).zip(input);
        let rows = rows.with_min_len(min_task_len(ELEMENT * self.len));
        rows.for_each(|(output, input)| {
            output[self.to..][..self.len].copy_from_slice(&input[self.from..][..self.len]);
        });
    }

    fn element(&self, args: &Elements<'_>, _: usize, index: usize) -> Element {
        let (row, place) = (index / self.output_row, index % self.output_row);
        let place = place.checked_sub(self.to).filter(|&i| i < self.len);
        Element::Word(match place {
            Some(i) => args.word(0, row * self.input_row + self.from + i),
            None => args.outputs[0](index),
        })
    }

    fn tile_edges(&self, _: usize) -> Vec<usize> {
        let ends = [
            Some(self.to),
            Some(self.to + self.len - 1),
            self.to.checked_sub(1),
            Some(self.to + self.len),
        ];
        let ends = ends.into_iter().flatten().filter(|&i| i < self.output_row);
        let last = (self.rows - 1) * self.output_row;
        ends.flat_map(|i| [i, last + i]).collect()
    }

    fn error_bounds(&self, _: &Args<'_>) -> Vec<ErrorBound> {
        vec![ErrorBound::Exact]
    }
}

pub(super) fn cases(random: &mut Random) -> Vec<Case> {
    let (rows, len) = (random.size(9), random.size(60));
    let to = random.below(20);
    let row = to + len + random.below(20);
    let into = CopySlice::into_rows(rows, len, row, to);
    let out_of = into.reversed();
    let both = CopySlice {
        input_row: len + 7,
        from: random.below(8),
        ..into.clone()
    };
    let reads = [Read::OutputGradient];
    vec![
        Case::of_floats(into, random).with_gradient(0, out_of.clone(), &reads),
        Case::of_floats(out_of, random),
        Case::of_floats(both, random),
    ]
}
