"""Parts 2 and 3: what only a member may see, and how streams are cut."""
