//! Matrix multiplication: batched, with each factor optionally transposed, shared by the batch or
//! repeated along it, and with the inner dimension split into partial products.

use rayon::prelude::*;

use super::case::{Aside, Case, Random, Read};
use super::element::tile_edges;
use super::reference::arithmetic::{Factor, min_task_len, tables};
use super::reference::sums::Sums;
use super::{
    Args, Binding, Bindings, Cost, Element, Elements, ErrorBound, Launch, Op, Prelude, ReduceSum,
    Shader, Slot, Split, Sum, flag, nested_loops,
};

pub(super) const SHADER: Shader = Shader::new(
    &[Prelude::Invocation],
    include_str!("../../shaders/gemm.wgsl"),
);

/// The rows and columns of the product that one invocation computes; the same as in the shader.
const TILE_M: usize = 4;
const TILE_N: usize = 4;

/// The layout of a factor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Operand {
    /// Stored as its transpose.
    pub transposed: bool,
    /// The number of matrices: member `i` of the batch uses number `i mod matrices`. With 1 it is
    /// the same for the whole batch; `None` is one per member.
    pub matrices: Option<usize>,
}

impl Operand {
    /// Stored as used, one per member of the batch.
    pub const PLAIN: Operand = Operand {
        transposed: false,
        matrices: None,
    };
    /// Stored transposed, one per member of the batch.
    pub const TRANSPOSED: Operand = Operand {
        transposed: true,
        matrices: None,
    };

    /// The same layout, one matrix for the whole batch.
    pub const fn shared(self) -> Operand {
        self.repeated(1)
    }

    /// The same layout, `matrices` matrices that the batch repeats.
    pub const fn repeated(self, matrices: usize) -> Operand {
        Operand {
            matrices: Some(matrices),
            ..self
        }
    }

    /// The layout under which the same memory is the transposed factor.
    const fn flipped(self) -> Operand {
        Operand {
            transposed: !self.transposed,
            ..self
        }
    }

    /// Strides `[row, column]` of this factor, used as (rows, columns).
    fn strides(self, rows: usize, columns: usize) -> [usize; 2] {
        if self.transposed {
            [1, rows]
        } else {
            [columns, 1]
        }
    }

    /// The matrix of a member of the batch.
    fn matrix_of(self, member: usize) -> usize {
        self.matrices.map_or(member, |matrices| member % matrices)
    }
}

/// `product[n, s] (+)= A[n] (M, Kₛ) × B[n] (Kₛ, N)`, where `Kₛ` is part `s` of the inner dimension.
///
/// With `split_k` above one the product has that many partial sums per member of the batch, and
/// [`ReduceSum`](super::ReduceSum) adds them in a fixed order.
#[derive(Debug, Clone)]
pub struct Gemm {
    /// Number of products.
    pub batch: usize,
    /// Rows of A and of the product.
    pub m: usize,
    /// Columns of B and of the product.
    pub n: usize,
    /// Columns of A, rows of B.
    pub k: usize,
    /// The layout of A.
    pub a: Operand,
    /// The layout of B.
    pub b: Operand,
    /// Number of parts into which K is cut, each a partial product.
    pub split_k: usize,
    /// Add to the product instead of overwriting it.
    pub accumulate: bool,
}

impl Gemm {
    /// `product[n] = A[n] (m, k) × B[n] (k, n)` for each of `batch`, whole and overwriting; the
    /// sizes are `[m, n, k]`.
    pub fn new(batch: usize, [m, n, k]: [usize; 3], a: Operand, b: Operand) -> Self {
        Gemm {
            batch,
            m,
            n,
            k,
            a,
            b,
            split_k: 1,
            accumulate: false,
        }
    }

    fn part_len(&self) -> usize {
        self.k.div_ceil(self.split_k)
    }

    fn bound(&self) -> ErrorBound {
        let terms = self.part_len() + 1;
        ErrorBound::Products { terms }
    }

    fn matrices(&self, operand: Operand) -> usize {
        operand.matrices.unwrap_or(self.batch)
    }
}

