// The product of planes and a factor for each; planes of one element make it elementwise. One
// invocation per element.
//
// Preludes: invocation.

override PLANES: u32; // N·C
override AREA: u32; // H·W, or 1

@group(0) @binding(0) var<storage, read> planes: array<f32>; // (N·C, AREA)
@group(0) @binding(1) var<storage, read> factors: array<f32>; // (N·C)
@group(0) @binding(2) var<storage, read_write> products: array<f32>; // (N·C, AREA)

@compute @workgroup_size(WORKGROUP_SIZE)
fn multiply(
    @builtin(global_invocation_id) id: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
) {
    let index = invocation(id, workgroups);
    if index >= PLANES * AREA {
        return;
    }
    products[index] = planes[index] * factors[index / AREA];
}
