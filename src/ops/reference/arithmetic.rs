//! Arithmetic of the references: matrix products in f64, and the division of work among threads.
//!
//! A product of two f32 is exact in f64, so a fused multiply-add gives the same bits as a product
//! and a sum; and each sum runs over k in ascending order. So the result does not depend on the
//! processor.

use pulp::Arch;

/// Rows of a panel: with two vectors of columns, sixteen accumulators of the 32 registers of AVX-512;
/// half of the rows at a time where there are sixteen registers.
pub(super) const ROWS: usize = 8;

/// Columns of a panel: two vectors of AVX-512, so a whole number of tiles for every shorter vector.
pub(in crate::ops) const COLUMNS: usize = 16;

/// Columns that are read or written at once where they lie next to each other.
pub(in crate::ops) const RUN: usize = 8;

/// Whether offsets lie next to each other.
#[inline(always)]
pub(in crate::ops) fn is_contiguous(offsets: &[usize]) -> bool {
    let expected = offsets.first().copied().unwrap_or(0)..;
    let pairs = offsets.iter().zip(expected);
    pairs.fold(true, |all, (&offset, expected)| all & (offset == expected))
}

/// Runs `f`, compiled once per vector instruction set: the processor's best is used. No set fuses a
/// product and a sum unless it is told to, so all give the same bits. Only what is inlined into `f`
/// is compiled so.
pub(in crate::ops) fn vectorized<R>(f: impl FnOnce() -> R) -> R {
    Arch::new().dispatch(f)
}

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
            let mut partial = [0.0; RUN];
            for run in self.columns.chunks(RUN) {
                let mut terms = [0.0; RUN];
                copy_run(
                    &self.values[row..],
                    run,
                    is_contiguous(run),
                    terms.iter_mut(),
                );
                for (sum, term) in partial.iter_mut().zip(terms) {
                    *sum += term;
                }
            }
            partial.iter().sum()
        };
        self.rows.iter().map(sum)
    }

    /// As a left factor: panels of [`ROWS`] rows, column by column, with zeros below the last row.
    pub fn row_panels(&self) -> RowPanels {
        let depth = self.columns.len();
        let mut packed = RowPanels {
            rows: self.rows.len(),
            depth,
            values: vec![0.0; self.rows.len().div_ceil(ROWS) * ROWS * depth],
        };
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
        packed
    }

    /// As a right factor: the panel of [`COLUMNS`] columns from `first` on, row by row. Columns
    /// past the last repeat another; their sums are not read.
    pub(super) fn column_panel(&self, first: usize, panel: &mut Vec<f64>) {
        vectorized(
            #[inline(always)]
            || self.pack_columns(first, panel),
        );
    }

    #[inline(always)]
    fn pack_columns(&self, first: usize, panel: &mut Vec<f64>) {
        let mut columns = [0; COLUMNS];
        let real = &self.columns[first..self.columns.len().min(first + COLUMNS)];
        columns[..real.len()].copy_from_slice(real);
        panel.resize(self.rows.len() * COLUMNS, 0.0);
        let packed = panel.as_chunks_mut::<COLUMNS>().0;
        let (runs, _) = columns.as_chunks::<RUN>();
        if runs.iter().any(|run| is_contiguous(run)) {
            for (i, run) in runs.iter().enumerate() {
                let contiguous = is_contiguous(run);
                for (&row, packed) in self.rows.iter().zip(packed.iter_mut()) {
                    let packed = packed[i * RUN..][..RUN].iter_mut();
                    copy_run(&self.values[row..], run, contiguous, packed);
                }
            }
        } else {
            for (run, packed) in self.rows.chunks(RUN).zip(packed.chunks_mut(RUN)) {
                let contiguous = is_contiguous(run);
                for (i, &column) in columns.iter().enumerate() {
                    let packed = packed.iter_mut().map(|row| &mut row[i]);
                    copy_run(&self.values[column..], run, contiguous, packed);
                }
            }
        }
    }
}

/// Copies the values at the offsets of a run.
#[inline(always)]
pub(super) fn copy_run<'a, T: Copy + Into<f64>>(
    values: &[T],
    run: &[usize],
    contiguous: bool,
    copies: impl Iterator<Item = &'a mut f64>,
) {
    if contiguous && run.len() == RUN {
        for (copy, &value) in copies.zip(&values[run[0]..][..RUN]) {
            *copy = value.into();
        }
    } else {
        for (copy, &at) in copies.zip(run) {
            *copy = values[at].into();
        }
    }
}

/// A left factor, packed.
#[derive(Debug)]
pub(in crate::ops) struct RowPanels {
    pub(super) rows: usize,
    pub(super) depth: usize,
    pub(super) values: Vec<f64>,
}
