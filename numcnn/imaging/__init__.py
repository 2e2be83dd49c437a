"""What makes or changes a picture: the brush, preprocessing, corruptions, misused input."""
