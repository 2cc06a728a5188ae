"""Every limit on untrusted input, in one place; each has a test on both sides."""

FILE_BYTES = 2**20
YAML_DEPTH = 64
SCALAR_CHARS = 4096
EXPRESSION_DEPTH = 32
INTEGER = 2**53
USE_DEPTH = 8
USE_FILES = 64
BLOCK_DEPTH = 64
REPEAT = 1000
NODES = 100_000
DIMENSION = 2**24
ELEMENTS = 2**40
NAME_CHARS = 64
