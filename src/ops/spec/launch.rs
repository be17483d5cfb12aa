//! How an op's kernel is started.

use crate::ops::Shader;

/// Invocations per workgroup, unless an op says otherwise.
pub const WORKGROUP_SIZE: u64 = 64;

/// A kernel and how to start it: its entry point has the op's name.
#[derive(Debug, Clone, PartialEq)]
pub struct Launch {
    /// The WGSL that holds the entry point.
    pub shader: Shader,
    /// The values of the kernel's `override` constants, except `WORKGROUP_SIZE`.
    pub constants: Vec<(&'static str, f64)>,
    /// The number of invocations; the executor rounds up to whole workgroups.
    pub invocations: u64,
    /// Invocations per workgroup.
    pub workgroup_size: u64,
    /// Loop iterations of the longest invocation: the total over all its loops, nested ones each
    /// time they run, including the last iteration, which only finds the end ([`nested_loops`]).
    /// Drivers cut loops short, so it must not be too low.
    pub longest_loop: u64,
    /// Bytes of workgroup memory, where they may exceed the 16 KiB that every adapter has.
    pub workgroup_bytes: u64,
    /// Whether it needs an adapter with subgroups.
    pub needs_subgroups: bool,
}

impl Launch {
    /// `invocations` of a kernel without constants and loops, in workgroups of [`WORKGROUP_SIZE`].
    pub fn new(shader: Shader, invocations: usize) -> Self {
        Launch {
            shader,
            constants: Vec::new(),
            invocations: invocations as u64,
            workgroup_size: WORKGROUP_SIZE,
            longest_loop: 0,
            workgroup_bytes: 0,
            needs_subgroups: false,
        }
    }

    /// As [`Launch::new`], by `workgroups` whole workgroups.
    pub fn of_workgroups(shader: Shader, workgroups: usize) -> Self {
        Launch::new(shader, workgroups * WORKGROUP_SIZE as usize)
    }

    /// With the values of `override` constants, besides those it has.
    #[must_use]
    pub fn constants(mut self, constants: impl IntoIterator<Item = (&'static str, f64)>) -> Self {
        self.constants.extend(constants);
        self
    }

    /// With loops: [`Launch::longest_loop`].
    #[must_use]
    pub fn longest_loop(self, longest_loop: u64) -> Self {
        Launch {
            longest_loop,
            ..self
        }
    }

    /// In workgroups of another size.
    #[must_use]
    pub fn workgroup_size(self, workgroup_size: u64) -> Self {
        Launch {
            workgroup_size,
            ..self
        }
    }

    /// With that much workgroup memory.
    #[must_use]
    pub fn workgroup_bytes(self, workgroup_bytes: u64) -> Self {
        Launch {
            workgroup_bytes,
            ..self
        }
    }

    /// By a kernel that needs subgroups, if `needs_subgroups`.
    #[must_use]
    pub fn subgroups(self, needs_subgroups: bool) -> Self {
        Launch {
            needs_subgroups,
            ..self
        }
    }

    /// The number of workgroups.
    pub fn workgroups(&self) -> u64 {
        self.invocations.div_ceil(self.workgroup_size)
    }
}

/// The total iterations of nested loops, given the count of each, outermost first. Each run of a
/// loop takes one more iteration to find its end.
pub fn nested_loops(rounds: &[usize]) -> u64 {
    let mut within = 0;
    for &rounds in rounds.iter().rev() {
        let rounds = rounds as u64;
        within = rounds
            .saturating_mul(1u64.saturating_add(within))
            .saturating_add(1);
    }
    within
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_run_of_a_loop_takes_a_round_to_find_its_end() {
        assert_eq!(nested_loops(&[]), 0);
        assert_eq!(nested_loops(&[5]), 6);
        assert_eq!(nested_loops(&[3, 5]), 4 + 3 * 6);
        assert_eq!(nested_loops(&[2, 3, 5]), 3 + 2 * (4 + 3 * 6));
    }
}
