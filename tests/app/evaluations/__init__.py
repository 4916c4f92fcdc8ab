"""``/v1/evaluations`` over HTTP."""
