//! Matrix products with a fused epilogue: bias and ReLU, ReLU's mask, or row sums. One definition,
//! several kernels to choose from.

pub(in crate::ops) mod choice;
pub(in crate::ops) mod kernel;
mod split;

use rayon::prelude::*;

use super::case::{Case, Random};
use super::element::{passes, tile_edges};
use super::reference::arithmetic::{Factor, min_task_len, tables};
use super::reference::sums::Sums;
use super::{
    Args, Binding, Bindings, Cost, Element, Elements, ErrorBound, Launch, Op, Split, Sum, Variant,
    WORKGROUP_SIZE, flag,
};
use kernel::{GemmKernel, KERNELS, Worker};

/// Work fused after a product.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Epilogue {
    /// No epilogue.
    Plain,
    /// Adds `bias[n]`, or with `of_rows` `bias[m]`; with `relu`, then ReLU.
    Bias {
        /// Whether the bias is per row.
        of_rows: bool,
        /// Whether ReLU follows.
        relu: bool,
    },
    /// Zero where `activated[m, n]` is not above zero: ReLU's gradient.
    ReluGradient,
    /// Also computes `row_sums[m] = Σₖ A[m, k]`: the gradient of a bias beside that of its weight.
    RowSums,
}

/// `product[n] (M, N) = epilogue(A[n] (M, K) × B[n] (K, N))` for a batch. Each factor may be stored
/// transposed, and A may be shared by the batch. The epilogue's operand is bound as `extra`; if
/// there is none, B is bound there as a placeholder.
#[derive(Debug, Clone)]
pub struct Product {
    /// Number of products.
    pub batch: usize,
    /// Rows of A and of the product.
    pub m: usize,
    /// Columns of B and of the product.
    pub n: usize,
    /// Columns of A, rows of B.
    pub k: usize,
    /// One A for the whole batch.
    pub a_shared: bool,
    /// A is stored (K, M).
    pub a_transposed: bool,
    /// B is stored (N, K).
    pub b_transposed: bool,
    /// The fused epilogue.
    pub epilogue: Epilogue,
    /// Add to the outputs instead of overwriting them; not with a bias or a mask.
    pub accumulate: bool,
    /// The kernel to use.
    pub kernel: &'static GemmKernel,
    /// Invocations per workgroup; the kernel's own choice if it does not run in workgroups of that
    /// size.
    pub workgroup: u64,
}

impl Product {
    /// The product with the kernel that fits all sizes.
    pub fn new([m, n, k]: [usize; 3], transposed: [bool; 2], epilogue: Epilogue) -> Self {
        Product {
            batch: 1,
            a_shared: false,
            m,
            n,
            k,
            a_transposed: transposed[0],
            b_transposed: transposed[1],
            epilogue,
            accumulate: false,
            kernel: KERNELS[0],
            workgroup: WORKGROUP_SIZE,
        }
    }

    fn bound(&self) -> ErrorBound {
        ErrorBound::Products { terms: self.k + 1 }
    }

    /// Multiply-adds of the kernel, those of the tiles' parts beyond the product among them.
    pub(crate) fn multiply_adds(&self) -> usize {
        let [rows, columns] = self.kernel.tile;
        let padded = self.m.next_multiple_of(rows) * self.n.next_multiple_of(columns);
        self.batch * padded * self.k
    }

    /// The product with `kernel` and workgroups of size `workgroup`; `None` if the sizes do not
    /// fit.
    pub(super) fn by(&self, kernel: &'static GemmKernel, workgroup: u64) -> Option<Self> {
        let fits = [self.m, self.n, self.k]
            .iter()
            .all(|size| size % kernel.multiple_of == 0);
        let fits = fits && self.m >= kernel.least_rows;
        fits.then(|| Product {
            kernel,
            workgroup,
            ..self.clone()
        })
    }
}

