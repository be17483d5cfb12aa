// Copies LEN consecutive words of each row of one array into the rows of another, whose other words
// stay as they are. One invocation per word.
//
// Preludes: invocation.

override ROWS: u32;
override LEN: u32;
override INPUT_ROW: u32; // words per row of the input
override FROM: u32; // the first word that is read in a row
override OUTPUT_ROW: u32;
override TO: u32; // the first word that is written in a row

@group(0) @binding(0) var<storage, read> input: array<u32>; // (ROWS, INPUT_ROW), the bits of f32
@group(0) @binding(1) var<storage, read_write> output: array<u32>; // (ROWS, OUTPUT_ROW), the same

@compute @workgroup_size(WORKGROUP_SIZE)
fn copy_slice(
    @builtin(global_invocation_id) id: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
) {
    let index = invocation(id, workgroups);
    if index >= ROWS * LEN {
        return;
    }
    let row = index / LEN;
    let place = index % LEN;
    output[row * OUTPUT_ROW + TO + place] = input[row * INPUT_ROW + FROM + place];
}
