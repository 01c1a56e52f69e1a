"""Is a backward pass right? Every layer once, measured slopes, and what is wrong if they differ."""