impl Op for Product {
    fn name(&self) -> &'static str {
        let [alone, with_sums] = self.kernel.entry_points;
        if self.epilogue == Epilogue::RowSums {
            with_sums
        } else {
            alone
        }
    }

    fn bindings(&self) -> Bindings {
        let (b, product) = (self.batch * self.k * self.n, self.batch * self.m * self.n);
        let a = if self.a_shared { 1 } else { self.batch } * self.m * self.k;
        let extra = match self.epilogue {
            Epilogue::Plain | Epilogue::RowSums => b,
            Epilogue::Bias { of_rows: false, .. } => self.n,
            Epilogue::Bias { of_rows: true, .. } => self.m,
            Epilogue::ReluGradient => product,
        };
        let mut bindings = Bindings::new([
            Binding::read("a", a),
            Binding::read("b", b),
            Binding::read("extra", extra),
            Binding::sum("product", product, self.accumulate),
        ]);
        if self.epilogue == Epilogue::RowSums {
            let row_sums = Binding::sum("row_sums", self.batch * self.m, self.accumulate);
            bindings.outputs.push(row_sums);
        }
        bindings
    }

    fn launch(&self) -> Launch {
        let [rows_of_tile, columns] = self.kernel.tile;
        // The arrays in workgroup memory are made for these sizes.
        let sizes = self.kernel.workgroups;
        let fits = sizes.contains(&self.workgroup);
        let workgroup = if fits { self.workgroup } else { sizes[0] };
        let tiles = self.batch * self.m.div_ceil(rows_of_tile) * self.n.div_ceil(columns);
        let invocations = match self.kernel.worker {
            Worker::Invocation => tiles,
            Worker::Workgroup => tiles * workgroup as usize,
            Worker::LaneOfRow => {
                let (in_row, rows) = match self.a_shared {
                    true => (self.batch * self.n.div_ceil(columns), 1),
                    false => (self.n.div_ceil(columns), self.batch),
                };
                rows * self.m.div_ceil(rows_of_tile) * in_row.next_multiple_of(workgroup as usize)
            }
        };
        let k = self.k as u64;
        let sums = u64::from(self.epilogue == Epilogue::RowSums);
        Launch::new(self.kernel.shader, invocations)
            .constants([
                ("BATCH", self.batch as f64),
                ("M", self.m as f64),
                ("N", self.n as f64),
                ("K", self.k as f64),
                ("A_SHARED", flag(self.a_shared)),
                ("A_TRANSPOSED", flag(self.a_transposed)),
                ("B_TRANSPOSED", flag(self.b_transposed)),
                ("BIAS", flag(matches!(self.epilogue, Epilogue::Bias { .. }))),
                (
                    "BIAS_OF_ROWS",
                    flag(matches!(
                        self.epilogue,
                        Epilogue::Bias { of_rows: true, .. }
                    )),
                ),
                ("MASKED", flag(self.epilogue == Epilogue::ReluGradient)),
                (
                    "RELU",
                    flag(matches!(self.epilogue, Epilogue::Bias { relu: true, .. })),
                ),
                ("ACCUMULATE", flag(self.accumulate)),
            ])
            .constants(self.kernel.constants.iter().copied())
            .longest_loop((self.kernel.longest_loop)(k, workgroup, sums))
            .workgroup_size(workgroup)
            .workgroup_bytes(self.kernel.workgroup_bytes)
            .subgroups(self.kernel.subgroups)
    }

    fn variants(&self) -> Vec<Variant> {
        let mut variants = Vec::new();
        for kernel in KERNELS {
            for &workgroup in kernel.workgroups {
                variants.extend(self.by(kernel, workgroup).map(|product| Variant {
                    name: format!("{}/{workgroup}", kernel.name),
                    op: Box::new(product),
                }));
            }
        }
        variants
    }

    fn choice(&self) -> Option<String> {
        Some(choice::text(self))
    }

    /// The plain product in parts, and separate ops for the epilogue.
    fn split(&self, longest: u64) -> Option<Split> {
        split::split(self, longest)
    }

    fn cost(&self) -> Cost {
        Cost::new(2 * self.batch * self.m * self.n * self.k, &self.bindings())
    }

    fn reference(&self, args: &mut Args<'_>) {
        let (a, b, extra) = (args.input(0), args.input(1), args.input(2));
        let [a_rows, a_columns] = tables([self.m, self.k], self.a_transposed);
        let [b_rows, b_columns] = tables([self.k, self.n], self.b_transposed);
        let a = |batch: usize| {
            let at = if self.a_shared {
                0
            } else {
                batch * self.m * self.k
            };
            Factor {
                values: &a[at..],
                rows: &a_rows,
                columns: &a_columns,
            }
        };
        let before = |value: f32| {
            if self.accumulate {
                f64::from(value)
            } else {
                0.0
            }
        };
        let len = self.m * self.n;
        let products = args.output().par_chunks_mut(len).enumerate();
        let products = products.with_min_len(min_task_len(len * self.k));
        products.for_each(|(batch, product)| {
            let b = Factor {
                values: &b[batch * self.k * self.n..],
                rows: &b_rows,
                columns: &b_columns,
            };
            let sums = Sums::of_product(&a(batch).row_panels(), &b);
            sums.each_row(product, |[m, n], product, sums| {
                let values = product.iter_mut().zip(sums);
                match self.epilogue {
                    Epilogue::Plain | Epilogue::RowSums => {
                        for (product, sum) in values {
                            *product = (before(*product) + sum) as f32;
                        }
                    }
                    Epilogue::Bias { of_rows, relu } => {
                        for (at, (product, sum)) in (n..).zip(values) {
                            let biased = sum + f64::from(extra[if of_rows { m } else { at }]);
                            let counts = !relu || passes(biased);
                            *product = if counts { biased as f32 } else { 0.0 };
                        }
                    }
                    Epilogue::ReluGradient => {
                        let activated = &extra[(batch * self.m + m) * self.n + n..];
                        for ((product, sum), &activated) in values.zip(activated) {
                            let counts = passes(activated.into());
                            *product = if counts { *sum as f32 } else { 0.0 };
                        }
                    }
                }
            });
        });
        if self.epilogue == Epilogue::RowSums {
            let sums: &mut [f32] = bytemuck::cast_slice_mut(args.outputs[1]);
            for (batch, sums) in sums.chunks_mut(self.m).enumerate() {
                for (sum, total) in sums.iter_mut().zip(a(batch).row_sums()) {
                    *sum = (before(*sum) + total) as f32;
                }
            }
        }
    }

    fn element(&self, args: &Elements<'_>, output: usize, index: usize) -> Element {
        let batch_of_a = |batch: usize| if self.a_shared { 0 } else { batch };
        let a_at = |batch: usize, m: usize, k: usize| {
            let at = if self.a_transposed {
                k * self.m + m
            } else {
                m * self.k + k
            };
            args.float(0, batch_of_a(batch) * self.m * self.k + at)
        };
        let mut sum = Sum::default();
        if self.accumulate {
            sum.add(args.before(output, index));
        }
        if output == 1 {
            let (batch, m) = (index / self.m, index % self.m);
            (0..self.k).for_each(|k| sum.add(a_at(batch, m, k)));
            return sum.within(&ErrorBound::Sum { terms: self.k + 1 });
        }
        let (m, n, batch) = (
            index / self.n % self.m,
            index % self.n,
            index / (self.m * self.n),
        );
        for k in 0..self.k {
            let at = if self.b_transposed {
                n * self.k + k
            } else {
                k * self.n + n
            };
            sum.add_product(
                a_at(batch, m, k),
                args.float(1, batch * self.k * self.n + at),
            );
        }
        if let Epilogue::Bias { of_rows, .. } = self.epilogue {
            sum.add(args.float(2, if of_rows { m } else { n }));
        }
        let gate = match self.epilogue {
            Epilogue::Bias { relu: true, .. } => return sum.rectified(&self.bound()),
            Epilogue::ReluGradient => args.float(2, index),
            _ => 1.0,
        };
        if passes(gate) {
            sum.within(&self.bound())
        } else {
            Element::Word(0)
        }
    }

    fn tile_edges(&self, output: usize) -> Vec<usize> {
        let columns = if output == 0 { self.n } else { 1 };
        tile_edges(self.batch, [self.m, columns], self.kernel.tile)
    }

    /// The bias is one more product, by one; ReLU and the mask add no error.
    fn error_bounds(&self, _: &Args<'_>) -> Vec<ErrorBound> {
        let mut bounds = vec![self.bound()];
        if self.epilogue == Epilogue::RowSums {
            bounds.push(ErrorBound::Sum { terms: self.k + 1 });
        }
        bounds
    }
}

