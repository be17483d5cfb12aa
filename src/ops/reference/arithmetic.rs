//! Arithmetic of the references: matrix products in f64, and the division of work among threads.
//!
//! A product of two f32 is exact in f64, so a fused multiply-add gives the same bits as a product
//! and a sum; and each sum runs over k in ascending order. So the result does not depend on the
//! processor.

use pulp::{Arch, Simd, WithSimd};
use rayon::prelude::*;

/// Rows of a tile: with two vectors of columns, twelve accumulators and their operands fill the
/// sixteen registers of AVX2.
const ROWS: usize = 6;

/// Columns of a panel: two vectors of AVX-512, so a whole number of tiles for every shorter vector.
pub(in crate::ops) const COLUMNS: usize = 16;

/// Multiply-adds that justify a separate task: waking a thread costs some microseconds.
const TASK: usize = 1 << 18;

/// The minimum number of items per task, for items of `work` multiply-adds each.
pub(in crate::ops) fn min_task_len(work: usize) -> usize {
    TASK.div_ceil(work.max(1))
}

/// The multiply-adds that take as long as reading one element from memory and writing one.
pub(in crate::ops) const ELEMENT: usize = 32;

/// A matrix indexed through two tables: its element (i, j) is `values[rows[i] + columns[j]]`. It
/// can be a matrix, its transpose, or the unrolled windows of an image.
#[derive(Debug, Clone, Copy)]
pub(in crate::ops) struct Factor<'a, T> {
    /// The array that the tables index.
    pub values: &'a [T],
    /// The offset of each row.
    pub rows: &'a [usize],
    /// The offset of each column within a row.
    pub columns: &'a [usize],
}

/// The tables of a matrix of `rows` by `columns`, stored as is or as its transpose.
pub(in crate::ops) fn tables([rows, columns]: [usize; 2], transposed: bool) -> [Vec<usize>; 2] {
    let [row, column] = if transposed { [1, rows] } else { [columns, 1] };
    [(rows, row), (columns, column)].map(|(len, step)| (0..len).map(|i| i * step).collect())
}

impl<T: Copy + Into<f64>> Factor<'_, T> {
    /// The transpose.
    pub fn transposed(self) -> Self {
        Factor {
            rows: self.columns,
            columns: self.rows,
            ..self
        }
    }

    /// The sum of each row.
    pub fn row_sums(&self) -> impl Iterator<Item = f64> {
        let sum = |&row: &usize| {
            self.columns
                .iter()
                .map(|at| self.values[row + at].into())
                .sum()
        };
        self.rows.iter().map(sum)
    }

    /// As a left factor: panels of [`ROWS`] rows, column by column, with zeros below the last row.
    pub fn row_panels(&self) -> RowPanels {
        let mut packed = RowPanels::default();
        self.row_panels_into(&mut packed);
        packed
    }

    /// Writes [`Factor::row_panels`] into `packed`, reusing its memory.
    pub fn row_panels_into(&self, packed: &mut RowPanels) {
        let depth = self.columns.len();
        (packed.rows, packed.depth) = (self.rows.len(), depth);
        packed.values.clear();
        packed
            .values
            .resize(self.rows.len().div_ceil(ROWS) * ROWS * depth, 0.0);
        let panels = packed.values.chunks_exact_mut((ROWS * depth).max(1));
        for (rows, panel) in self.rows.chunks(ROWS).zip(panels) {
            let (panel, _) = panel.as_chunks_mut::<ROWS>();
            for (r, &row) in rows.iter().enumerate() {
                let row = &self.values[row..];
                for (column, &at) in panel.iter_mut().zip(self.columns) {
                    column[r] = row[at].into();
                }
            }
        }
    }

    /// As a right factor: the panel of [`COLUMNS`] columns from `first` on, row by row. Columns
    /// past the last repeat another; their sums are not read.
    fn column_panel(&self, first: usize, panel: &mut Vec<f64>) {
        let mut columns = [0; COLUMNS];
        let real = &self.columns[first..self.columns.len().min(first + COLUMNS)];
        columns[..real.len()].copy_from_slice(real);
        let contiguous = columns.windows(2).all(|pair| pair[0] + 1 == pair[1]);
        panel.clear();
        panel.resize(self.rows.len() * COLUMNS, 0.0);
        for (&row, packed) in self.rows.iter().zip(panel.as_chunks_mut::<COLUMNS>().0) {
            if contiguous {
                let values = &self.values[row + columns[0]..][..COLUMNS];
                for (packed, &value) in packed.iter_mut().zip(values) {
                    *packed = value.into();
                }
            } else {
                let values = &self.values[row..];
                for (packed, &column) in packed.iter_mut().zip(&columns) {
                    *packed = values[column].into();
                }
            }
        }
    }
}

/// A left factor, packed.
#[derive(Debug, Default)]
pub(in crate::ops) struct RowPanels {
    rows: usize,
    depth: usize,
    values: Vec<f64>,
}

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
            for ((piece, sums), first) in row.chunks_mut(COLUMNS).zip(self.row(i)).zip(columns) {
                finish([i, first], piece, sums);
            }
        });
    }
}

/// Adds the product of all rows of A with one panel of B.
fn add_panel_product(a: &RowPanels, b: &[f64], sums: &mut [f64]) {
    if a.depth > 0 {
        Arch::new().dispatch(PanelProduct { a, b, sums });
    }
}

struct PanelProduct<'a> {
    a: &'a RowPanels,
    b: &'a [f64],
    sums: &'a mut [f64],
}

impl WithSimd for PanelProduct<'_> {
    type Output = ();

    /// Compiled once per vector instruction set; the processor's best is used.
    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let PanelProduct { a, b, sums } = self;
        let panels = a.values.chunks_exact(ROWS * a.depth);
        for (a, sums) in panels.zip(sums.chunks_exact_mut(ROWS * COLUMNS)) {
            for first in (0..COLUMNS).step_by(2 * S::F64_LANES) {
                add_tile_product(simd, a, b, sums, first);
            }
        }
    }
}

/// Adds a tile: [`ROWS`] rows by two vectors of columns from `first` on, all in registers.
#[inline(always)]
fn add_tile_product<S: Simd>(simd: S, a: &[f64], b: &[f64], sums: &mut [f64], first: usize) {
    let columns = first..first + 2 * S::F64_LANES;
    let mut tile = [[simd.splat_f64s(0.0); 2]; ROWS];
    let (a, b) = (a.as_chunks::<ROWS>().0, b.as_chunks::<COLUMNS>().0);
    for (a, b) in a.iter().zip(b) {
        let (&[left, right], _) = S::as_simd_f64s(&b[columns.clone()]) else {
            return;
        };
        for (sums, &a) in tile.iter_mut().zip(a) {
            let a = simd.splat_f64s(a);
            sums[0] = simd.mul_add_e_f64s(a, left, sums[0]);
            sums[1] = simd.mul_add_e_f64s(a, right, sums[1]);
        }
    }
    for (sums, tile) in sums.as_chunks_mut::<COLUMNS>().0.iter_mut().zip(tile) {
        let (vectors, _) = S::as_mut_simd_f64s(&mut sums[columns.clone()]);
        for (sum, tile) in vectors.iter_mut().zip(tile) {
            *sum = simd.add_f64s(*sum, tile);
        }
    }
}
