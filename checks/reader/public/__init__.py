"""Part 1: what members and hosters both see and both verify."""