/// Cases of one kernel, with every epilogue.
pub(super) fn cases_of(kernel: &'static GemmKernel, random: &mut Random) -> Vec<Case> {
    let epilogues = [
        Epilogue::Plain,
        Epilogue::Bias {
            of_rows: true,
            relu: false,
        },
        Epilogue::Bias {
            of_rows: false,
            relu: true,
        },
        Epilogue::ReluGradient,
        Epilogue::RowSums,
    ];
    let step = kernel.multiple_of;
    let mut size = |largest: usize| (random.size(largest.div_ceil(step))) * step;
    let [rows, columns] = kernel.tile.map(|extent| extent + extent / 10);
    let sizes = [size(rows.max(70)), size(columns.max(37)), size(70)];
    let cases = epilogues.map(|epilogue| {
        let workgroup = match kernel.workgroups {
            &[only] => only,
            sizes => sizes[random.below(sizes.len())],
        };
        let product = Product {
            kernel,
            workgroup,
            batch: random.size(3),
            a_shared: random.flag(),
            accumulate: matches!(epilogue, Epilogue::Plain | Epilogue::RowSums) && random.flag(),
            ..Product::new(sizes, [random.flag(), random.flag()], epilogue)
        };
        Case::of_floats(product, random)
    });
    cases.into()
}
