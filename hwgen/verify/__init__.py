"""The proof that hardware equals the model: vectors, benches and simulators."""
