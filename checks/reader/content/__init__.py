"""Part 4: streams, trees, snapshots, index: what is in the chunks."""
