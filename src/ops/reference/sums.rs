//! Products of matrices in f64, by tiles that fit a processor's registers.

use pulp::{Arch, Simd, WithSimd};
use rayon::prelude::*;

use super::arithmetic::{
    COLUMNS, ELEMENT, Factor, ROWS, RUN, RowPanels, copy_run, is_contiguous, min_task_len,
    vectorized,
};

/// A product in f64: panels of [`COLUMNS`] columns.
#[derive(Debug, Default)]
pub(in crate::ops) struct Sums {
    rows: usize,
    columns: usize,
    values: Vec<f64>,
    /// Memory for a panel of the right factor.
    panel: Vec<f64>,
}

impl Sums {
    /// A × B, in parallel if it is large enough.
    pub fn of_product<T: Copy + Into<f64> + Sync>(a: &RowPanels, b: &Factor<'_, T>) -> Self {
        let mut sums = Sums::default();
        sums.set_zero(a.rows, b.columns.len());
        let len = sums.panel_len();
        let panels = sums.values.par_chunks_exact_mut(len).enumerate();
        let panels = panels.with_min_len(min_task_len(a.depth * len));
        panels.for_each_init(Vec::new, |panel, (i, sums)| {
            b.column_panel(i * COLUMNS, panel);
            add_panel_product(a, panel, sums);
        });
        sums
    }

    /// Resizes to `rows` by `columns`, all zeros.
    pub fn set_zero(&mut self, rows: usize, columns: usize) {
        (self.rows, self.columns) = (rows, columns);
        self.values.clear();
        self.values
            .resize(self.panel_len() * columns.div_ceil(COLUMNS), 0.0);
    }

    /// Adds A × B, of the same shape.
    pub fn add_product<T: Copy + Into<f64>>(&mut self, a: &RowPanels, b: &Factor<'_, T>) {
        let len = self.panel_len();
        for (i, sums) in self.values.chunks_exact_mut(len).enumerate() {
            b.column_panel(i * COLUMNS, &mut self.panel);
            add_panel_product(a, &self.panel, sums);
        }
    }

    /// Adds A × B, of the same shape, without copies of the panels of B whose runs are contiguous.
    pub fn add_product_with_windows(&mut self, a: &RowPanels, b: &Factor<'_, f64>) {
        let len = self.panel_len();
        for (i, sums) in self.values.chunks_exact_mut(len).enumerate() {
            let columns = b.columns[i * COLUMNS..].first_chunk::<COLUMNS>();
            let runs = columns.map(|columns| columns.as_chunks::<RUN>().0);
            match runs.filter(|runs| runs.iter().all(|run| is_contiguous(run))) {
                Some(runs) => {
                    let b = InPlace {
                        values: b.values,
                        rows: b.rows,
                        runs,
                    };
                    Arch::new().dispatch(Panel { a, b, sums });
                }
                None => {
                    b.column_panel(i * COLUMNS, &mut self.panel);
                    add_panel_product(a, &self.panel, sums);
                }
            }
        }
    }

    /// Adds A × B, of the same shape, without copies of A, whose rows are contiguous in places.
    pub fn add_windows_product<T: Copy + Into<f64>>(
        &mut self,
        a: &Factor<'_, f64>,
        b: &Factor<'_, T>,
    ) {
        let len = self.panel_len();
        for (i, sums) in self.values.chunks_exact_mut(len).enumerate() {
            b.column_panel(i * COLUMNS, &mut self.panel);
            let b = &self.panel;
            Arch::new().dispatch(WindowsPanel { a, b, sums });
        }
    }

    /// Calls `done(panel, sums)` for each panel of [`COLUMNS`] columns of A × B, whose sums are row
    /// by row, and gone after it: a large product need not be kept.
    pub fn each_panel<T: Copy + Into<f64>>(
        &mut self,
        a: &RowPanels,
        b: &Factor<'_, T>,
        mut done: impl FnMut(usize, &[[f64; COLUMNS]]),
    ) {
        self.set_zero(a.rows, COLUMNS);
        for panel in 0..b.columns.len().div_ceil(COLUMNS) {
            b.column_panel(panel * COLUMNS, &mut self.panel);
            self.values.fill(0.0);
            add_panel_product(a, &self.panel, &mut self.values);
            done(panel, self.values.as_chunks().0);
        }
    }

