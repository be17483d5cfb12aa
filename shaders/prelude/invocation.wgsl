// The size of a workgroup, and the linear index of an invocation or workgroup: dispatches are
// folded into two dimensions.

override WORKGROUP_SIZE: u32 = 64;

fn invocation(id: vec3<u32>, workgroups: vec3<u32>) -> u32 {
    return id.x + id.y * workgroups.x * WORKGROUP_SIZE;
}

fn workgroup_index(workgroup: vec3<u32>, workgroups: vec3<u32>) -> u32 {
    return workgroup.x + workgroup.y * workgroups.x;
}
