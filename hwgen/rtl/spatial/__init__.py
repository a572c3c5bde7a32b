"""Hardware for images that stream by: line buffers, pooling, selection and repetition of pixels."""
