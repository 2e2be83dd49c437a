"""Making and changing pictures: the brush, preprocessing, corruptions, misused input, painted non-digits."""
