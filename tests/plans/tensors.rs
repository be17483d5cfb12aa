//! Ops on tensors that do not fit them are refused by name.

use wgrad::ops::{Add, CrossEntropy, ReluForward};
use wgrad::plan::{Builder, Element, Phase, Role};

#[test]
fn tensors_that_do_not_fit_an_op_are_refused() {
    let mut plan = Builder::new(false);
    let mut tensor = |name: &str, len: usize, element: Element| {
        plan.tensor(name, [len], element, Role::Input).unwrap()
    };
    let [a, b, c] = ["a", "b", "c"].map(|name| tensor(name, 6, Element::F32));
    let (long, rows) = (
        tensor("long", 7, Element::F32),
        tensor("rows", 2, Element::F32),
    );
    let labels = tensor("labels", 2, Element::U32);
    let logits_loss = CrossEntropy {
        rows: 2,
        classes: 3,
    };
    let mut refused = |op: &dyn wgrad::ops::Op, inputs: &[_], outputs: &[_]| {
        let added = plan.boxed_op(Phase::Forward, op.boxed(), inputs, outputs);
        added.unwrap_err().to_string()
    };
    assert_eq!(
        refused(&ReluForward { len: 6 }, &[a, b], &[c]),
        r#"relu_forward: expected ["input", "output"], got 2 inputs and 1 outputs"#
    );
    assert_eq!(
        refused(&ReluForward { len: 6 }, &[long], &[c]),
        "relu_forward: expected `input` of 6 words, got long (7) of 7 words"
    );
    assert_eq!(
        refused(&logits_loss, &[a, rows], &[rows, b]),
        "cross_entropy: expected `labels` of whole numbers, got rows of F32"
    );
    assert_eq!(
        refused(&logits_loss, &[a, labels], &[labels, b]),
        "cross_entropy: expected `row_loss` of floats, got labels of U32"
    );
    assert_eq!(
        refused(
            &Add {
                len: 6,
                relu: false
            },
            &[a, b],
            &[a]
        ),
        "add: expected outputs in memory of their own, got a and a in one buffer"
    );
}
