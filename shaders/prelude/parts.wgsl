// The planes of (N, C, AREA), each cut into parts of PART_LEN elements, the last of which may be
// shorter: a sum over a channel adds the sums of its parts.

override CHANNELS: u32; // C
override AREA: u32; // H·W, or 1
override PARTS: u32; // parts per plane
override PART_LEN: u32;

// The number of elements in a part of a plane.
fn part_size(part: u32) -> u32 {
    return min(PART_LEN, AREA - part * PART_LEN);
}

// The index, among all parts, of the i-th part of a channel, row by row.
fn part_of_channel(channel: u32, i: u32) -> u32 {
    return (i / PARTS * CHANNELS + channel) * PARTS + i % PARTS;
}
