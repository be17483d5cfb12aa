// Products of vectors.

// Column i of the matrix is row i of a tile of 4×4.
fn outer(column: vec4<f32>, row: vec4<f32>) -> mat4x4<f32> {
    return mat4x4<f32>(column.x * row, column.y * row, column.z * row, column.w * row);
}
