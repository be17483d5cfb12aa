// Outer products.

// Column i of the matrix is row i of a 4×4 tile.
fn outer(column: vec4<f32>, row: vec4<f32>) -> mat4x4<f32> {
    return mat4x4<f32>(column.x * row, column.y * row, column.z * row, column.w * row);
}
