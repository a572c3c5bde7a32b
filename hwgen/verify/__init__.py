"""The proof that hardware equals the model: vectors, benches and simulators."""

from hwgen.callable_module import make_callable

make_callable(__name__, "hwgen.verify.regression", "verify")