    fn panel_len(&self) -> usize {
        self.rows.div_ceil(ROWS) * ROWS * COLUMNS
    }

    /// Row `i` in pieces of [`COLUMNS`]; the last may be shorter.
    pub fn row(&self, i: usize) -> impl Iterator<Item = &[f64]> {
        let panels = self.values.chunks_exact(self.panel_len()).enumerate();
        panels.map(move |(p, panel)| {
            let left = self.columns - p * COLUMNS;
            &panel[i * COLUMNS..][..left.min(COLUMNS)]
        })
    }

    /// Calls `finish([row, column], piece of the row from there on, its sums)` for every piece of
    /// `output`, which has the product's shape.
    pub fn each_row(
        &self,
        output: &mut [f32],
        finish: impl Fn([usize; 2], &mut [f32], &[f64]) + Sync,
    ) {
        let rows = output.par_chunks_mut(self.columns).enumerate();
        let rows = rows.with_min_len(min_task_len(ELEMENT * self.columns));
        rows.for_each(|(i, row)| {
            let columns = (0..).step_by(COLUMNS);
            vectorized(
                #[inline(always)]
                || {
                    let pieces = row.chunks_mut(COLUMNS).zip(self.row(i));
                    for ((piece, sums), first) in pieces.zip(columns) {
                        finish([i, first], piece, sums);
                    }
                },
            );
        });
    }
}

/// Rounds a piece of a row: see [`Sums::each_row`].
#[inline(always)]
pub(in crate::ops) fn round(_: [usize; 2], output: &mut [f32], sums: &[f64]) {
    for (value, &sum) in output.iter_mut().zip(sums) {
        *value = sum as f32;
    }
}

/// Adds the product of all rows of A with one panel of B.
fn add_panel_product(a: &RowPanels, b: &[f64], sums: &mut [f64]) {
    let b = Packed(b.as_chunks().0);
    Arch::new().dispatch(Panel { a, b, sums });
}

/// The rows of a panel of B.
trait Rows {
    /// Columns `i`·[`RUN`] and following of row `k`.
    fn run(&self, k: usize, i: usize) -> &[f64; RUN];
}

/// One after the other.
struct Packed<'a>(&'a [[f64; COLUMNS]]);

impl Rows for Packed<'_> {
    #[inline(always)]
    fn run(&self, k: usize, i: usize) -> &[f64; RUN] {
        &self.0[k].as_chunks().0[i]
    }
}

/// Each run at an offset of its own.
struct InPlace<'a> {
    values: &'a [f64],
    rows: &'a [usize],
    runs: &'a [[usize; RUN]],
}

impl Rows for InPlace<'_> {
    #[inline(always)]
    fn run(&self, k: usize, i: usize) -> &[f64; RUN] {
        run_at(&self.values[self.rows[k]..], &self.runs[i])
    }
}

/// The values at the offsets of a contiguous run.
#[inline(always)]
fn run_at<'a>(values: &'a [f64], run: &[usize]) -> &'a [f64; RUN] {
    &values[run[0]..].as_chunks().0[0]
}

/// The product of all rows of A with one panel of B.
struct Panel<'a, B> {
    a: &'a RowPanels,
    b: B,
    sums: &'a mut [f64],
}

impl<B: Rows> WithSimd for Panel<'_, B> {
    type Output = ();

    /// Compiled once per vector instruction set; the processor's best is used.
    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        match S::REGISTER_COUNT {
            0..32 => self.add::<S, { ROWS / 2 }>(simd),
            _ => self.add::<S, ROWS>(simd),
        }
    }
}

impl<B: Rows> Panel<'_, B> {
    /// Adds by tiles of `R` rows.
    #[inline(always)]
    fn add<S: Simd, const R: usize>(self, simd: S) {
        let Panel { a, b, sums } = self;
        let panels = a.values.chunks_exact((ROWS * a.depth).max(1));
        for (a, sums) in panels.zip(sums.chunks_exact_mut(ROWS * COLUMNS)) {
            for (part, sums) in sums.chunks_exact_mut(R * COLUMNS).enumerate() {
                for first in (0..COLUMNS).step_by(2 * S::F64_LANES) {
                    let mut tile = Tile::<S, R>::new(simd, first);
                    for (k, a) in a.as_chunks::<ROWS>().0.iter().enumerate() {
                        tile.add(&a.as_chunks().0[part], &b, k);
                    }
                    tile.add_to(sums);
                }
            }
        }
    }
}