impl Op for Gemm {
    fn name(&self) -> &'static str {
        "gemm"
    }

    fn bindings(&self) -> Bindings {
        let product = self.batch * self.split_k * self.m * self.n;
        Bindings::new([
            Binding::read("a", self.matrices(self.a) * self.m * self.k),
            Binding::read("b", self.matrices(self.b) * self.k * self.n),
            Binding::sum("product", product, self.accumulate),
        ])
    }

    fn launch(&self) -> Launch {
        let [a_row, a_column] = self.a.strides(self.m, self.k);
        let [b_row, b_column] = self.b.strides(self.k, self.n);
        let sizes = [
            ("BATCH", self.batch),
            ("M", self.m),
            ("N", self.n),
            ("K", self.k),
            ("SPLIT_K", self.split_k),
            ("A_MATRICES", self.matrices(self.a)),
            ("A_ROW", a_row),
            ("A_COLUMN", a_column),
            ("B_MATRICES", self.matrices(self.b)),
            ("B_ROW", b_row),
            ("B_COLUMN", b_column),
        ];
        let tiles = self.m.div_ceil(TILE_M) * self.n.div_ceil(TILE_N);
        Launch::new(SHADER, self.batch * self.split_k * tiles)
            .constants(sizes.map(|(name, value)| (name, value as f64)))
            .constants([("ACCUMULATE", flag(self.accumulate))])
            .longest_loop(nested_loops(&[self.part_len()]))
    }

    /// Partial products, and their sum.
    fn split(&self, longest: u64) -> Option<Split> {
        // The last iteration of a loop only finds its end.
        let parts = (self.k as u64).div_ceil(longest.max(2) - 1) as usize;
        if self.split_k > 1 || parts < 2 {
            return None;
        }
        let mut split = Split::new();
        let len = self.m * self.n;
        let partial = split.scratch(self.batch * parts * len);
        let by_part = Gemm {
            split_k: parts,
            accumulate: false,
            ..self.clone()
        };
        let sum = ReduceSum {
            accumulate: self.accumulate,
            ..ReduceSum::of_groups(self.batch, parts, len)
        };
        split.step(by_part, &[Slot::Input(0), Slot::Input(1)], &[partial]);
        split.step(sum, &[partial], &[Slot::Output(0)]);
        Some(split)
    }

    fn cost(&self) -> Cost {
        let products = [self.batch, self.m, self.n, self.k];
        let products = products
            .iter()
            .fold(1u64, |all, &size| all.saturating_mul(size as u64));
        Cost {
            flop: products.saturating_mul(2),
            ..Cost::new(0, &self.bindings())
        }
    }

    fn reference(&self, args: &mut Args<'_>) {
        let (a, b) = (args.input(0), args.input(1));
        let [a_rows, a_columns] = tables([self.m, self.k], self.a.transposed);
        let [b_rows, b_columns] = tables([self.k, self.n], self.b.transposed);
        let len = self.m * self.n;
        let products = args.output().par_chunks_mut(len).enumerate();
        let products = products.with_min_len(min_task_len(len * self.part_len()));
        products.for_each(|(part, product)| {
            let (batch, split) = (part / self.split_k, part % self.split_k);
            let begin = (split * self.part_len()).min(self.k);
            let end = (begin + self.part_len()).min(self.k);
            let a = Factor {
                values: &a[self.a.matrix_of(batch) * self.m * self.k..],
                rows: &a_rows,
                columns: &a_columns[begin..end],
            };
            let b = Factor {
                values: &b[self.b.matrix_of(batch) * self.k * self.n..],
                rows: &b_rows[begin..end],
                columns: &b_columns,
            };
            let sums = Sums::of_product(&a.row_panels(), &b);
            sums.each_row(product, |_, product, sums| {
                for (product, sum) in product.iter_mut().zip(sums) {
                    let before = if self.accumulate {
                        f64::from(*product)
                    } else {
                        0.0
                    };
                    *product = (before + sum) as f32;
                }
            });
        });
    }

    fn element(&self, args: &Elements<'_>, _: usize, index: usize) -> Element {
        let [a_row, a_column] = self.a.strides(self.m, self.k);
        let [b_row, b_column] = self.b.strides(self.k, self.n);
        let (m, n, part) = (
            index / self.n % self.m,
            index % self.n,
            index / (self.m * self.n),
        );
        let (batch, begin) = (part / self.split_k, part % self.split_k * self.part_len());
        let mut sum = Sum::default();
        if self.accumulate {
            sum.add(args.before(0, index));
        }
        let a_first = self.a.matrix_of(batch) * self.m * self.k + m * a_row;
        let b_first = self.b.matrix_of(batch) * self.k * self.n + n * b_column;
        for k in begin..(begin + self.part_len()).min(self.k) {
            let a = args.float(0, a_first + k * a_column);
            sum.add_product(a, args.float(1, b_first + k * b_row));
        }
        sum.within(&self.bound())
    }

    fn tile_edges(&self, _: usize) -> Vec<usize> {
        tile_edges(
            self.batch * self.split_k,
            [self.m, self.n],
            [TILE_M, TILE_N],
        )
    }

    fn error_bounds(&self, _: &Args<'_>) -> Vec<ErrorBound> {
        vec![self.bound()]
    }
}

