//! Faults planted in the random changes of images, the mixing of classes, and normalisation.

use wgrad::ops::{Augment, Changes, MixLabels, Normalize, Op};

/// The change to the kernel, the op, the text and its replacement.
type Planted = (&'static str, Box<dyn Op>, &'static str, &'static str);

pub fn mutants() -> Vec<Planted> {
    let augment = || -> Box<dyn Op> {
        Box::new(Augment {
            rows: 70,
            channels: 2,
            plane: (5, 7).into(),
            samples: 70,
            changes: Changes {
                flip: true,
                shift: (1, 2).into(),
                rotation: 1 << 13,
                zoom: [3000, 5000],
                contrast: [700, 1400],
                brightness: 50 << 6,
                cutout: 2,
                fill: 9,
            },
        })
    };
    let mix = || -> Box<dyn Op> {
        Box::new(MixLabels {
            rows: 70,
            classes: 5,
            samples: 70,
        })
    };
    let normalize = || -> Box<dyn Op> {
        Box::new(Normalize {
            rows: 3,
            channels: 4,
            area: 5,
        })
    };
    let faults = [
        (
            "no image flipped",
            "(place.x >> 31u) == 1u",
            "(place.x >> 31u) == 2u",
        ),
        (
            "sine reversed",
            "return vec2<i32>(sine, cosine)",
            "return vec2<i32>(-sine, cosine)",
        ),
        (
            "a term of cosine lost",
            "square / 2 + fourth / 24",
            "square / 2",
        ),
        (
            "zoom inverted",
            "sine_and_cosine(around_zero(place.w, ROTATION)) * zoom",
            "sine_and_cosine(around_zero(place.w, ROTATION)) * (8192 - zoom)",
        ),
        (
            "shifts to one side",
            "return i32(below(word, 2u * most + 1u)) - i32(most)",
            "return i32(below(word, 2u * most + 1u))",
        ),
        (
            "height and width of shifts swapped",
            "around_zero(place.z, SHIFT_W), around_zero(place.y, SHIFT_H)",
            "around_zero(place.z, SHIFT_H), around_zero(place.y, SHIFT_W)",
        ),
        (
            "the nearest pixel alone",
            "level(first, pixel.x + 1, pixel.y) * part.x",
            "level(first, pixel.x, pixel.y) * part.x",
        ),
        (
            "black outside",
            "        return FILL;\n",
            "        return 0u;\n",
        ),
        (
            "nothing cut out",
            "if change.is_cut {",
            "if false && change.is_cut {",
        ),
        (
            "contrast ignored",
            "- grey) * change.contrast) >> 10u",
            "- grey) * 1024) >> 10u",
        ),
        (
            "brightness halved",
            "change.brightness * 4",
            "change.brightness * 2",
        ),
        (
            "levels not bounded",
            "clamp(lit + change.brightness * 4, 0, 255 * 256)",
            "max(lit + change.brightness * 4, 0)",
        ),
        (
            "the same change for all rows",
            "vec4<u32>(row, STREAM - stream",
            "vec4<u32>(0u, STREAM - stream",
        ),
        (
            "the same change in each step",
            "this_step.number, this_step.epoch",
            "0u, this_step.epoch",
        ),
        (
            "images not mixed",
            "value * this_step.mix + mixed * (256u - this_step.mix)",
            "value * 256u",
        ),
        (
            "mixed with the row before",
            "(row + 1u) % this_step.rows",
            "(row + this_step.rows - 1u) % this_step.rows",
        ),
        (
            "padding rows read",
            "let is_real = row < this_step.rows;",
            "let is_real = row < ROWS;",
        ),
    ];
    let faults = faults.map(|(what, from, to)| (what, augment(), from, to));
    let others = [
        (
            "classes not mixed",
            mix(),
            "select(0u, this_step.mix, c == label)",
            "select(0u, 256u, c == label)",
        ),
        (
            "mixed with a row of its own",
            mix(),
            "(row + 1u) % this_step.rows",
            "row",
        ),
        (
            "bytes of a word in reverse",
            mix(),
            "sample % 4u * 8u",
            "(3u - sample % 4u) * 8u",
        ),
        (
            "means of other channels",
            normalize(),
            "means[channel]",
            "means[(channel + 1u) % C]",
        ),
        (
            "factors ignored",
            normalize(),
            "* factors[channel]",
            "* factors[0]",
        ),
        (
            "pixels taken for channels",
            normalize(),
            "index / AREA % C",
            "index % C",
        ),
    ];
    faults.into_iter().chain(others).collect()
}
