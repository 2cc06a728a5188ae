"""Which nodes run in place: the compiler's choice."""

from cnnspec.inplace import overwritten as overwritten