/// The same, with rows of A that are read where they are, or copied where they are not contiguous.
struct WindowsPanel<'a> {
    a: &'a Factor<'a, f64>,
    b: &'a [f64],
    sums: &'a mut [f64],
}

impl WithSimd for WindowsPanel<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        match S::REGISTER_COUNT {
            0..32 => self.add::<S, { ROWS / 2 }>(simd),
            _ => self.add::<S, ROWS>(simd),
        }
    }
}

impl WindowsPanel<'_> {
    /// Adds by tiles of `R` rows.
    #[inline(always)]
    fn add<S: Simd, const R: usize>(self, simd: S) {
        let WindowsPanel { a, b, sums } = self;
        let b = Packed(b.as_chunks().0);
        let tiles = a.rows.chunks(R).zip(sums.chunks_exact_mut(R * COLUMNS));
        for (rows, sums) in tiles {
            // Past the last row it is repeated, into sums that are not read.
            let rows: [usize; R] = std::array::from_fn(|r| rows[r.min(rows.len() - 1)]);
            for first in (0..COLUMNS).step_by(2 * S::F64_LANES) {
                let mut tile = Tile::<S, R>::new(simd, first);
                for (i, run) in a.columns.chunks(RUN).enumerate() {
                    let mut copies = [[0.0; RUN]; R];
                    let pieces = if run.len() == RUN && is_contiguous(run) {
                        rows.map(
                            #[inline(always)]
                            |row| run_at(&a.values[row..], run),
                        )
                    } else {
                        for (copy, row) in copies.iter_mut().zip(rows) {
                            copy_run(&a.values[row..], run, false, copy.iter_mut());
                        }
                        copies.each_ref()
                    };
                    for k in 0..run.len() {
                        let a = pieces.map(
                            #[inline(always)]
                            |piece| piece[k],
                        );
                        tile.add(&a, &b, i * RUN + k);
                    }
                }
                tile.add_to(sums);
            }
        }
    }
}

/// The columns from `first` on of row `k`.
#[inline(always)]
fn vector<S: Simd>(b: &impl Rows, k: usize, first: usize) -> S::f64s {
    let run = b.run(k, first / RUN);
    S::as_simd_f64s(&run[first % RUN..][..S::F64_LANES]).0[0]
}

/// Sums of `R` rows by two vectors of columns, all in registers.
struct Tile<S: Simd, const R: usize> {
    simd: S,
    first: usize,
    sums: [[S::f64s; 2]; R],
}

impl<S: Simd, const R: usize> Tile<S, R> {
    /// Zeros, of the columns from `first` on.
    #[inline(always)]
    fn new(simd: S, first: usize) -> Self {
        let sums = [[simd.splat_f64s(0.0); 2]; R];
        Tile { simd, first, sums }
    }

    /// Adds the products of a column of A with row `k` of B.
    #[inline(always)]
    fn add(&mut self, a: &[f64; R], b: &impl Rows, k: usize) {
        let left = vector::<S>(b, k, self.first);
        let right = vector::<S>(b, k, self.first + S::F64_LANES);
        for (sums, &a) in self.sums.iter_mut().zip(a) {
            let a = self.simd.splat_f64s(a);
            sums[0] = self.simd.mul_add_e_f64s(a, left, sums[0]);
            sums[1] = self.simd.mul_add_e_f64s(a, right, sums[1]);
        }
    }

    /// Adds itself to rows of [`COLUMNS`] sums.
    #[inline(always)]
    fn add_to(self, sums: &mut [f64]) {
        for (sums, tile) in sums.as_chunks_mut::<COLUMNS>().0.iter_mut().zip(self.sums) {
            let sums = &mut sums[self.first..][..2 * S::F64_LANES];
            let (vectors, _) = S::as_mut_simd_f64s(sums);
            for (sum, tile) in vectors.iter_mut().zip(tile) {
                *sum = self.simd.add_f64s(*sum, tile);
            }
        }
    }
}