pub(super) fn cases(random: &mut Random) -> Vec<Case> {
    random.with_asides(&[Aside::Repeated], draw)
}

fn draw(random: &mut Random) -> Vec<Case> {
    let operand = |random: &mut Random| Operand {
        transposed: random.flag(),
        matrices: match random.is_aside(Aside::Repeated) {
            true => Some(random.size(4)),
            false => (random.below(5) == 0).then_some(1),
        },
    };
    let gemm = Gemm {
        batch: random.size(4),
        m: random.size(19),
        n: random.size(19),
        k: random.size(40),
        a: operand(random),
        b: operand(random),
        split_k: [1, 1, 1, 2, 5][random.below(5)],
        accumulate: random.below(5) == 0,
    };
    let own = |operand: Operand| Operand {
        matrices: None,
        ..operand
    };
    // The gradient of a repeated factor is a sum over the batch, that of a split product a sum over
    // its parts: more than one op.
    let plain = Gemm {
        a: own(gemm.a),
        b: own(gemm.b),
        split_k: 1,
        accumulate: false,
        ..gemm.clone()
    };
    let ((by_a, a_reads), (by_b, b_reads)) = (plain.gradient_of_a(), plain.gradient_of_b());
    let plain = Case::of_floats(plain, random);
    vec![
        Case::of_floats(gemm, random),
        plain
            .with_gradient(0, by_a, &a_reads)
            .with_gradient(1, by_b, &b_reads),
    ]
}

impl Gemm {
    /// `dA = dC × Bᵀ`, or `dAᵀ = B × dCᵀ` if A is stored transposed.
    fn gradient_of_a(&self) -> (Gemm, [Read; 2]) {
        let (m, n, k) = (self.m, self.n, self.k);
        if self.a.transposed {
            let op = self.product_of([k, m, n], self.b, Operand::TRANSPOSED);
            (op, [Read::Input(1), Read::OutputGradient])
        } else {
            let op = self.product_of([m, k, n], Operand::PLAIN, self.b.flipped());
            (op, [Read::OutputGradient, Read::Input(1)])
        }
    }

    /// `dB = Aᵀ × dC`, or `dBᵀ = dCᵀ × A` if B is stored transposed.
    fn gradient_of_b(&self) -> (Gemm, [Read; 2]) {
        let (m, n, k) = (self.m, self.n, self.k);
        if self.b.transposed {
            let op = self.product_of([n, k, m], Operand::TRANSPOSED, self.a);
            (op, [Read::OutputGradient, Read::Input(0)])
        } else {
            let op = self.product_of([k, n, m], self.a.flipped(), Operand::PLAIN);
            (op, [Read::Input(0), Read::OutputGradient])
        }
    }

    fn product_of(&self, [m, n, k]: [usize; 3], a: Operand, b: Operand) -> Gemm {
        Gemm {
            m,
            n,
            k,
            a,
            b,
            ..self.clone()
        }
    }
}
